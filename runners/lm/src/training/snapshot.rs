//! What another learner needs to go on from a learner's last step: weights and the optimizer's state, as safetensors.

use super::companion::kept_shapes;
use super::interventions::Interventions;
use crate::model::{Decoder, Parameters, TensorSpec};
use crate::optimizer::Optimizer;
use crate::spec::TrainSpec;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Weights and optimizer of a learner, to be written.
pub struct Snapshot<'a> {
    /// Steps made.
    pub steps: usize,
    pub(super) weights: Cow<'a, Parameters>,
    pub(super) optimizer: Vec<(&'static str, Cow<'a, Parameters>)>,
    /// What companions keep, group by group; see [`kept_shapes`].
    pub(super) companions: Vec<(String, Cow<'a, Parameters>)>,
}

/// Weights and optimizer that were read back.
#[derive(Debug)]
pub struct Restored {
    /// Steps made.
    pub steps: usize,
    pub(super) weights: Parameters,
    /// In the order of [`Optimizer::state`].
    pub(super) optimizer: Vec<Parameters>,
    /// In the order of [`kept_shapes`].
    pub(super) companions: Vec<Parameters>,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not a safetensors file.
    #[error("expected a safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// It does not hold exactly the tensors of the model, in float32.
    #[error("{0}")]
    Tensors(String),
}

impl Snapshot<'_> {
    /// Two files: the weights, and the optimizer's state (`first.`, `second.` or `momentum.` before each tensor's name). A third where
    /// interventions keep moving averages or parameters of their own. Equal numbers give equal bytes.
    ///
    /// # Errors
    /// When a tensor cannot be written, which a model in memory rules out.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, SnapshotError> {
        let mut files = vec![
            (Restored::WEIGHTS, serialized([("", &*self.weights)])?),
            (Restored::OPTIMIZER, serialized(self.optimizer.iter().map(|(prefix, parameters)| (*prefix, &**parameters)))?),
        ];
        if !self.companions.is_empty() {
            let groups = self.companions.iter().map(|(prefix, parameters)| (&**prefix, &**parameters));
            files.push((Restored::COMPANIONS, serialized(groups)?));
        }
        Ok(files)
    }
}

impl Restored {
    /// The file of weights.
    pub const WEIGHTS: &'static str = "model.safetensors";
    /// The file of the optimizer's state.
    pub const OPTIMIZER: &'static str = "optimizer.safetensors";
    /// The file of moving averages and of interventions' own parameters, where there are any.
    pub const COMPANIONS: &'static str = "companions.safetensors";

    /// Reads what [`Snapshot::files`] wrote of a model of this shape, trained by `train`, after `steps` steps.
    ///
    /// # Errors
    /// When a file is broken, or a tensor is missing, unknown, of another shape, or not of float32.
    pub fn read(
        decoder: &Decoder,
        train: &TrainSpec,
        steps: usize,
        weights: &[u8],
        optimizer: &[u8],
    ) -> Result<Self, SnapshotError> {
        let (mut numbers, mut state) = (Parameters::zeros(decoder), Optimizer::new(decoder, train));
        fill([("", &mut numbers)], weights)?;
        fill(state.state_mut(), optimizer)?;
        Ok(Self { steps, weights: numbers, optimizer: state.into_state(), companions: Vec::new() })
    }

    /// Adds what companions of `interventions` keep, if anything. `file` gives the bytes of a file by its name.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn with_companions<'a>(
        mut self,
        interventions: &Interventions,
        config: &Decoder,
        file: impl FnOnce(&str) -> Option<&'a [u8]>,
    ) -> Result<Self, SnapshotError> {
        let mut kept = kept_shapes(interventions, config, 0).map_err(|error| SnapshotError::Tensors(error.to_string()))?;
        if !kept.is_empty() {
            let name = Self::COMPANIONS;
            let bytes = file(name).ok_or_else(|| SnapshotError::Tensors(format!("expected {name}, found none")))?;
            fill(kept.iter_mut().map(|(prefix, parameters)| (&**prefix, parameters)), bytes)?;
        }
        self.companions = kept.into_iter().map(|(_, parameters)| parameters).collect();
        Ok(self)
    }
}

fn serialized<'a>(groups: impl IntoIterator<Item = (&'a str, &'a Parameters)>) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes: BTreeMap<String, (Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (prefix, parameters) in groups {
        for (spec, numbers) in parameters.each() {
            let TensorSpec { name, shape, .. } = spec;
            bytes.insert(format!("{prefix}{name}"), (shape.clone(), numbers.iter().flat_map(|x| x.to_le_bytes()).collect()));
        }
    }
    let views: Result<Vec<(&String, TensorView<'_>)>, _> =
        bytes.iter().map(|(name, (shape, bytes))| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))).collect();
    Ok(safetensors::serialize(views.map_err(SnapshotError::Format)?, None)?)
}

/// Reads each group's tensors, named by its prefix and their own names; the file may hold no others.
fn fill<'a>(groups: impl IntoIterator<Item = (&'a str, &'a mut Parameters)>, bytes: &[u8]) -> Result<(), SnapshotError> {
    let tensors = SafeTensors::deserialize(bytes)?; // the header is checked against the length before anything is copied
    let mut expected = 0;
    for (prefix, parameters) in groups {
        for (TensorSpec { name, shape, .. }, numbers) in parameters.each_mut() {
            expected += 1;
            let name = format!("{prefix}{name}");
            let missing = |_| SnapshotError::Tensors(format!("expected a tensor `{name}` of shape {shape:?}, found none"));
            let tensor = tensors.tensor(&name).map_err(missing)?;
            if tensor.shape() != shape || tensor.dtype() != Dtype::F32 {
                let found = (tensor.shape(), tensor.dtype());
                return Err(SnapshotError::Tensors(format!("expected `{name}` of shape {shape:?} in F32, found {found:?}")));
            }
            let (floats, _) = tensor.data().as_chunks::<4>();
            numbers.iter_mut().zip(floats).for_each(|(number, bytes)| *number = f32::from_le_bytes(*bytes));
        }
    }
    if tensors.len() != expected {
        return Err(SnapshotError::Tensors(format!("expected {expected} tensors, found {}", tensors.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Sizes};

    fn config(layers: usize) -> Decoder {
        Decoder::new(Family::Gpt2, Sizes { layers, width: 4, heads: 2, context: 3, mlp_width: 8 }, 5)
    }

    fn counted(config: &Decoder, start: f32) -> Parameters {
        let mut parameters = Parameters::zeros(config);
        parameters.numbers_mut().iter_mut().enumerate().for_each(|(i, x)| *x = start + i as f32);
        parameters
    }

    fn files(config: &Decoder) -> [Vec<u8>; 2] {
        let [weights, first, second] = [0.5, -7.0, 1e-30].map(|start| counted(config, start));
        let state = [("first.", Cow::Owned(first)), ("second.", Cow::Owned(second))];
        let snapshot = Snapshot { steps: 9, weights: Cow::Owned(weights), optimizer: state.into(), companions: Vec::new() };
        let files: Vec<Vec<u8>> = snapshot.files().unwrap().into_iter().map(|(_, bytes)| bytes).collect();
        files.try_into().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = config(2);
        let [weights, optimizer] = files(&config);
        let read = Restored::read(&config, &TrainSpec::default(), 9, &weights, &optimizer).unwrap();
        assert_eq!(read.steps, 9);
        let [first, second] = <[Parameters; 2]>::try_from(read.optimizer).unwrap();
        for (found, start) in [(read.weights, 0.5), (first, -7.0), (second, 1e-30)] {
            assert_eq!(found.numbers(), counted(&config, start).numbers());
        }
    }

    #[test]
    fn other_tensors_are_refused() {
        let (config, larger) = (config(1), config(2));
        let [weights, optimizer] = files(&config);
        let refused = |config: &Decoder, weights: &[u8], optimizer: &[u8]| {
            Restored::read(config, &TrainSpec::default(), 0, weights, optimizer).unwrap_err().to_string()
        };
        assert!(refused(&larger, &weights, &optimizer).contains("`h.1."), "{}", refused(&larger, &weights, &optimizer));
        let [more, _] = files(&larger);
        assert!(refused(&config, &more, &optimizer).contains("expected 16 tensors, found 28"));
        assert!(refused(&config, &optimizer, &weights).contains("found none"));
        assert!(refused(&config, &weights[..weights.len() - 1], &optimizer).contains("safetensors"));
    }

    /// A file with this header before `data` bytes of zeros.
    fn file(header: &str, data: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    }

    #[test]
    fn headers_that_lie_are_refused_at_once() {
        let config = config(1);
        let [weights, optimizer] = files(&config);
        let length = usize::from_le_bytes(*weights.first_chunk().unwrap());
        let (header, data) = (std::str::from_utf8(&weights[8..8 + length]).unwrap(), weights.len() - 8 - length);
        let mut another_type: serde_json::Value = serde_json::from_str(header).unwrap();
        let bias = &mut another_type["h.0.attn.c_attn.bias"];
        (bias["dtype"], bias["shape"][0]) = ("F16".into(), 24.into()); // as many bytes as 12 numbers of float32
        let mut overlapping: serde_json::Value = serde_json::from_str(header).unwrap();
        overlapping["h.0.attn.c_attn.bias"]["data_offsets"] = serde_json::json!([4, 52]);
        let lies = [
            ("a header of 2^63 bytes", [&(1u64 << 63).to_le_bytes()[..], b"{}"].concat(), "safetensors"),
            ("a header of 2^64 - 1 bytes", [&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "safetensors"),
            ("a header longer than the file", [&100u64.to_le_bytes()[..], b"{}"].concat(), "safetensors"),
            ("a header of 100 MB", file(&" ".repeat(100_000_001), 0), "safetensors"),
            ("data that overlaps", file(&overlapping.to_string(), data), "safetensors"),
            ("data that is not there", file(header, data - 4), "safetensors"),
            ("data that nothing names", file(header, data + 4), "safetensors"),
            ("another type", file(&another_type.to_string(), data), "expected `h.0.attn.c_attn.bias` of shape [12] in F32"),
            (
                "a size beyond all memory",
                file(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, 0),
                "safetensors",
            ),
        ];
        for (lie, bytes, words) in lies {
            let started = std::time::Instant::now();
            let refused =
                Restored::read(&config, &TrainSpec::default(), 0, &bytes, &optimizer).map(drop).expect_err(lie).to_string();
            assert!(refused.contains(words), "{lie}: {refused}");
            assert!(started.elapsed() < std::time::Duration::from_millis(50), "{lie}: {:?}", started.elapsed());
        }
        assert!(
            Restored::read(&config, &TrainSpec::default(), 0, &file(header, data), &optimizer).is_ok(),
            "the header itself is honest"
        );
    }
}
