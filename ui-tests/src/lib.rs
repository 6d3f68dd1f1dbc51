//! What the compiler says about misuse of the attributes; the cases are in `tests/`.
