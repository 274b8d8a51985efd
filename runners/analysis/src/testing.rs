//! Arms for tests.

use super::arm::ArmRecords;
use regatta_core::simd::Level;
use regatta_lm::tasks::Outcomes;
use regatta_lm::training::Evaluation;
use regatta_records::{Cost, Machine, TrialEvaluation};

/// Held-out losses by seed; none where the trial did not finish.
pub(crate) fn arm(name: &str, losses: &[Option<f64>]) -> ArmRecords {
    let mut arm = ArmRecords::empty(name);
    for (seed, loss) in losses.iter().enumerate() {
        let Some(loss) = *loss else { continue };
        let measures = Evaluation {
            loss,
            loss_standard_error: 0.01,
            perplexity: loss.exp(),
            bits_per_byte: None,
            text_lost: None,
            excess_loss: None,
            unigram_entropy: 5.0,
            windows: 1,
            tokens: 16,
            mean_cosine: vec![],
            effective_rank: vec![],
            worth: Default::default(),
        };
        let cost = Cost { wall_seconds: 1.0, step_ms: 1.0, tokens_per_second: 1.0, ..Cost::default() };
        arm.evaluations.insert(seed as u64, TrialEvaluation { split: "test".into(), measures, validation_loss: loss, cost });
    }
    arm
}

/// A machine without a GPU.
pub(crate) fn machine(host: &str, processor: &str, threads: usize, level: Level) -> Machine {
    let (host, processor, instructions) = (Some(host.to_owned()), Some(processor.to_owned()), Some(level));
    Machine { host, processor, threads, instructions, device: Machine::CPU.to_owned(), recomputes: false }
}

/// The cost of a trial of one second that a machine trained.
pub(crate) fn cost_on(machine: &Machine) -> Cost {
    let (instructions, machine) = (machine.instructions, Some(machine.clone()));
    Cost { wall_seconds: 1.0, step_ms: 1.0, tokens_per_second: 1.0, instructions, machine, ..Cost::default() }
}

/// Says that a machine trained the trial of a seed.
pub(crate) fn on(arm: &mut ArmRecords, seed: u64, machine: &Machine) {
    arm.evaluations.get_mut(&seed).expect("a trial that is done").cost = cost_on(machine);
}

/// Outcomes of minimal pairs, a character per item.
pub(crate) fn outcomes(task: &str, right: &str, fingerprint: &str) -> Outcomes {
    let line = serde_json::json!({"kind": "minimal_pairs", "task": task, "fingerprint": fingerprint, "right": right,
        "right_normalised": right});
    serde_json::from_value(line).unwrap()
}
