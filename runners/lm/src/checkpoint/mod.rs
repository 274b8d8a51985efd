//! Checkpoint folders in Hugging Face's layout: `config.json` and its weights.
//!
//! Weights are read into memory, not mapped, so that a file cut short meanwhile is an error and not a crash; nothing of a file is
//! believed before it was checked against what the file holds; nothing in it is executed.

mod families;
mod pickle;
mod torch;
mod weights;

use crate::model::{Decoder, Model, Parameters, Role};
use families::{Layout, Names, Stored, counted};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use weights::Weights;

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
    /// `config.json` is not of a model that this program can compute.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// The weights are not those that `config.json` asks for.
    #[error("{path}: {message}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
}

impl CheckpointError {
    fn tensors(path: &Path, message: String) -> Self {
        Self::Tensors { path: path.to_owned(), message }
    }
}

impl Decoder {
    /// The model that the `config.json` of a checkpoint folder describes, checked.
    ///
    /// # Errors
    /// When `config.json` is missing, is not JSON, or describes a model that this program cannot compute.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        read_config(folder).map(|(decoder, _)| decoder)
    }

    /// The model in a checkpoint folder without its weights, which are read one by one, checked and dropped.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn check(folder: &Path) -> Result<Self, CheckpointError> {
        read(folder, Keep::Nothing).map(|(decoder, _)| decoder)
    }
}

fn read_config(folder: &Path) -> Result<(Decoder, Names), CheckpointError> {
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(|source| CheckpointError::File { path: path.clone(), source })?;
    let config = serde_json::from_str(&text).map_err(|error| format!("expected JSON: {error}"));
    config.and_then(|config| Decoder::from_config(&config)).map_err(|message| CheckpointError::Config { path, message })
}

/// What some checkpoints hold beside their weights: masks and frequencies, which follow from `config.json`.
const BUFFERS: [&str; 5] =
    [".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"];

/// The files that a checkpoint's weights are read from.
///
/// # Errors
/// When there are none, or an index names files that are not there.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    Ok(Weights::of(folder)?.files())
}

impl Model {
    /// The model in a checkpoint folder. Names and shapes must be exactly those that its `config.json` asks for; names may lack the
    /// prefix of a file that holds a language model, numbers may be of 16, 32 or 64 bits.
    ///
    /// # Errors
    /// When a file is missing or broken, or a tensor is missing, unknown, there twice, or of another shape.
    pub fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let (decoder, parameters) = read(folder, Keep::Weights)?;
        Ok(Self::from_parameters(decoder, parameters.expect("they were kept")))
    }

    /// `config.json` and `model.safetensors`, name and content: tensors in the order of their names, so that equal weights give
    /// equal bytes.
    ///
    /// # Errors
    /// When the weights cannot be serialized.
    pub fn files(&self) -> Result<[(&'static str, Vec<u8>); 2], CheckpointError> {
        const WEIGHTS: &str = "model.safetensors";
        let Layout { config, names } = self.decoder().layout();
        let numbers = self.parameters().numbers();
        let tensor = |stored: Stored| {
            let bytes = stored.write(&numbers[stored.ours.clone()]).iter().flat_map(|number| number.to_le_bytes()).collect();
            (stored.name, Written { shape: stored.shape, bytes })
        };
        let tensors: BTreeMap<String, Written> = names.stored(self.decoder()).into_iter().map(tensor).collect();
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(tensors, Some(metadata));
        let bytes = bytes.map_err(|error| CheckpointError::tensors(Path::new(WEIGHTS), error.to_string()))?;
        Ok([("config.json", format!("{config:#}\n").into_bytes()), (WEIGHTS, bytes)])
    }

    /// Writes [`files`](Self::files) into a folder that exists and is the caller's own: a study's folder is written by its records.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), CheckpointError> {
        for (name, content) in self.files()? {
            let path = folder.join(name);
            std::fs::write(&path, content).map_err(|source| CheckpointError::File { path, source })?;
        }
        Ok(())
    }
}

/// What is kept of a checkpoint's weights.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Weights,
    Nothing,
}

/// The model in a checkpoint folder, and its weights where they are kept.
fn read(folder: &Path, keep: Keep) -> Result<(Decoder, Option<Parameters>), CheckpointError> {
    let (decoder, names) = read_config(folder)?;
    let weights = Weights::of(folder)?;
    // A small file whose config asks for a huge model must not take the memory of one; two bytes is the smallest number.
    let (numbers, bytes) = (decoder.numbers(), weights.bytes());
    if numbers * 2 > u128::from(bytes) {
        let message = format!("expected {numbers} numbers, as config.json asks for, found a file of {bytes} bytes");
        return Err(CheckpointError::tensors(weights.path(), message));
    }
    let mut reading = Reading::new(decoder, &names, keep);
    weights.each(|path, file| {
        let mut names = file.names();
        names.sort_by_key(|name| reading.place(name)); // so that the first misfit is named, and not the alphabet's
        names.iter().try_for_each(|name| reading.take(name, file).map_err(|m| CheckpointError::tensors(path, m)))
    })?;
    reading.finish().map_err(|message| CheckpointError::tensors(weights.path(), message))
}

/// A tensor as it goes into a file.
struct Written {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl safetensors::View for Written {
    fn dtype(&self) -> safetensors::Dtype {
        safetensors::Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A model whose tensors are read one by one.
struct Reading {
    decoder: Decoder,
    /// Where they are kept.
    parameters: Option<Parameters>,
    prefix: &'static str,
    /// By name, without the prefix.
    wanted: HashMap<String, (Stored, Found)>,
    /// Name of the output matrix; where it is the embedding, what a file has for it nevertheless.
    unembedding: String,
    second: Option<(String, Vec<f32>)>,
    /// The embedding, where that is it and the parameters are not kept.
    embedding: Option<Vec<f32>>,
}

/// Whether a tensor was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Yes,
    NotYet,
}

impl Reading {
    fn new(decoder: Decoder, names: &Names, keep: Keep) -> Self {
        let bare = |stored: Stored| {
            let name = stored.name.strip_prefix(names.prefix).unwrap_or(&stored.name).to_owned();
            (name, (stored, Found::NotYet))
        };
        Self {
            parameters: (keep == Keep::Weights).then(|| Parameters::zeros(&decoder)),
            prefix: names.prefix,
            wanted: names.stored(&decoder).into_iter().map(bare).collect(),
            unembedding: format!("{}.weight", names.unembedding),
            second: None,
            embedding: None,
            decoder,
        }
    }

    /// Where the tensor `name` belongs; after all others where it is not known.
    fn place(&self, name: &str) -> usize {
        let bare = name.strip_prefix(self.prefix).unwrap_or(name);
        self.wanted.get(bare).map_or(usize::MAX, |(stored, _)| stored.ours.start)
    }

    /// Reads the tensor `name` of `file` to where it belongs.
    fn take(&mut self, name: &str, file: &weights::File) -> Result<(), String> {
        let bare = name.strip_prefix(self.prefix).unwrap_or(name);
        if let Some((stored, found)) = self.wanted.get_mut(bare) {
            if std::mem::replace(found, Found::Yes) == Found::Yes {
                return Err(format!("expected `{name}` once, found it twice"));
            }
            let numbers = file.read(name, &stored.shape)?;
            if let Some(found) = numbers.iter().find(|number| !number.is_finite()) {
                return Err(format!("expected finite numbers in `{name}`, found {found}"));
            }
            match &mut self.parameters {
                Some(parameters) => stored.read(&numbers, &mut parameters.numbers_mut()[stored.ours.clone()]),
                None if self.decoder.tied && stored.ours.start == 0 => self.embedding = Some(numbers), // it comes first
                None => {}
            }
            return Ok(());
        }
        if bare == self.unembedding && self.decoder.tied {
            self.second = Some((name.to_owned(), file.read(name, &[self.decoder.vocab_size, self.decoder.width])?));
            return Ok(());
        }
        if BUFFERS.iter().any(|buffer| bare.ends_with(buffer)) {
            return Ok(());
        }
        let short: String = name.chars().take(80).collect();
        let (family, blocks) = (self.decoder.family.title(), counted(self.decoder.layers, "block"));
        Err(format!("found `{}`, which a {family} of {blocks} does not have", short.escape_debug()))
    }

    /// The model and what was kept, when all tensors were found.
    fn finish(self) -> Result<(Decoder, Option<Parameters>), String> {
        let missing = self.wanted.values().filter(|(_, found)| *found == Found::NotYet).map(|(stored, _)| stored);
        if let Some(Stored { name, shape, .. }) = missing.min_by_key(|stored| stored.ours.start) {
            return Err(format!("expected a tensor `{name}` of shape {shape:?}, found none"));
        }
        let embedding = match &self.parameters {
            Some(parameters) => parameters.of_role(Role::Embedding),
            None => self.embedding.as_deref(),
        };
        if let Some((name, second)) = &self.second
            && embedding != Some(second)
        {
            return Err(format!(
                "expected `{name}` to be the embedding, as `tie_word_embeddings` in config.json says, found other numbers"
            ));
        }
        Ok((self.decoder, self.parameters))
    }
}

#[cfg(test)]
mod tests;
