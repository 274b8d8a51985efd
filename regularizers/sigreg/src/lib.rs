//! regatta-sigreg
