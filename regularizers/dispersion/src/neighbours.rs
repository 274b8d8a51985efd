//! The kernel of `perplexity_entropy`: the entropy of each point's softmax weights p_ij over its neighbours j.

use regatta_core::kernels::elementary::ln;
use regatta_core::kernels::vector::exps;
use regatta_core::kernels::{Block, Pairs, Softmax, pair_softmax};
use regatta_core::simd::{LANES, Lanes, Simd, load, load_or, store, total};
use regatta_core::vectorize;
use std::f32::consts::LOG2_E;

/// `mean_i Σ_{j≠i} p_ij log₂(p_ij + ε)` with `p_i` the softmax over j≠i of `rate·q_ij`.
///
/// Makes three passes over the pairs, with f(p) = p ln(p + ε):
///
/// 1. the normaliser of each softmax p_i;
/// 2. the entropies `Σ_j f(p_ij)`, and the mean derivatives `a_i = Σ_j p_ij f'(p_ij)`;
/// 3. the derivative of `Σ_j f(p_ij)` with respect to each exponent, `p_ij (f'(p_ij) - a_i)`, which is the pair's weight in the
///    gradient.
///
/// # Shapes
/// gradient (n, d), initially zeros
pub fn entropy(pairs: &Pairs<'_>, rate: f32, epsilon: f32, gradient: &mut [f32]) -> f64 {
    let (n, panel) = (pairs.count(), pairs.panel());
    let softmax = pair_softmax(pairs, rate);

    let mut sums = Sums::zeros(n);
    let mut panels: Vec<_> = sums.entropies.chunks_mut(panel).zip(sums.derivatives.chunks_mut(panel)).collect();
    pairs.visit(&mut panels, |block, (entropies, derivatives), there| {
        add_rows(&block, &softmax, epsilon, entropies, derivatives);
        if let Some((entropies, derivatives)) = there {
            add_columns(&block, &softmax, epsilon, entropies, derivatives);
        }
    });
    let entropies: f64 = sums.entropies.iter().copied().map(f64::from).sum();

    let mut pulls = pairs.pulls(gradient);
    pairs.visit(&mut pulls, |mut block, here, there| {
        weigh(&mut block, &softmax, epsilon, &sums.derivatives);
        block.pull(1.0, here);
        if let Some(there) = there {
            block.pull_columns(1.0, there);
        }
    });
    let scale = rate * LOG2_E / n as f32;
    pulls.iter_mut().enumerate().for_each(|(panel, pull)| pairs.settle(panel, pull, scale));
    entropies * std::f64::consts::LOG2_E / n as f64
}

/// Sums over each point's neighbours.
struct Sums {
    /// `Σ_j f(p_ij)`
    entropies: Vec<f32>,
    /// `a_i = Σ_j p_ij f'(p_ij)`
    derivatives: Vec<f32>,
}

impl Sums {
    fn zeros(n: usize) -> Self {
        Self { entropies: vec![0.0; n], derivatives: vec![0.0; n] }
    }
}

vectorize! {
    /// Adds a block's pairs to the sums of its rows.
    fn add_rows(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], derivatives: &mut [f32]) = add_rows_with;

    /// Adds a block's pairs to the sums of its columns.
    fn add_columns(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], derivatives: &mut [f32]) =
        add_columns_with;

    /// Replaces each q by the pair's weight in the gradient, with the mean derivatives a_i of all points.
    fn weigh(block: &mut Block<'_>, softmax: &Softmax, epsilon: f32, derivatives: &[f32]) = weigh_with;
}

#[inline(always)]
fn add_rows_with<S: Simd>(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], derivatives: &mut [f32]) {
    let rows = block.q.chunks_exact(block.columns.len()).zip(block.rows.clone());
    for ((row, point), (entropies, derivatives)) in rows.zip(entropies.iter_mut().zip(derivatives)) {
        let one = softmax.one::<S>(point);
        let (mut entropy, mut derivative) = (Lanes::ZERO, Lanes::ZERO);
        for q in row.chunks(LANES) {
            let neighbour = Neighbour::new(one.of(load_or(q, f32::NEG_INFINITY)), epsilon);
            entropy += neighbour.entropy();
            derivative += neighbour.weighted_derivative();
        }
        *entropies += total(entropy);
        *derivatives += total(derivative);
    }
}

#[inline(always)]
fn add_columns_with<S: Simd>(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], derivatives: &mut [f32]) {
    for (first, column) in block.columns.clone().step_by(LANES).zip((0..).step_by(LANES)) {
        let others = softmax.each::<S>(first);
        let columns = column..block.columns.len().min(column + LANES);
        let (mut entropy, mut derivative) = (Lanes::ZERO, Lanes::ZERO);
        for row in block.q.chunks_exact(block.columns.len()) {
            let neighbour = Neighbour::new(others.of(load(&row[columns.clone()])), epsilon);
            entropy += neighbour.entropy();
            derivative += neighbour.weighted_derivative();
        }
        add(&mut entropies[columns.clone()], entropy);
        add(&mut derivatives[columns], derivative);
    }
}

#[inline(always)]
fn weigh_with<S: Simd>(block: &mut Block<'_>, softmax: &Softmax, epsilon: f32, derivatives: &[f32]) {
    for (row, point) in block.q.chunks_exact_mut(block.columns.len()).zip(block.rows.clone()) {
        let (one, row_mean) = (softmax.one::<S>(point), Lanes::splat(derivatives[point]));
        for (chunk, first) in row.chunks_mut(LANES).zip(block.columns.clone().step_by(LANES)) {
            let q = load(chunk);
            // Each pair has two weights: that of j in the softmax of i, and that of i in the softmax of j.
            let (j, i) = (Neighbour::new(one.of(q), epsilon), Neighbour::new(softmax.each(first).of(q), epsilon));
            let column_means = load(&derivatives[first..]);
            store(chunk, (j.weighted_derivative() - j.p * row_mean) + (i.weighted_derivative() - i.p * column_means));
        }
    }
}

#[inline(always)]
fn add<S: Simd>(sums: &mut [f32], more: Lanes<S>) {
    let sum = load(sums) + more;
    store(sums, sum);
}

/// Softmax weights p and ln(p + ε) of a register of pairs.
struct Neighbour<S: Simd> {
    p: Lanes<S>,
    logarithm: Lanes<S>,
    epsilon: Lanes<S>,
}

impl<S: Simd> Neighbour<S> {
    #[inline(always)]
    fn new(log_p: Lanes<S>, epsilon: f32) -> Self {
        let (p, epsilon) = (exps(log_p), Lanes::splat(epsilon));
        Self { p, logarithm: ln(p + epsilon), epsilon }
    }

    /// `f(p)`
    #[inline(always)]
    fn entropy(&self) -> Lanes<S> {
        self.p * self.logarithm
    }

    /// `p f'(p)`
    #[inline(always)]
    fn weighted_derivative(&self) -> Lanes<S> {
        self.p * (self.logarithm + self.p / (self.p + self.epsilon))
    }
}
