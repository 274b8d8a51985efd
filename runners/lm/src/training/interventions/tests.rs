use super::*;
use crate::model::Model;
use crate::model::{Decoder, Family, Sizes};
use crate::spec::Schedule;
use crate::training::{Learner, Snapshot};
use regatta_core::number::{Count, Positive};
use regatta_core::{intervention, typetag};
use std::num::NonZeroUsize;

intervention! {
    name: "amnesia",
    summary: "forgets the embedding",
    paper: "none: for tests",
    formula: "none",
    struct Amnesia {
        /// Steps of a cycle.
        every: Count<1, 100> = Count::new(2),
    }
}

#[typetag::serde(name = "amnesia")]
impl Intervention for Amnesia {
    fn action(&self) -> Option<Action<'_>> {
        NonZeroUsize::new(self.every.get()).map(|every| Action::EmbeddingReset { every, lr_factor: 1.0 })
    }
}

intervention! {
    name: "grid",
    summary: "rounds to multiples of a step",
    paper: "none: for tests",
    formula: "none",
    struct Grid {
        /// Between two values.
        step: Positive = Positive::new(0.1),
    }
}

#[typetag::serde(name = "grid")]
impl Intervention for Grid {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::WeightRounding(self))
    }
}

impl WeightRounding for Grid {
    fn round(&self, weights: &mut [f32], _: usize, _: usize) {
        let step = self.step.get() as f32;
        weights.iter_mut().for_each(|w| *w = (*w / step).round() * step);
    }
}

intervention! {
    name: "static",
    summary: "adds a draw to every embedding",
    paper: "none: for tests",
    formula: "none",
    struct Static {}
}

#[typetag::serde(name = "static")]
impl Intervention for Static {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::EmbeddingNoise(self))
    }
}

impl EmbeddingNoise for Static {
    fn noise(&self, noise: &mut [f32], _: usize, draw: &mut Draw) {
        noise.fill_with(|| draw.normal() as f32);
    }
}

const INPUTS: [u32; 8] = [0, 1, 2, 3, 4, 0, 2, 1];
const TARGETS: [u32; 8] = [1, 2, 3, 4, 0, 2, 1, 3];

fn model() -> Model {
    let config = Decoder::new(Family::Gpt2, Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 16 }, 5);
    let mut model = Model::fresh(config, 0);
    model.parameters_mut().numbers_mut().iter_mut().for_each(|x| *x *= 5.0);
    model
}

fn train() -> TrainSpec {
    TrainSpec { schedule: Schedule::Constant, ..TrainSpec::default() }
}

fn list(it: impl Intervention + 'static) -> Vec<Plugin<dyn Intervention>> {
    vec![Plugin(Box::new(it))]
}

#[test]
fn a_cycle_has_the_schedule_and_the_count_of_its_own_steps() {
    let cycles = Cycles::of(&list(Amnesia { every: Count::new(4) })).unwrap();
    assert!((0..9).map(|step| cycles.begin(step)).eq([false, false, false, false, true, false, false, false, true]));
    let train = TrainSpec { lr: Positive::new(0.5), ..TrainSpec::default() }; // warmup 30: 1/31, 2/31, 3/31, 4/31
    let paces: Vec<Pace> = (3..6).map(|step| cycles.pace(&train, step)).collect();
    let by_hand = |part: f64, updates| Pace { factor: part / 31.0, updates };
    assert_eq!(paces, [by_hand(4.0, 4), by_hand(1.0, 1), by_hand(2.0, 2)]);
    let faster = Cycles { lr_factor: 2.0, ..cycles };
    assert_eq!(faster.pace(&train, 4), Pace { factor: 2.0 / 31.0, updates: 1 }, "its own learning rate");
    assert!(Cycles::of(&list(Static {})).is_none());
}

#[test]
fn a_forgotten_embedding_is_a_fresh_one_and_the_rest_goes_on() {
    let (train, forgetful) = (train(), list(Amnesia::default()));
    let mut learner = Learner::new(model(), &train, &[], &forgetful, 3).unwrap();
    let mut without = Learner::new(model(), &train, &[], &[], 3).unwrap();
    for step in 0..2 {
        learner.step(step, 2, &INPUTS, &TARGETS).unwrap();
        without.step(step, 2, &INPUTS, &TARGETS).unwrap();
        assert_eq!(learner.model().parameters().numbers(), without.model().parameters().numbers(), "no reset at step {step}");
    }
    let positions = learner.model().parameters().get("wpe.weight").unwrap().to_vec();
    learner.step(2, 2, &INPUTS, &TARGETS).unwrap();
    // a first update of AdamW moves each number by lr = 1e-3 whatever its gradient, after a decay of 0.1·lr
    let mut draw = Draw::new(3, "intervention 0 embedding", 2, 0);
    for &found in learner.model().embedding() {
        let fresh = 0.02 * draw.normal();
        assert!((f64::from(found) - fresh * (1.0 - 1e-4)).abs() < 1.001e-3, "{found} from {fresh}");
    }
    let model = learner.model();
    let moved = model.parameters().get("wpe.weight").unwrap();
    assert!(positions.iter().zip(moved).all(|(was, is)| (was - is).abs() < 3e-3), "positions go on");
}

#[test]
fn rounded_weights_are_seen_and_those_beneath_are_trained() {
    let (train, grid) = (train(), list(Grid::default()));
    let mut learner = Learner::new(model(), &train, &[], &grid, 0).unwrap();
    let by_hand = |latent: &Model| {
        let mut copy = latent.clone();
        copy.linear_mut().flat_map(|(weights, ..)| weights).for_each(|w| *w = (*w / 0.1).round() * 0.1);
        copy
    };
    let before = model();
    assert_eq!(learner.model().parameters().numbers(), by_hand(&before).parameters().numbers());
    assert_eq!(
        learner.snapshot().unwrap().weights.numbers(),
        before.parameters().numbers(),
        "what a trial resumes from is not rounded"
    );

    // straight through: the weights beneath take the step that a learner of the rounded model would take
    let mut of_rounded = Learner::new(by_hand(&before), &train, &[], &[], 0).unwrap();
    let expected = of_rounded.step(0, 2, &INPUTS, &TARGETS).unwrap();
    let found = learner.step(0, 2, &INPUTS, &TARGETS).unwrap();
    assert_eq!((found.loss, found.grad_norm), (expected.loss, expected.grad_norm));
    let (ours, theirs) = (learner.snapshot().unwrap(), of_rounded.snapshot().unwrap());
    let moments = |snapshot: &Snapshot<'_>| snapshot.optimizer.iter().map(|(_, of)| of.numbers().to_vec()).collect::<Vec<_>>();
    assert_eq!(moments(&ours), moments(&theirs));
    let rounded = by_hand(&before);
    for (index, start) in before.parameters().numbers().iter().enumerate() {
        // both take the same step of AdamW; each decays its own weights, by at most 1e-4 of them
        let step = ours.weights.numbers()[index] - start;
        let expected = theirs.weights.numbers()[index] - rounded.parameters().numbers()[index];
        assert!((step - expected).abs() < 1.1e-4 * 0.05 + 1e-6, "{index}: {step} and {expected}");
    }
    let mut latent = model();
    latent.parameters_mut().numbers_mut().copy_from_slice(ours.weights.numbers());
    assert_eq!(learner.model().parameters().numbers(), by_hand(&latent).parameters().numbers(), "the rounded model is in sync");
}

#[test]
fn each_sequence_and_view_has_noise_of_its_own_on_top_of_what_is_there() {
    let noisy = [list(Amnesia::default()), list(Static {})].into_iter().flatten().collect::<Vec<_>>();
    let amount = |step, what, sequence| {
        let mut embeddings = [1f32; 4];
        embedding_noise(&noisy, 2, (5, step), what).unwrap()(sequence, &mut embeddings);
        embeddings
    };
    let mut draw = Draw::new(5, "intervention 1 noise", 3, 2);
    assert_eq!(amount(3, "noise", 2), [(); 4].map(|()| 1.0 + draw.normal() as f32));
    for other in [amount(3, "noise", 1), amount(4, "noise", 2), amount(3, "view noise", 2)] {
        assert_ne!(other, amount(3, "noise", 2));
    }
    assert!(embedding_noise(&list(Grid::default()), 2, (5, 3), "noise").is_none());
}

#[test]
fn noise_moves_the_loss_and_its_gradient_goes_back_as_if_it_were_not_there() {
    let (train, noisy) = (train(), list(Static {}));
    let loss = |index: usize, by: f32| {
        let mut model = model();
        model.parameters_mut().numbers_mut()[index] += by;
        let mut learner = Learner::new(model, &train, &[], &noisy, 1).unwrap();
        let record = learner.step(0, 2, &INPUTS, &TARGETS).unwrap();
        (record.loss, record.grad_norm, learner.snapshot().unwrap().optimizer[0].1.numbers().to_vec())
    };
    let (noisy_loss, norm, gradients) = loss(0, 0.0);
    let plain = Learner::new(model(), &train, &[], &[], 1).unwrap().step(0, 2, &INPUTS, &TARGETS).unwrap().loss;
    assert!((noisy_loss - plain).abs() > 1e-3, "{noisy_loss} and {plain}");
    // the first moment is a tenth of the clipped gradient
    let clip = (1.0 / norm).min(1.0);
    let gradients: Vec<f32> = gradients.iter().map(|m| m / 0.1 / clip as f32).collect();
    let largest = gradients.iter().fold(0f32, |most, x| most.max(x.abs()));
    for index in (0..gradients.len()).step_by(41) {
        let expected = ((loss(index, 5e-3).0 - loss(index, -5e-3).0) / 1e-2) as f32;
        assert!((gradients[index] - expected).abs() < 3e-3 * largest, "{index}: {} and {expected}", gradients[index]);
    }
}
