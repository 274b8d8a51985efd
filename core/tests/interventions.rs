//! The conformance kit names the check that an intervention of another crate fails.

use regatta_core::conformance::intervention_keeps_its_promises as check;
use regatta_core::{
    Action, Companion, CompanionObjective, Compared, Draw, EmbeddingNoise, Intervention, Outputs, Result, Tensor, WeightRounding,
    serde, typetag,
};
use std::path::PathBuf;

/// The check that the intervention fails.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(crate = "regatta_core::serde")]
enum Broken {
    ActsNowhere,
    SilentNoise,
    RoundsNothing,
    RoundsOtherwise,
    HiddenCheckpoint,
    Nothing,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(crate = "regatta_core::serde")]
struct Promises {
    broken: Broken,
    teacher: PathBuf,
}

#[typetag::serde(name = "promises")]
impl Intervention for Promises {
    fn action(&self) -> Option<Action<'_>> {
        match self.broken {
            Broken::ActsNowhere => None,
            Broken::SilentNoise => Some(Action::EmbeddingNoise(self)),
            Broken::RoundsNothing | Broken::RoundsOtherwise => Some(Action::WeightRounding(self)),
            Broken::HiddenCheckpoint | Broken::Nothing => Some(Action::Objective(self)),
        }
    }

    fn folders(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        if self.broken == Broken::HiddenCheckpoint { Vec::new() } else { vec![("teacher", &mut self.teacher)] }
    }
}

impl EmbeddingNoise for Promises {
    fn noise(&self, _: &mut [f32], _: usize, _: &mut Draw) {}
}

impl WeightRounding for Promises {
    fn round(&self, weights: &mut [f32], _: usize, _: usize) {
        if self.broken == Broken::RoundsOtherwise {
            weights.iter_mut().for_each(|weight| *weight *= 0.5);
        }
    }

    fn round_on_device(&self, weights: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((weights * 0.25)?))
    }
}

impl CompanionObjective for Promises {
    fn weight(&self) -> f64 {
        1.0
    }

    fn companion(&self) -> Companion {
        Companion::Checkpoint(self.teacher.clone())
    }

    fn compared(&self) -> Compared {
        Compared::Logits
    }

    fn objective(&self, outputs: &Outputs<'_>, _: &[Tensor]) -> Result<Tensor> {
        Ok(outputs.own.sub(&outputs.companion.detach())?.sqr()?.mean_all()?)
    }
}

fn with(broken: Broken) -> Promises {
    Promises { broken, teacher: "large".into() }
}

#[test]
fn a_correct_intervention_passes() {
    check(&with(Broken::Nothing));
}

#[test]
#[should_panic(expected = "is turned off by its settings")]
fn an_intervention_without_an_action_is_reported() {
    check(&with(Broken::ActsNowhere));
}

#[test]
#[should_panic(expected = "no noise for 1 tokens of 6 dims")]
fn noise_of_zeros_is_reported() {
    check(&with(Broken::SilentNoise));
}

#[test]
#[should_panic(expected = "to themselves")]
fn rounding_to_the_same_weights_is_reported() {
    check(&with(Broken::RoundsNothing));
}

#[test]
#[should_panic(expected = "`round_on_device`: a number and that on slices")]
fn other_rounding_on_a_device_is_reported() {
    check(&with(Broken::RoundsOtherwise));
}

#[test]
#[should_panic(expected = "the checkpoint large is not one of `folders`")]
fn a_checkpoint_that_is_not_among_the_folders_is_reported() {
    check(&with(Broken::HiddenCheckpoint));
}
