//! One training step.

use super::accumulate::{Parts, whole_batch_penalties};
use super::gating::Gating;
use super::interventions::{begin_normalizers, randomness};
use super::penalties::{Seen, penalties};
use super::terms::{compares_views, keep, zero_penalties};
use super::upstream::add_rows;
use super::{Learner, StepRecord, TrainError};
use crate::engine::Sum;
use crate::spec::OnSpike;
use std::time::Instant;

impl Learner<'_> {
    /// One step: forward, and once more where a penalty compares two views; cross-entropy, penalties, objectives; backward, clip,
    /// update, record.
    ///
    /// A batch that is accumulated goes through in parts, each with one more forward pass before all others where a cloud is of the
    /// whole batch. Interventions act at seven places: a reset of the embedding comes first, noise is added in the forward pass,
    /// weights are rounded in the model that the passes go through, objectives follow the penalties, the
    /// log-normaliser joins the cross-entropy, gates scale the gradient of the output matrix, and the output matrix is changed after the update. `inputs` and `targets` are
    /// `rows` sequences, one after the other, with `rows` a multiple of the passes per step. There is no update, and the record says
    /// why, where loss, penalty or gradient is not finite, or where the loss is a spike that the study leaves out.
    ///
    /// # Errors
    /// When the batch does not fit the model or a companion, or a plugin fails.
    pub fn step(&mut self, step: usize, rows: usize, inputs: &[u32], targets: &[u32]) -> Result<StepRecord, TrainError> {
        let started = Instant::now();
        if let Some(cycles) = self.cycles.filter(|cycles| cycles.begin(step)) {
            self.reset_embedding(&mut cycles.draw(self.seed, step))?;
        }
        self.count(targets);
        let gates = self.gating.as_ref().map(Gating::gates);
        let (engine, companions) = (&mut self.engine, &self.companions);
        let (terms, train, of_step) = (self.terms, self.train, (self.seed, step));
        let parts = Parts::new(rows, inputs.len(), train.accumulate.get());
        engine.begin(parts.shape(), keep(terms), train.precision, compares_views(terms, step))?;
        let randomness = randomness(train, self.interventions, engine.decoder().width, of_step);

        let mut computed = zero_penalties(terms, step);
        let of_terms = computed.len();
        let whole = whole_batch_penalties(parts, engine, (inputs, targets), &randomness, terms, of_step, &mut computed)?;
        companions.begin(&mut computed);
        let of_objectives = computed.len();
        let normalizers = begin_normalizers(self.interventions, &mut computed);
        let (mut losses, mut squares) = (Sum::default(), Sum::default()); // nats, and those of log-normalisers
        for part in parts.iter() {
            let ids = &inputs[part.tokens.clone()];
            engine.forward(part.first, ids, &randomness)?;
            let seen = Seen::of(engine, &targets[part.tokens.clone()], parts.scope(&part));
            let mut upstream = penalties(terms, seen, of_step, &mut computed)?;
            for (upstream, whole) in upstream.iter_mut().zip(whole.iter().flatten()) {
                add_rows(upstream, whole, (part.tokens.clone(), inputs.len()))?;
            }
            upstream[0].normalizers = normalizers;
            upstream[0].gates = gates.clone();
            let objectives = (&mut computed[of_terms..of_objectives], &mut upstream[0]);
            companions.objectives(engine, (ids, rows), step, objectives)?;
            let of_batch = (&targets[part.tokens], targets.len());
            engine.backward(of_batch, upstream, &randomness, part.first == 0, (&mut losses, &mut squares))?;
        }
        computed[of_objectives..].iter_mut().for_each(|penalty| penalty.value = squares.clone());
        let sums = computed.iter_mut().map(|penalty| &mut penalty.value).chain([&mut losses]);
        let (grad_norm, broken_gradient) = engine.read(sums)?;
        let clip = train.grad_clip.get().map_or(1.0, |most| (most.get() / (grad_norm + 1e-6)).min(1.0));
        let factor = train.schedule.factor(step, self.steps);

        let loss = losses.get() / targets.len() as f64;
        let mut record = StepRecord {
            step,
            loss,
            penalty: computed.iter().map(|penalty| penalty.weight * penalty.value.get()).sum(),
            terms: computed.into_iter().map(|penalty| (penalty.name, penalty.value.get())).collect(),
            grad_norm,
            lr: train.lr.get() * factor,
            tokens_per_second: 0.0,
            spike: self.spikes.judge(loss),
            broken_gradient,
        };
        let left_out = record.spike.is_some() && train.on_spike != OnSpike::Record;
        if record.divergence().is_none() && !left_out {
            self.update(step, factor, clip)?;
        }
        self.made = step + 1;
        record.tokens_per_second = inputs.len() as f64 / started.elapsed().as_secs_f64();
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoder, Family, Model, Sizes};
    use crate::spec::{At, Home, Points, Term, TrainSpec, Weight};
    use crate::training::Restored;
    use crate::training::spikes::Spikes;
    use regatta_core::number::{Count, Finite, Fraction, Positive};
    use regatta_core::{Action, Cloud, Draw, Intervention, OutputUpdate, Plugin, Regularizer, Tensor};
    use regatta_core::{intervention, regularizer, typetag};

    regularizer! {
        name: "apart",
        summary: "how far two views are apart, and more of the second",
        paper: "none: for tests",
        formula: "mean((z - view)² + view³)",
        expects: "two views of any points",
        struct Apart {}
    }

    #[typetag::serde(name = "apart")]
    impl Regularizer for Apart {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> regatta_core::Result<Tensor> {
            let [points, view] = cloud.both_views()?;
            Ok((points.sub(view)?.sqr()? + view.powf(3.0)?)?.mean_all()?)
        }

        fn needs_view(&self) -> bool {
            true
        }
    }

    /// A step of a small model, one of whose parameters is moved; its gradients and what it minimises, loss and penalty.
    fn with_views(moved: usize, by: f32) -> (Vec<f32>, f64) {
        let train = TrainSpec { dropout: Fraction::new(0.2), ..TrainSpec::default() };
        let at = At { points: Points::Batch, ..At::from(Home::DEFAULT) };
        let terms = [Term { regularizer: Plugin(Box::new(Apart {})), weight: Weight::Constant(Finite::new(2.0)), at }];
        let config = Decoder::new(Family::Gpt2, Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 16 }, 5);
        let mut model = Model::fresh(config, 0);
        model.parameters_mut().numbers_mut().iter_mut().for_each(|x| *x *= 5.0); // away from a flat start
        model.parameters_mut().numbers_mut()[moved] += by;
        let mut learner = Learner::new(model, &train, &terms, &[], 7).unwrap();
        let record = learner.step(3, 2, &[0, 1, 2, 3, 4, 0, 2, 1], &[1, 2, 3, 4, 0, 2, 1, 3]).unwrap();
        (learner.gradients().numbers().to_vec(), record.loss + record.penalty)
    }

    #[test]
    fn gradients_go_back_through_both_passes() {
        let (gradients, _) = with_views(0, 0.0);
        let largest = gradients.iter().fold(0f32, |most, x| most.max(x.abs()));
        for index in (0..gradients.len()).step_by(37) {
            let (above, below) = (with_views(index, 5e-3).1, with_views(index, -5e-3).1);
            let expected = ((above - below) / 1e-2) as f32;
            let found = gradients[index];
            assert!(
                (found - expected).abs() < 3e-3 * largest,
                "{index}: {found}, finite differences say {expected} of {largest}"
            );
        }
    }

    intervention! {
        name: "near_0",
        summary: "log-normalisers near 0",
        paper: "none: for tests",
        formula: "weight z²",
        struct Near0 {
            /// Factor in the loss.
            weight: Positive = Positive::new(0.3),
        }
    }

    #[typetag::serde(name = "near_0")]
    impl Intervention for Near0 {
        fn action(&self) -> Option<Action<'_>> {
            Some(Action::LogNormalizer { weight: self.weight.get() })
        }
    }

    /// A step of a model with a cap of logits, in `accumulate` parts; its gradients and what it minimises.
    fn with_normalizers(moved: usize, by: f32, accumulate: usize) -> (Vec<f32>, f64) {
        let train = TrainSpec { accumulate: Count::new(accumulate), ..TrainSpec::default() };
        let sizes = Sizes { layers: 1, width: 8, heads: 2, context: 4, mlp_width: 16 };
        let config = Decoder { logit_cap: Some(2.0), ..Decoder::new(Family::Gpt2, sizes, 5) };
        let mut model = Model::fresh(config, 0);
        model.parameters_mut().numbers_mut().iter_mut().for_each(|x| *x *= 9.0);
        model.parameters_mut().numbers_mut()[moved] += by;
        let interventions = [Plugin(Box::new(Near0::default()) as Box<dyn Intervention>)];
        let mut learner = Learner::new(model, &train, &[], &interventions, 7).unwrap();
        let record = learner.step(3, 2, &[0, 1, 2, 3, 4, 0, 2, 1], &[1, 2, 3, 4, 0, 2, 1, 3]).unwrap();
        let named = record.terms["near_0"];
        assert!((record.penalty - 0.3 * named).abs() < 1e-12 && named > 1.0, "{record:?}");
        (learner.gradients().numbers().to_vec(), record.loss + record.penalty)
    }

    #[test]
    fn log_normalisers_join_the_loss_that_is_minimised() {
        let (gradients, _) = with_normalizers(0, 0.0, 1);
        let largest = gradients.iter().fold(0f32, |most, x| most.max(x.abs()));
        for index in (0..gradients.len()).step_by(23) {
            let expected = ((with_normalizers(index, 4e-4, 1).1 - with_normalizers(index, -4e-4, 1).1) / 8e-4) as f32;
            let found = gradients[index];
            assert!(
                (found - expected).abs() < 3e-3 * largest,
                "{index}: {found}, finite differences say {expected} of {largest}"
            );
        }
        let (in_parts, loss) = with_normalizers(0, 0.0, 2);
        assert!(in_parts.iter().zip(&gradients).all(|(part, whole)| (part - whole).abs() < 2e-6 * largest));
        assert!((loss - with_normalizers(0, 0.0, 1).1).abs() < 1e-6);
    }

    intervention! {
        name: "no_first_row",
        summary: "sets the output matrix's first row to 0",
        paper: "none: for tests",
        formula: "e_0 <- 0",
        struct NoFirstRow {}
    }

    #[typetag::serde(name = "no_first_row")]
    impl Intervention for NoFirstRow {
        fn action(&self) -> Option<Action<'_>> {
            Some(Action::OutputUpdate(self))
        }
    }

    impl OutputUpdate for NoFirstRow {
        fn apply(&self, matrix: &mut [f32], dims: usize) {
            matrix[..dims].fill(0.0);
        }
    }

    #[test]
    fn the_output_matrix_is_changed_after_each_update_tied_or_not() {
        for family in [Family::Gpt2, Family::Llama] {
            let train = TrainSpec::default();
            let config = Decoder::new(family, Sizes { layers: 1, width: 4, heads: 2, context: 3, mlp_width: 8 }, 5);
            let interventions = [Plugin(Box::new(NoFirstRow {}) as Box<dyn Intervention>)];
            let mut learner = Learner::new(Model::fresh(config, 0), &train, &[], &interventions, 0).unwrap();
            assert!(learner.model().unembedding()[0] != 0.0, "nothing before the first update");
            learner.step(0, 1, &[0, 1, 2], &[1, 2, 3]).unwrap();
            assert_eq!(learner.model().unembedding()[..4], [0.0; 4]);
            assert!(learner.model().unembedding()[4..].iter().all(|x| *x != 0.0));
        }
    }

    /// Whether the weights move in a step whose loss, near ln 5 = 1.6, follows on losses near 0.
    fn moves(on_spike: OnSpike) -> bool {
        let train = TrainSpec { on_spike, ..TrainSpec::default() };
        let config = Decoder::new(Family::Gpt2, Sizes { layers: 1, width: 4, heads: 2, context: 3, mlp_width: 8 }, 5);
        let mut learner = Learner::new(Model::fresh(config, 0), &train, &[], &[], 0).unwrap();
        for step in 0..30 {
            assert_eq!(learner.spikes.judge(0.01 * f64::from(step % 2)), None);
        }
        let before = learner.model().parameters().numbers().to_vec();
        let record = learner.step(30, 1, &[0, 1, 2], &[1, 2, 3]).unwrap();
        assert!(record.spike.unwrap() > 100.0, "{record:?}");
        learner.model().parameters().numbers() != before
    }

    #[test]
    fn a_spike_is_recorded_and_leaves_out_the_update_only_where_that_is_asked_for() {
        assert!(moves(OnSpike::Record));
        assert!(!moves(OnSpike::Skip) && !moves(OnSpike::Stop));
    }

    #[test]
    fn what_goes_on_after_a_spike_was_left_out_goes_on_at_the_next_step() {
        let train = TrainSpec { on_spike: OnSpike::Skip, ..TrainSpec::default() };
        let config = Decoder::new(Family::Gpt2, Sizes { layers: 1, width: 4, heads: 2, context: 3, mlp_width: 8 }, 5);
        let fresh = || Learner::new(Model::fresh(config.clone(), 0), &train, &[], &[], 0).unwrap();
        let losses: Vec<f64> = (0..30).map(|step| 0.01 * f64::from(step % 2)).collect();
        let mut whole = fresh();
        losses.iter().for_each(|&loss| assert_eq!(whole.spikes.judge(loss), None));
        let spike = whole.step(30, 1, &[0, 1, 2], &[1, 2, 3]).unwrap();
        assert!(spike.spike.is_some());
        whole.spikes = Spikes::default(); // that of the next step is none

        let snapshot = whole.snapshot().unwrap();
        assert_eq!(snapshot.steps, 31, "the step that was left out was made");
        let files = snapshot.files().unwrap();
        let restored = Restored::read(&config, &train, 31, &files[0].1, &files[1].1).unwrap();
        let mut resumed = fresh();
        resumed.restore(restored, losses.into_iter().chain([spike.loss])).unwrap();
        assert_eq!(resumed.engine.updates(), 30, "31 steps, one of them without an update");
    }
}
