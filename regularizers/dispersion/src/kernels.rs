//! Kernels: value and gradient of each variant for one group of float32 points, a block of pairs at a time.

use crate::neighbours::entropy;
use crate::{Dispersion, Variant};
use regatta_core::kernels::elementary::arccos;
use regatta_core::kernels::vector::{dot_with, sum_with};
use regatta_core::kernels::{
    Linear, Matrix, PairTerm, Pairs, Scaled, centred_rows, gram, pair_log_sum_exp, pair_sum, times, vector,
};
use regatta_core::libm;
use regatta_core::simd::{Lanes, Simd};
use regatta_core::{Draw, FloatCloud, Kernel, Result, vectorize};
use std::f32::consts::FRAC_1_PI;

impl Kernel for Dispersion {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        self.check_dims(d)?;
        cloud.each_group(|points, gradient| {
            Ok(match self.variant {
                Variant::AngularSpread => self.fused_angular_spread(points, d, gradient),
                Variant::L2Repel => self.fused_l2_repel(points, d, gradient),
                Variant::Decorrelation => fused_decorrelation(points, d, gradient),
                Variant::Orthogonalization => self.fused_orthogonalization(points, d, gradient),
                Variant::PerplexityEntropy => self.fused_perplexity_entropy(points, d, gradient),
            })
        })
    }
}

impl Dispersion {
    fn fused_angular_spread(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let u = Scaled::new(points.to_vec(), d, self.epsilon.get() as f32);
        let pairs = Pairs::products(u.points(), d);
        let spread = AngularSpread { bound: 1.0 - self.clamp.get() as f32, rate: -1.0 / self.temperature.get() as f32 };
        let log_sum = pair_log_sum_exp(&pairs, 0.0, gradient, &spread);
        u.backward(gradient, 1.0);
        log_sum - libm::log(ordered_pairs(&pairs)) + self.epsilon.get()
    }

    /// The pairs i = j are included: each adds `exp(0) = 1`, n in total.
    fn fused_l2_repel(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let pairs = Pairs::distances(&z, d);
        let n = pairs.count() as f64;
        let rate = (2.0 / self.temperature.get()) as f32; // q is minus half the squared distance
        let log_sum = pair_log_sum_exp(&pairs, n, gradient, &Linear { rate });
        vector::add_multiple(gradient, (0.2 / points.len() as f64) as f32, points);
        log_sum - 2.0 * libm::log(n) + self.epsilon.get() + 0.1 * mean_square(points)
    }

    fn fused_orthogonalization(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let u = Scaled::new(points.to_vec(), d, self.epsilon.get() as f32);
        let pairs = Pairs::products(u.points(), d);
        let hinge = SquaredHinge { bound: 1.0 - self.clamp.get() as f32, margin: self.margin.get() as f32 };
        let sum = pair_sum(&pairs, gradient, &hinge);
        u.backward(gradient, (1.0 / ordered_pairs(&pairs)) as f32);
        sum / ordered_pairs(&pairs)
    }

    fn fused_perplexity_entropy(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let z = centred_rows(points, d);
        let rate = (2.0 / self.temperature.get()) as f32;
        entropy(&Pairs::distances(&z, d).kept(), rate, self.epsilon.get().max(crate::LEAST_EPSILON) as f32, gradient)
    }
}

/// `-angle / τ`
struct AngularSpread {
    bound: f32,
    rate: f32,
}

impl PairTerm for AngularSpread {
    #[inline(always)]
    fn of<S: Simd>(&self, cosine: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        let (angle, derivative) = bounded_angle(cosine, self.bound);
        (Lanes::splat(self.rate) * angle, Lanes::splat(self.rate) * derivative)
    }
}

/// `max(0, margin - angle)²`
struct SquaredHinge {
    bound: f32,
    margin: f32,
}

impl PairTerm for SquaredHinge {
    #[inline(always)]
    fn of<S: Simd>(&self, cosine: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        let (angle, derivative) = bounded_angle(cosine, self.bound);
        let shortfall = Lanes::ZERO.fast_max(Lanes::splat(self.margin) - angle); // propagates NaN
        (shortfall * shortfall, Lanes::splat(-2.0) * shortfall * derivative)
    }
}

/// `q²`
struct Square;

impl PairTerm for Square {
    #[inline(always)]
    fn of<S: Simd>(&self, q: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        (q * q, Lanes::splat(2.0) * q)
    }
}

/// See [`decorrelation`](crate::decorrelation). `Σ_ij (u_i·u_j)² = ‖uᵀu‖²_F`, which is cheaper with at least as many points as
/// dims.
fn fused_decorrelation(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let mut z = points.to_vec();
    subtract_row_means(&mut z, d);
    let u = Scaled::new(z, d, 0.0);
    let pairs = Pairs::products(u.points(), d);
    let sum = if pairs.count() < d {
        pair_sum(&pairs, gradient, &Square)
    } else {
        let moments = gram(u.points(), d);
        times(u.points(), Matrix::new(&moments, d, d), gradient, |u, gradient| {
            remove_self_pairs(gradient, u, d);
        });
        let self_pairs: f64 =
            u.points().chunks_exact(d).map(|u| f64::from(vector::dot(u, u))).map(|square| square * square).sum();
        moments.chunks_exact(d).map(|row| f64::from(vector::dot(row, row))).sum::<f64>() - self_pairs
    };
    u.backward(gradient, (1.0 / ordered_pairs(&pairs)) as f32);
    subtract_row_means(gradient, d);
    sum / ordered_pairs(&pairs)
}

vectorize! {
    /// Subtracts the mean of each row from it. rows (n, d)
    fn subtract_row_means(rows: &mut [f32], d: usize) = subtract_row_means_with;

    /// Removes the pairs i = j from the gradient and multiplies it by 4. gradient, u (n, d)
    fn remove_self_pairs(gradient: &mut [f32], u: &[f32], d: usize) = remove_self_pairs_with;
}

#[inline(always)]
fn subtract_row_means_with<S: Simd>(rows: &mut [f32], d: usize) {
    for row in rows.chunks_exact_mut(d) {
        let mean = sum_with::<S>(row) / d as f32;
        row.iter_mut().for_each(|x| *x -= mean);
    }
}

#[inline(always)]
fn remove_self_pairs_with<S: Simd>(gradient: &mut [f32], u: &[f32], d: usize) {
    for (row, u) in gradient.chunks_exact_mut(d).zip(u.chunks_exact(d)) {
        let square = dot_with::<S>(u, u);
        row.iter_mut().zip(u).for_each(|(g, u)| *g = 4.0 * (*g - square * u));
    }
}

/// The angle of [`bounded_angles`](regatta_core::maths::bounded_angles) and its derivative.
#[inline(always)]
fn bounded_angle<S: Simd>(cosine: Lanes<S>, bound: f32) -> (Lanes<S>, Lanes<S>) {
    let splat = Lanes::splat;
    let clamped = splat(-bound).fast_max(splat(bound).fast_min(cosine));
    let sine = ((splat(1.0) - clamped) * (splat(1.0) + clamped)).sqrt();
    (arccos(clamped) * splat(FRAC_1_PI), splat(-FRAC_1_PI) / sine)
}

fn ordered_pairs(pairs: &Pairs<'_>) -> f64 {
    let n = pairs.count() as f64;
    n * (n - 1.0)
}

fn mean_square(points: &[f32]) -> f64 {
    points.chunks(1024).map(|part| f64::from(vector::dot(part, part))).sum::<f64>() / points.len() as f64
}
