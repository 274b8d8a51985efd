//! What the terms of an arm ask of a step: which have a weight, and what their clouds need of the passes.

use crate::engine::{Keep, Sum};
use crate::spec::{Site, Term};

/// The penalty of a term, or the objective of an intervention, at one step.
pub(super) struct Penalty {
    /// The plugin's name; a second one of the same name is called `name.1`.
    pub name: String,
    pub weight: f64,
    /// Unweighted: of a term, the mean over its layers.
    pub value: Sum,
}

/// The terms whose weight is not 0 at `step`, in order: each with its index in the arm, and the weight.
pub(super) fn weighted(terms: &[Term], step: usize) -> impl Iterator<Item = (usize, &Term, f64)> {
    let weights = terms.iter().enumerate().map(move |(index, term)| (index, term, term.weight.at(step)));
    weights.filter(|(_, _, weight)| *weight != 0.0)
}

/// A penalty of value 0 for each of the [`weighted`] terms, in order.
pub(super) fn zero_penalties(terms: &[Term], step: usize) -> Vec<Penalty> {
    let mut all: Vec<Penalty> = Vec::new();
    for (_, term, weight) in weighted(terms, step) {
        let name = free_name(all.iter().map(|penalty| &*penalty.name), term.regularizer.name());
        all.push(Penalty { name, weight, value: Sum::default() });
    }
    all
}

/// Whether a term compares two views at `step`.
pub(super) fn compares_views(terms: &[Term], step: usize) -> bool {
    weighted(terms, step).any(|(_, term, _)| term.regularizer.0.needs_view())
}

/// Whether a cloud is of all sequences of the batch of `step`.
pub(super) fn sees_whole_batch(terms: &[Term], step: usize) -> bool {
    weighted(terms, step).any(|(_, term, _)| term.at.sees_whole_batch())
}

/// What a pass has to keep for these terms.
pub(super) fn keep(terms: &[Term]) -> Keep {
    Keep::ForBackward { contributions: terms.iter().any(|term| matches!(term.at.site, Site::Attention | Site::Mlp)) }
}

/// `name`, or `name.1` where it is taken, and so on.
pub(super) fn free_name<'a>(taken: impl Iterator<Item = &'a str>, name: &str) -> String {
    let used = taken.filter(|other| *other == name || other.rsplit_once('.').is_some_and(|(stem, _)| stem == name));
    match used.count() {
        0 => name.to_owned(),
        used => format!("{name}.{used}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        assert_eq!(free_name(["a", "b"].into_iter(), "c"), "c");
        assert_eq!(free_name(["a", "b"].into_iter(), "a"), "a.1");
        assert_eq!(free_name(["a", "b", "a.1"].into_iter(), "a"), "a.2");
    }
}
