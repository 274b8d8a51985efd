//! regatta-lm
