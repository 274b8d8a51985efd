//! Guards around files of others, on which the crate `tokenizers` may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The crate `tokenizers` panics on a merge whose result has no token; so we look for the result first.
pub(super) fn merges_lie_in_vocabulary(json: &[u8]) -> Result<(), String> {
    let json: serde_json::Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let model = &json["model"];
    let prefix = model["continuing_subword_prefix"].as_str().unwrap_or("");
    let heading = |merge: &&serde_json::Value| merge.as_str().is_some_and(|line| line.starts_with("#version"));
    for merge in model["merges"].as_array().into_iter().flatten().filter(|merge| !heading(merge)) {
        let parts = match (merge.as_str(), merge.as_array().map(Vec::as_slice)) {
            (Some(line), _) => line.split_once(' '),
            (_, Some([left, right])) => left.as_str().zip(right.as_str()),
            _ => None,
        };
        let Some((left, right)) = parts else { return Err(format!("expected a merge of two tokens, found {merge}")) };
        let Some(rest) = right.strip_prefix(prefix) else {
            return Err(format!("in the merge {merge}, expected {right:?} to start with {prefix:?}"));
        };
        let merged = format!("{left}{rest}");
        if let Some(missing) = [left, right, &merged].into_iter().find(|token| model["vocab"].get(token).is_none()) {
            return Err(format!("the merge {merge} needs the token {missing:?}, which the vocabulary lacks"));
        }
    }
    Ok(())
}

/// Runs code of the crate `tokenizers` on a file's say: a panic of its own becomes a message.
pub(super) fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("the crate `tokenizers` panicked on it".into()),
    }
}
