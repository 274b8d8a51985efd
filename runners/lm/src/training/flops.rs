//! FLOPs of training an arm.

use super::Interventions;
use super::companion::compared;
use super::penalties::{compares_views, sees_whole_batch};
use crate::model::Decoder;
use crate::spec::{Steps, Term, TrainSpec};
use regatta_core::{Companion, Compared};

/// FLOPs of training an arm on one token, the mean over its steps: those of [`Decoder::training_flops_per_token`]; in the
/// steps in which a term compares two views those of a second pass, which goes through the blocks and back and needs no output
/// matrix; where a batch is accumulated and a cloud is of all of it, those of a further way forward; and the way forward through
/// each companion, with its output matrix where logits are compared. What penalties and objectives themselves compute is not
/// counted.
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
    let companions: f64 = interventions.iter().map(|plugin| companion(&*plugin.0, config, context)).sum();
    config.training_flops_per_token(context) as f64 + view * ((viewed as f64 + gathered as f64 / 3.0) / steps as f64) + companions
}

/// Forward only: a third of there and back. A teacher that cannot be read is refused elsewhere, before anything is trained.
fn companion(intervention: &dyn regatta_core::Intervention, config: &Decoder, context: usize) -> f64 {
    let Some(compared) = compared(intervention) else { return 0.0 };
    let other = match intervention.companion() {
        None => return 0.0,
        Some(Companion::MovingAverage { .. }) => Some(config.clone()),
        Some(Companion::Checkpoint(folder)) => Decoder::read(&folder).ok(),
    };
    let there_and_back = |other: Decoder| match compared {
        Compared::Logits => other.training_flops_per_token(context),
        Compared::LastHiddenState => other.block_flops_per_token(context),
    };
    other.map_or(0.0, |other| there_and_back(other) as f64 / 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Sizes};
    use regatta_core::number::Count;
    use regatta_core::number::NonNegative;
    use regatta_core::{Intervention, Plugin, intervention, typetag};

    intervention! {
        name: "follow",
        summary: "compares with a moving average",
        paper: "none: for tests",
        formula: "none",
        struct Follow {
            /// Weight.
            weight: NonNegative = NonNegative::new(1.0),
            /// Whether logits are compared.
            logits: bool = false,
        }
    }

    #[typetag::serde(name = "follow")]
    impl Intervention for Follow {
        fn weight(&self) -> f64 {
            self.weight.get()
        }

        fn companion(&self) -> Option<Companion> {
            Some(Companion::MovingAverage { decay: 0.5 })
        }

        fn compares(&self) -> Option<Compared> {
            Some(if self.logits { Compared::Logits } else { Compared::LastHiddenState })
        }
    }

    #[test]
    fn a_companion_is_a_third_of_a_pass_there_and_back() {
        let spec = Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 20 };
        let config = Decoder::new(Family::Gpt2, spec, 11);
        let count = |follow: Follow| {
            let interventions: [Plugin<dyn Intervention>; 1] = [Plugin(Box::new(follow))];
            flops_per_token(&config, 4, (&TrainSpec::default(), Count::new(300)), &[], &interventions)
        };
        // blocks 6·1152 + 480 = 7392, with the output matrix 7392 + 6·88 = 7920 (see crate::model)
        assert_eq!(count(Follow::default()), 7920.0 + 7392.0 / 3.0);
        assert_eq!(count(Follow { logits: true, ..Follow::default() }), 7920.0 * 4.0 / 3.0);
        assert_eq!(count(Follow { weight: NonNegative::new(0.0), ..Follow::default() }), 7920.0);
    }
}
