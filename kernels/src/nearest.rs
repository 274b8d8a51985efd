//! Suggestions for misspelled names.

/// The known name nearest to `word` in edit distance, if it is near enough to be a misspelling of it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 3)
        .min()
        .map(|(_, name)| name)
}
