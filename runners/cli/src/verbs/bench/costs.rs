//! What every linked regularizer costs on `small`, default and forms, as the file that `regatta list --costs` reads.

use super::cloud::{self, Shape};
use super::{Named, round, training};
use crate::failure::Failure;
use crate::verbs::costs::{Costs, forms};
use regatta_core::{Plugin, registry};
use std::collections::BTreeMap;

const ABOUT: &str = "value and gradient at all blocks of the shape side by side, as in a step, as a share of a step without it \
                     measured just before; median of three; by `regatta bench --costs > docs/costs.json`";

const REPETITIONS: usize = 3;

/// Measures each form of each card; says on stderr which one it is at.
pub(super) fn measure() -> Result<Costs, Failure> {
    let mut shares = BTreeMap::new();
    for card in registry::cards().map_err(Failure::refused)?.values() {
        for (words, form) in forms(card) {
            tracing::info!("{words}");
            let (shape, blocks) = training::usual_cloud(card.name);
            let named = Named { words: words.clone(), plugin: Plugin(form) };
            shares.insert(words, Some(share(shape, blocks, &named)?));
        }
    }
    Ok(Costs { about: ABOUT.into(), shape: "small".into(), shares })
}

/// The median of a few: other work on the machine may slow one of them.
fn share(shape: Shape, blocks: usize, named: &Named) -> Result<f64, Failure> {
    let shares: Result<Vec<f64>, Failure> = (0..REPETITIONS)
        .map(|_| {
            let step = training::measure(&training::Training::small(), None)?.step_ms;
            let penalty = cloud::measure(shape, blocks, named, false)?.value_and_gradient_ms;
            Ok(penalty / step)
        })
        .collect();
    let mut shares = shares?;
    shares.sort_by(f64::total_cmp);
    Ok(round(shares[REPETITIONS / 2], 4))
}
