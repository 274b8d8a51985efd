//! regatta-dispersion
