//! A model that is trained by kernels: its numbers, their gradients, and what changes them. Mirrored by `candle/state`.

use super::global_norm::global_norm;
use super::own::Own;
use super::passes::Passes;
use super::second::{Second, output};
use crate::engine::activations::Activations;
use crate::engine::batch::{BatchError, Keep, Upstream};
use crate::engine::numbers::{Groups, Numbers};
use crate::engine::randomness::Randomness;
use crate::engine::sum::{Scalar, Sum};
use crate::model::{Decoder, Map, Model, Parameters};
use crate::optimizer::{Optimizer, Pace};
use crate::spec::TrainSpec;
use candle_core::{Result, Tensor, Var};
use rayon::prelude::*;
use regatta_core::{Cloud, CompanionObjective, Compared, Draw, OutputUpdate, Regularizer, Site, WeightRounding, differentiate};
use regatta_kernels::Precision;
use std::borrow::Cow;
use std::ops::Range;

/// See the module.
pub(crate) struct State {
    /// The trainable parameters.
    latent: Model,
    /// Where weights are rounded, the model that batches go through instead; in sync with `latent`.
    rounded: Option<Model>,
    gradients: Parameters,
    optimizer: Optimizer,
    passes: Option<Passes>,
    seconds: Vec<Second>,
    own: Option<Own>,
}

impl State {
    pub fn new(model: Model, train: &TrainSpec) -> Self {
        let gradients = Parameters::zeros(model.decoder());
        let optimizer = Optimizer::new(model.decoder(), train);
        Self { latent: model, rounded: None, gradients, optimizer, passes: None, seconds: Vec::new(), own: None }
    }

    pub fn decoder(&self) -> &Decoder {
        self.latent.decoder()
    }

    pub fn model(&self) -> &Model {
        self.rounded.as_ref().unwrap_or(&self.latent)
    }

    /// Each matrix is rounded by one thread.
    pub fn round(&mut self, roundings: &[&dyn WeightRounding]) -> Result<()> {
        if roundings.is_empty() {
            return Ok(());
        }
        let rounded = self.rounded.get_or_insert_with(|| self.latent.clone());
        rounded.parameters_mut().numbers_mut().copy_from_slice(self.latent.parameters().numbers());
        for rounding in roundings {
            let layers: Vec<_> = rounded.linear_mut().collect();
            layers.into_par_iter().for_each(|(weights, inputs, outputs)| rounding.round(weights, inputs, outputs));
        }
        Ok(())
    }

    pub fn add_checkpoint(&mut self, model: Model) {
        self.seconds.push(Second::new(model, None));
    }

    pub fn add_average(&mut self, decay: f64) -> Result<()> {
        self.seconds.push(Second::new(self.latent.clone(), Some(decay)));
        Ok(())
    }

    pub fn set_own(&mut self, parameters: Parameters, train: &TrainSpec) -> Result<()> {
        self.own = Own::new(parameters, train);
        Ok(())
    }

    pub fn begin(&mut self, shape: (usize, usize), keep: Keep, precision: Precision, views: bool) -> Result<()> {
        Passes::of(&mut self.passes, self.latent.decoder(), shape, keep, precision, views);
        if let Some(own) = &mut self.own {
            own.gradients.numbers_mut().fill(0.0);
        }
        Ok(())
    }

    pub fn forward(&mut self, first: usize, ids: &[u32], randomness: &Randomness<'_>) -> std::result::Result<(), BatchError> {
        let model = self.rounded.as_ref().unwrap_or(&self.latent);
        self.passes.as_mut().expect(BEGUN).forward(model, first, ids, randomness)
    }

    fn passes(&self) -> &Passes {
        self.passes.as_ref().expect(BEGUN)
    }

    pub fn pass(&self) -> &dyn Activations {
        &self.passes().pass
    }

    pub fn view(&self) -> Option<&dyn Activations> {
        self.passes().view().map(|view| view as &dyn Activations)
    }

    pub fn matrix(&self, site: Site, map: Option<Map>, block: usize) -> Result<Numbers> {
        let model = self.model();
        Ok(Numbers::Floats(match (site, map) {
            (Site::Unembedding, _) => model.unembedding().to_vec(),
            (Site::Weights, Some(map)) => model.parameters().rows(model.decoder(), map, block),
            _ => model.embedding().to_vec(),
        }))
    }

    /// Jobs are done in parallel, their results are in order.
    pub fn each<J: Sync, R: Send>(&self, jobs: &[J], done: impl Fn(&J) -> R + Send + Sync) -> Vec<R> {
        jobs.par_iter().map(done).collect()
    }

    pub fn penalty(
        &self,
        regularizer: &dyn Regularizer,
        cloud: &Cloud,
        leaves: &[&Var],
        weight: f64,
        draw: &mut Draw,
    ) -> regatta_core::Result<(Scalar, Vec<Option<Numbers>>)> {
        differentiate::penalty(regularizer, cloud, leaves, weight, draw).map(found)
    }

    pub fn objective(
        &self,
        objective: &dyn CompanionObjective,
        outputs: (&Var, &Tensor),
        parameters: &[Var],
        weight: f64,
    ) -> regatta_core::Result<(Scalar, Vec<Option<Numbers>>)> {
        differentiate::objective(objective, outputs, parameters, weight).map(found)
    }

    pub fn output(&self, compared: Compared) -> Result<Var> {
        Var::from_tensor(&output(compared, self.model(), &self.passes().pass)?)
    }

    pub fn second_output(&mut self, second: usize, compared: Compared, ids: &[u32]) -> std::result::Result<Tensor, BatchError> {
        let shape = self.passes().pass.shape();
        self.seconds[second].output(compared, shape, ids)
    }

    pub fn own_leaves(&self, tensors: &Range<usize>) -> Result<Vec<Var>> {
        self.own.as_ref().map_or(Ok(Vec::new()), |own| own.leaves(tensors))
    }

    pub fn add_own_gradients(&mut self, tensors: &Range<usize>, gradients: impl Iterator<Item = Option<Numbers>>) -> Result<()> {
        let Some(own) = &mut self.own else { return Ok(()) };
        let floats = gradients.map(|gradient| gradient.map(Numbers::into_floats).transpose());
        own.add_gradients(tensors, floats.collect::<Result<Vec<_>>>()?.into_iter());
        Ok(())
    }

    pub fn backward(
        &mut self,
        (targets, tokens): (&[u32], usize),
        upstream: [Upstream<Numbers>; 2],
        randomness: &Randomness<'_>,
        is_first: bool,
        (losses, squares): (&mut Sum, &mut Sum),
    ) -> Result<()> {
        let [of_pass, of_view] = upstream;
        let upstream = [of_pass.map(Numbers::into_floats)?, of_view.map(Numbers::into_floats)?];
        let model = self.rounded.as_ref().unwrap_or(&self.latent);
        let passes = self.passes.as_mut().expect(BEGUN);
        let found = passes.backward(model, (targets, tokens), &upstream, randomness, (&mut self.gradients, is_first));
        losses.add_each(&found);
        if upstream[0].normalizers != 0.0 {
            let sum: f64 = passes.pass.normalizers().map(|z| f64::from(z).powi(2)).sum();
            squares.add(Scalar::Number(sum), |x| x / tokens as f64);
        }
        Ok(())
    }

    pub fn read<'a>(&mut self, sums: impl Iterator<Item = &'a mut Sum>) -> Result<(f64, Option<String>)> {
        Sum::read(sums, &[])?;
        let (norm, broken) = global_norm(&self.gradients, self.own.as_ref().map(|own| &own.gradients));
        Ok((norm, broken.map(str::to_owned)))
    }

    pub fn update(&mut self, factor: f64, clip: f64, embedding: Option<Pace>, outputs: &[&dyn OutputUpdate]) -> Result<()> {
        self.optimizer.step(self.latent.parameters_mut(), &self.gradients, factor, clip, embedding);
        for update in outputs {
            let dims = self.latent.decoder().width;
            update.apply(self.latent.unembedding_mut(), dims);
        }
        Ok(())
    }

    /// The own parameters by their gradient times `clip`, and the moving averages by the model, which was updated before.
    pub fn update_companions(&mut self, factor: f64, clip: f64) -> Result<()> {
        if let Some(own) = &mut self.own {
            own.update(factor, clip);
        }
        self.seconds.iter_mut().for_each(|second| second.update_average(&self.latent));
        Ok(())
    }

    pub fn reset_embedding(&mut self, draw: &mut Draw) -> Result<()> {
        self.latent.forget_embedding(draw);
        self.optimizer.forget_embedding();
        Ok(())
    }

    pub fn weights(&self) -> Result<Cow<'_, Parameters>> {
        Ok(Cow::Borrowed(self.latent.parameters()))
    }

    pub fn optimizer_state(&self) -> Result<Groups<'_>> {
        Ok(self.optimizer.state().into_iter().map(|(group, numbers)| (group, Cow::Borrowed(numbers))).collect())
    }

    /// The average of each second model that is one.
    pub fn averages(&self) -> Result<Vec<Option<Cow<'_, Parameters>>>> {
        Ok(self.seconds.iter().map(|second| second.average().map(Cow::Borrowed)).collect())
    }

    pub fn own_state(&self) -> Result<Groups<'_>> {
        Ok(self.own.iter().flat_map(Own::kept).map(|(group, numbers)| (group, Cow::Borrowed(numbers))).collect())
    }

    pub fn restore(&mut self, weights: Parameters, optimizer: Vec<Parameters>, companions: Vec<Parameters>, updates: usize) {
        *self.latent.parameters_mut() = weights;
        self.optimizer.restore(optimizer, updates);
        let mut kept = companions.into_iter();
        for average in self.seconds.iter_mut().filter_map(Second::average_mut) {
            kept.next().into_iter().for_each(|found| *average = found);
        }
        if let (Some(own), Some(parameters)) = (&mut self.own, kept.next()) {
            own.restore(parameters, kept, updates);
        }
    }
}

const BEGUN: &str = "a step begins with its passes";

fn found((value, gradients): (f32, Vec<Option<Vec<f32>>>)) -> (Scalar, Vec<Option<Numbers>>) {
    let numbers = gradients.into_iter().map(|gradient| gradient.map(Numbers::Floats)).collect();
    (Scalar::Number(f64::from(value)), numbers)
}

#[cfg(test)]
impl State {
    pub fn gradients(&self) -> &Parameters {
        &self.gradients
    }

    pub fn updates(&self) -> usize {
        self.optimizer.updates()
    }

    /// The objectives' parameters, and their gradients.
    pub fn own(&mut self) -> (&mut Parameters, &Parameters) {
        let own = self.own.as_mut().expect("parameters of an intervention");
        (&mut own.parameters, &own.gradients)
    }

    pub fn second_mut(&mut self, index: usize) -> &mut Model {
        &mut self.seconds[index].model
    }
}
