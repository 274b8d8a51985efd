//! Sums of the gradients that enter a backward pass.

use crate::engine::Upstream;
use crate::spec::{At, Site};
use regatta_kernels::vector::add;
use std::collections::BTreeMap;
use std::ops::Range;

/// Adds the gradient of what a term sees at a layer.
///
/// # Errors
/// When the place names no weight matrix, and should.
pub(super) fn add_at(upstream: &mut Upstream, at: &At, layer: usize, gradient: Vec<f32>) -> candle_core::Result<()> {
    match at.site {
        Site::HiddenStates => add_to(&mut upstream.hidden_states, layer, gradient),
        Site::Attention => add_to(&mut upstream.attention, layer - 1, gradient),
        Site::Mlp => add_to(&mut upstream.mlp, layer - 1, gradient),
        Site::Embedding => add_to_one(&mut upstream.embedding, gradient),
        Site::Unembedding => add_to_one(&mut upstream.unembedding, gradient),
        Site::Weights => add_to(&mut upstream.weights, (at.map()?, layer - 1), gradient),
    }
    Ok(())
}

/// Adds to the sum of a layer.
pub(super) fn add_to<K: Ord>(sums: &mut BTreeMap<K, Vec<f32>>, layer: K, gradient: Vec<f32>) {
    match sums.get_mut(&layer) {
        Some(sum) => add(sum, &gradient),
        None => drop(sums.insert(layer, gradient)),
    }
}

pub(super) fn add_to_one(sum: &mut Option<Vec<f32>>, gradient: Vec<f32>) {
    match sum {
        Some(sum) => add(sum, &gradient),
        None => *sum = Some(gradient),
    }
}

/// Adds to `part` the rows `own` of `whole`, the gradients of a batch of `tokens` tokens. Gradients of weights, which all parts
/// share, go to the first part.
pub(super) fn add_rows(part: &mut Upstream, whole: &Upstream, (own, tokens): (Range<usize>, usize)) {
    let rows = |grad: &Vec<f32>| {
        let d = grad.len() / tokens;
        grad[own.start * d..own.end * d].to_vec()
    };
    let add = |part: &mut BTreeMap<usize, Vec<f32>>, whole: &BTreeMap<usize, Vec<f32>>| {
        whole.iter().for_each(|(&layer, grad)| add_to(part, layer, rows(grad)));
    };
    add(&mut part.hidden_states, &whole.hidden_states);
    add(&mut part.attention, &whole.attention);
    add(&mut part.mlp, &whole.mlp);
    if own.start == 0 {
        part.embedding.clone_from(&whole.embedding);
        part.unembedding.clone_from(&whole.unembedding);
        part.weights.clone_from(&whole.weights);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Home;

    #[test]
    fn rows_of_a_batch_go_to_their_part_and_weights_to_the_first() {
        let mut whole = Upstream::default();
        let at = |site| At { site, ..At::from(Home::DEFAULT) };
        add_at(&mut whole, &at(Site::HiddenStates), 2, vec![1.0, 2.0, 3.0, 4.0]).unwrap(); // 4 tokens of 1 dim
        add_at(&mut whole, &at(Site::HiddenStates), 2, vec![10.0; 4]).unwrap();
        add_at(&mut whole, &at(Site::Embedding), 0, vec![7.0]).unwrap();
        let part = |own| {
            let mut part = Upstream::default();
            add_to(&mut part.hidden_states, 2, vec![0.5, 0.5]);
            add_rows(&mut part, &whole, (own, 4));
            (part.hidden_states[&2].clone(), part.embedding)
        };
        assert_eq!(part(0..2), (vec![11.5, 12.5], Some(vec![7.0])));
        assert_eq!(part(2..4), (vec![13.5, 14.5], None));
    }
}
