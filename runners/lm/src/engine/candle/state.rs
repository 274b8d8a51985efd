//! A model that is trained on a device: its numbers, their gradients, and what changes them. Mirrors `kernels/state`.

use super::optimizer::Optimizer;
use super::own::Own;
use super::passes::Passes;
use super::second::{Second, output};
use super::weights::Weights;
use crate::engine::activations::Activations;
use crate::engine::batch::{BatchError, Keep, Upstream};
use crate::engine::numbers::{Groups, Numbers};
use crate::engine::randomness::Randomness;
use crate::engine::sum::{Scalar, Sum};
use crate::model::{Decoder, Map, Model, Parameters, Role};
use crate::optimizer::Pace;
use crate::spec::TrainSpec;
use candle_core::{Device, Error, Result, Tensor, Var};
use regatta_core::{Cloud, CompanionObjective, Compared, Draw, OutputUpdate, Regularizer, Site, WeightRounding, differentiate};
use regatta_kernels::Precision;
use std::borrow::Cow;
use std::ops::Range;

/// See the module.
pub(crate) struct State {
    device: Device,
    /// The trainable parameters.
    latent: Weights,
    /// Where weights are rounded, those that batches go through instead; in sync with `latent`.
    rounded: Option<Weights>,
    /// Of the step's parts so far, one for each variable.
    gradients: Vec<Tensor>,
    optimizer: Optimizer,
    passes: Option<Passes>,
    /// Whether the backward pass computes each block again from its input.
    recompute: bool,
    seconds: Vec<Second>,
    own: Option<Own>,
}

impl State {
    pub fn new(model: &Model, train: &TrainSpec, device: &Device) -> Result<Self> {
        Ok(Self {
            device: device.clone(),
            latent: Weights::upload(model, device)?,
            rounded: None,
            gradients: Vec::new(),
            optimizer: Optimizer::new(model.decoder(), train, device)?,
            passes: None,
            recompute: false,
            seconds: Vec::new(),
            own: None,
        })
    }

    pub fn decoder(&self) -> &Decoder {
        self.latent.decoder()
    }

    pub fn model(&self) -> &Weights {
        self.rounded.as_ref().unwrap_or(&self.latent)
    }

    pub fn round(&mut self, roundings: &[&dyn WeightRounding]) -> Result<()> {
        if roundings.is_empty() {
            return Ok(());
        }
        match &self.rounded {
            Some(rounded) => rounded.set_from(&self.latent)?,
            None => self.rounded = Some(self.latent.copy()?),
        }
        let rounded = self.model();
        for (spec, var) in rounded.specs().iter().zip(rounded.vars()) {
            if let (Role::Matrix(_), &[inputs, outputs]) = (spec.role, &spec.shape[..]) {
                let each = |weights: Tensor, rounding: &&dyn WeightRounding| {
                    let rounded = rounding.round_on_device(&weights).map_err(Error::wrap)?;
                    rounded.map_or_else(|| on_host(&weights, |weights| rounding.round(weights, inputs, outputs)), Ok)
                };
                var.set(&roundings.iter().try_fold(var.as_detached_tensor(), each)?.copy()?)?; // a plugin may return its input
            }
        }
        Ok(())
    }

    pub fn add_checkpoint(&mut self, model: &Model) -> Result<()> {
        self.seconds.push(Second::new(Weights::upload(model, &self.device)?, None));
        Ok(())
    }

    pub fn add_average(&mut self, decay: f64) -> Result<()> {
        self.seconds.push(Second::new(self.latent.copy()?, Some(decay)));
        Ok(())
    }

    pub fn set_own(&mut self, parameters: Parameters, train: &TrainSpec) -> Result<()> {
        self.own = Own::new(parameters, train, &self.device)?;
        Ok(())
    }

    pub fn begin(&mut self, shape: (usize, usize), keep: Keep, precision: Precision, views: bool) -> Result<()> {
        self.gradients.clear(); // of the last step
        Passes::of(&mut self.passes, &self.latent, shape, keep, precision, views)?.recompute(self.recompute);
        if let Some(own) = &mut self.own {
            own.forget_gradients()?;
        }
        Ok(())
    }

    pub fn forward(&mut self, first: usize, ids: &[u32], randomness: &Randomness<'_>) -> std::result::Result<(), BatchError> {
        let weights = self.rounded.as_ref().unwrap_or(&self.latent);
        self.passes.as_mut().expect(BEGUN).forward(weights, first, ids, randomness)
    }

    pub fn recompute(&mut self) {
        self.recompute = true;
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
        let weights = self.model();
        Ok(Numbers::Tensor(match (site, map) {
            (Site::Unembedding, _) => weights.unembedding().as_detached_tensor(),
            (Site::Weights, Some(map)) => weights.rows(map, block)?,
            _ => weights.embedding().as_detached_tensor(),
        }))
    }

    /// A device does one job after the other anyway.
    pub fn each<J: Sync, R: Send>(&self, jobs: &[J], done: impl Fn(&J) -> R + Send + Sync) -> Vec<R> {
        jobs.iter().map(done).collect()
    }

    pub fn penalty(
        &self,
        regularizer: &dyn Regularizer,
        cloud: &Cloud,
        leaves: &[&Var],
        weight: f64,
        draw: &mut Draw,
    ) -> regatta_core::Result<(Scalar, Vec<Option<Numbers>>)> {
        differentiate::penalty_on_device(regularizer, cloud, leaves, weight, draw).map(found)
    }

    pub fn objective(
        &self,
        objective: &dyn CompanionObjective,
        outputs: (&Var, &Tensor),
        parameters: &[Var],
        weight: f64,
    ) -> regatta_core::Result<(Scalar, Vec<Option<Numbers>>)> {
        differentiate::objective_on_device(objective, outputs, parameters, weight).map(found)
    }

    pub fn output(&self, compared: Compared) -> Result<Var> {
        Var::from_tensor(&output(compared, self.model(), &self.passes().pass)?)
    }

    pub fn second_output(&mut self, second: usize, compared: Compared, ids: &[u32]) -> std::result::Result<Tensor, BatchError> {
        let shape = self.passes().pass.shape();
        self.seconds[second].output(compared, shape, ids)
    }

    pub fn own_leaves(&self, tensors: &Range<usize>) -> Result<Vec<Var>> {
        Ok(self.own.as_ref().map_or_else(Vec::new, |own| own.leaves(tensors)))
    }

    pub fn add_own_gradients(&mut self, tensors: &Range<usize>, gradients: impl Iterator<Item = Option<Numbers>>) -> Result<()> {
        let Some(own) = &mut self.own else { return Ok(()) };
        let on_device = gradients.map(|gradient| gradient.map(|numbers| numbers.into_tensor(&self.device)).transpose());
        own.add_gradients(tensors, on_device.collect::<Result<Vec<_>>>()?)
    }

    pub fn backward(
        &mut self,
        (targets, tokens): (&[u32], usize),
        upstream: [Upstream<Numbers>; 2],
        is_first: bool,
        (losses, squares): (&mut Sum, &mut Sum),
    ) -> Result<()> {
        let device = self.device.clone();
        let [of_pass, of_view] = upstream.map(|upstream| upstream.map(|numbers| numbers.into_tensor(&device)));
        let weights = self.rounded.as_ref().unwrap_or(&self.latent);
        let passes = self.passes.as_mut().expect(BEGUN);
        let found = passes.pass.backward(weights, Some((targets, tokens)), &of_pass?)?;
        losses.add(Scalar::Tensor(found.losses.sum_all()?), |x| x);
        if let Some(sum) = found.normalizer_squares {
            squares.add(Scalar::Tensor(sum), |x| x / tokens as f64);
        }
        let of_view = passes.view_backward(weights, &of_view?)?;
        let mut gradients = Some(found.gradients);
        if is_first {
            self.gradients = gradients.take().unwrap_or_default();
        }
        for gradients in gradients.into_iter().chain(of_view) {
            let sums = self.gradients.iter_mut().zip(gradients);
            sums.into_iter().try_for_each(|(sum, gradient)| sum.add(&gradient).map(|new| *sum = new))?;
        }
        Ok(())
    }

    pub fn read<'a>(&mut self, sums: impl Iterator<Item = &'a mut Sum>) -> Result<(f64, Option<String>)> {
        let of_model = self.latent.specs().iter().map(|spec| &spec.name).zip(&self.gradients);
        let all: Vec<(&String, &Tensor)> = of_model.chain(self.own.iter().flat_map(Own::gradients)).collect();
        let squares = all.iter().map(|(_, gradient)| gradient.sqr()?.sum_all()).collect::<Result<Vec<Tensor>>>()?;
        let squares = Sum::read(sums, &squares)?;
        let total: f64 = squares.iter().map(|&square| f64::from(square)).sum();
        let broken = all.iter().zip(&squares).find(|(_, square)| !square.is_finite());
        Ok((total.sqrt(), broken.map(|((name, _), _)| (*name).clone())))
    }

    pub fn update(&mut self, factor: f64, clip: f64, embedding: Option<Pace>, outputs: &[&dyn OutputUpdate]) -> Result<()> {
        self.optimizer.step(self.latent.vars(), &self.gradients, factor, clip, embedding)?;
        let (dims, var) = (self.latent.decoder().width, self.latent.unembedding());
        for update in outputs {
            let matrix = var.as_detached_tensor();
            let changed = update.apply_on_device(&matrix).map_err(Error::wrap)?;
            var.set(&changed.map_or_else(|| on_host(&matrix, |matrix| update.apply(matrix, dims)), Ok)?.copy()?)?;
        }
        Ok(())
    }

    /// The own parameters by their gradient times `clip`, and the moving averages by the model, which was updated before.
    pub fn update_companions(&mut self, factor: f64, clip: f64) -> Result<()> {
        if let Some(own) = &mut self.own {
            own.update(factor, clip)?;
        }
        self.seconds.iter_mut().try_for_each(|second| second.update_average(&self.latent))
    }

    pub fn reset_embedding(&mut self, draw: &mut Draw) -> Result<()> {
        let embedding = self.latent.embedding();
        embedding.set(&on_host(embedding, |numbers| Model::draw_embedding(numbers, draw))?)?;
        self.optimizer.forget_embedding()
    }

    pub fn weights(&self) -> Result<Cow<'_, Parameters>> {
        Ok(Cow::Owned(self.latent.download()?.into_parameters()))
    }

    pub fn optimizer_state(&self) -> Result<Groups<'_>> {
        Ok(self.optimizer.state()?.into_iter().map(|(group, numbers)| (group, Cow::Owned(numbers))).collect())
    }

    /// The average of each second model that is one.
    pub fn averages(&self) -> Result<Vec<Option<Cow<'_, Parameters>>>> {
        let average = |second: &Second| Ok(second.average()?.map(Cow::Owned));
        self.seconds.iter().map(average).collect()
    }

    pub fn own_state(&self) -> Result<Groups<'_>> {
        let state = self.own.as_ref().map_or(Ok(Vec::new()), Own::kept)?;
        Ok(state.into_iter().map(|(group, numbers)| (group, Cow::Owned(numbers))).collect())
    }

    pub fn restore(
        &mut self,
        weights: &Parameters,
        optimizer: Vec<Parameters>,
        companions: Vec<Parameters>,
        updates: usize,
    ) -> Result<()> {
        self.latent.set(weights)?;
        self.optimizer.restore(optimizer, updates)?;
        let mut kept = companions.into_iter();
        for average in self.seconds.iter_mut().filter(|second| second.is_average()) {
            kept.next().into_iter().try_for_each(|found| average.weights.set(&found))?;
        }
        match (&mut self.own, kept.next()) {
            (Some(own), Some(parameters)) => own.restore(&parameters, kept, updates),
            _ => Ok(()),
        }
    }
}

const BEGUN: &str = "a step begins with its passes";

fn found((value, gradients): (Tensor, Vec<Option<Tensor>>)) -> (Scalar, Vec<Option<Numbers>>) {
    (Scalar::Tensor(value), gradients.into_iter().map(|gradient| gradient.map(Numbers::Tensor)).collect())
}

/// A copy that was changed on the host, by a loop on slices.
fn on_host(tensor: &Tensor, change: impl FnOnce(&mut [f32])) -> Result<Tensor> {
    let mut numbers = tensor.detach().flatten_all()?.to_vec1::<f32>()?;
    change(&mut numbers);
    Tensor::from_vec(numbers, tensor.shape(), tensor.device())
}

#[cfg(test)]
impl State {
    /// The gradients of the last step, in memory.
    pub fn gradients(&self) -> Parameters {
        let mut found = Parameters::zeros(self.decoder());
        for ((_, numbers), gradient) in found.each_mut().zip(&self.gradients) {
            numbers.copy_from_slice(&gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        }
        found
    }
}
