//! The entropy of each point's neighbourhood: p_ij, how much of point i's weight its neighbour j holds.

use regatta_core::kernels::elementary::ln;
use regatta_core::kernels::vector::exps;
use regatta_core::kernels::{Block, Pairs, Softmax, pair_softmax};
use regatta_core::simd::{LANES, Lanes, Simd, load, load_or, store, total};
use regatta_core::vectorize;
use std::f32::consts::LOG2_E;

/// `mean_i Σ_{j≠i} p_ij log₂(p_ij + ε)` with `p_i` the softmax over j≠i of `rate·q_ij`.
///
/// In three passes: the normaliser of each p_i; the entropies, and beside each `a_i = Σ_j p_ij f'(p_ij)`, f(p) = p ln(p + ε);
/// then the slope of `Σ f(p_i)` along the exponent, `p_ij (f'(p_ij) - a_i)`, as the weight of the pair.
///
/// # Shapes
/// gradient (n, d), zeros at first
pub fn entropy(pairs: &Pairs<'_>, rate: f32, epsilon: f32, gradient: &mut [f32]) -> f64 {
    let (n, panel) = (pairs.count(), pairs.panel());
    let softmax = pair_softmax(pairs, rate);

    let mut sums = Sums::zeros(n);
    let mut panels: Vec<_> = sums.entropies.chunks_mut(panel).zip(sums.slopes.chunks_mut(panel)).collect();
    pairs.visit(&mut panels, |block, (entropies, slopes), there| {
        add_rows(&block, &softmax, epsilon, entropies, slopes);
        if let Some((entropies, slopes)) = there {
            add_columns(&block, &softmax, epsilon, entropies, slopes);
        }
    });
    let entropies: f64 = sums.entropies.iter().copied().map(f64::from).sum();

    let mut pulls = pairs.pulls(gradient);
    pairs.visit(&mut pulls, |mut block, here, there| {
        weigh(&mut block, &softmax, epsilon, &sums.slopes);
        block.pull(1.0, here);
        if let Some(there) = there {
            block.pull_columns(1.0, there);
        }
    });
    let scale = rate * LOG2_E / n as f32;
    pulls.iter_mut().enumerate().for_each(|(panel, pull)| pairs.settle(panel, pull, scale));
    entropies * std::f64::consts::LOG2_E / n as f64
}

/// Of each point: `Σ_j f(p_ij)` and a_i.
struct Sums {
    entropies: Vec<f32>,
    slopes: Vec<f32>,
}

impl Sums {
    fn zeros(n: usize) -> Self {
        Self { entropies: vec![0.0; n], slopes: vec![0.0; n] }
    }
}

vectorize! {
    /// What a block adds to the sums of its rows.
    fn add_rows(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], slopes: &mut [f32]) = add_rows_with;

    /// And to those of its columns.
    fn add_columns(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], slopes: &mut [f32]) =
        add_columns_with;

    /// Replaces each q by the weight of its pair. slopes: a_i of all points
    fn weigh(block: &mut Block<'_>, softmax: &Softmax, epsilon: f32, slopes: &[f32]) = weigh_with;
}

#[inline(always)]
fn add_rows_with<S: Simd>(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], slopes: &mut [f32]) {
    let rows = block.q.chunks_exact(block.columns.len()).zip(block.rows.clone());
    for ((row, point), (entropies, slopes)) in rows.zip(entropies.iter_mut().zip(slopes)) {
        let one = softmax.one::<S>(point);
        let (mut entropy, mut slope) = (Lanes::ZERO, Lanes::ZERO);
        for q in row.chunks(LANES) {
            let neighbour = Neighbour::new(one.of(load_or(q, f32::NEG_INFINITY)), epsilon);
            entropy += neighbour.entropy();
            slope += neighbour.slope();
        }
        *entropies += total(entropy);
        *slopes += total(slope);
    }
}

#[inline(always)]
fn add_columns_with<S: Simd>(block: &Block<'_>, softmax: &Softmax, epsilon: f32, entropies: &mut [f32], slopes: &mut [f32]) {
    for (first, column) in block.columns.clone().step_by(LANES).zip((0..).step_by(LANES)) {
        let others = softmax.each::<S>(first);
        let columns = column..block.columns.len().min(column + LANES);
        let (mut entropy, mut slope) = (Lanes::ZERO, Lanes::ZERO);
        for row in block.q.chunks_exact(block.columns.len()) {
            let neighbour = Neighbour::new(others.of(load(&row[columns.clone()])), epsilon);
            entropy += neighbour.entropy();
            slope += neighbour.slope();
        }
        add(&mut entropies[columns.clone()], entropy);
        add(&mut slopes[columns], slope);
    }
}

#[inline(always)]
fn weigh_with<S: Simd>(block: &mut Block<'_>, softmax: &Softmax, epsilon: f32, slopes: &[f32]) {
    for (row, point) in block.q.chunks_exact_mut(block.columns.len()).zip(block.rows.clone()) {
        let (one, own) = (softmax.one::<S>(point), Lanes::splat(slopes[point]));
        for (chunk, first) in row.chunks_mut(LANES).zip(block.columns.clone().step_by(LANES)) {
            let q = load(chunk);
            let (to, fro) = (Neighbour::new(one.of(q), epsilon), Neighbour::new(softmax.each(first).of(q), epsilon));
            let others = load(&slopes[first..]);
            store(chunk, (to.slope() - to.p * own) + (fro.slope() - fro.p * others));
        }
    }
}

#[inline(always)]
fn add<S: Simd>(sums: &mut [f32], more: Lanes<S>) {
    let sum = load(sums) + more;
    store(sums, sum);
}

/// A neighbour's part p of the weight, with ln(p + ε): of sixteen pairs.
struct Neighbour<S: Simd> {
    p: Lanes<S>,
    logarithm: Lanes<S>,
    epsilon: Lanes<S>,
}

impl<S: Simd> Neighbour<S> {
    #[inline(always)]
    fn new(log_part: Lanes<S>, epsilon: f32) -> Self {
        let (p, epsilon) = (exps(log_part), Lanes::splat(epsilon));
        Self { p, logarithm: ln(p + epsilon), epsilon }
    }

    /// `f(p)`
    #[inline(always)]
    fn entropy(&self) -> Lanes<S> {
        self.p * self.logarithm
    }

    /// `p f'(p)`
    #[inline(always)]
    fn slope(&self) -> Lanes<S> {
        self.p * (self.logarithm + self.p / (self.p + self.epsilon))
    }
}
