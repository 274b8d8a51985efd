//! Parameters of interventions, trained beside the model's.

use crate::model::{Parameters, TensorSpec};
use crate::optimizer::Optimizer;
use crate::spec::TrainSpec;
use crate::training::TrainError;
use crate::training::interventions::ListedObjective;
use candle_core::{Device, Var};
use regatta_core::Draw;
use std::ops::Range;

/// The own parameters of all objectives, one after the other.
pub(super) struct Own {
    pub(super) parameters: Parameters,
    pub(super) gradients: Parameters,
    optimizer: Optimizer,
}

/// The own parameters of all objectives as they start, and the range of tensors that belongs to each.
///
/// # Errors
/// When an intervention cannot make its parameters.
pub(super) fn own_parameters(
    objectives: &[ListedObjective<'_>],
    dims: usize,
    seed: u64,
) -> Result<(Parameters, Vec<Range<usize>>), TrainError> {
    let (mut specs, mut numbers, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
    for ListedObjective { objective, index, name, .. } in objectives {
        let mut draw = Draw::new(seed, &format!("intervention {index} parameters"), 0, 0);
        let failed = |error| TrainError::Intervention { name: name.clone(), step: 0, source: Box::new(error) };
        let tensors = objective.parameters(dims, &mut draw).map_err(failed)?;
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

impl Own {
    /// `None` where there are no parameters.
    pub fn new(parameters: Parameters, train: &TrainSpec) -> Option<Self> {
        (!parameters.numbers().is_empty()).then(|| Self {
            gradients: parameters.clone(),
            optimizer: Optimizer::of_own(&parameters, train),
            parameters,
        })
    }

    /// Leaves of some of the tensors.
    pub fn leaves(&self, tensors: &Range<usize>) -> candle_core::Result<Vec<Var>> {
        let leaf = |(spec, numbers): (&TensorSpec, &[f32])| Var::from_slice(numbers, &*spec.shape, &Device::Cpu);
        self.parameters.each().skip(tensors.start).take(tensors.len()).map(leaf).collect()
    }

    /// Adds to the gradients of some of the tensors; `None` is a gradient of 0.
    pub fn add_gradients(&mut self, tensors: &Range<usize>, gradients: impl Iterator<Item = Option<Vec<f32>>>) {
        for (gradient, (_, sum)) in gradients.zip(self.gradients.each_mut().skip(tensors.start)) {
            if let Some(gradient) = gradient {
                regatta_kernels::vector::add(sum, &gradient);
            }
        }
    }

    /// One update of AdamW.
    pub fn update(&mut self, factor: f64, clip: f64) {
        self.optimizer.step(&mut self.parameters, &self.gradients, factor, clip, None);
    }

    /// Parameters and moments, by group.
    pub fn kept(&self) -> impl Iterator<Item = (&'static str, &Parameters)> {
        [("parameters.", &self.parameters)].into_iter().chain(self.optimizer.state())
    }

    /// Goes on from what [`Self::kept`] gave after so many updates.
    pub fn restore(&mut self, parameters: Parameters, moments: impl IntoIterator<Item = Parameters>, updates: usize) {
        self.parameters = parameters;
        self.optimizer.restore(moments, updates);
    }
}
