//! The entropy of each point's neighbourhood: p_ij, how much of point i's weight its neighbour j holds.

use regatta_core::maths::elementary::ln;
use regatta_core::maths::{Pairs, pair_softmax, vector};
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

    let mut sums = vec![Sums::default(); n];
    let mut panels: Vec<_> = sums.chunks_mut(panel).collect();
    pairs.visit(&mut panels, |block, here, there| {
        let others = &softmax[block.columns.clone()];
        let rows = block.q.chunks_exact(others.len()).zip(&softmax[block.rows.clone()]);
        for ((row, one), sum) in rows.clone().zip(here.iter_mut()) {
            let (entropy, slope) = vector::pair_of_sums(row, |q| {
                let neighbour = Neighbour::new(one.log_part(q), epsilon);
                (neighbour.entropy(), neighbour.slope())
            });
            sum.entropy += entropy;
            sum.slope += slope;
        }
        if let Some(there) = there {
            let mut entropies = vec![0f32; others.len()];
            let mut slopes = vec![0f32; others.len()];
            for (row, _) in rows {
                let terms = row.iter().zip(others).zip(entropies.iter_mut().zip(&mut slopes));
                terms.for_each(|((q, other), (entropy, slope))| {
                    let neighbour = Neighbour::new(other.log_part(*q), epsilon);
                    *entropy += neighbour.entropy();
                    *slope += neighbour.slope();
                });
            }
            for (sum, (entropy, slope)) in there.iter_mut().zip(entropies.iter().zip(&slopes)) {
                sum.entropy += entropy;
                sum.slope += slope;
            }
        }
    });
    let total: f64 = sums.iter().map(|sum| f64::from(sum.entropy)).sum();

    let mut pulls = pairs.pulls(gradient);
    pairs.visit(&mut pulls, |block, here, there| {
        let (others, other_sums) = (&softmax[block.columns.clone()], &sums[block.columns.clone()]);
        let points = softmax[block.rows.clone()].iter().zip(&sums[block.rows.clone()]);
        for (row, (one, sum)) in block.q.chunks_exact_mut(others.len()).zip(points) {
            let pairs = row.iter_mut().zip(others.iter().zip(other_sums));
            pairs.for_each(|(q, (other, other_sum))| {
                let (to, fro) = (Neighbour::new(one.log_part(*q), epsilon), Neighbour::new(other.log_part(*q), epsilon));
                *q = (to.slope() - to.p * sum.slope) + (fro.slope() - fro.p * other_sum.slope);
            });
        }
        block.pull(1.0, here);
        if let Some(there) = there {
            block.pull_columns(1.0, there);
        }
    });
    let scale = rate * LOG2_E / n as f32;
    pulls.iter_mut().enumerate().for_each(|(panel, pull)| pairs.settle(panel, pull, scale));
    total * std::f64::consts::LOG2_E / n as f64
}

/// Of one point: `Σ_j f(p_ij)` and a_i.
#[derive(Clone, Default)]
struct Sums {
    entropy: f32,
    slope: f32,
}

/// A neighbour's part p of the weight, with ln(p + ε).
struct Neighbour {
    p: f32,
    logarithm: f32,
    epsilon: f32,
}

impl Neighbour {
    #[inline(always)]
    fn new(log_part: f32, epsilon: f32) -> Self {
        let p = vector::exp(log_part);
        Self { p, logarithm: ln(p + epsilon), epsilon }
    }

    /// `f(p)`
    #[inline(always)]
    fn entropy(&self) -> f32 {
        self.p * self.logarithm
    }

    /// `p f'(p)`
    #[inline(always)]
    fn slope(&self) -> f32 {
        self.p * (self.logarithm + self.p / (self.p + self.epsilon))
    }
}
