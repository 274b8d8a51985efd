//! The geometry of a model's activations and matrices.

use super::windows::{in_batches, spread_evenly};
use crate::data::Split;
use crate::engine::{Keep, Measured};
use crate::measure::{MeasureError, Watch};
use crate::model::Decoder;
use regatta_core::Site;
use regatta_diagnostics::{
    Anisotropy, ByFrequency, CONDENSATION_BINS, Condensation, OutlierDimension, PairCosines, Points, by_frequency,
    outlier_dimensions,
};
use serde::{Deserialize, Serialize};

/// Standard deviations above which a dim is an outlier: the field's convention.
const DEVIATIONS: f64 = 3.0;
/// Rows of the embedding matrix in its cloud, the most frequent tokens first.
const EMBEDDING_POINTS: usize = 4096;

/// The geometry of a model, layer by layer, after so many updates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Updates made before.
    pub step: usize,
    /// By entry of the hidden states: 0 the embedding, the last after the final norm.
    pub hidden_states: Vec<CloudDiagnosis>,
    /// Spearman's correlation of the mean cosine within sequences with depth: see [`Condensation`].
    pub spearman: Option<f64>,
    /// Kendall's of the same.
    pub kendall: Option<f64>,
    /// Of what each block's attention adds to the residual stream.
    pub attention: Vec<CloudDiagnosis>,
    /// Of what each block's MLP adds.
    pub mlp: Vec<CloudDiagnosis>,
    /// Of the embedding matrix: the rows of the most frequent tokens.
    pub embedding: CloudDiagnosis,
    /// Of the output matrix, where it is not the embedding: the same rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unembedding: Option<CloudDiagnosis>,
    /// The embedding matrix by how often its tokens occur in the training split.
    pub by_frequency: ByFrequency,
}

/// The geometry of one cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudDiagnosis {
    /// Of all points as one cloud.
    pub all: Anisotropy,
    /// Of the pairs within a sequence, as Liu et al. 2026 (arXiv:2602.00217) take them; `None` where points have no sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<PairCosines>,
    /// Dims more than three standard deviations above the others.
    pub outliers: Vec<OutlierDimension>,
}

/// What a diagnosis looks at.
#[derive(Clone, Copy)]
pub struct Diagnosed<'a> {
    /// Text that the model was not trained on.
    pub split: &'a Split,
    /// How often each token of the vocabulary occurs in training.
    pub counts: &'a [u64],
    /// Tokens of a sequence.
    pub context: usize,
    /// Sequences that go through the model at a time.
    pub rows: usize,
    /// Tokens of a layer's cloud, in whole sequences.
    pub points: usize,
}

/// Measures `model` after `step` updates.
///
/// # Errors
/// When an activation is not finite, or `watch` ends it.
pub fn diagnose(model: Measured<'_>, step: usize, of: Diagnosed<'_>, watch: Watch<'_>) -> Result<Diagnosis, MeasureError> {
    let decoder = model.decoder();
    let numbers = model.model()?;
    let [hidden_states, attention, mlp] = activations(model, of, watch)?;
    let clouds = |all: Vec<Vec<f32>>| -> Result<Vec<CloudDiagnosis>, MeasureError> {
        let diagnosis = |cloud: Vec<f32>| {
            if watch() { of_cloud(&cloud, decoder.width, Some(of.context)) } else { Err(MeasureError::Interrupted) }
        };
        all.into_iter().map(diagnosis).collect()
    };
    let hidden_states = clouds(hidden_states)?;
    let within: Vec<PairCosines> = hidden_states.iter().filter_map(|layer| layer.within.clone()).collect();
    let condensation = Condensation::of(&within);
    let rows = Points::new(numbers.embedding().iter().map(|&x| f64::from(x)).collect(), decoder.width)?;
    let matrix = |matrix: &[f32]| of_cloud(&most_frequent(decoder, matrix, of.counts), decoder.width, None);
    Ok(Diagnosis {
        step,
        hidden_states,
        spearman: condensation.spearman,
        kendall: condensation.kendall,
        attention: clouds(attention)?,
        mlp: clouds(mlp)?,
        embedding: matrix(numbers.embedding())?,
        unembedding: if decoder.tied { None } else { Some(matrix(numbers.unembedding())?) },
        by_frequency: by_frequency(&rows, of.counts)?,
    })
}

/// Hidden states by entry, and what attention and MLP add by block: the points of each, (points, d).
fn activations(model: Measured<'_>, of: Diagnosed<'_>, watch: Watch<'_>) -> Result<[Vec<Vec<f32>>; 3], MeasureError> {
    let Diagnosed { split, context, rows, points, .. } = of;
    let blocks = model.decoder().layers;
    let windows = spread_evenly(split.windows(context), points.div_ceil(context));
    let [mut hidden_states, mut attention, mut mlp] = [blocks + 1, blocks, blocks].map(|entries| vec![Vec::new(); entries]);
    let keep = Keep::ForBackward { contributions: true };
    in_batches(model, (split, context, rows), &windows, (keep, watch), |pass, _| {
        let sites = [(Site::HiddenStates, 0, &mut hidden_states), (Site::Attention, 1, &mut attention), (Site::Mlp, 1, &mut mlp)];
        for (site, first, clouds) in sites {
            for (cloud, layer) in clouds.iter_mut().zip(first..) {
                cloud.extend(pass.at(site, layer)?);
            }
        }
        Ok(())
    })?;
    Ok([hidden_states, attention, mlp])
}

fn of_cloud(numbers: &[f32], dims: usize, sequence: Option<usize>) -> Result<CloudDiagnosis, MeasureError> {
    let points = |numbers: &[f32]| Points::new(numbers.iter().map(|&x| f64::from(x)).collect(), dims);
    let all = points(numbers)?;
    let sequences = sequence.map(|tokens| numbers.chunks(tokens * dims)).into_iter().flatten();
    let within: Option<Vec<PairCosines>> =
        sequences.map(|sequence| PairCosines::of(&points(sequence).ok()?, CONDENSATION_BINS)).collect();
    Ok(CloudDiagnosis {
        within: within.and_then(|sequences| PairCosines::within(&sequences)),
        outliers: outlier_dimensions(&all, DEVIATIONS),
        all: Anisotropy::of(&all, CONDENSATION_BINS)?,
    })
}

/// Rows of a matrix (v, d), the most frequent tokens first.
fn most_frequent(decoder: &Decoder, matrix: &[f32], counts: &[u64]) -> Vec<f32> {
    let width = decoder.width;
    let mut tokens: Vec<usize> = (0..decoder.vocab_size).collect();
    tokens.sort_by_key(|&token| std::cmp::Reverse(counts.get(token)));
    tokens.iter().take(EMBEDDING_POINTS).flat_map(|token| &matrix[token * width..][..width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Model, Sizes};

    fn split(tokens: Vec<u32>) -> Split {
        Split { name: "text".into(), tokens: tokens.into(), bytes: None, lost: None, best_loss: None }
    }

    #[test]
    fn every_place_of_a_model_is_measured() {
        let config = Decoder::new(Family::Gpt2, Sizes { layers: 2, width: 8, heads: 2, context: 6, mlp_width: 16 }, 5);
        let model = Model::fresh(config, 0);
        let split = split((0..50).map(|i| i * i % 5).collect());
        let of = Diagnosed { split: &split, counts: &[9, 0, 3, 3, 1], context: 6, rows: 2, points: 20 };
        let found = diagnose((&model).into(), 7, of, &|| true).unwrap();
        assert_eq!((found.step, found.hidden_states.len(), found.attention.len(), found.mlp.len()), (7, 3, 2, 2));
        let first = &found.hidden_states[0];
        assert_eq!((first.all.cosine_histogram.len(), first.within.as_ref().unwrap().histogram.len()), (128, 128));
        assert!(found.embedding.within.is_none(), "rows of a matrix have no sequence");
        assert_eq!(found.by_frequency.never.tokens, 1);
        let written = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Diagnosis>(&written).unwrap(), found);
        assert!(matches!(diagnose((&model).into(), 0, of, &|| false), Err(MeasureError::Interrupted)));
    }

    #[test]
    fn the_cosines_within_sequences_are_not_those_between_them() {
        // two sequences, each of one direction, at right angles
        let found = of_cloud(&[1.0, 0.0, 2.0, 0.0, 0.0, 1.0, 0.0, 3.0], 2, Some(2)).unwrap();
        assert_eq!(found.within.unwrap().mean, 1.0);
        assert!((found.all.mean_cosine.unwrap() - 1.0 / 3.0).abs() < 1e-12); // two of six pairs
    }

    #[test]
    fn a_model_without_blocks_is_its_embedding() {
        let config = Decoder::new(Family::Gpt2, Sizes { layers: 0, width: 4, heads: 1, context: 4, mlp_width: 8 }, 3);
        let split = split(vec![0, 1, 2, 1, 0, 2, 1, 1, 0]);
        let of = Diagnosed { split: &split, counts: &[1, 1, 1], context: 4, rows: 1, points: 8 };
        let found = diagnose((&Model::fresh(config, 0)).into(), 0, of, &|| true).unwrap();
        assert_eq!((found.hidden_states.len(), found.spearman), (1, None));
    }
}
