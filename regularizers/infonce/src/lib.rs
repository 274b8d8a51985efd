//! regatta-infonce
