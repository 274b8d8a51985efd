//! regatta-builtin
