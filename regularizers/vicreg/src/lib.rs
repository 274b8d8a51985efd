//! regatta-vicreg
