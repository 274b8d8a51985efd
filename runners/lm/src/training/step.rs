//! One training step.

use super::accumulate::{Activations, Gathered, take_part};
use super::companion::Companions;
use super::gradients::global_norm;
use super::interventions::{Cycles, Interventions, round_again, rounded};
use super::passes::{Passes, Randomness};
use super::penalties::{Seen, Share, compares_views, keep, none_yet, penalties, sees_whole_batch};
use super::snapshot::{Restored, Snapshot};
use super::spikes::Spikes;
use super::{StepRecord, TrainError};
use crate::model::{Model, Parameters};
use crate::optimizer::Optimizer;
use crate::spec::{OnSpike, Term, TrainSpec};
use regatta_core::Draw;
use std::time::Instant;

/// A model and its optimizer, with what a step needs to know.
pub struct Learner<'a> {
    /// What is trained.
    latent: Model,
    /// What the batches go through in its place, where an intervention rounds weights; it always follows.
    rounded: Option<Model>,
    pub(super) gradients: Parameters,
    optimizer: Optimizer,
    passes: Option<Passes>,
    pub(super) companions: Companions<'a>,
    spikes: Spikes,
    /// Steps made, those without an update included.
    made: usize,
    /// Steps to make.
    steps: usize,
    train: &'a TrainSpec,
    terms: &'a [Term],
    interventions: &'a Interventions,
    cycles: Option<Cycles>,
    seed: u64,
}

impl<'a> Learner<'a> {
    /// An optimizer of its own for `model`. Randomness of its steps derives from `seed`.
    ///
    /// # Errors
    /// When the checkpoint that an intervention brings cannot be read, or does not fit the model.
    pub fn new(
        model: Model,
        train: &'a TrainSpec,
        terms: &'a [Term],
        interventions: &'a Interventions,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let gradients = Parameters::zeros(model.decoder());
        let optimizer = Optimizer::new(model.decoder(), train);
        let (rounded, cycles) = (rounded(interventions, &model), Cycles::of(interventions));
        let companions = Companions::new(interventions, &model, train, seed)?;
        let steps = train.steps_of(model.decoder()).map_err(TrainError::Length)?.get();
        Ok(Self {
            latent: model,
            rounded,
            gradients,
            optimizer,
            passes: None,
            companions,
            spikes: Spikes::default(),
            made: 0,
            steps,
            train,
            terms,
            interventions,
            cycles,
            seed,
        })
    }

    /// The model as it is measured and exported: with rounded weights where an intervention rounds them.
    pub fn model(&self) -> &Model {
        self.rounded.as_ref().unwrap_or(&self.latent)
    }

    /// What has to be kept for another learner to go on from here, bit for bit: all randomness is a function of the step.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let (weights, optimizer) = (self.latent.parameters(), self.optimizer.state());
        Snapshot { steps: self.made, weights, optimizer, companions: &self.companions }
    }

    /// Goes on from what a learner of the same model and training kept, and the losses of its steps.
    pub fn restore(&mut self, restored: Restored, losses: impl Iterator<Item = f64>) {
        let Restored { steps, weights, optimizer, kept } = restored;
        *self.latent.parameters_mut() = weights;
        self.follow();
        let mut left_out = 0;
        for (step, loss) in losses.enumerate() {
            if self.cycles.is_some_and(|cycles| cycles.begin(step)) {
                self.spikes = Spikes::default();
            }
            left_out += usize::from(self.spikes.judge(loss).is_some() && self.train.on_spike == OnSpike::Skip);
        }
        self.made = steps;
        let updates = steps.saturating_sub(left_out);
        self.optimizer.restore(optimizer, updates);
        self.companions.restore(kept, updates);
    }

    /// The rounded weights follow those that are trained.
    fn follow(&mut self) {
        if let Some(rounded) = &mut self.rounded {
            round_again(self.interventions, &self.latent, rounded);
        }
    }

    /// The token embedding starts anew, and so does what is known of its gradients and of losses with it.
    fn forget_embedding(&mut self, draw: &mut Draw) {
        self.latent.forget_embedding(draw);
        self.follow();
        self.optimizer.forget_embedding();
        self.spikes = Spikes::default();
    }

    /// Forward, and once more where a penalty compares two views, cross-entropy, penalties, objectives, backward, clip, update.
    /// A batch that is accumulated goes through in parts, and forward once more before where a cloud is of all of it.
    /// Interventions act where they are named: one that forgets before all else, one that perturbs on the way forward, one that
    /// rounds in which model the passes go through, one that compares after the penalties, and one that forgets again in the
    /// embedding's pace. `inputs` and `targets` are `rows` sequences, one after the other, a multiple
    /// of the passes that a step takes. Where loss, penalty or gradient is not
    /// finite, or the loss is a spike that is to be left out, there is no update and the record says so.
    ///
    /// # Errors
    /// When the batch does not fit the model or a companion, or a plugin fails.
    pub fn step(&mut self, step: usize, rows: usize, inputs: &[u32], targets: &[u32]) -> Result<StepRecord, TrainError> {
        let started = Instant::now();
        if let Some(cycles) = self.cycles.filter(|cycles| cycles.begin(step)) {
            self.forget_embedding(&mut cycles.draw(self.seed, step));
        }
        let model = self.rounded.as_ref().unwrap_or(&self.latent);
        let (decoder, terms, of_step) = (model.decoder(), self.terms, (self.seed, step));
        let (time, each) = (inputs.len() / rows, rows / self.train.accumulate.get());
        let parts = || (0..rows).step_by(each).map(|first| (first, first * time..(first + each) * time));
        let views = compares_views(terms, step);
        let (shape, precision) = ((each, time), self.train.precision);
        let passes = Passes::of(&mut self.passes, decoder, shape, keep(terms), precision, views);
        let randomness = Randomness::new(self.train, self.interventions, decoder.width, of_step);

        let mut computed = none_yet(terms, step);
        let mut of_whole = None; // the gradients of penalties of all parts at once
        if each < rows {
            let mut gathered: [Gathered; 2] = Default::default();
            for (first, tokens) in parts().filter(|_| sees_whole_batch(terms, step)) {
                passes.forward(model, first, &inputs[tokens], &randomness)?;
                gathered
                    .iter_mut()
                    .zip(passes.each())
                    .for_each(|(gathered, pass)| gathered.add(pass, terms, step, decoder.layers));
            }
            let [pass, view] = &gathered;
            let seen = Seen { model, pass, view: views.then_some(view as &dyn Activations), share: Share::WholeBatch };
            of_whole = Some(penalties(terms, seen, of_step, &mut computed)?);
        }
        let of_terms = computed.len();
        self.companions.begin(&mut computed);
        let mut losses = Vec::with_capacity(targets.len()); // nats per token
        for (first, tokens) in parts() {
            let ids = &inputs[tokens.clone()];
            passes.forward(model, first, ids, &randomness)?;
            let part = Share::Sequences { before: first, share: each as f64 / rows as f64 };
            let share = if of_whole.is_some() { part } else { Share::All };
            let mut upstream = penalties(terms, passes.seen(model, share), of_step, &mut computed)?;
            for (part, whole) in upstream.iter_mut().zip(of_whole.iter().flatten()) {
                take_part(part, whole, (tokens.clone(), inputs.len()));
            }
            let objectives = (&mut computed[of_terms..], &mut upstream[0]);
            self.companions.objectives((model, &passes.pass), (ids, rows), step, objectives)?;
            let (targets, onto) = ((&targets[tokens], targets.len()), (&mut self.gradients, first == 0));
            losses.extend(passes.backward(model, targets, &upstream, &randomness, onto));
        }
        let (grad_norm, broken) = global_norm(&self.gradients, self.companions.gradients());
        let clip = self.train.grad_clip.get().map_or(1.0, |most| (most.get() / (grad_norm + 1e-6)).min(1.0));
        let factor = self.train.schedule.factor(step, self.steps);

        let mut record = StepRecord {
            step,
            loss: losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64,
            penalty: computed.iter().map(|penalty| penalty.weight * penalty.value).sum(),
            terms: computed.into_iter().map(|penalty| (penalty.name, penalty.value)).collect(),
            grad_norm,
            lr: self.train.lr.get() * factor,
            tokens_per_second: 0.0,
            spike: None,
            broken_gradient: broken.map(str::to_owned),
        };
        record.spike = self.spikes.judge(record.loss);
        let skipped = record.spike.is_some() && self.train.on_spike != OnSpike::Record;
        if record.divergence().is_none() && !skipped {
            let embedding = self.cycles.map(|cycles| cycles.pace(self.train, step));
            self.optimizer.step(self.latent.parameters_mut(), &self.gradients, factor, clip, embedding);
            self.follow();
            self.companions.update(&self.latent, factor, clip);
        }
        self.made = step + 1;
        record.tokens_per_second = inputs.len() as f64 / started.elapsed().as_secs_f64();
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoder, Family, Sizes};
    use crate::spec::{At, Points, Weight};
    use regatta_core::number::{Finite, Fraction};
    use regatta_core::{Cloud, Plugin, Regularizer, Tensor, regularizer, typetag};

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
        let at = At { points: Points::Batch, ..At::default() };
        let terms = [Term { regularizer: Plugin(Box::new(Apart {})), weight: Weight::Constant(Finite::new(2.0)), at }];
        let config = Decoder::new(Family::Gpt2, Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 16 }, 5);
        let mut model = Model::fresh(config, 0);
        model.parameters_mut().numbers_mut().iter_mut().for_each(|x| *x *= 5.0); // away from a flat start
        model.parameters_mut().numbers_mut()[moved] += by;
        let mut learner = Learner::new(model, &train, &terms, &[], 7).unwrap();
        let record = learner.step(3, 2, &[0, 1, 2, 3, 4, 0, 2, 1], &[1, 2, 3, 4, 0, 2, 1, 3]).unwrap();
        (learner.gradients.numbers().to_vec(), record.loss + record.penalty)
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

        let snapshot = whole.snapshot();
        assert_eq!(snapshot.steps, 31, "the step that was left out was made");
        let files = snapshot.files().unwrap();
        let restored = Restored::read(&config, &train, 31, &files[0].1, &files[1].1).unwrap();
        let mut resumed = fresh();
        resumed.restore(restored, losses.into_iter().chain([spike.loss]));
        assert_eq!(resumed.optimizer.updates(), 30, "31 steps, one of them without an update");
    }
}
