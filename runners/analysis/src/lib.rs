//! From records to results, which every table, plot and page is made from. Results are a pure function of a study's folder. They
//! need neither the data nor the plugins, so a folder can be read anywhere.
//!
//! | file | what |
//! |---|---|
//! | `study`, `terms`, `listed`, `folder` | the files on disk: the study's settings, its rows, and their trials |
//! | `run`, `timeline`, `diagnosed`, `outcomes` | what one finished trial recorded along training, and of each item at its end |
//! | `summary` and what it uses | one row over its seeds |
//! | `comparison`, `cost`, `equal_time`, `paired`, `same_items` | two rows, paired by seed, and item by item |
//! | `kinds`, `machines` | on which kinds of machine trials ran, and which comparisons that touches |
//! | `sizes`, `forecasts` | rows that differ in the size of their model |
//! | `setup`, `optimizer`, `notes`, `learnt` | what a reader should know, in words |
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod arm;
mod compare;
mod comparison;
mod cost;
mod curves;
mod diagnosed;
mod equal_time;
mod folder;
mod forecasts;
mod geometry;
mod kinds;
mod label_aware;
mod learnt;
mod listed;
mod machines;
mod notes;
mod optimizer;
mod outcomes;
mod over;
mod paired;
mod results;
mod rounding;
mod run;
mod same_items;
mod setup;
mod sizes;
mod study;
mod summary;
mod task_checkpoints;
mod task_measures;
mod tasks;
mod terms;
#[cfg(test)]
mod testing;
mod texts;
mod timeline;
mod to_target;
mod trials;
mod tuning;
mod worth;

pub use compare::{CompareError, compare};
pub use forecasts::{SizeForecast, forecasts, varies_size};
pub use results::results;
