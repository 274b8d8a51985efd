//! regatta-report
