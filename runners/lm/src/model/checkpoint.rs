//! Hugging Face checkpoint folders: `config.json` and `model.safetensors`.

use super::{Decoder, Model, Parameters};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Why a checkpoint folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is not a GPT-2 that this program can compute.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// `model.safetensors` does not hold the tensors that `config.json` asks for.
    #[error("{path}: {message}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
}

/// What a checkpoint's tensors are called before Regatta's names, in files that hold a language model.
const PREFIX: &str = "transformer.";

impl Decoder {
    /// The config of a checkpoint folder, checked.
    ///
    /// # Errors
    /// When `config.json` is missing, is not JSON, or is no GPT-2 that this program can compute.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|source| CheckpointError::File { path: path.clone(), source })?;
        let refuse = |message: String| CheckpointError::Config { path: path.clone(), message };
        let config: serde_json::Value = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        let size =
            |field: &str| config[field].as_u64().map(|size| size as usize).ok_or_else(|| refuse(format!("expected `{field}`")));
        let (width, heads) = (size("n_embd")?, size("n_head")?);
        let mlp_width = size("n_inner").unwrap_or(4 * width);
        let sizes = super::Sizes { layers: size("n_layer")?, width, heads, context: size("n_positions")?, mlp_width };
        Ok(Self::new(super::Family::Gpt2, sizes, size("vocab_size")?))
    }
}

impl Model {
    /// The model in a checkpoint folder. The file is read into memory, not mapped, so that a file cut short meanwhile is an
    /// error and not a crash; names and shapes must be exactly those of the config.
    ///
    /// # Errors
    /// When a file is missing or broken, or a tensor is missing, unknown, or of another shape.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let config = Decoder::read(folder)?;
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).map_err(|source| CheckpointError::File { path: path.clone(), source })?;
        let refuse = |message: String| CheckpointError::Tensors { path: path.clone(), message };
        // The header is checked against the file's length before any tensor is made, so a lying header costs nothing.
        let found = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|error| refuse(format!("expected a safetensors file: {error}")))?;
        let mut found = without_prefix(found);
        let mut parameters = Parameters::zeros(&config);
        for (spec, numbers) in parameters.each_mut() {
            let (name, shape) = (&spec.name, &spec.shape[..]);
            let tensor =
                found.remove(name).ok_or_else(|| refuse(format!("expected a tensor `{name}` of shape {shape:?}, found none")))?;
            if tensor.dims() != shape {
                return Err(refuse(format!("expected `{name}` of shape {shape:?}, found {:?}", tensor.dims())));
            }
            if !tensor.dtype().is_float() {
                return Err(refuse(format!("expected `{name}` of floats, found {:?}", tensor.dtype())));
            }
            let read = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>());
            numbers.copy_from_slice(&read.map_err(|error| refuse(error.to_string()))?);
        }
        match found.keys().min() {
            None => Ok(Self::from_parameters(config, parameters)),
            Some(extra) => Err(refuse(format!("found `{extra}`, which a GPT-2 of {} blocks does not have", config.layers))),
        }
    }

    /// Writes `config.json` and `model.safetensors` into a folder that exists, tensors in the order of their names, so that
    /// equal weights give equal bytes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join("config.json");
        let decoder = self.decoder();
        let config = serde_json::json!({
            "model_type": "gpt2", "vocab_size": decoder.vocab_size, "n_positions": decoder.context, "n_embd": decoder.width,
            "n_layer": decoder.layers, "n_head": decoder.heads, "n_inner": decoder.mlp_width,
            "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": true,
            "architectures": ["GPT2LMHeadModel"],
        });
        let text = serde_json::to_string_pretty(&config).expect("a config is plain data") + "\n";
        std::fs::write(&path, text).map_err(|source| CheckpointError::File { path, source })?;

        let path = folder.join("model.safetensors");
        let refuse = |message: String| CheckpointError::Tensors { path: path.clone(), message };
        let tensor = |(spec, numbers): (&super::TensorSpec, &[f32])| {
            Ok((format!("{PREFIX}{}", spec.name), Tensor::from_slice(numbers, &*spec.shape, &Device::Cpu)?))
        };
        let named = self.parameters().each().map(tensor).collect::<candle_core::Result<BTreeMap<_, _>>>();
        let named = named.map_err(|error| refuse(error.to_string()))?;
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(named, Some(metadata)).map_err(|error| refuse(error.to_string()))?;
        std::fs::write(&path, bytes).map_err(|source| CheckpointError::File { path: path.clone(), source })
    }
}

/// Names as [`Decoder::shapes`] has them, without the buffers and the second name of the tied matrix that some files hold.
fn without_prefix(tensors: HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let known = |name: &String| name != "lm_head.weight" && !name.ends_with(".attn.bias") && !name.ends_with(".attn.masked_bias");
    let bare = |name: String| name.strip_prefix(PREFIX).map(str::to_owned).unwrap_or(name);
    tensors.into_iter().map(|(name, tensor)| (bare(name), tensor)).filter(|(name, _)| known(name)).collect()
}
