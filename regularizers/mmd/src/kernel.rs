//! Value and gradient together, on the float32 points of one group.

use crate::Closed;
use regatta_core::kernels::vector::{add_multiple, dot, exps, scale};
use regatta_core::kernels::{PairTerm, Pairs, centred_rows, pair_sum};
use regatta_core::libm;
use regatta_core::simd::{Lanes, Simd};

/// points (n, d), gradient (n, d)
pub fn value_and_gradient(points: &[f32], d: usize, closed: &Closed, gradient: &mut [f32]) -> f64 {
    let z = centred_rows(points, d);
    let pairs = Pairs::distances(&z, d);
    let n = pairs.count() as f64;
    let of_pairs = pair_sum(&pairs, gradient, &ExponentialLessOne { rate: closed.pair_rate as f32 }) / (n * n);
    scale(gradient, (1.0 / (n * n)) as f32);

    let mut of_points = 0.0;
    for (point, grad) in points.chunks_exact(d).zip(gradient.chunks_exact_mut(d)) {
        let exponent = -0.5 * closed.point_rate * f64::from(dot(point, point));
        of_points += libm::expm1(exponent);
        let pull = closed.point_weight * closed.point_rate * libm::exp(exponent) / n;
        add_multiple(grad, pull as f32, point);
    }
    of_pairs - closed.point_weight * of_points / n + closed.rest
}

/// `exp(rate·q) - 1`, for q at most 0.
struct ExponentialLessOne {
    rate: f32,
}

/// `1/k!` for k from 7 down to 1.
const SERIES: [f32; 7] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];

impl PairTerm for ExponentialLessOne {
    #[inline(always)]
    fn of<S: Simd>(&self, q: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        let all = Lanes::splat;
        let x = all(self.rate) * q;
        let e = exps(x);
        // The series leaves out x⁸/8! and less, 2e-8 of the value at -0.35; e - 1 is rounded by 1e-7 of it there.
        let near = SERIES[1..].iter().fold(all(SERIES[0]), |sum, &next| sum.mul_add(x, all(next))) * x;
        (x.simd_gt(all(-0.35)).select(near, e - all(1.0)), all(self.rate) * e)
    }
}
