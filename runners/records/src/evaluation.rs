//! `evaluation.json` and `validation.jsonl`: the measures of a trial, and its cost.

use super::{Machine, Stretch};
use regatta_core::simd::Level;
use regatta_lm::training::Evaluation;
use serde::{Deserialize, Serialize};

/// `evaluation.json`: the final measures on the held-out split, and the trial's cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialEvaluation {
    /// `test`, or `validation` where the study names no test data.
    pub split: String,
    /// The measures.
    #[serde(flatten)]
    pub measures: Evaluation,
    /// Validation loss of the trained model, nats per token; reports use the held-out loss.
    pub validation_loss: f64,
    /// The cost of the trial.
    #[serde(flatten)]
    pub cost: Cost,
}

/// The cost of a trial. Step times exclude measurements of the validation loss.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// From the first step to the last measure, seconds.
    pub wall_seconds: f64,
    /// Median time of a training step, milliseconds.
    pub step_ms: f64,
    /// Tokens of a batch over the median time of a step.
    pub tokens_per_second: f64,
    /// Most memory that the trial held at once, MiB, where it is counted.
    pub peak_memory_mib: Option<f64>,
    /// Peak resident memory of the process that trained it, its earlier trials included, MiB, where the system reports it.
    #[serde(default)]
    pub peak_rss_mib: Option<f64>,
    /// FLOPs of training per token, mean over the steps; see `regatta_lm::training::flops_per_token`. None in older folders.
    #[serde(default)]
    pub flops_per_token: Option<f64>,
    /// FLOPs of all training steps. None in older folders.
    #[serde(default)]
    pub training_flops: Option<f64>,
    /// Energy that the machine's processors took from the first step to the last measure, joules, where the machine reports it;
    /// where trials run side by side, that of all of them.
    #[serde(default)]
    pub energy_joules: Option<f64>,
    /// The instruction set that its kernels used at its end: in float32 it changes no bytes of a trial. None in older folders.
    #[serde(default)]
    pub instructions: Option<Level>,
    /// The machine that trained it; where several did, the last. None in older folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// What other machines, or the same one with other threads or instructions, trained of it before it was resumed on `machine`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_machines: Vec<Stretch>,
}

impl Cost {
    /// The machines that trained it, in order, each with its seconds; empty where none was recorded.
    pub fn stretches(&self) -> impl Iterator<Item = (&Machine, f64)> {
        let earlier = || self.earlier_machines.iter().map(|part| (&part.machine, part.wall_seconds));
        let rest = self.wall_seconds - earlier().map(|(_, seconds)| seconds).sum::<f64>();
        earlier().chain(self.machine.iter().map(move |last| (last, rest)))
    }
}

/// A line of `validation.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Updates made before it was measured.
    pub step: usize,
    /// Validation loss, nats per token.
    pub loss: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(host: &str) -> Machine {
        Machine {
            host: Some(host.into()),
            processor: None,
            threads: 2,
            instructions: Some(Level::Avx2),
            device: "cpu".into(),
            recomputes: false,
        }
    }

    #[test]
    fn the_last_machine_has_the_seconds_that_the_others_do_not() {
        let earlier_machines = vec![Stretch { machine: machine("a"), wall_seconds: 7.0 }];
        let cost = Cost { wall_seconds: 10.0, machine: Some(machine("b")), earlier_machines, ..Cost::default() };
        let found: Vec<(Option<&str>, f64)> = cost.stretches().map(|(of, seconds)| (of.host.as_deref(), seconds)).collect();
        assert_eq!(found, [(Some("a"), 7.0), (Some("b"), 3.0)]);
        assert_eq!(Cost::default().stretches().count(), 0);
    }

    #[test]
    fn folders_without_machines_are_read_and_written_as_before() {
        let text = r#"{"wall_seconds":9.0,"step_ms":1.0,"tokens_per_second":2.0,"peak_memory_mib":null,"instructions":"avx2"}"#;
        let cost: Cost = serde_json::from_str(text).unwrap();
        assert_eq!((cost.machine.as_ref(), cost.instructions), (None, Some(Level::Avx2)));
        let written = serde_json::to_string(&cost).unwrap();
        assert!(!written.contains("machine") && written.contains(r#""instructions":"avx2""#), "{written}");
        let cost = Cost { machine: Some(machine("b")), ..cost };
        assert_eq!(serde_json::from_str::<Cost>(&serde_json::to_string(&cost).unwrap()).unwrap(), cost);
    }
}
