//! Numbers that published implementations give: regularizers, diagnostics, statistics, the model and its training.
//!
//! The fixtures are in `tests/golden`, or in the folder that the environment variable `GOLDEN_DIR` names.

mod diagnostics;
mod models;
mod objectives;
mod regularizers;
mod statistics;
mod tokens;
mod trajectories;

use std::path::PathBuf;

/// The folder of fixtures.
fn golden() -> PathBuf {
    std::env::var_os("GOLDEN_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden"), PathBuf::from)
}

/// The device that tests of the second engine train on: candle's CPU, or what `tests/devices/run` names.
fn test_device() -> String {
    std::env::var("REGATTA_TEST_DEVICE").unwrap_or_else(|_| "candle".into())
}

/// A fixture; `None`, with a line that says so, where `GOLDEN_DIR` does not hold it.
fn fixture(name: &str) -> Option<PathBuf> {
    let path = golden().join(name);
    if path.exists() || std::env::var_os("GOLDEN_DIR").is_none() {
        return Some(path);
    }
    println!("skipped: {} does not exist", path.display());
    None
}
