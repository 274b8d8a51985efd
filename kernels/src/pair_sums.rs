//! Sums over all pairs of a group, with their gradients, on float32 slices. [`Pairs`] defines q.

use super::blockwise::{Pairs, Pull};
use super::vector::{exp, exps, max, sum_of_exponentials};
use crate::simd::{LANES, Lanes, Simd, load, load_or, store, total};

/// A function of a pair's number q, with its derivative.
pub trait PairTerm: Sync {
    /// Value and derivative at sixteen q. Implementations must be `#[inline(always)]`, or they are compiled without vector
    /// instructions.
    fn of<S: Simd>(&self, q: Lanes<S>) -> (Lanes<S>, Lanes<S>);
}

/// `rate·q`
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// The derivative, the same for every pair.
    pub rate: f32,
}

impl PairTerm for Linear {
    #[inline(always)]
    fn of<S: Simd>(&self, q: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        (Lanes::splat(self.rate) * q, Lanes::splat(self.rate))
    }
}

/// `Σ_{i≠j} term(q_ij)`. Writes the gradient with respect to the points.
///
/// # Shapes
/// gradient (n, d), zeros at first
pub fn pair_sum(pairs: &Pairs<'_>, gradient: &mut [f32], term: &impl PairTerm) -> f64 {
    let pulls = pairs.pulls(gradient);
    let mut panels: Vec<_> = pulls.into_iter().map(|pull| (pull, 0.0)).collect();
    pairs.visit(&mut panels, |block, (pull, total), there| {
        let columns = block.columns.len();
        *total += block.multiplicity() * weigh_by_derivatives(block.q, columns, term);
        block.pull(1.0, pull);
        if let Some((pull, _)) = there {
            block.pull_columns(1.0, pull);
        }
    });
    panels.iter_mut().enumerate().for_each(|(panel, (pull, _))| pairs.settle(panel, pull, 2.0));
    panels.iter().map(|(_, total)| total).sum()
}

/// `ln(own + Σ_{i≠j} exp(x(q_ij)))`, own at least 0. Writes the gradient with respect to the points.
///
/// `exponent` gives x and its derivative, and must not decrease in q. The result neither overflows nor underflows, since each block
/// is shifted by its own largest x.
///
/// # Shapes
/// gradient (n, d), zeros at first
pub fn pair_log_sum_exp(pairs: &Pairs<'_>, own: f64, gradient: &mut [f32], exponent: &impl PairTerm) -> f64 {
    let least = if own > 0.0 { 0.0 } else { f32::MIN }; // next to a term of about exp(0), terms that underflow are negligible
    let pulls = pairs.pulls(gradient);
    let mut panels: Vec<_> = pulls.into_iter().map(|pull| Shifted { pull, shift: least, total: 0.0 }).collect();
    pairs.visit(&mut panels, |block, here, there| {
        let shift = value_at(max(block.q).max(f32::MIN), exponent).max(least);
        let sum = block.multiplicity() * weigh_by_exponentials(block.q, block.columns.len(), shift, exponent);
        let scale = here.raise(shift);
        here.total += f64::from(scale) * sum;
        block.pull(scale, &mut here.pull);
        if let Some(there) = there {
            let scale = there.raise(shift);
            block.pull_columns(scale, &mut there.pull);
        }
    });
    let highest = panels.iter().fold(least, |most, panel| most.max(panel.shift));
    let others: f64 = panels.iter().map(|panel| panel.total * libm::exp(f64::from(panel.shift - highest))).sum();
    let total = others + own * libm::exp(-f64::from(highest)).min(f64::MAX);
    for (index, panel) in panels.iter_mut().enumerate() {
        let factor = 2.0 * libm::exp(f64::from(panel.shift - highest)) / total;
        pairs.settle(index, &mut panel.pull, factor as f32);
    }
    libm::log(total) + f64::from(highest)
}

/// The sums of a panel, times `exp(-shift)`.
struct Shifted<'a> {
    pull: Pull<'a>,
    shift: f32,
    total: f64,
}

impl Shifted<'_> {
    /// Raises the shift to at least `least`. Returns the factor that brings terms shifted by `least` to the shift.
    fn raise(&mut self, least: f32) -> f32 {
        if least > self.shift {
            let factor = exp(self.shift - least);
            self.pull.scale(factor);
            self.total *= f64::from(factor);
            self.shift = least;
        }
        exp(least - self.shift)
    }
}

/// The softmax over j≠i of `rate·q_ij`, for each point i.
#[derive(Debug, Clone)]
pub struct Softmax {
    rate: f32,
    largest: Vec<f32>,
    log_sums: Vec<f32>,
}

/// The softmax parameters of sixteen points, one per lane.
#[derive(Debug, Clone, Copy)]
pub struct LogParts<S: Simd> {
    rate: Lanes<S>,
    largest: Lanes<S>,
    log_sum: Lanes<S>,
}

impl<S: Simd> LogParts<S> {
    /// The log of a pair's softmax weight. It is never above 0, however large q is.
    #[inline(always)]
    pub fn of(&self, q: Lanes<S>) -> Lanes<S> {
        self.rate.mul_add(q - self.largest, -self.log_sum)
    }
}

impl Softmax {
    /// The parameters of one point, in all lanes.
    #[inline(always)]
    pub fn one<S: Simd>(&self, point: usize) -> LogParts<S> {
        let all = Lanes::splat;
        LogParts { rate: all(self.rate), largest: all(self.largest[point]), log_sum: all(self.log_sums[point]) }
    }

    /// The parameters of the points `first`, `first + 1`, ..., one per lane.
    #[inline(always)]
    pub fn each<S: Simd>(&self, first: usize) -> LogParts<S> {
        LogParts { rate: Lanes::splat(self.rate), largest: load(&self.largest[first..]), log_sum: load(&self.log_sums[first..]) }
    }

    /// `ln Σ_{j≠i} exp(rate·q_ij)`, for each point i.
    pub fn log_sums_exp(&self) -> impl Iterator<Item = f64> {
        let rate = f64::from(self.rate);
        self.largest.iter().zip(&self.log_sums).map(move |(&largest, &log_sum)| rate * f64::from(largest) + f64::from(log_sum))
    }
}

/// Computes the softmax over j≠i of `rate·q_ij` for each point i, for a rate above 0.
pub fn pair_softmax(pairs: &Pairs<'_>, rate: f32) -> Softmax {
    let empty = |panel: &[()]| vec![Largest { q: f32::MIN, sum: 0.0 }; panel.len()];
    let mut panels: Vec<_> = vec![(); pairs.count()].chunks(pairs.panel()).map(empty).collect();
    pairs.visit(&mut panels, |block, here, there| {
        let columns = block.columns.len();
        for (row, point) in block.q.chunks_exact(columns).zip(here) {
            let largest = max(row).max(f32::MIN);
            point.add(rate, largest, sum_of_exponentials(row, largest, rate));
        }
        if let Some(there) = there {
            let (largest, sums) = column_exponentials(block.q, columns, rate);
            there.iter_mut().zip(largest).zip(sums).for_each(|((point, largest), sum)| point.add(rate, largest, sum));
        }
    });
    let points = || panels.iter().flatten();
    Softmax {
        rate,
        largest: points().map(|point| point.q).collect(),
        log_sums: points().map(|point| libm::logf(point.sum)).collect(),
    }
}

/// `Σ exp(rate·(q' - q))` over the q' so far, where q is the largest of them.
#[derive(Clone)]
struct Largest {
    q: f32,
    sum: f32,
}

impl Largest {
    fn add(&mut self, rate: f32, q: f32, sum: f32) {
        if q > self.q {
            *self = Self { q, sum: sum + self.sum * exp(rate * (self.q - q)) };
        } else {
            self.sum += sum * exp(rate * (q - self.q));
        }
    }
}

crate::vectorize! {
    /// The value of a term at a single q.
    fn value_at(q: f32, term: &impl PairTerm) -> f32 = value_at_with;

    /// Replaces each q by the derivative of its term, and sums the values. q (rows, columns)
    fn weigh_by_derivatives(q: &mut [f32], columns: usize, term: &impl PairTerm) -> f64 = weigh_by_derivatives_with;

    /// Replaces each q by `exp(x - shift)` times the derivative of x, and sums the exponentials. q (rows, columns)
    fn weigh_by_exponentials(q: &mut [f32], columns: usize, shift: f32, exponent: &impl PairTerm) -> f64 =
        weigh_by_exponentials_with;

    /// The largest q of each column, and the sum of `exp(rate·(q - largest))`. q (rows, columns)
    fn column_exponentials(q: &[f32], columns: usize, rate: f32) -> (Vec<f32>, Vec<f32>) = column_exponentials_with;
}

#[inline(always)]
fn value_at_with<S: Simd>(q: f32, term: &impl PairTerm) -> f32 {
    term.of(Lanes::<S>::splat(q)).0.to_array()[0]
}

#[inline(always)]
fn weigh_by_derivatives_with<S: Simd>(q: &mut [f32], columns: usize, term: &impl PairTerm) -> f64 {
    let mut all = 0.0;
    for row in q.chunks_exact_mut(columns) {
        let mut sums = Lanes::<S>::ZERO;
        for chunk in row.chunks_mut(LANES) {
            let q = load_or(chunk, f32::NEG_INFINITY);
            let (value, derivative) = term.of(q);
            sums += weigh(chunk, q, derivative, value);
        }
        all += f64::from(total(sums));
    }
    all
}

#[inline(always)]
fn weigh_by_exponentials_with<S: Simd>(q: &mut [f32], columns: usize, shift: f32, exponent: &impl PairTerm) -> f64 {
    let mut all = 0.0;
    for row in q.chunks_exact_mut(columns) {
        let mut sums = Lanes::<S>::ZERO;
        for chunk in row.chunks_mut(LANES) {
            let q = load_or(chunk, f32::NEG_INFINITY);
            let (x, derivative) = exponent.of(q);
            let e = exps(x - Lanes::splat(shift));
            sums += weigh(chunk, q, e * derivative, e);
        }
        all += f64::from(total(sums));
    }
    all
}

#[inline(always)]
fn column_exponentials_with<S: Simd>(q: &[f32], columns: usize, rate: f32) -> (Vec<f32>, Vec<f32>) {
    let mut largest = vec![f32::MIN; columns];
    for row in q.chunks_exact(columns) {
        largest.iter_mut().zip(row).for_each(|(most, &q)| *most = if q > *most { q } else { *most });
    }
    let mut sums = vec![0.0; columns];
    for row in q.chunks_exact(columns) {
        for ((sums, q), largest) in sums.chunks_mut(LANES).zip(row.chunks(LANES)).zip(largest.chunks(LANES)) {
            let e = exps(Lanes::<S>::splat(rate) * (load_or(q, f32::NEG_INFINITY) - load(largest)));
            store(sums, load(sums) + e);
        }
    }
    (largest, sums)
}

/// Overwrites the q of some pairs with their weights, and returns their values. Both are 0 where q = -inf.
#[inline(always)]
fn weigh<S: Simd>(chunk: &mut [f32], q: Lanes<S>, weight: Lanes<S>, value: Lanes<S>) -> Lanes<S> {
    let none = q.simd_eq(Lanes::splat(f32::NEG_INFINITY));
    store(chunk, none.select(Lanes::ZERO, weight));
    none.select(Lanes::ZERO, value)
}
