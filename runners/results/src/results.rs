//! The one value that every report is made from.

use crate::text::one_line;
use crate::values::{CurvePoint, Difference, Interval, Spread, TimedPairs, Verdict};
use crate::{
    Geometry, Rounding, SizeSeries, TaskAverage, TaskMeasure, TaskResult, TasksAtCheckpoints, TextResult, ToTarget, Tuning, json,
};
use serde::Serialize;

/// The unit of every loss, difference and excess loss in [`Results`].
pub const UNIT: &str = "nats per token";

/// A study and its results.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// The study's name.
    pub study: String,
    /// What the study asks, in its author's words.
    pub question: Option<String>,
    /// The program and its version, as in `regatta 0.1.0`.
    pub program: String,
    /// What is the same for all arms, as label and value: model, parameters, data, tokens per trial, seeds, optimizer.
    pub setup: Vec<(String, String)>,
    /// The seeds that each arm is trained with.
    pub seeds: Vec<u64>,
    /// The arm that all others are compared with, in a sweep at the same point; in a comparison of two the second.
    pub baseline: String,
    /// The split that is reported: `test`, or `validation (the study names no test data)`.
    pub held_out: String,
    /// The arms, in the study's order, the baseline among them; in a sweep each at each of its points.
    pub arms: Vec<Arm>,
    /// Each arm over models of several sizes; empty where all have one.
    pub sizes: Vec<SizeSeries>,
    /// What was tried for each arm, and what was chosen; empty where nothing was tuned.
    pub tuning: Vec<Tuning>,
    /// Every trial, finished or not.
    pub trials: Vec<Trial>,
    /// The machines that trained those that are done, as far as that is known; the one with the most hours first.
    pub machines: Vec<Machine>,
    /// What else a reader should know, a sentence each.
    pub notes: Vec<String>,
}

impl Results {
    /// Whether any arm was trained at a point of a sweep.
    pub fn is_sweep(&self) -> bool {
        self.arms.iter().any(|arm| !arm.point.is_empty())
    }

    /// Whether it is a sweep with so many rows that text counts them by arm, and only tables have their verdicts.
    pub fn has_many_rows(&self) -> bool {
        /// More rows than this are many.
        const MANY: usize = 12;
        self.is_sweep() && self.arms.len() > MANY
    }

    /// Whether the trials ran on several kinds of machine.
    pub fn has_mixed_machines(&self) -> bool {
        self.machines.iter().any(|machine| machine.kind > 1)
    }

    /// What every arm is compared with, in words: `baseline`, or `baseline at the same point`.
    pub fn reference(&self) -> String {
        let of_its_point = self.arms.iter().any(|arm| arm.baseline != self.baseline);
        one_line(&self.baseline) + if of_its_point { " at the same point" } else { "" }
    }
}

/// One arm over its seeds; in a sweep, at one of its points.
#[derive(Debug, Clone, Serialize)]
pub struct Arm {
    /// Its name, which no other has: the arm and, in a sweep, its point, as in `dispersion width=16,weight=0.1`.
    pub name: String,
    /// The arm's name in the study.
    pub arm: String,
    /// The point of the sweep; empty without one.
    pub point: String,
    /// The name of what it is compared with: the baseline at its point. Its own, where it is the baseline.
    pub baseline: String,
    /// Numbers that are trained, where that is known.
    pub parameters: Option<usize>,
    /// Its terms as YAML in one line, with what tuning chose; empty for the baseline.
    pub terms: String,
    /// The same terms by plugin and setting; empty for the baseline, and where settings are not known.
    #[serde(skip)]
    pub listed: Vec<Term>,
    /// Trials that the study asks for.
    pub planned: usize,
    /// Trials that finished.
    pub done: usize,
    /// Trials that did not, a line each: `seed 2 diverged at step 14: loss is NaN`.
    pub failures: Vec<String>,
    /// Held-out loss over the seeds that finished, nats per token.
    pub loss: Option<Spread>,
    /// Held-out loss of this arm minus the baseline's, paired by seed; none for the baseline itself.
    pub difference: Option<Difference>,
    /// What the difference says.
    pub verdict: Verdict,
    /// Mean perplexity on the held-out split, exp of nats per token.
    #[serde(serialize_with = "json::maybe")]
    pub perplexity: Option<f64>,
    /// Mean held-out loss in bits per byte of text.
    #[serde(serialize_with = "json::maybe")]
    pub bits_per_byte: Option<f64>,
    /// Mean held-out loss above the best possible one, nats per token, where that is known.
    #[serde(serialize_with = "json::maybe")]
    pub excess_loss: Option<f64>,
    /// Mean cosine between hidden states, -1 to 1, mean over seeds; entry 0 is the embedding.
    #[serde(serialize_with = "json::list")]
    pub mean_cosine_by_layer: Vec<f64>,
    /// Effective rank of the hidden states, 1 to the width, mean over seeds; entry 0 is the embedding.
    #[serde(serialize_with = "json::list")]
    pub effective_rank_by_layer: Vec<f64>,
    /// Milliseconds per training step, mean over seeds.
    #[serde(serialize_with = "json::maybe")]
    pub step_ms: Option<f64>,
    /// Time per step over the baseline's: the geometric mean over the seeds whose two trials ran on one kind of machine.
    #[serde(serialize_with = "json::maybe")]
    pub cost_ratio: Option<f64>,
    /// The least and the greatest of those seeds' ratios.
    pub cost_range: Option<Interval>,
    /// How many seeds these are.
    pub timed_pairs: TimedPairs,
    /// Training tokens per second, mean over seeds.
    #[serde(serialize_with = "json::maybe")]
    pub tokens_per_second: Option<f64>,
    /// The most memory that a trial held at once, the largest over seeds, MiB.
    #[serde(serialize_with = "json::maybe")]
    pub peak_memory_mib: Option<f64>,
    /// What its training computes, and takes of the machine.
    pub spent: Spent,
    /// Cross-entropy of each step's batch over seeds, nats per token.
    pub training_curve: Vec<CurvePoint>,
    /// Validation loss over seeds at the steps where it was measured, nats per token.
    pub validation_curve: Vec<CurvePoint>,
    /// How its points lie; none where the study asks for no diagnoses.
    pub geometry: Option<Geometry>,
    /// What rounding its weights costs, in the study's order; empty where it does not ask.
    pub roundings: Vec<Rounding>,
    /// How it does on tasks, in the study's order; empty where it names none.
    pub tasks: Vec<TaskResult>,
    /// The average over its tasks; none where the study names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_average: Option<TaskAverage>,
    /// Measures of tasks that are not accuracies, in the study's order; empty where it names no such tasks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub task_measures: Vec<TaskMeasure>,
    /// The tasks of `evaluate.tasks` at the last checkpoint and at the best one; none where they are scored at the end alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_checkpoints: Option<TasksAtCheckpoints>,
    /// Losses on further texts, in one order for all arms; empty where the study names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextResult>,
    /// What it takes to reach target losses, in the study's order; empty where it names none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_target: Vec<ToTarget>,
}

/// A regularizer or an intervention of an arm, or a learning rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The plugin's name; empty for a learning rate.
    pub plugin: String,
    /// Its settings in the order of their declaration.
    pub settings: Vec<Setting>,
    /// Whether it is applied elsewhere than at its regularizer's home; false where the regularizer is not known.
    pub away_from_home: bool,
}

/// A setting of a term.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its path, as in `weight`, `temperature`, `at.layers`.
    pub key: String,
    /// Its value as YAML in one line.
    pub value: String,
    /// Whether a study that leaves it out gets the same value.
    pub is_default: bool,
}

/// What an arm's training computes and takes, where that is known.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spent {
    /// FLOPs of training on one token, mean over steps and seeds: those of matrix products, without what penalties compute.
    #[serde(serialize_with = "json::maybe")]
    pub flops_per_token: Option<f64>,
    /// FLOPs of a trial's training, mean over seeds.
    #[serde(serialize_with = "json::maybe")]
    pub training_flops: Option<f64>,
    /// The most memory of a trial's process that was resident at once, the largest over seeds, MiB.
    #[serde(serialize_with = "json::maybe")]
    pub peak_rss_mib: Option<f64>,
    /// What the machine's processors took during a trial, joules, mean over seeds.
    #[serde(serialize_with = "json::maybe")]
    pub energy_joules: Option<f64>,
}

/// A machine as the workers of a run used it, and what it trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The host's name; none of folders that did not record it.
    pub host: Option<String>,
    /// The processor's name, where the system reports it.
    pub processor: Option<String>,
    /// Threads of a worker.
    pub threads: usize,
    /// The instruction set of its kernels.
    pub instructions: Option<String>,
    /// What computed: `cpu`, `candle`, or a GPU with its name.
    pub device: String,
    /// Its kind, from 1: times are compared between machines of one kind only.
    pub kind: usize,
    /// Trials that are done and that it trained, wholly or in part.
    pub trials: usize,
    /// Hours that it spent on them.
    #[serde(serialize_with = "json::number")]
    pub hours: f64,
}

/// One training run.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// The arm's name.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// Pending, running, done, diverged or failed.
    pub state: String,
    /// Why it did not finish.
    pub reason: Option<String>,
    /// The machine on which it ended, as an index of [`Results::machines`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<usize>,
    /// What its machine does to its comparison with the baseline's trial; none where both ran on one kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_note: Option<String>,
    /// Measures by name (`test_loss`, `perplexity`, ...), the same names for all trials; none where it was not measured.
    #[serde(serialize_with = "json::measures")]
    pub measures: Vec<(String, Option<f64>)>,
}
