//! Sums over all pairs of a group with their gradients, on float32 slices: see [`Pairs`] for q and for the memory they need.

use super::blockwise::{Pairs, Pull};
use super::vector::{exp, fused, max, sum_of};

/// Sum over i≠j of `term(q_ij)`. `term` gives its value and its slope; the gradient with respect to the points is written.
///
/// # Shapes
/// gradient (n, d), zeros at first
pub fn pair_sum(pairs: &Pairs<'_>, gradient: &mut [f32], term: impl Fn(f32) -> (f32, f32) + Sync) -> f64 {
    let pulls = pairs.pulls(gradient);
    let mut panels: Vec<_> = pulls.into_iter().map(|pull| (pull, 0.0)).collect();
    pairs.visit(&mut panels, |block, (pull, total), there| {
        let columns = block.columns.len();
        let sum: f64 = block.q.chunks_exact_mut(columns).map(|row| f64::from(weigh(row, |q| swap(term(q))))).sum();
        *total += block.times() * sum;
        block.pull(1.0, pull);
        if let Some((pull, _)) = there {
            block.pull_columns(1.0, pull);
        }
    });
    panels.iter_mut().enumerate().for_each(|(panel, (pull, _))| pairs.settle(panel, pull, 2.0));
    panels.iter().map(|(_, total)| total).sum()
}

/// Log of `own`, at least 0, plus the sum over i≠j of `exp(x(q_ij))`. `exponent`, which never falls as q rises, gives x and its
/// slope; the gradient with respect to the points is written. It neither overflows nor underflows: each block is shifted by its own largest x.
///
/// # Shapes
/// gradient (n, d), zeros at first
pub fn pair_log_sum_exp(pairs: &Pairs<'_>, own: f64, gradient: &mut [f32], exponent: impl Fn(f32) -> (f32, f32) + Sync) -> f64 {
    let least = if own > 0.0 { 0.0 } else { f32::MIN }; // beside a term exp(0), what underflows unshifted is nothing
    let pulls = pairs.pulls(gradient);
    let mut panels: Vec<_> = pulls.into_iter().map(|pull| Shifted { pull, shift: least, total: 0.0 }).collect();
    pairs.visit(&mut panels, |block, here, there| {
        let shift = exponent(max(block.q).max(f32::MIN)).0.max(least);
        let times = block.times();
        let columns = block.columns.len();
        let sums = block.q.chunks_exact_mut(columns).map(|row| {
            f64::from(weigh(row, |q| {
                let (x, slope) = exponent(q);
                let e = exp(x - shift);
                (e * slope, e)
            }))
        });
        let sum = times * sums.sum::<f64>();
        let scale = here.raise(shift);
        here.total += f64::from(scale) * sum;
        block.pull(scale, &mut here.pull);
        if let Some(there) = there {
            let scale = there.raise(shift);
            block.pull_columns(scale, &mut there.pull);
        }
    });
    let highest = panels.iter().fold(least, |most, panel| most.max(panel.shift));
    let others: f64 = panels.iter().map(|panel| panel.total * f64::from(panel.shift - highest).exp()).sum();
    let total = others + own * (-f64::from(highest)).exp().min(f64::MAX);
    for (index, panel) in panels.iter_mut().enumerate() {
        let share = 2.0 * f64::from(panel.shift - highest).exp() / total;
        pairs.settle(index, &mut panel.pull, share as f32);
    }
    total.ln() + f64::from(highest)
}

/// What has been added for a panel, times `exp(-shift)`.
struct Shifted<'a> {
    pull: Pull<'a>,
    shift: f32,
    total: f64,
}

impl Shifted<'_> {
    /// Raises the shift to `least`, and returns by what to multiply what is shifted by `least`.
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
#[derive(Debug, Clone, Copy)]
pub struct Softmax {
    rate: f32,
    largest: f32,
    log_sum: f32,
}

impl Softmax {
    /// Log of the part that a pair has; never above 0, however large the numbers.
    #[inline(always)]
    pub fn log_part(&self, q: f32) -> f32 {
        fused(self.rate, q - self.largest, -self.log_sum)
    }

    /// Log of the sum over j≠i of `exp(rate·q_ij)`.
    pub fn log_sum_exp(&self) -> f64 {
        f64::from(self.rate) * f64::from(self.largest) + f64::from(self.log_sum)
    }
}

/// The softmax over j≠i of `rate·q_ij` for each point i, for a rate above 0.
pub fn pair_softmax(pairs: &Pairs<'_>, rate: f32) -> Vec<Softmax> {
    let empty = |panel: &[()]| vec![Largest { q: f32::MIN, sum: 0.0 }; panel.len()];
    let mut panels: Vec<_> = vec![(); pairs.count()].chunks(pairs.panel()).map(empty).collect();
    pairs.visit(&mut panels, |block, here, there| {
        let columns = block.columns.len();
        for (row, point) in block.q.chunks_exact(columns).zip(here) {
            let largest = max(row).max(f32::MIN);
            point.add(rate, largest, sum_of(row, row, |q, _| exp(rate * (q - largest))));
        }
        if let Some(there) = there {
            let mut largest = vec![f32::MIN; columns];
            for row in block.q.chunks_exact(columns) {
                largest.iter_mut().zip(row).for_each(|(most, &q)| *most = if q > *most { q } else { *most });
            }
            let mut sums = vec![0.0; columns];
            for row in block.q.chunks_exact(columns) {
                let terms = sums.iter_mut().zip(row).zip(&largest);
                terms.for_each(|((sum, q), largest)| *sum += exp(rate * (q - largest)));
            }
            there.iter_mut().zip(largest).zip(sums).for_each(|((point, largest), sum)| point.add(rate, largest, sum));
        }
    });
    let softmax = |point: &Largest| Softmax { rate, largest: point.q, log_sum: point.sum.ln() };
    panels.iter().flatten().map(softmax).collect()
}

/// A sum of `exp(rate·(q' - q))` over the q' seen, q being the largest of them.
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

fn swap((value, slope): (f32, f32)) -> (f32, f32) {
    (slope, value)
}

/// Replaces each q by its weight, and sums what `term` gives beside the weight; -inf has no weight and adds nothing.
#[inline(always)]
fn weigh(row: &mut [f32], term: impl Fn(f32) -> (f32, f32)) -> f32 {
    const LANES: usize = 16;
    let term = |q: f32| {
        let (weight, value) = term(q);
        if q == f32::NEG_INFINITY { (0.0, 0.0) } else { (weight, value) }
    };
    let mut lanes = [0f32; LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            let (weight, value) = term(chunk[lane]);
            chunk[lane] = weight;
            lanes[lane] += value;
        }
    }
    let rest = chunks.into_remainder().iter_mut().fold(0.0, |sum, q| {
        let (weight, value) = term(*q);
        *q = weight;
        sum + value
    });
    lanes.iter().sum::<f32>() + rest
}
