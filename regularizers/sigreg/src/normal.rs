//! The standard normal distribution at sixteen float32 numbers at once, and what the tests on order statistics make of it.

use regatta_core::kernels::elementary::ln;
use regatta_core::kernels::vector::exps;
use regatta_core::simd::{LANES, Lanes, Simd, load, load_or, store, total};
use regatta_core::vectorize;

/// `1 / sqrt(2π)`
const DENSITY: f32 = 0.398_942_3;

/// Numbers whose float32 sums are made at once; sums of those are in float64.
const TOGETHER: usize = 32 * LANES;

/// The tail beyond x, on its own side of 0, of sixteen x.
struct Tail<S: Simd> {
    /// `exp(-x²/2)`
    exponential: Lanes<S>,
    /// The tail's probability q over that.
    ratio: Lanes<S>,
    /// `-x²/2`
    exponent: Lanes<S>,
}

impl<S: Simd> Tail<S> {
    /// Within 5e-7 relative: with `t = 1 / (1 + 0.3 |x|)` the ratio over t is a polynomial of 2t - 1, fitted at Chebyshev nodes.
    #[inline(always)]
    fn of(x: Lanes<S>) -> Self {
        const SERIES: [f32; 11] = [
            -8.877_314e-6,
            -2.889_905_5e-5,
            8.725_424e-5,
            2.653_206e-4,
            -5.740_814_5e-4,
            -2.416_392_6e-3,
            1.816_763_1e-3,
            2.775_907_7e-2,
            8.654_967e-2,
            1.645_795_5e-1,
            2.219_706e-1,
        ];
        let all = Lanes::splat;
        let t = all(1.0) / x.abs().mul_add(all(0.3), all(1.0));
        let exponent = all(-0.5) * x * x;
        let ratio = t * polynomial(&SERIES, t.mul_sub(all(2.0), all(1.0)));
        Self { exponential: exps(exponent), ratio, exponent }
    }

    #[inline(always)]
    fn probability(&self) -> Lanes<S> {
        self.exponential * self.ratio
    }

    #[inline(always)]
    fn log_probability(&self) -> Lanes<S> {
        self.exponent + ln(self.ratio)
    }
}

/// Highest power first.
#[inline(always)]
fn polynomial<S: Simd>(coefficients: &[f32], x: Lanes<S>) -> Lanes<S> {
    let mut sum = Lanes::ZERO;
    for coefficient in coefficients {
        sum = sum.mul_add(x, Lanes::splat(*coefficient));
    }
    sum
}

vectorize! {
    /// The mean of `(F(x) - midpoint)²`, less the square of the mean of `F(x) - midpoint` where `shift_free`; each x is replaced
    /// by the derivative with respect to it. x, midpoints (n), the midpoints of the points' ranks, which are written over
    pub fn squared_excess(x: &mut [f32], midpoints: &mut [f32], shift_free: bool) -> f64 = squared_excess_with;

    /// The sum over points of the Kullback-Leibler divergence of F(x) from the midpoint, as chances of two outcomes; each x is
    /// replaced by the derivative with respect to it. x, midpoints (n)
    pub fn divergence(x: &mut [f32], midpoints: &[f32]) -> f64 = divergence_with;
}

#[inline(always)]
fn squared_excess_with<S: Simd>(x: &mut [f32], midpoints: &mut [f32], shift_free: bool) -> f64 {
    let n = x.len() as f64;
    let mut sum = 0.0;
    for (x, midpoints) in x.chunks_mut(TOGETHER).zip(midpoints.chunks_mut(TOGETHER)) {
        let mut part = Lanes::<S>::ZERO;
        for (x, midpoint) in x.chunks_mut(LANES).zip(midpoints.chunks_mut(LANES)) {
            let at = load(x);
            let tail = Tail::of(at);
            let excess = excess(at, tail.probability(), load_or(midpoint, 0.5)).0; // of what is padded, 0
            part += excess;
            store(midpoint, excess);
            store(x, Lanes::splat(DENSITY) * tail.exponential);
        }
        sum += f64::from(total(part));
    }
    let shift = if shift_free { (sum / n) as f32 } else { 0.0 };
    let mut squares = 0.0;
    let factor = Lanes::splat((2.0 / n) as f32);
    for (x, excess) in x.chunks_mut(TOGETHER).zip(midpoints.chunks(TOGETHER)) {
        let mut part = Lanes::<S>::ZERO;
        for (x, excess) in x.chunks_mut(LANES).zip(excess.chunks(LANES)) {
            let apart = load_or(excess, shift) - Lanes::splat(shift);
            part += apart * apart;
            store(x, factor * apart * load(x));
        }
        squares += f64::from(total(part));
    }
    squares / n
}

/// `F(x) - midpoint`; with the probability q of the tail and the midpoint's t, both on x's own side, `t - q` too, and t.
#[inline(always)]
fn excess<S: Simd>(x: Lanes<S>, q: Lanes<S>, midpoint: Lanes<S>) -> (Lanes<S>, Lanes<S>, Lanes<S>) {
    let below = x.simd_lt(Lanes::ZERO);
    let t = below.select(midpoint, Lanes::ONE - midpoint);
    let short = t - q;
    (below.select(-short, short), short, t)
}

#[inline(always)]
fn divergence_with<S: Simd>(x: &mut [f32], midpoints: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (x, midpoints) in x.chunks_mut(TOGETHER).zip(midpoints.chunks(TOGETHER)) {
        let mut part = Lanes::<S>::ZERO;
        for (x, midpoint) in x.chunks_mut(LANES).zip(midpoints.chunks(LANES)) {
            let at = load(x);
            let tail = Tail::of(at);
            let q = tail.probability();
            let (excess, short, t) = excess(at, q, load_or(midpoint, 0.5));
            part += divergence_of(&tail, q, short, t);
            // 2 (F - midpoint) / (F (1 - F)) times the density, in which the exponential falls out
            store(x, Lanes::splat(2.0 * DENSITY) * excess / (tail.ratio * (Lanes::ONE - q)));
        }
        sum += f64::from(total(part));
    }
    sum
}

/// `t ln(t / q) + (1 - t) ln((1 - t) / (1 - q))`. Where t is near q both logarithms are series, whose first terms add up to
/// `(t - q)² / (q (1 - q))`: the two parts nearly cancel, and with n points the statistic would keep none of its digits.
#[inline(always)]
fn divergence_of<S: Simd>(tail: &Tail<S>, q: Lanes<S>, short: Lanes<S>, t: Lanes<S>) -> Lanes<S> {
    let rest = Lanes::ONE - q;
    let (u, v) = (short / q, -short / rest);
    let near = short * (u - v) + t * log_beyond_first(u) + (Lanes::ONE - t) * log_beyond_first(v);
    let far = t * (ln(t) - tail.log_probability()) + (Lanes::ONE - t) * (ln(Lanes::ONE - t) - ln(rest));
    u.abs().simd_lt(Lanes::splat(0.25)).select(near, far)
}

/// `ln(1 + u) - u` of u from -1/4 to 1/4.
#[inline(always)]
fn log_beyond_first<S: Simd>(u: Lanes<S>) -> Lanes<S> {
    const SERIES: [f32; 10] = [1.0 / 11.0, -0.1, 1.0 / 9.0, -0.125, 1.0 / 7.0, -1.0 / 6.0, 0.2, -0.25, 1.0 / 3.0, -0.5];
    u * u * polynomial(&SERIES, u)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::libm;

    fn distribution(x: f32) -> f64 {
        0.5 * libm::erfc(-f64::from(x) / std::f64::consts::SQRT_2)
    }

    /// Two of each x, since a slice has two values at least.
    #[test]
    fn excess_and_derivative_are_close_everywhere() {
        for step in -900..=900 {
            let x = step as f32 / 100.0;
            for midpoint in [0.25f32, 0.75] {
                let (mut derivatives, mut midpoints) = ([x; 2], [midpoint; 2]);
                let found = squared_excess(&mut derivatives, &mut midpoints, false);
                let excess = distribution(x) - f64::from(midpoint);
                assert!((found - excess * excess).abs() < 1e-6, "{x}: {found}");
                let density = (-0.5 * f64::from(x * x)).exp() / std::f64::consts::TAU.sqrt();
                assert!((f64::from(derivatives[0]) - excess * density).abs() < 1e-6, "{x}: {derivatives:?}");
            }
        }
    }

    #[test]
    fn divergence_and_derivative_are_close_everywhere() {
        for step in -500..=500 {
            let x = step as f32 / 100.0;
            for midpoint in [0.001f32, 0.25, 0.75] {
                let mut derivatives = [x; 2];
                let found = divergence(&mut derivatives, &[midpoint; 2]);
                let (f, t) = (distribution(x), f64::from(midpoint));
                let above = distribution(-x);
                let expected = 2.0 * (t * (t / f).ln() + (1.0 - t) * ((1.0 - t) / above).ln());
                assert!((found - expected).abs() < 2e-6 * expected.max(0.25), "{x} {midpoint}: {found}, expected {expected}");
                let density = (-0.5 * f64::from(x * x)).exp() / std::f64::consts::TAU.sqrt();
                let expected = 2.0 * (f - t) * density / (f * above);
                let off = (f64::from(derivatives[0]) - expected).abs();
                assert!(off < 4e-6 * expected.abs().max(0.5), "{x} {midpoint}: {derivatives:?}, expected {expected}");
            }
        }
    }

    #[test]
    fn far_numbers_are_finite() {
        for x in [-1e5f32, 1e5, -40.0, 40.0] {
            let mut derivatives = [x, -x];
            let value = divergence(&mut derivatives, &[0.25, 0.75]);
            assert!((value / f64::from(x * x)).is_finite() && value > 0.2 * f64::from(x * x), "{x}: {value}");
            assert!(derivatives.iter().all(|derivative| derivative.is_finite()), "{x}: {derivatives:?}");
        }
    }
}
