//! regatta-diagnostics
