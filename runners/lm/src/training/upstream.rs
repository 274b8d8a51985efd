//! Sums of the gradients that enter a backward pass.

use crate::engine::{Numbers, Upstream};
use crate::spec::{At, Site};
use candle_core::Result;
use std::collections::BTreeMap;
use std::ops::Range;

/// Adds the gradient of what a term sees at a layer.
///
/// # Errors
/// When the place names no weight matrix, and should.
pub(super) fn add_at(upstream: &mut Upstream<Numbers>, at: &At, layer: usize, gradient: Numbers) -> Result<()> {
    match at.site {
        Site::HiddenStates => add_to(&mut upstream.hidden_states, layer, gradient),
        Site::Attention => add_to(&mut upstream.attention, layer - 1, gradient),
        Site::Mlp => add_to(&mut upstream.mlp, layer - 1, gradient),
        Site::Embedding => add_to_one(&mut upstream.embedding, gradient),
        Site::Unembedding => add_to_one(&mut upstream.unembedding, gradient),
        Site::Weights => add_to(&mut upstream.weights, (at.map()?, layer - 1), gradient),
    }
}

/// Adds to the sum of a layer.
pub(super) fn add_to<K: Ord>(sums: &mut BTreeMap<K, Numbers>, layer: K, gradient: Numbers) -> Result<()> {
    match sums.get_mut(&layer) {
        Some(sum) => sum.add(gradient)?,
        None => drop(sums.insert(layer, gradient)),
    }
    Ok(())
}

pub(super) fn add_to_one(sum: &mut Option<Numbers>, gradient: Numbers) -> Result<()> {
    match sum {
        Some(sum) => sum.add(gradient)?,
        None => *sum = Some(gradient),
    }
    Ok(())
}

/// Adds to `part` the rows `own` of `whole`, the gradients of a batch of `tokens` tokens. Gradients of weights, which all parts
/// share, go to the first part.
pub(super) fn add_rows(
    part: &mut Upstream<Numbers>,
    whole: &Upstream<Numbers>,
    (own, tokens): (Range<usize>, usize),
) -> Result<()> {
    let pairs =
        [(&mut part.hidden_states, &whole.hidden_states), (&mut part.attention, &whole.attention), (&mut part.mlp, &whole.mlp)];
    for (part, whole) in pairs {
        for (&layer, gradient) in whole {
            add_to(part, layer, gradient.rows(own.clone(), tokens)?)?;
        }
    }
    if own.start == 0 {
        part.embedding.clone_from(&whole.embedding);
        part.unembedding.clone_from(&whole.unembedding);
        part.weights.clone_from(&whole.weights);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Home;

    #[test]
    fn rows_of_a_batch_go_to_their_part_and_weights_to_the_first() {
        fn floats<const N: usize>(numbers: [f32; N]) -> Numbers {
            Numbers::Floats(numbers.to_vec())
        }
        let mut whole = Upstream::default();
        let at = |site| At { site, ..At::from(Home::DEFAULT) };
        add_at(&mut whole, &at(Site::HiddenStates), 2, floats([1.0, 2.0, 3.0, 4.0])).unwrap(); // 4 tokens of 1 dim
        add_at(&mut whole, &at(Site::HiddenStates), 2, floats([10.0; 4])).unwrap();
        add_at(&mut whole, &at(Site::Embedding), 0, floats([7.0])).unwrap();
        let part = |own| {
            let mut part = Upstream::default();
            add_to(&mut part.hidden_states, 2, floats([0.5, 0.5])).unwrap();
            add_rows(&mut part, &whole, (own, 4)).unwrap();
            let numbers = |numbers: Numbers| numbers.into_floats().unwrap();
            (numbers(part.hidden_states.remove(&2).unwrap()), part.embedding.map(numbers))
        };
        assert_eq!(part(0..2), (vec![11.5, 12.5], Some(vec![7.0])));
        assert_eq!(part(2..4), (vec![13.5, 14.5], None));
    }
}
