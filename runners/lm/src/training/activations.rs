//! The activations of several passes, taken together.

use super::terms::weighted;
use crate::engine::{Activations, Numbers};
use crate::spec::{Site, Term};
use candle_core::Result;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Activations of several passes, one after the other.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    sequences: usize,
    time: usize,
    activations: BTreeMap<(Site, usize), Numbers>,
}

impl Gathered {
    /// Adds what the terms with a weight at `step` see of the whole batch.
    pub fn add(&mut self, pass: &dyn Activations, terms: &[Term], step: usize, blocks: usize) -> Result<()> {
        let (sequences, time) = pass.shape();
        (self.sequences, self.time) = (self.sequences + sequences, time);
        let mut places: Vec<(Site, usize)> = Vec::new();
        for (_, term, _) in weighted(terms, step).filter(|(_, term, _)| term.at.sees_whole_batch()) {
            let layers = term.at.layer_indices(blocks).unwrap_or_default(); // refused where the penalty is computed
            places.extend(layers.into_iter().map(|layer| (term.at.site, layer)));
        }
        places.sort_unstable();
        places.dedup();
        for (site, layer) in places {
            let here = pass.at(site, layer)?;
            match self.activations.entry((site, layer)) {
                Entry::Vacant(vacant) => drop(vacant.insert(here)),
                Entry::Occupied(mut gathered) => gathered.get_mut().extend(here)?,
            }
        }
        Ok(())
    }
}

impl Activations for Gathered {
    fn shape(&self) -> (usize, usize) {
        (self.sequences, self.time)
    }

    fn at(&self, site: Site, layer: usize) -> Result<Numbers> {
        Ok(self.activations.get(&(site, layer)).cloned().unwrap_or(Numbers::Floats(Vec::new())))
    }
}
