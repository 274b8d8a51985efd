//! FLOPs of training an arm.

use super::Interventions;
use super::interventions::objectives;
use super::terms::{compares_views, sees_whole_batch};
use crate::model::Decoder;
use crate::spec::{Steps, Term, TrainSpec};
use regatta_core::{Companion, CompanionObjective, Compared};

/// FLOPs of training an arm on one token, the mean over its steps. They are the sum of
///
/// - [`Decoder::training_flops_per_token`];
/// - in steps in which a term compares two views, a second pass: forward and backward through the blocks, without the output matrix;
/// - in steps that are accumulated with a cloud of the whole batch, one more forward pass;
/// - a forward pass through each companion, with its output matrix where logits are compared.
///
/// The computation of penalties and objectives themselves is not counted.
pub fn flops_per_token(
    config: &Decoder,
    context: usize,
    (train, steps): (&TrainSpec, Steps),
    terms: &[Term],
    interventions: &Interventions,
) -> f64 {
    let steps = steps.get();
    let has_views = terms.iter().any(|term| term.regularizer.0.needs_view() && !term.weight.is_zero());
    let viewed = if has_views { (0..steps).filter(|&step| compares_views(terms, step)).count() } else { 0 };
    let view = config.block_flops_per_token(context) as f64;
    let has_whole = train.accumulate.get() > 1 && terms.iter().any(|term| !term.weight.is_zero());
    let passes =
        |step: usize| if has_whole && sees_whole_batch(terms, step) { 1 + usize::from(compares_views(terms, step)) } else { 0 };
    let gathered = if has_whole { (0..steps).map(passes).sum::<usize>() } else { 0 };
    let companions: f64 = objectives(interventions).iter().map(|it| companion(it.objective, config, context)).sum();
    config.training_flops_per_token(context) as f64 + view * ((viewed as f64 + gathered as f64 / 3.0) / steps as f64) + companions
}

/// FLOPs of its forward pass: a third of forward and backward. 0 for a checkpoint that cannot be read, which is refused elsewhere,
/// before anything is trained.
fn companion(objective: &dyn CompanionObjective, config: &Decoder, context: usize) -> f64 {
    let other = match objective.companion() {
        Companion::MovingAverage { .. } => Some(config.clone()),
        Companion::Checkpoint(folder) => Decoder::read(&folder).ok(),
    };
    let forward_and_backward = |other: Decoder| match objective.compared() {
        Compared::Logits => other.training_flops_per_token(context),
        Compared::LastHiddenState => other.block_flops_per_token(context),
    };
    other.map_or(0.0, |other| forward_and_backward(other) as f64 / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Sizes};
    use regatta_core::number::{Count, NonNegative};
    use regatta_core::{Action, Intervention, Outputs, Plugin, Tensor, intervention, typetag};

    intervention! {
        name: "averaged",
        summary: "compares with a moving average",
        paper: "none: for tests",
        formula: "none",
        struct Averaged {
            /// Weight.
            weight: NonNegative = NonNegative::new(1.0),
            /// Whether logits are compared.
            logits: bool = false,
        }
    }

    #[typetag::serde(name = "averaged")]
    impl Intervention for Averaged {
        fn action(&self) -> Option<Action<'_>> {
            Some(Action::Objective(self))
        }
    }

    impl CompanionObjective for Averaged {
        fn weight(&self) -> f64 {
            self.weight.get()
        }

        fn companion(&self) -> Companion {
            Companion::MovingAverage { decay: 0.5 }
        }

        fn compared(&self) -> Compared {
            if self.logits { Compared::Logits } else { Compared::LastHiddenState }
        }

        fn objective(&self, outputs: &Outputs<'_>, _: &[Tensor]) -> regatta_core::Result<Tensor> {
            Ok(outputs.own.mean_all()?)
        }
    }

    #[test]
    fn a_companion_is_a_third_of_a_pass_forward_and_backward() {
        let spec = Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 20 };
        let config = Decoder::new(Family::Gpt2, spec, 11);
        let count = |averaged: Averaged| {
            let interventions: [Plugin<dyn Intervention>; 1] = [Plugin(Box::new(averaged))];
            flops_per_token(&config, 4, (&TrainSpec::default(), Count::new(300)), &[], &interventions)
        };
        // blocks 6·1152 + 480 = 7392, with the output matrix 7392 + 6·88 = 7920 (see crate::model)
        assert_eq!(count(Averaged::default()), 7920.0 + 7392.0 / 3.0);
        assert_eq!(count(Averaged { logits: true, ..Averaged::default() }), 7920.0 * 4.0 / 3.0);
        assert_eq!(count(Averaged { weight: NonNegative::new(0.0), ..Averaged::default() }), 7920.0);
    }
}
