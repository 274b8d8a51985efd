//! What penalties see of a batch: the activations of one pass, or of several.

use super::terms::weighted;
use crate::engine::Pass;
use crate::spec::{Site, Term};
use std::collections::BTreeMap;

/// Activations of a batch, after its forward pass.
pub(super) trait Activations: Sync {
    /// Sequences, and tokens of each.
    fn shape(&self) -> (usize, usize);

    /// Those of a site at a layer (b·t, d), with layers counted as places count them.
    fn at(&self, site: Site, layer: usize) -> Vec<f32>;
}

impl Activations for Pass {
    fn shape(&self) -> (usize, usize) {
        Pass::shape(self)
    }

    fn at(&self, site: Site, layer: usize) -> Vec<f32> {
        match site {
            Site::HiddenStates => self.hidden_state(layer),
            Site::Attention => self.attention(layer - 1),
            Site::Mlp => self.mlp(layer - 1),
            Site::Embedding | Site::Unembedding | Site::Weights => Vec::new(), // not of a batch
        }
    }
}

/// Activations of several passes, one after the other.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    sequences: usize,
    time: usize,
    activations: BTreeMap<(Site, usize), Vec<f32>>,
}

impl Gathered {
    /// Adds what the terms with a weight at `step` see of the whole batch.
    pub fn add(&mut self, pass: &Pass, terms: &[Term], step: usize, blocks: usize) {
        let (sequences, time) = Pass::shape(pass);
        (self.sequences, self.time) = (self.sequences + sequences, time);
        let mut places: Vec<(Site, usize)> = Vec::new();
        for (_, term, _) in weighted(terms, step).filter(|(_, term, _)| term.at.sees_whole_batch()) {
            let layers = term.at.layer_indices(blocks).unwrap_or_default(); // refused where the penalty is computed
            places.extend(layers.into_iter().map(|layer| (term.at.site, layer)));
        }
        places.sort_unstable();
        places.dedup();
        for (site, layer) in places {
            self.activations.entry((site, layer)).or_default().extend(pass.at(site, layer));
        }
    }
}

impl Activations for Gathered {
    fn shape(&self) -> (usize, usize) {
        (self.sequences, self.time)
    }

    fn at(&self, site: Site, layer: usize) -> Vec<f32> {
        self.activations.get(&(site, layer)).cloned().unwrap_or_default()
    }
}
