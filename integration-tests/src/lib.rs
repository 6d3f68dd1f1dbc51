//! A small trading system whose functions carry backstop's attributes.
