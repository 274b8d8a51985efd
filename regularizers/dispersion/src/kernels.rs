//! Value and gradient of each variant together, on the float32 points of one group.

use crate::neighbours::entropy;
use crate::{Dispersion, Variant};
use regatta_core::maths::elementary::arccos;
use regatta_core::maths::vector::Lanes;
use regatta_core::maths::{
    Matrix, Pairs, Scaled, centred_rows, gram, mean_over_groups, pair_log_sum_exp, pair_sum, times, vector,
};
use regatta_core::{Result, Tensor};
use std::f32::consts::FRAC_1_PI;

impl Dispersion {
    /// The penalty by kernels that see the pairs a block at a time.
    pub(crate) fn fused(&self, z: &Tensor) -> Result<Tensor> {
        let d = z.dim(2)?;
        mean_over_groups(z, "dispersion", |points, gradient| {
            Ok(match self.variant {
                Variant::AngularSpread => self.fused_angular_spread(points, d, gradient),
                Variant::L2Repel => self.fused_l2_repel(points, d, gradient),
                Variant::Decorrelation => fused_decorrelation(points, d, gradient),
                Variant::Orthogonalization => self.fused_orthogonalization(points, d, gradient),
                Variant::PerplexityEntropy => self.fused_perplexity_entropy(points, d, gradient),
            })
        })
    }

    fn fused_angular_spread(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let u = Scaled::new(points.to_vec(), d, self.epsilon.get() as f32);
        let pairs = Pairs::products(u.points(), d);
        let (bound, rate) = (1.0 - self.clamp.get() as f32, -1.0 / self.temperature.get() as f32);
        let log_sum = pair_log_sum_exp(&pairs, 0.0, gradient, |cosine| {
            let (angle, slope) = bounded_angle(cosine, bound);
            (Lanes::splat(rate) * angle, Lanes::splat(rate) * slope)
        });
        u.backward(gradient, 1.0);
        log_sum - ordered_pairs(&pairs).ln() + self.epsilon.get()
    }

    /// The pair of a point with itself counts: `exp(0)` a point.
    fn fused_l2_repel(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let pairs = Pairs::distances(&z, d);
        let n = pairs.count() as f64;
        let rate = (2.0 / self.temperature.get()) as f32; // q is half the squared distance, below 0
        let log_sum = pair_log_sum_exp(&pairs, n, gradient, |q| (Lanes::splat(rate) * q, Lanes::splat(rate)));
        let decay = (0.2 / points.len() as f64) as f32;
        gradient.iter_mut().zip(points).for_each(|(g, x)| *g += decay * x);
        log_sum - 2.0 * n.ln() + self.epsilon.get() + 0.1 * mean_square(points)
    }

    fn fused_orthogonalization(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let u = Scaled::new(points.to_vec(), d, self.epsilon.get() as f32);
        let pairs = Pairs::products(u.points(), d);
        let (bound, margin) = (1.0 - self.clamp.get() as f32, self.margin.get() as f32);
        let sum = pair_sum(&pairs, gradient, |cosine| {
            let (angle, slope) = bounded_angle(cosine, bound);
            let short = Lanes::ZERO.fast_max(Lanes::splat(margin) - angle); // of a NaN and another the second
            (short * short, Lanes::splat(-2.0) * short * slope)
        });
        u.backward(gradient, (1.0 / ordered_pairs(&pairs)) as f32);
        sum / ordered_pairs(&pairs)
    }

    fn fused_perplexity_entropy(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let rate = (2.0 / self.temperature.get()) as f32;
        entropy(&Pairs::distances(&z, d).kept(), rate, self.epsilon.get().max(crate::LEAST_EPSILON) as f32, gradient)
    }
}

/// See [`decorrelation`](crate::decorrelation). `Σ_ij (u_i·u_j)²` is `‖uᵀu‖²_F` too, cheaper where there are more points than dims.
fn fused_decorrelation(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let mut z = points.to_vec();
    z.chunks_exact_mut(d).for_each(less_its_mean);
    let u = Scaled::new(z, d, 0.0);
    let pairs = Pairs::products(u.points(), d);
    let sum = if pairs.count() < d {
        pair_sum(&pairs, gradient, |cosine| (cosine * cosine, Lanes::splat(2.0) * cosine))
    } else {
        let moments = gram(u.points(), d);
        times(u.points(), Matrix::new(&moments, d, d), gradient, |u, gradient| {
            let rows = gradient.chunks_exact_mut(d).zip(u.chunks_exact(d));
            rows.for_each(|(row, u)| {
                let own = vector::dot(u, u); // the pair of a point with itself
                row.iter_mut().zip(u).for_each(|(g, u)| *g = 4.0 * (*g - own * u));
            });
        });
        let own: f64 = u.points().chunks_exact(d).map(|u| f64::from(vector::dot(u, u)).powi(2)).sum();
        moments.chunks_exact(d).map(|row| f64::from(vector::dot(row, row))).sum::<f64>() - own
    };
    u.backward(gradient, (1.0 / ordered_pairs(&pairs)) as f32);
    gradient.chunks_exact_mut(d).for_each(less_its_mean);
    sum / ordered_pairs(&pairs)
}

fn less_its_mean(row: &mut [f32]) {
    let mean = vector::sum(row) / row.len() as f32;
    row.iter_mut().for_each(|x| *x -= mean);
}

/// As [`bounded_angles`](regatta_core::maths::bounded_angles), the angle with its slope.
#[inline(always)]
fn bounded_angle(cosine: Lanes, bound: f32) -> (Lanes, Lanes) {
    let all = Lanes::splat;
    let bounded = all(-bound).fast_max(all(bound).fast_min(cosine));
    let sine = ((all(1.0) - bounded) * (all(1.0) + bounded)).sqrt();
    (arccos(bounded) * all(FRAC_1_PI), all(-FRAC_1_PI) / sine)
}

fn ordered_pairs(pairs: &Pairs<'_>) -> f64 {
    let n = pairs.count() as f64;
    n * (n - 1.0)
}

fn mean_square(points: &[f32]) -> f64 {
    points.chunks(1024).map(|part| f64::from(vector::dot(part, part))).sum::<f64>() / points.len() as f64
}
