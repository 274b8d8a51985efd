//! regatta-whitening
