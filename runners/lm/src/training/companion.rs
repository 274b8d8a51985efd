//! Interventions that compare the model's output with a companion's: the second model, the objective, and parameters of its own.
//! Names no intervention.
//!
//! The batch goes through the companion after the model, without dropout; the model's output becomes a leaf of a small graph of
//! candle's, the companion's a constant, and the gradient at the leaf joins the model's way back ([`Upstream`]). Parameters of its
//! own are updated by AdamW with the study's learning rate and the numbers of its optimizer's AdamW, and clipped with the model's
//! gradient in one global norm. A moving average follows each update of the model; where a step has none, it stays.

use super::TrainError;
use super::interventions::Interventions;
use super::penalties::{Penalty, collect, free_name};
use super::snapshot::Kept;
use crate::engine::{Keep, Pass, Upstream};
use crate::model::{Decoder, Model, Parameters, TensorSpec};
use crate::optimizer::Optimizer;
use crate::spec::TrainSpec;
use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use regatta_core::{Companion, Compared, Draw, Intervention, differentiate};
use std::ops::Range;

/// Numbers of a moving average that one thread updates at a time.
const BLOCK: usize = 16_384;

/// The companions of an arm, with all that its interventions keep beside the model. Empty in most arms, and then free.
#[derive(Default)]
pub(super) struct Companions<'a> {
    beside: Vec<Beside<'a>>,
    own: Option<Own>,
}

/// One intervention, and the second model that it compares the first with.
struct Beside<'a> {
    intervention: &'a dyn Intervention,
    /// Of its place in checkpoints: the plugin's name, and of a second one of that name `name.1`.
    name: String,
    compared: Compared,
    other: Model,
    /// Of a moving average.
    decay: Option<f64>,
    pass: Option<Pass>,
    /// Which of the own tensors are its.
    tensors: Range<usize>,
}

/// Parameters of interventions, one after the other.
struct Own {
    parameters: Parameters,
    gradients: Parameters,
    optimizer: Optimizer,
}

/// What an intervention's objective is computed from; `None` where it has none, or weight 0.
pub(super) fn compared(intervention: &dyn Intervention) -> Option<Compared> {
    intervention.compares().filter(|_| intervention.weight() != 0.0)
}

/// Those of an arm that have an objective to compute, by name.
fn comparing(interventions: &Interventions) -> impl Iterator<Item = (String, usize, &dyn Intervention, Compared)> {
    let mut names: Vec<String> = Vec::new();
    interventions.iter().map(|plugin| &*plugin.0).enumerate().filter_map(move |(index, intervention)| {
        let compared = compared(intervention)?;
        let name = free_name(names.iter().map(String::as_str), intervention.typetag_name());
        names.push(name.clone());
        Some((name, index, intervention, compared))
    })
}

/// The checkpoint that `intervention` compares a model of shape `config` with, read and found to fit; `None` where it brings none,
/// or has weight 0.
///
/// # Errors
/// When its checkpoint cannot be read, or its output or the sequences of `context` tokens do not fit it.
pub fn check_companion(intervention: &dyn Intervention, config: &Decoder, context: usize) -> Result<Option<Model>, TrainError> {
    let Some(compared) = compared(intervention) else { return Ok(None) };
    let Some(Companion::Checkpoint(folder)) = intervention.companion() else { return Ok(None) };
    let other = Model::read(&folder)?;
    let found = other.decoder();
    let misfit = match compared {
        _ if found.context < context => {
            Some(format!("at least {context} positions, the tokens of a training sequence, found {}", found.context))
        }
        _ if found.vocab_size != config.vocab_size => {
            Some(format!("the model's vocabulary of {} tokens, found {}", config.vocab_size, found.vocab_size))
        }
        Compared::LastHiddenState if found.width != config.width => {
            Some(format!("the model's width of {}, found {}", config.width, found.width))
        }
        _ => None,
    };
    match misfit {
        None => Ok(Some(other)),
        Some(misfit) => Err(TrainError::Companion(format!("expected a checkpoint of {misfit} in {}", folder.display()))),
    }
}

/// Shapes of the own parameters of all interventions, and the numbers that they start from.
fn own_parameters(interventions: &Interventions, dims: usize, seed: u64) -> Result<(Parameters, Vec<Range<usize>>), TrainError> {
    let (mut specs, mut numbers, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
    for (name, index, intervention, _) in comparing(interventions) {
        let mut draw = Draw::new(seed, &format!("intervention {index} parameters"), 0, 0);
        let failed = |error| TrainError::Intervention { name: name.clone(), step: 0, source: Box::new(error) };
        let tensors = intervention.parameters(dims, &mut draw).map_err(failed)?;
        let first = specs.len();
        for (tensor, number) in tensors.iter().zip(0..) {
            specs.push(TensorSpec::own(format!("{name}.{number}"), tensor.dims().to_vec()));
            numbers.extend(tensor.flatten_all()?.to_vec1::<f32>()?);
        }
        ranges.push(first..specs.len());
    }
    let mut parameters = Parameters::of(specs);
    parameters.numbers_mut().copy_from_slice(&numbers);
    Ok((parameters, ranges))
}

/// Zeros, by group, of what the companions of an arm keep in checkpoints beside the model and its optimizer; empty where they keep
/// nothing.
///
/// # Errors
/// When an intervention's parameters cannot be made.
pub(super) fn kept_shapes(
    interventions: &Interventions,
    config: &Decoder,
    seed: u64,
) -> Result<Vec<(String, Parameters)>, TrainError> {
    let mut kept = Vec::new();
    for (name, _, intervention, _) in comparing(interventions) {
        if let Some(Companion::MovingAverage { .. }) = intervention.companion() {
            kept.push((format!("average.{name}."), Parameters::zeros(config)));
        }
    }
    let (own, _) = own_parameters(interventions, config.width, seed)?;
    if !own.numbers().is_empty() {
        kept.extend(["parameters.", "first.", "second."].map(|group| (group.to_owned(), own.clone())));
    }
    Ok(kept)
}

impl<'a> Companions<'a> {
    /// Those of `interventions`, beside a model before its first step.
    ///
    /// # Errors
    /// When a checkpoint cannot be read or does not fit the model, or an intervention compares the model with nothing.
    pub fn new(interventions: &'a Interventions, model: &Model, train: &TrainSpec, seed: u64) -> Result<Self, TrainError> {
        let (parameters, ranges) = own_parameters(interventions, model.decoder().width, seed)?;
        let context = train.context.map_or(model.decoder().context, |context| context.get());
        let mut beside = Vec::new();
        for ((name, _, intervention, compared), tensors) in comparing(interventions).zip(ranges) {
            let (other, decay) = match (check_companion(intervention, model.decoder(), context)?, intervention.companion()) {
                (Some(other), _) => (other, None),
                (None, Some(Companion::MovingAverage { decay })) => (model.copy(), Some(decay)),
                (None, _) => {
                    return Err(TrainError::Companion(format!("intervention `{name}` compares outputs, and names no companion")));
                }
            };
            beside.push(Beside { intervention, name, compared, other, decay, pass: None, tensors });
        }
        let own = (!parameters.numbers().is_empty()).then(|| Own {
            gradients: parameters.clone(),
            optimizer: Optimizer::of_own(&parameters, train),
            parameters,
        });
        Ok(Self { beside, own })
    }

    /// Begins a step: nothing is known of the own parameters' gradients, and each objective is 0, in order after `penalties`.
    pub fn begin(&mut self, penalties: &mut Vec<Penalty>) {
        if let Some(own) = &mut self.own {
            own.gradients.numbers_mut().fill(0.0);
        }
        for beside in &self.beside {
            let name = free_name(penalties.iter().map(|penalty| &*penalty.name), beside.intervention.typetag_name());
            penalties.push(Penalty { name, weight: beside.intervention.weight(), value: 0.0 });
        }
    }

    /// A part of a batch of `sequences` through each companion, and what is minimised: each objective's share onto `penalties`, those
    /// that [`Self::begin`] made, and the gradient of their weighted sum in the model's outputs onto `upstream`. `pass` is that of
    /// `model`, after its way forward. An objective is taken for a mean over tokens.
    ///
    /// # Errors
    /// When the batch does not fit a companion, or an objective fails.
    pub fn objectives(
        &mut self,
        (model, pass): (&Model, &Pass),
        (inputs, sequences): (&[u32], usize),
        step: usize,
        (penalties, upstream): (&mut [Penalty], &mut Upstream),
    ) -> Result<(), TrainError> {
        let share = pass.shape().0 as f64 / sequences as f64;
        for (beside, penalty) in self.beside.iter_mut().zip(penalties) {
            let own = Var::from_tensor(&output(beside.compared, model, pass)?)?;
            let companion = beside.output(pass.shape(), inputs)?;
            let parameters = match &self.own {
                Some(all) => all.parameters.each().skip(beside.tensors.start).take(beside.tensors.len()).map(leaf).collect(),
                None => Ok(Vec::new()),
            };
            let parameters: Vec<Var> = parameters?;
            let weight = beside.intervention.weight();
            let found = differentiate::objective(beside.intervention, (&own, &companion), &parameters, weight * share);
            let failed = |error| TrainError::Intervention { name: beside.name.clone(), step, source: Box::new(error) };
            let (value, gradients) = found.map_err(failed)?;
            let mut gradients = gradients.into_iter();
            if let Some(gradient) = gradients.next().flatten() {
                match (beside.compared, &mut upstream.logits) {
                    (Compared::LastHiddenState, _) => collect(&mut upstream.hidden_states, model.decoder().layers, gradient),
                    (Compared::Logits, Some(sum)) => regatta_kernels::vector::add(sum, &gradient),
                    (Compared::Logits, none) => *none = Some(gradient),
                }
            }
            let grads = self.own.iter_mut().flat_map(|own| own.gradients.each_mut()).skip(beside.tensors.start);
            for (gradient, (_, grad)) in gradients.zip(grads) {
                if let Some(gradient) = gradient {
                    regatta_kernels::vector::add(grad, &gradient);
                }
            }
            penalty.value += share * f64::from(value);
        }
        Ok(())
    }

    /// Of the own parameters, where there are any.
    pub fn gradients(&self) -> Option<&Parameters> {
        self.own.as_ref().map(|own| &own.gradients)
    }

    /// Follows an update of `model`: the own parameters by their gradient times `clip`, the moving averages by the model.
    pub fn update(&mut self, model: &Model, factor: f64, clip: f64) {
        if let Some(Own { parameters, gradients, optimizer }) = &mut self.own {
            optimizer.step(parameters, gradients, factor, clip, None);
        }
        for Beside { other, decay, .. } in &mut self.beside {
            if let Some(decay) = *decay {
                follow(other.parameters_mut().numbers_mut(), model.parameters().numbers(), decay);
            }
        }
    }

    /// What has to be kept in checkpoints, by group, as [`kept_shapes`] has it.
    pub fn kept(&self) -> Vec<(String, &Parameters)> {
        let averages = self.beside.iter().filter(|beside| beside.decay.is_some());
        let averages = averages.map(|beside| (format!("average.{}.", beside.name), beside.other.parameters()));
        let own = self.own.iter().flat_map(|Own { parameters, optimizer, .. }| {
            let all = [("parameters.", parameters)].into_iter().chain(optimizer.state());
            all.map(|(group, numbers)| (group.to_owned(), numbers))
        });
        averages.chain(own).collect()
    }

    /// Goes on from what [`Self::kept`] gave after so many updates.
    pub fn restore(&mut self, kept: Kept, updates: usize) {
        let mut kept = kept.into_iter();
        for beside in self.beside.iter_mut().filter(|beside| beside.decay.is_some()) {
            kept.next().into_iter().for_each(|average| *beside.other.parameters_mut() = average);
        }
        if let (Some(own), Some(parameters)) = (&mut self.own, kept.next()) {
            own.parameters = parameters;
            own.optimizer.restore(kept, updates);
        }
    }
}

impl Beside<'_> {
    /// The companion's output for `inputs`.
    fn output(&mut self, shape: (usize, usize), inputs: &[u32]) -> Result<Tensor, TrainError> {
        let pass = match &mut self.pass {
            Some(pass) if pass.shape() == shape => pass,
            other => other.insert(Pass::new(self.other.decoder(), shape.0, shape.1, Keep::Last)),
        };
        pass.forward(&self.other, inputs, None)?;
        Ok(output(self.compared, &self.other, pass)?)
    }
}

/// (b, t, v) or (b, t, d)
fn output(compared: Compared, model: &Model, pass: &Pass) -> candle_core::Result<Tensor> {
    let ((b, t), config) = (pass.shape(), model.decoder());
    match compared {
        Compared::Logits => Tensor::from_vec(pass.logits(model), (b, t, config.vocab_size), &Device::Cpu),
        Compared::LastHiddenState => Tensor::from_vec(pass.hidden_state(config.layers), (b, t, config.width), &Device::Cpu),
    }
}

fn leaf((spec, numbers): (&TensorSpec, &[f32])) -> candle_core::Result<Var> {
    Var::from_slice(numbers, &*spec.shape, &Device::Cpu)
}

/// `copy <- decay·copy + (1 - decay)·model`
fn follow(copy: &mut [f32], model: &[f32], decay: f64) {
    let (keep, take) = (decay as f32, (1.0 - decay) as f32);
    copy.par_chunks_mut(BLOCK).zip(model.par_chunks(BLOCK)).for_each(|(copy, model)| {
        copy.iter_mut().zip(model).for_each(|(copy, model)| *copy = keep * *copy + take * model);
    });
}

#[cfg(test)]
mod tests;
