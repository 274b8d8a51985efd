//! regatta-cli
