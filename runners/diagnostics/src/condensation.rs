//! Whether the cosines between points rise with depth.

use crate::pairs::PairCosines;
use crate::ranks::{kendall, spearman};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// Bins of a layer's histogram of cosines, as fine as a heatmap shows.
pub const CONDENSATION_BINS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(127); // 128

/// How the cosines between points are spread, layer by layer.
///
/// Embedding condensation is that the cosines between the tokens of a text gather near 1 from layer to layer, most of all in
/// small models. Liu et al., "Dispersion loss counteracts embedding condensation and improves generalization in small language
/// models", 2026, arXiv:2602.00217, who take the tokens of one sequence for a cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condensation {
    /// Mean cosine of each layer.
    pub mean_cosine: Vec<f64>,
    /// Histogram of each layer's cosines, from -1 to 1: the rows of a heatmap.
    pub histograms: Vec<Vec<f64>>,
    /// Spearman's correlation of the mean cosine with depth: 1 where it rises from each layer to the next. `None` below two
    /// layers, and where it never changes.
    pub spearman: Option<f64>,
    /// Kendall's τ_b of the same, `None` where that is.
    pub kendall: Option<f64>,
}

impl Condensation {
    /// Of layers in their order, the embedding first; their histograms with [`CONDENSATION_BINS`], if a heatmap is to be drawn.
    pub fn of(layers: &[PairCosines]) -> Self {
        let mean_cosine: Vec<f64> = layers.iter().map(|layer| layer.mean).collect();
        let depth: Vec<f64> = (0..layers.len()).map(|layer| layer as f64).collect();
        Self {
            spearman: spearman(&depth, &mean_cosine),
            kendall: kendall(&depth, &mean_cosine),
            histograms: layers.iter().map(|layer| layer.histogram.clone()).collect(),
            mean_cosine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Points;

    /// Two points at a cosine of `c`.
    fn layer(c: f64) -> PairCosines {
        let points = Points::new(vec![1.0, 0.0, c, (1.0 - c * c).sqrt()], 2).unwrap();
        PairCosines::of(&points, CONDENSATION_BINS).unwrap()
    }

    #[test]
    fn cosines_that_rise_but_once() {
        let found = Condensation::of(&[0.1, 0.3, 0.2, 0.9].map(layer));
        assert!((found.spearman.unwrap() - 0.8).abs() < 1e-12, "{found:?}");
        assert!((found.kendall.unwrap() - 4.0 / 6.0).abs() < 1e-12, "{found:?}");
        assert!((found.mean_cosine[3] - 0.9).abs() < 1e-12, "{found:?}");
        let bins = found.histograms.iter().map(|bins| bins.iter().position(|&share| share == 1.0).unwrap());
        assert!(bins.eq([70, 83, 76, 121])); // ⌊64·(1 + c)⌋
        assert!(found.histograms.iter().all(|bins| bins.len() == 128));
    }

    #[test]
    fn layers_that_have_no_order() {
        assert_eq!(Condensation::of(&[]).spearman, None);
        assert_eq!(Condensation::of(&[layer(0.5)]).kendall, None);
        assert_eq!(Condensation::of(&[layer(0.5), layer(0.5)]).spearman, None);
    }
}
