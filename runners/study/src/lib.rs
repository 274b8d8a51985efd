//! regatta-study
