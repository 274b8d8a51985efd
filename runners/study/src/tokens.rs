//! Where the tokens of a study's text are kept.

use regatta_lm::data::Cache;
use regatta_records::disk::TokensDisk;
use std::path::{Path, PathBuf};

/// The cache of a run into `out`: the folder `.tokens` beside it, which the studies there share.
pub fn tokens_of(out: &Path) -> Cache {
    Cache::writable(folder(out), &TokensDisk)
}

/// As [`tokens_of`], read-only.
pub fn tokens_there(out: &Path) -> Cache {
    Cache::readonly(folder(out))
}

fn folder(out: &Path) -> PathBuf {
    out.parent().unwrap_or(Path::new("")).join(".tokens")
}
