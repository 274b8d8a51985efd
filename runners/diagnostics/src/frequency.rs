//! How the vectors of frequent words lie, and those of rare ones.

use crate::points::{Points, dot, norm, to_unit};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The vectors of a matrix of embeddings by how often their tokens occur.
///
/// Rare words are pushed into a cone of their own, away from the frequent ones, since the loss only ever moves them off the
/// hidden states. Gao et al., "Representation degeneration problem in training natural language generation models", ICLR 2019,
/// arXiv:1907.12009.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByFrequency {
    /// Ten classes of the tokens that occur, the most frequent first: of m tokens, class k has those from `⌊k m/10⌋` on in the
    /// order of their counts, equal counts in the order of their ids.
    pub deciles: Vec<FrequencyClass>,
    /// The tokens that never occur.
    pub never: FrequencyClass,
}

/// Tokens that occur about equally often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrequencyClass {
    /// How many there are.
    pub tokens: usize,
    /// The lowest of their counts; `None` where there are no tokens, as in all that follow.
    pub lowest_count: Option<u64>,
    /// The highest of their counts.
    pub highest_count: Option<u64>,
    /// Mean cosine over pairs i≠j of the class; `None` below two tokens, too.
    pub mean_cosine: Option<f64>,
    /// Mean cosine with the mean of all rows of the matrix, those of other classes included.
    pub cosine_to_mean: Option<f64>,
    /// Mean norm.
    pub mean_norm: Option<f64>,
}

/// The classes of a cloud of embeddings and their tokens' counts, in v·d work; a zero vector has cosine 0 with all.
///
/// # Shapes
/// embeddings (v, d), counts (v)
///
/// # Errors
/// When there is not one count a row.
pub fn by_frequency(embeddings: &Points, counts: &[u64]) -> Result<ByFrequency> {
    if counts.len() != embeddings.count() {
        return Err(Error::Unequal { what: "counts, one a row", expected: embeddings.count(), found: counts.len() });
    }
    let mut tokens: Vec<usize> = (0..counts.len()).collect();
    tokens.sort_by_key(|&token| std::cmp::Reverse(counts[token])); // stable: equal counts stay in order
    let occurring = tokens.partition_point(|&token| counts[token] > 0);
    let mean = embeddings.mean();
    let towards = to_unit(norm(&mean));
    let class = |tokens: &[usize]| {
        let mut sums = Sums::of(embeddings, tokens, &mean, towards);
        let n = tokens.len() as f64;
        sums.all.iter_mut().for_each(|sum| *sum *= *sum);
        let pairs = sums.all.iter().sum::<f64>() - sums.own;
        FrequencyClass {
            tokens: tokens.len(),
            lowest_count: tokens.last().map(|&token| counts[token]),
            highest_count: tokens.first().map(|&token| counts[token]),
            mean_cosine: (tokens.len() > 1).then(|| pairs / (n * (n - 1.0))),
            cosine_to_mean: (!tokens.is_empty()).then(|| sums.along_mean / n),
            mean_norm: (!tokens.is_empty()).then(|| sums.norms / n),
        }
    };
    let decile = |k: usize| class(&tokens[k * occurring / 10..(k + 1) * occurring / 10]);
    Ok(ByFrequency { deciles: (0..10).into_par_iter().with_max_len(1).map(decile).collect(), never: class(&tokens[occurring..]) })
}

/// Sums over the tokens of a class, u being their vectors scaled to norm 1.
struct Sums {
    /// `Σ u_i`
    all: Vec<f64>,
    /// `Σ ‖u_i‖²`
    own: f64,
    along_mean: f64,
    norms: f64,
}

impl Sums {
    fn of(embeddings: &Points, tokens: &[usize], mean: &[f64], towards: f64) -> Self {
        let mut sums = Self { all: vec![0.0; embeddings.dims()], own: 0.0, along_mean: 0.0, norms: 0.0 };
        for &token in tokens {
            let row = embeddings.row(token);
            let norm = norm(row);
            let scale = to_unit(norm);
            sums.norms += norm;
            sums.along_mean += scale * towards * dot(row, mean);
            for (sum, x) in sums.all.iter_mut().zip(row) {
                let u = scale * x;
                *sum += u;
                sums.own += u * u;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normals, same_on_all_threads};

    #[test]
    fn twenty_words_and_two_that_never_occur() {
        // word w occurs 20 - w times and lies at angle 0 where w is even, at 90° where it is odd; the last two never occur
        let axis = |w: usize| if w.is_multiple_of(2) { [2.0, 0.0] } else { [0.0, 2.0] };
        let embeddings = Points::new((0..20).flat_map(axis).chain([-1.0, 0.0, -3.0, 0.0]).collect(), 2).unwrap();
        let counts: Vec<u64> = (0..20).map(|w| 20 - w).chain([0, 0]).collect();
        let found = by_frequency(&embeddings, &counts).unwrap();
        assert_eq!(found.deciles.len(), 10);
        let mean = [(20.0 - 4.0) / 22.0, 20.0 / 22.0]; // of all 22 rows: (16, 20), of norm √656
        let between = 0.5 * (mean[0] + mean[1]) / norm(&mean);
        for (k, class) in found.deciles.iter().enumerate() {
            let highest = 20 - 2 * k as u64;
            assert_eq!((class.tokens, class.highest_count, class.lowest_count), (2, Some(highest), Some(highest - 1)));
            assert_eq!((class.mean_cosine, class.mean_norm), (Some(0.0), Some(2.0)));
            assert!((class.cosine_to_mean.unwrap() - between).abs() < 1e-12, "{class:?}");
        }
        assert_eq!((found.never.tokens, found.never.highest_count), (2, Some(0)));
        assert_eq!((found.never.mean_cosine, found.never.mean_norm), (Some(1.0), Some(2.0)));
        assert!((found.never.cosine_to_mean.unwrap() + 16.0 / 656f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn equal_counts_and_few_words() {
        let embeddings = Points::new(vec![1.0, 0.0, 3.0], 1).unwrap();
        let found = by_frequency(&embeddings, &[5, 5, 5]).unwrap();
        let sizes: Vec<usize> = found.deciles.iter().map(|class| class.tokens).collect();
        assert_eq!(sizes, [0, 0, 0, 1, 0, 0, 1, 0, 0, 1]); // from ⌊3k/10⌋ to ⌊3(k + 1)/10⌋
        assert_eq!(found.deciles[3].mean_norm, Some(1.0)); // in the order of their ids
        assert_eq!((found.deciles[6].cosine_to_mean, found.deciles[6].mean_cosine), (Some(0.0), None)); // the zero vector
        assert_eq!((found.never.tokens, found.never.mean_norm, found.never.lowest_count), (0, None, None));
        let silent = by_frequency(&embeddings, &[0, 0, 0]).unwrap();
        assert!(silent.deciles.iter().all(|class| class.tokens == 0) && silent.never.tokens == 3);
    }

    #[test]
    fn counts_of_another_vocabulary_are_refused() {
        let error = by_frequency(&normals(3, 2), &[1, 2]).unwrap_err().to_string();
        assert_eq!(error, "expected 3 counts, one a row, found 2");
    }

    #[test]
    fn threads_change_nothing() {
        let (embeddings, counts) = (normals(1_000, 8), (0..1_000).map(|w| w * w % 37).collect::<Vec<_>>());
        same_on_all_threads(|| by_frequency(&embeddings, &counts).unwrap());
    }
}
