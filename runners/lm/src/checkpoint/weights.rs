//! The files that hold a checkpoint's weights: one, or shards with an index; safetensors, or what `torch.save` writes.

use super::CheckpointError;
use super::torch::Torch;
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where weights may lie in a folder, the first that is there.
const PLACES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// The weights of a checkpoint folder, not read yet.
pub(super) struct Weights {
    /// The file that a message names when no shard is at fault.
    path: PathBuf,
    /// The shards, and the tensors that the index says are there.
    shards: BTreeMap<PathBuf, BTreeSet<String>>,
    bytes: u64,
}

impl Weights {
    /// # Errors
    /// When there are none, or the index is broken or names a file that is not there.
    pub fn of(folder: &Path) -> Result<Self, CheckpointError> {
        let found = PLACES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        let none = || CheckpointError::tensors(folder, format!("expected one of {}, found none", PLACES.join(", ")));
        let path = found.ok_or_else(none)?;
        let is_index = path.extension().is_some_and(|extension| extension == "json");
        let shards = if is_index { shards(folder, &path)? } else { BTreeMap::from([(path.clone(), BTreeSet::new())]) };
        let size = |path: &PathBuf| fs::metadata(path).map(|found| found.len()).map_err(|source| file_error(path, source));
        let bytes = shards.keys().map(size).sum::<Result<u64, _>>()?;
        Ok(Self { path, shards, bytes })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All files that are read: the index, where there is one, and the files of weights.
    pub fn files(&self) -> Vec<PathBuf> {
        let index = (!self.shards.contains_key(&self.path)).then(|| self.path.clone());
        index.into_iter().chain(self.shards.keys().cloned()).collect()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads file after file, and lets each go before the next.
    ///
    /// # Errors
    /// When a file cannot be read, or lacks what the index says is in it, or with what `of` says of it.
    pub fn each(&self, mut of: impl FnMut(&Path, &File) -> Result<(), CheckpointError>) -> Result<(), CheckpointError> {
        for (path, indexed) in &self.shards {
            let bytes = fs::read(path).map_err(|source| file_error(path, source))?;
            let is_torch = path.extension().is_some_and(|extension| extension == "bin");
            let file = if is_torch { Torch::open(&bytes).map(File::Torch) } else { safetensors(&bytes) };
            let file = file.map_err(|message| CheckpointError::tensors(path, message))?;
            let names: BTreeSet<String> = file.names().into_iter().collect();
            if let Some(missing) = indexed.difference(&names).next() {
                let message = format!("expected `{}`, as the index says, found none", missing.escape_debug());
                return Err(CheckpointError::tensors(path, message));
            }
            of(path, &file)?;
        }
        Ok(())
    }
}

fn file_error(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::File { path: path.to_owned(), source }
}

/// The files that an index names. All lie beside it: a name that leads out of the folder is refused.
fn shards(folder: &Path, index: &Path) -> Result<BTreeMap<PathBuf, BTreeSet<String>>, CheckpointError> {
    let refuse = |message: String| CheckpointError::tensors(index, message);
    let text = fs::read_to_string(index).map_err(|source| file_error(index, source))?;
    let read: Value = serde_json::from_str(&text).map_err(|error| refuse(format!("expected JSON: {error}")))?;
    let map = read.get("weight_map").and_then(Value::as_object).filter(|map| !map.is_empty());
    let map = map.ok_or_else(|| refuse("expected a `weight_map` of tensors and their files, found none".into()))?;
    let wanted = if index.ends_with(PLACES[1]) { ".safetensors" } else { ".bin" };
    let mut shards: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for (name, file) in map {
        let legal = |file: &&str| file.ends_with(wanted) && !file.contains(['/', '\\', '\0']) && !file.starts_with('.');
        let file = file.as_str().filter(legal).ok_or_else(|| {
            let found: String = file.to_string().chars().take(80).collect();
            refuse(format!("expected the name of a {wanted} file beside it in `weight_map`, found {found}"))
        })?;
        let path = folder.join(file);
        if !shards.contains_key(&path) && !path.is_file() {
            return Err(refuse(format!("expected the file {file}, found none beside it")));
        }
        shards.entry(path).or_default().insert(name.clone());
    }
    Ok(shards)
}

/// One file, read and found whole.
pub(super) enum File<'a> {
    Safetensors(SafeTensors<'a>),
    Torch(Torch<'a>),
}

fn safetensors(bytes: &[u8]) -> Result<File<'_>, String> {
    // The header is checked against the file's length before any tensor is made, so a lying header costs nothing.
    SafeTensors::deserialize(bytes).map(File::Safetensors).map_err(|error| format!("expected a safetensors file: {error}"))
}

impl File<'_> {
    /// Names of its tensors, in an order that is the same each time.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors(file) => file.names().into_iter().map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect(),
            Self::Torch(torch) => torch.names(),
        }
    }

    /// The numbers of a tensor, which must be of this shape.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let check = |found: &[usize], dtype: Option<DType>, shown: &dyn std::fmt::Debug| {
            if found != shape {
                return Err(format!("expected `{name}` of shape {shape:?}, found {found:?}"));
            }
            let floats = [DType::F16, DType::BF16, DType::F32, DType::F64];
            dtype.filter(|dtype| floats.contains(dtype)).ok_or_else(|| format!("expected `{name}` of floats, found {shown:?}"))
        };
        match self {
            Self::Safetensors(file) => {
                let tensor = file.tensor(name).map_err(|error| error.to_string())?;
                let dtype = check(tensor.shape(), DType::try_from(tensor.dtype()).ok(), &tensor.dtype())?;
                widened(tensor.data(), dtype)
            }
            Self::Torch(file) => {
                let tensor = file.tensor(name)?;
                let dtype = check(&tensor.shape, tensor.dtype, &tensor.class)?;
                widened(file.data(&tensor, dtype)?, dtype)
            }
        }
        .map_err(|message| if message.contains('`') { message } else { format!("{name}: {message}") })
    }
}

/// Little-endian floats as float32; of 64 bits they are rounded.
fn widened(bytes: &[u8], dtype: DType) -> Result<Vec<f32>, String> {
    if dtype == DType::F32 {
        let (numbers, _) = bytes.as_chunks::<4>();
        return Ok(numbers.iter().map(|number| f32::from_le_bytes(*number)).collect());
    }
    let count = bytes.len() / dtype.size_in_bytes();
    let tensor = Tensor::from_raw_buffer(bytes, dtype, &[count], &Device::Cpu);
    tensor.and_then(|tensor| tensor.to_dtype(DType::F32)?.to_vec1()).map_err(|error| error.to_string())
}
