//! How a study is run.

use regatta_lm::Device;
use regatta_lm::data::Watch;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How to run a study.
pub struct Options<'a> {
    /// The folder for results.
    pub out: &'a Path,
    /// Discard the trials that are there and start over.
    pub fresh: bool,
    /// Decides whether `fresh` may discard this many finished trials.
    pub may_discard: &'a dyn Fn(usize) -> bool,
    /// Keep finished trials that differ from the plan in the code alone: versions of program and plugins, and what those compute.
    pub allow_mismatch: bool,
    /// What trials are trained on.
    pub device: Device,
    /// How often a trial saves a checkpoint.
    pub every: Every,
    /// Set from outside when the run should stop after the current step.
    pub stop: &'a AtomicBool,
    /// Told while text becomes tokens, before anything is trained.
    pub tokens: &'a dyn Watch,
    /// The program that runs [`work`](crate::work).
    pub worker: &'a dyn Fn() -> Command,
    /// The program that runs [`probe`](crate::probe()).
    pub probe: &'a dyn Fn() -> Command,
    /// Limits of the workers.
    pub limits: Limits,
    /// Runners of one session do not try again what failed under another of them; by default, those that work at the same time are
    /// one.
    pub session: Option<&'a str>,
    /// Train only the judged trials of these seeds, and leave the rest to other runners.
    pub seeds: Option<&'a [u64]>,
    /// End when every trial that is left is being trained by another runner.
    pub no_wait: bool,
}

/// Limits of the workers, and what to do with failed trials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Worker processes in parallel; the threads are divided between them.
    pub jobs: usize,
    /// A worker without output for this long is killed.
    pub timeout: Duration,
    /// A worker that holds more bytes is killed.
    pub memory: Option<u64>,
    /// How often a failed trial is retried.
    pub retry: usize,
    /// Whether no trial begins after one that failed.
    pub fail_fast: bool,
}

impl Default for Limits {
    /// One worker, killed after ten minutes without output; nothing is tried again.
    fn default() -> Self {
        Self { jobs: 1, timeout: Duration::from_secs(600), memory: None, retry: 0, fail_fast: false }
    }
}

/// How often a trial saves a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Every {
    /// At the first step after this time.
    Time(Duration),
    /// After this many steps.
    Steps(usize),
}
