//! Pairs of texts that people scored by how alike they are, and the vectors that a model has for texts.
//!
//! A file is JSONL: `first` and `second` are texts, `score` is a number, higher for texts that are more alike; other fields are
//! ignored. The vector of a text is the mean over its tokens of the last hidden state, as Su et al. 2021 (arXiv:2103.15316) take
//! it; of a text beyond the model's positions, of its first tokens.

use super::{TaskError, lines};
use crate::data::Tokenizer;
use crate::engine::{Forward, Keep, Measured};
use crate::measure::{MeasureError, Watch};
use regatta_core::Site;
use regatta_diagnostics::{Mapped, Points, Scored, after_training};
use std::collections::HashMap;
use std::path::Path;

/// Pairs of texts and their scores.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarityPairs {
    /// The texts' tokens, each text once.
    texts: Vec<Vec<u32>>,
    /// The texts of each pair.
    pub pairs: Vec<(usize, usize)>,
    /// A score for each pair.
    pub scores: Vec<f64>,
}

impl SimilarityPairs {
    /// Reads a file of pairs.
    ///
    /// # Errors
    /// When it cannot be read, holds what is no pair or fewer than two, or a text has no tokens.
    pub fn read(path: &Path, tokenizer: &Tokenizer) -> Result<Self, TaskError> {
        let mut found = Self { texts: Vec::new(), pairs: Vec::new(), scores: Vec::new() };
        let mut known = HashMap::new();
        for (line, ([first, second], score)) in lines::scored_pairs(path)? {
            let mut number = |field: &str, text: String| {
                if let Some(&number) = known.get(&text) {
                    return Ok(number);
                }
                let tokens = tokenizer.encode(&text)?;
                if tokens.is_empty() {
                    return Err(TaskError::item(path, line, field.into(), "what makes at least one token", format!("{text:?}")));
                }
                found.texts.push(tokens);
                known.insert(text, found.texts.len() - 1);
                Ok(found.texts.len() - 1)
            };
            let pair = (number("first", first)?, number("second", second)?);
            found.pairs.push(pair);
            found.scores.push(score);
        }
        Ok(found)
    }

    /// The model's vectors as they are and after each map: PCA to `dims` dims too, where that is given.
    ///
    /// # Errors
    /// As [`vectors`](Self::vectors); when `dims` is 0 or above the width.
    pub fn after_training(
        &self,
        model: Measured<'_>,
        dims: Option<usize>,
        watch: Watch<'_>,
    ) -> Result<Vec<Mapped>, MeasureError> {
        let scored = Scored { pairs: &self.pairs, scores: &self.scores };
        Ok(after_training(&self.vectors(model, watch)?, dims, Some(scored))?)
    }

    /// The model's vector of each text (texts, width).
    ///
    /// # Errors
    /// When a token lies outside the vocabulary, a number is not finite, or `watch` ends it.
    pub fn vectors(&self, model: Measured<'_>, watch: Watch<'_>) -> Result<Points, MeasureError> {
        let (width, last, positions) = (model.decoder().width, model.decoder().layers, model.decoder().context);
        let cut = |text: usize| &self.texts[text][..self.texts[text].len().min(positions)];
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_by_key(|&text| cut(text).len()); // texts of one length go through the same buffers
        let mut vectors = vec![0.0; self.texts.len() * width];
        let mut pass: Option<Forward<'_>> = None;
        for text in order {
            if !watch() {
                return Err(MeasureError::Interrupted);
            }
            let tokens = cut(text);
            let pass = match pass.take().filter(|pass| pass.shape() == (1, tokens.len())) {
                Some(same) => pass.insert(same),
                None => pass.insert(model.pass(1, tokens.len(), Keep::HiddenStates)?),
            };
            pass.forward(tokens)?;
            let states = pass.at(Site::HiddenStates, last)?; // (t, d)
            let vector = &mut vectors[text * width..][..width];
            for state in states.chunks_exact(width) {
                vector.iter_mut().zip(state).for_each(|(sum, x)| *sum += f64::from(*x) / tokens.len() as f64);
            }
        }
        Ok(Points::new(vectors, width)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoder, Family, Model, Sizes};

    fn read(text: &str) -> Result<SimilarityPairs, TaskError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        std::fs::write(&path, text).unwrap();
        SimilarityPairs::read(&path, &Tokenizer::bytes())
    }

    #[test]
    fn each_text_is_known_once() {
        let line = |first, second, score| format!("{{\"first\": \"{first}\", \"second\": \"{second}\", \"score\": {score}}}\n");
        let found = read(&(line("a", "bc", "1.5") + &line("bc", "a", "2"))).unwrap();
        assert_eq!((found.texts.len(), found.pairs.clone(), found.scores.clone()), (2, vec![(0, 1), (1, 0)], vec![1.5, 2.0]));
        let spec = Sizes { layers: 1, width: 4, heads: 2, context: 1, mlp_width: 8 };
        let model = Model::fresh(Decoder::new(Family::Gpt2, spec, 256), 0);
        let points = found.vectors((&model).into(), &|| true).unwrap();
        assert_eq!((points.count(), points.dims()), (2, 4));
        assert_ne!(points.row(0), points.row(1));
        assert!(matches!(found.vectors((&model).into(), &|| false), Err(MeasureError::Interrupted)));
    }

    #[test]
    fn lines_that_are_no_pairs_are_refused() {
        let refused = |line: &str| read(&format!("{line}\n{line}\n")).unwrap_err().to_string();
        assert!(refused(r#"{"first": "a", "score": 1}"#).ends_with("pairs.jsonl:1: second: expected words, found nothing"));
        assert!(refused(r#"{"first": "a", "second": "b", "score": "3"}"#).ends_with(r#"score: expected a number, found "3""#));
        assert!(
            refused("").ends_with("expected text or tokens, found an empty file") || refused("").contains("at least 2 lines")
        );
    }
}
