//! How large the vocabulary of a model is.

use super::DataError;
use super::token_files::LARGEST_VOCABULARY;

/// The vocabulary of the model, where the data's has `found` entries.
pub(super) fn fit(name: &str, found: usize, checkpoint: Option<usize>) -> Result<usize, DataError> {
    let name = || name.to_string();
    match checkpoint {
        _ if found > LARGEST_VOCABULARY => Err(DataError::VocabularyTooLarge { name: name(), found }),
        Some(model) if found > model => Err(DataError::BeyondCheckpoint { name: name(), found, model }),
        Some(model) => Ok(model),
        None => Ok(found),
    }
}
