//! Parameters of interventions, trained beside the model's.

use crate::model::{Parameters, TensorSpec};
use crate::training::TrainError;
use crate::training::interventions::ListedObjective;
use regatta_core::Draw;
use std::ops::Range;

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
