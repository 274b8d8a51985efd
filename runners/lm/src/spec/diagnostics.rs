//! `evaluate.diagnostics:` in a study.

use super::OrNone;
use regatta_core::number::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When and on how many tokens it is measured how a model's points lie; see [`crate::training::Diagnosis`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiagnosticsSpec {
    /// Steps between diagnoses. The first weights and the last are diagnosed always, and nothing else with `none`.
    pub every: OrNone<Count<1, 100_000_000>>,
    /// Tokens of a layer's cloud, in whole windows of the validation split spread evenly over it.
    pub points: Count<2, 65_536>,
}

impl Default for DiagnosticsSpec {
    fn default() -> Self {
        Self { every: OrNone::None, points: Count::new(2048) }
    }
}

impl DiagnosticsSpec {
    /// Whether the weights after so many of all updates are diagnosed.
    pub fn is_due(&self, step: usize, steps: usize) -> bool {
        step == 0 || step == steps || self.every.get().is_some_and(|every| step.is_multiple_of(every.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_last_and_every_so_often() {
        let due = |every| {
            let spec = DiagnosticsSpec { every, ..DiagnosticsSpec::default() };
            (0..=10).filter(|&step| spec.is_due(step, 10)).collect::<Vec<_>>()
        };
        assert_eq!(due(OrNone::None), [0, 10]);
        assert_eq!(due(OrNone::Some(Count::new(4))), [0, 4, 8, 10]);
    }
}
