//! The token files of a study: which they are, of which form, and whether they can be what the study says.

mod forms;
mod looks;
mod npy;
mod sample;
mod shard;

use super::tokens::{LARGEST_VOCABULARY, Tokens};
use super::{DataError, Split};
use crate::spec::{Paths, TokensSpec};
use forms::form_of;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Train, validation, and test where there is one. Ids lie below `vocab_size` where that is known, which is checked when they are
/// read.
///
/// # Errors
/// When a pattern has no files; when a file cannot be opened, is empty, or is not what the study says; when two splits share a file
/// or one has a file twice.
pub(super) fn open(spec: &TokensSpec, vocab_size: Option<usize>) -> Result<([Split; 2], Option<Split>), DataError> {
    let files = |field, paths: &Paths| {
        paths.files().map_err(|error| DataError::Paths { field: format!("data.tokens.{field}"), error: Box::new(error) })
    };
    let train = files("train", &spec.train)?;
    let validation = files("validation", &spec.validation)?;
    let test = spec.test.as_ref().map(|test| files("test", test)).transpose()?;
    let named = [("train", Some(&train)), ("validation", Some(&validation)), ("test", test.as_ref())];
    each_once(named.into_iter().filter_map(|(name, files)| Some((name, files?))))?;
    let split = |files: Vec<PathBuf>| {
        let described = files.iter().map(|path| form_of(path, spec.dtype, vocab_size)).collect::<Result<Vec<_>, _>>()?;
        let tokens = Tokens::files(described, vocab_size.unwrap_or(LARGEST_VOCABULARY))?;
        Ok::<_, DataError>(Split { name: name(&files), tokens, bytes: None, lost: None, best_loss: None })
    };
    Ok(([split(train)?, split(validation)?], test.map(split).transpose()?))
}

/// What messages call a split.
pub(super) fn name(files: &[PathBuf]) -> String {
    match files {
        [one] => one.display().to_string(),
        [first, .., last] => format!("{} … {} ({} files)", first.display(), last.display(), files.len()),
        [] => String::new(),
    }
}

/// Whether no file occurs twice, by whatever name: what is trained on must not be what is reported.
pub(super) fn each_once<'a>(splits: impl Iterator<Item = (&'static str, &'a Vec<PathBuf>)>) -> Result<(), DataError> {
    let mut seen: HashMap<Identity, (&'static str, &Path)> = HashMap::new();
    for (split, files) in splits {
        for path in files {
            let Some((first, other)) = seen.insert(identity(path)?, (split, path)) else { continue };
            let (path, other) = (path.clone(), other.to_path_buf());
            return Err(if first == split {
                DataError::Twice { path, other, split }
            } else {
                DataError::Shared { path, other, splits: [first, split] }
            });
        }
    }
    Ok(())
}

/// What two names of one file have in common: links to it too.
type Identity = (u64, u64, Option<PathBuf>);

fn identity(path: &Path) -> Result<Identity, DataError> {
    let facts = super::files::facts(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok((facts.dev(), facts.ino(), None))
    }
    #[cfg(not(unix))]
    {
        let real = path.canonicalize().map_err(|source| DataError::Read { path: path.into(), source })?;
        Ok((facts.len(), 0, Some(real)))
    }
}

#[cfg(test)]
mod tests;
