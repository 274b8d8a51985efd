//! What a gate on the gradient of the output matrix knows of the steps before.

use super::interventions::Interventions;
use crate::engine::Gates;
use regatta_core::{Action, OutputGate};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A gate, and how often each token was a target in its memory. This is a function of the data, so checkpoints don't have it: a
/// resumed trial counts the targets of the last steps again.
pub(super) struct Gating<'a> {
    gate: &'a dyn OutputGate,
    /// Of each step in memory, its target tokens.
    recent: VecDeque<Vec<u32>>,
    /// Their sum over the steps in memory. (v)
    counts: Vec<u64>,
}

impl<'a> Gating<'a> {
    pub fn of(interventions: &'a Interventions, vocabulary: usize) -> Option<Self> {
        interventions.iter().find_map(|plugin| match plugin.0.action() {
            Some(Action::OutputGate(gate)) => Some(Self { gate, recent: VecDeque::new(), counts: vec![0; vocabulary] }),
            _ => None,
        })
    }

    /// The steps before `step` that are in memory when it is made.
    pub fn before(&self, step: usize) -> Range<usize> {
        step.saturating_sub(self.gate.memory().get() - 1)..step
    }

    /// Counts the targets of a step, and forgets those of the step that leaves the memory.
    pub fn count(&mut self, targets: &[u32]) {
        targets.iter().for_each(|&target| self.counts[target as usize] += 1);
        self.recent.push_back(targets.to_vec());
        if self.recent.len() > self.gate.memory().get()
            && let Some(forgotten) = self.recent.pop_front()
        {
            forgotten.iter().for_each(|&target| self.counts[target as usize] -= 1);
        }
    }

    /// The gates of the step that was counted last.
    pub fn gates(&self) -> Arc<Gates> {
        Arc::new(Gates::new(self.gate.gates(&self.counts, self.recent.len()), self.counts.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::number::Count;
    use regatta_core::{Intervention, Plugin, RowGate, intervention, typetag};
    use std::num::NonZeroUsize;

    intervention! {
        name: "counted",
        summary: "gates of the counts themselves",
        paper: "none: for tests",
        formula: "a_v, K",
        struct Counted {
            /// Steps.
            memory: Count<1, 10> = Count::new(3),
        }
    }

    #[typetag::serde(name = "counted")]
    impl Intervention for Counted {
        fn action(&self) -> Option<Action<'_>> {
            Some(Action::OutputGate(self))
        }
    }

    impl OutputGate for Counted {
        fn memory(&self) -> NonZeroUsize {
            NonZeroUsize::new(self.memory.get()).unwrap()
        }

        fn gates(&self, counts: &[u64], steps: usize) -> Vec<RowGate> {
            let row = |(token, &count): (usize, &u64)| RowGate {
                token: token as u32,
                from_others: count as f32,
                from_gated: steps as f32,
            };
            counts.iter().enumerate().map(row).collect()
        }
    }

    const TARGETS: [&[u32]; 5] = [&[0, 0, 1], &[1, 1, 1], &[2, 0, 2], &[3, 3, 3], &[0, 1, 2]];

    #[test]
    fn a_gate_sees_the_targets_of_the_last_steps_and_a_resumed_trial_those_too() {
        let interventions = [Plugin(Box::new(Counted::default()) as Box<dyn Intervention>)];
        let gating = || Gating::of(&interventions, 4).unwrap();
        let mut whole = gating();
        let expected = [[2, 1, 0, 0], [2, 4, 0, 0], [3, 4, 2, 0], [1, 3, 2, 3], [2, 1, 3, 3]];
        for (step, targets) in TARGETS.iter().enumerate() {
            whole.count(targets);
            assert_eq!((whole.counts.as_slice(), whole.recent.len()), (&expected[step][..], (step + 1).min(3)));
            let mut resumed = gating();
            resumed.before(step).chain([step]).for_each(|step| resumed.count(TARGETS[step]));
            assert_eq!(resumed.counts, whole.counts, "{step}");
            assert_eq!(resumed.gates(), whole.gates(), "{step}");
        }
        assert!(Gating::of(&[], 4).is_none());
    }
}
