//! A simulated MPS device in libtorch's dispatcher.
