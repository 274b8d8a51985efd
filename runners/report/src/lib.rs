//! From the results of a study to what people read: a table in the terminal, `results.csv`, plots, and one page of HTML.
//!
//! Everything here is a pure function of one plain value, [`Results`]. This crate computes no statistics and reads no files.
//!
//! | function | result |
//! |---|---|
//! | [`terminal_table`] | one row per arm, the verdicts in words below, at most as wide as requested |
//! | [`csv()`] | tidy: one row per trial, one column per measure |
//! | [`plots()`] | each plot as SVG, with the numbers that it draws as CSV |
//! | [`page()`] | all of it as one self-contained page that opens offline |
//! | [`arms_table`] | one row per arm, as Markdown, CSV, LaTeX or JSON; with the feature `parquet`, `arms_parquet` |
//! | [`comparison()`] | two arms: the verdict in words and every figure, a line each |
//! | [`answer()`] | the study's answer in one sentence |
//!
//! Text from users (names, reasons, notes) is escaped for its output: HTML, SVG, CSV, Markdown, LaTeX or the terminal.
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

#![cfg_attr(docsrs, feature(doc_cfg))] // the documentation names the feature that an item needs

mod answer;
mod comparison;
mod csv;
mod drawn;
mod error;
mod figures;
mod formats;
mod further;
mod number;
mod page;
mod plot;
#[cfg(test)]
mod sample;
mod table;
mod terms;
mod text;
mod verdict;

pub use answer::answer;
pub use comparison::comparison;
pub use csv::csv;
pub use error::{Error, Result};
#[cfg(feature = "parquet")]
pub use formats::arms_parquet;
pub use formats::{Format, arms_table};
pub use number::{grouped, significant};
pub use page::page;
pub use plot::{Plot, plots};
pub use regatta_results::{
    Arm, CurvePoint, Depths, Difference, Edge, EqualTime, FrequencyClass, Geometry, Interval, Layer, Machine, OverSeeds,
    PairedDifference, PairedRatio, PowerLaw, Results, Rounding, Setting, SizePoint, SizeSeries, Spent, Spread, TaskAtCheckpoints,
    TaskAverage, TaskMeasure, TaskResult, TaskTest, TaskVerdict, TasksAtCheckpoints, Term, TextResult, TimedPairs, ToTarget,
    Trial, Tuning, TuningCandidate, UNIT, Verdict,
};
pub use table::terminal_table;
