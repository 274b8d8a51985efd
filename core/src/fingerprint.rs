//! Fingerprints: a plugin's results on fixed inputs, which reveal a changed formula under an unchanged version.
//!
//! The inputs are small and made by [`Draw`]: clouds for a regularizer, the inputs of its place in a step for an intervention. Each
//! result is stored as a line: the value, the norm of the gradient, and the components of the gradient along two fixed random
//! directions. A regularizer is measured in float64, where machines agree to many digits, and in float32 as in training: by its
//! kernel, if it has one.
//!
//! Lines are compared within a tolerance and never hashed. The last digits may depend on the machine or the number of threads, and
//! such a difference can cross the edge of any rounding.

use crate::labels::labelled_for;
use crate::{Action, Companion, CompanionObjective, Draw, Intervention, Regularizer, Result, Tensor, differentiate};
use candle_core::{DType, Device, Var};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A plugin's results, by the name of the input.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    float64: BTreeMap<String, String>,
    float32: BTreeMap<String, String>,
    /// By a form for tensors, which decides where a model is trained by candle.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    on_device: BTreeMap<String, String>,
}

/// The tolerance of two numbers, relative to the largest of the gradient's or to the value. It is more than ten times the
/// difference between two orders of summation, and less than any change of a formula that could show in a result.
const OF_FLOAT64: f64 = 1e-6;
const OF_FLOAT32: f64 = 1e-3;
/// The line of a plugin that returned an error.
const FAILED: &str = "failed";
/// Width of the embeddings and hidden states, and size of the vocabulary, in an intervention's inputs.
const DIMS: usize = 6;

impl Fingerprint {
    /// The results of `regularizer` on a few clouds, with a second view if it needs one.
    ///
    /// # Errors
    /// When a cloud cannot be made. An error of the regularizer becomes part of its fingerprint.
    pub fn of_regularizer(regularizer: &dyn Regularizer) -> Result<Self> {
        let mut found = Self::default();
        for (index, (name, points)) in clouds()?.into_iter().enumerate() {
            let mut views = vec![points];
            let mut name = name.to_owned();
            if regularizer.needs_view() {
                let noise = Draw::new(1, "fingerprint", index as u64, 0).normals(views[0].dims(), DType::F64, &Device::Cpu)?;
                let near = (&views[0] + (noise * 0.3)?)?;
                views.push(near);
                name += ", and a view";
            }
            found.float64.insert(name.clone(), line(penalised(regularizer, &views, DType::F64)));
            found.float32.insert(name, line(penalised(regularizer, &views, DType::F32)));
        }
        Ok(found)
    }

    /// The results of `intervention` at its place in a step.
    ///
    /// # Errors
    /// When an input cannot be made. An error of the intervention becomes part of its fingerprint.
    pub fn of_intervention(intervention: &dyn Intervention) -> Result<Self> {
        let (mut float32, mut on_device) = (BTreeMap::new(), BTreeMap::new());
        let mut put_on_device = |place: &str, found: Result<Option<Tensor>>| {
            let numbers = found.and_then(|found| Ok(found.map(|found| found.flatten_all()?.to_vec1::<f32>()).transpose()?));
            if let Some(numbers) = numbers.transpose() {
                on_device.insert(place.to_owned(), line(numbers.map(|numbers| (0.0, wide(&numbers)))));
            }
        };
        let mut put = |place: &str, numbers| drop(float32.insert(place.to_owned(), line(numbers)));
        match intervention.action() {
            None => {}
            Some(Action::EmbeddingReset { every, lr_factor }) => {
                put("forgets", Ok((every.get() as f64, Vec::new())));
                if lr_factor != 1.0 {
                    put("embedding lr", Ok((lr_factor, Vec::new())));
                }
            }
            Some(Action::WeightRounding(rounding)) => {
                let mut weights = normals(0, 12 * 5, 0.02)?;
                rounding.round(&mut weights, 12, 5);
                put("rounds", Ok((0.0, wide(&weights))));
                put_on_device(
                    "rounds",
                    rounding.round_on_device(&Tensor::from_vec(normals(0, 12 * 5, 0.02)?, (12, 5), &Device::Cpu)?),
                );
            }
            Some(Action::EmbeddingNoise(noise)) => {
                let (mut embeddings, mut added) = (normals(1, 5 * DIMS, 1.0)?, [0.0; 5 * DIMS]);
                noise.noise(&mut added, DIMS, &mut Draw::new(0, "fingerprint perturb", 0, 0));
                embeddings.iter_mut().zip(added).for_each(|(x, noise)| *x += noise);
                put("perturbs", Ok((0.0, wide(&embeddings))));
            }
            Some(Action::Objective(objective)) => {
                let decay = match objective.companion() {
                    Companion::Checkpoint(_) => -1.0, // its files are hashed elsewhere
                    Companion::MovingAverage { decay } => decay,
                };
                put("companion", Ok((decay, Vec::new())));
                put("objective", objective_of_fixed_outputs(objective));
            }
            Some(Action::LogNormalizer { weight }) => put("normalizer", Ok((weight, Vec::new()))),
            Some(Action::OutputGate(gate)) => {
                let gates = gate.gates(&[0, 1, 2, 3, 5, 8, 13, 200, 3000], 100);
                let numbers = gates.iter().flat_map(|row| [row.token as f32, row.from_others, row.from_gated]);
                put("output gate", Ok((gate.memory().get() as f64, numbers.map(f64::from).collect())));
            }
            Some(Action::OutputUpdate(update)) => {
                let mut matrix = normals(4, 7 * DIMS, 1.0)?;
                update.apply(&mut matrix, DIMS);
                put("output update", Ok((0.0, wide(&matrix))));
                let matrix = Tensor::from_vec(normals(4, 7 * DIMS, 1.0)?, (7, DIMS), &Device::Cpu)?;
                put_on_device("output update", update.apply_on_device(&matrix));
            }
        }
        Ok(Self { float64: BTreeMap::new(), float32, on_device })
    }

    /// That of a plugin where the kernels train: without its forms for tensors.
    #[must_use]
    pub fn by_kernels(&self) -> Self {
        Self { on_device: BTreeMap::new(), ..self.clone() }
    }

    /// Whether two fingerprints agree within the tolerance, as those of the same formula do.
    pub fn agrees(&self, other: &Self) -> bool {
        all_agree(&self.float64, &other.float64, OF_FLOAT64)
            && all_agree(&self.float32, &other.float32, OF_FLOAT32)
            && all_agree(&self.on_device, &other.on_device, OF_FLOAT32)
    }
}

fn all_agree(one: &BTreeMap<String, String>, other: &BTreeMap<String, String>, tolerance: f64) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .all(|(name, line)| other.get(name).is_some_and(|other| line == other || lines_agree(line, other, tolerance)))
}

/// Whether two lines `value norm component component` agree. Gradients smaller than the tolerance are compared relative to the
/// tolerance: gradients that cancel leave about 1e-16 in float64 and 1e-7 in float32, and these depend on the machine.
fn lines_agree(one: &str, other: &str, tolerance: f64) -> bool {
    let numbers = |line: &str| line.split(' ').map(|number| number.parse().unwrap_or(f64::NAN)).collect::<Vec<f64>>();
    let ([value, gradient @ ..], [other_value, other_gradient @ ..]) = (&numbers(one)[..], &numbers(other)[..]) else {
        return false;
    };
    let least = tolerance;
    let greatest = |least: f64, numbers: &mut dyn Iterator<Item = &f64>| {
        numbers.filter(|x| x.is_finite()).fold(least, |most, x| most.max(x.abs()))
    };
    let norm = greatest(least, &mut gradient.iter().chain(other_gradient));
    let scale = greatest(norm, &mut [value, other_value].into_iter());
    let near = |one: f64, other: f64, scale: f64| one.to_bits() == other.to_bits() || (one - other).abs() <= tolerance * scale;
    near(*value, *other_value, scale)
        && gradient.len() == other_gradient.len()
        && gradient.iter().zip(other_gradient).all(|(one, other)| near(*one, *other, norm))
}

/// The line of a value and a gradient, with a few more digits than the comparison needs.
fn line(found: Result<(f64, Vec<f64>)>) -> String {
    let Ok((value, gradient)) = found else { return FAILED.into() };
    let norm = gradient.iter().map(|x| x * x).sum::<f64>().sqrt();
    let along = |direction: u64| {
        let mut draw = Draw::new(2, "fingerprint", direction, 0);
        gradient.iter().map(|x| x * draw.normal()).sum::<f64>()
    };
    let numbers = [value, norm, along(0), along(1)].map(|number| format!("{number:.8e}"));
    numbers[..if gradient.is_empty() { 1 } else { 4 }].join(" ")
}

/// Clouds that exercise most parts of a formula: both sides of hinges, a common direction, points that are small compared with an
/// epsilon, and fewer points than dims.
fn clouds() -> Result<Vec<(&'static str, Tensor)>> {
    let gaussian =
        |index: u64, shape: [usize; 3]| Draw::new(0, "fingerprint", index, 0).normals(&shape, DType::F64, &Device::Cpu);
    Ok(vec![
        ("two groups", gaussian(0, [2, 7, 4])?),
        ("a cone", ((gaussian(1, [1, 8, 5])? * 0.3)? + 1.0)?),
        ("large", (gaussian(2, [1, 6, 3])? * 2.0)?),
        ("small", (gaussian(3, [1, 6, 4])? * 1e-2)?),
        ("fewer points than dims", gaussian(4, [1, 3, 6])?),
    ])
}

/// Value and gradient of a penalty of points, or of points and their view.
fn penalised(regularizer: &dyn Regularizer, views: &[Tensor], dtype: DType) -> Result<(f64, Vec<f64>)> {
    let (leaves, cloud) = differentiate::leaves(views.iter().map(|view| Ok(view.to_dtype(dtype)?)))?;
    let cloud = labelled_for(regularizer, cloud)?;
    let mut draw = Draw::new(0, "fingerprint penalty", 0, 0);
    if dtype == DType::F32 {
        let leaves: Vec<&Var> = leaves.iter().collect();
        return Ok(all_of(differentiate::penalty(regularizer, &cloud, &leaves, 1.0, &mut draw)?, &leaves));
    }
    differentiate::penalty_in_float64(regularizer, (&leaves, &cloud), &mut draw)
}

/// Value and gradient of an objective with respect to its parameters, then to the model's output.
fn objective_of_fixed_outputs(objective: &dyn CompanionObjective) -> Result<(f64, Vec<f64>)> {
    let output = |index| -> Result<Var> { Ok(Var::from_vec(normals(index, 2 * 3 * DIMS, 1.0)?, (2, 3, DIMS), &Device::Cpu)?) };
    let (own, companion) = (output(2)?, output(3)?);
    let parameters = objective.parameters(DIMS, &mut Draw::new(0, "fingerprint parameters", 0, 0))?;
    let parameters = parameters.iter().map(|tensor| Ok(Var::from_tensor(tensor)?)).collect::<Result<Vec<Var>>>()?;
    let weight = objective.weight();
    let (value, mut gradients) = differentiate::objective(objective, (&own, companion.as_tensor()), &parameters, weight)?;
    gradients.rotate_left(1); // the model's output last
    let leaves: Vec<&Var> = parameters.iter().chain([&own]).collect();
    Ok(all_of((value * weight as f32, gradients), &leaves))
}

/// Value and concatenated gradients of all leaves, with zeros for leaves that the value does not depend on.
fn all_of((value, gradients): (f32, differentiate::Gradients), leaves: &[&Var]) -> (f64, Vec<f64>) {
    let gradients = gradients.into_iter().zip(leaves);
    let gradient = gradients.flat_map(|(gradient, leaf)| gradient.unwrap_or_else(|| vec![0.0; leaf.elem_count()]));
    (value.into(), gradient.map(f64::from).collect())
}

fn normals(index: u64, count: usize, scale: f64) -> Result<Vec<f32>> {
    let normals = Draw::new(3, "fingerprint", index, 0).normals(&[count], DType::F64, &Device::Cpu)?;
    Ok((normals * scale)?.to_dtype(DType::F32)?.to_vec1()?)
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|&x| x.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_agree_within_the_tolerance() {
        let agree = |one, other, tolerance| lines_agree(one, other, tolerance);
        assert!(agree("1 2 -1 0.5", "1.0000001 2 -1 0.5000001", 1e-6));
        assert!(!agree("1 2 -1 0.5", "1.0000001 2 -1 0.50001", 1e-6));
        assert!(agree("1e-14 2 0 0", "-3e-15 2 0 0", 1e-6), "a value that cancels, relative to its gradient");
        assert!(agree("0 1e-15 1e-15 0", "0 2e-15 0 0", 1e-6), "a gradient that cancels, in float64");
        assert!(agree("0 1e-7 1e-7 0", "0 2e-7 0 0", 1e-3), "and in float32");
        assert!(!agree("0 1e-9 1e-9 0", "0 2e-9 0 0", 1e-6) && !agree("0 1e-5 1e-5 0", "0 2e-5 0 0", 1e-3));
        assert!(!agree("0 1e-3 1e-3 0", "0 2e-3 1e-3 0", 1e-6));
        assert!(agree("NaN inf 0 0", "NaN inf 0 0", 1e-6) && !agree("NaN 1 0 0", "1 1 0 0", 1e-6));
        assert!(!agree("1 inf 1 0", "1 inf 2 0", 1e-6));
        assert!(!agree("1", "1 1 1 1", 1e-6) && !agree("failed", "1 1 1 1", 1e-6));
    }

    #[test]
    fn a_line_by_hand() {
        assert_eq!(line(Ok((0.5, vec![]))), "5.00000000e-1");
        assert!(line(Ok((0.5, vec![3.0, -4.0]))).starts_with("5.00000000e-1 5.00000000e0 "));
        assert_eq!(line(Err(crate::Error::NoView)), "failed");
    }
}
