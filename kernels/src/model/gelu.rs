//! GELU in its tanh approximation: `x/2·(1 + tanh u)`, `u = sqrt(2/π)·(x + 0.044715 x³)`; Hendrycks & Gimpel 2016,
//! arXiv:1606.08415.

use crate::simd::{LANES, Lanes, Simd, load, store};
use crate::vector::exps;

/// The factor of `x³`.
pub const CUBE: f32 = 0.044_715;
const ROOT_2_OVER_PI: f32 = 0.797_884_6;

/// `s = σ(2u) = (1 + tanh u)/2`, and `1 - s` without cancellation.
#[inline(always)]
fn gate<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let all = Lanes::splat;
    let e = exps(all(-2.0 * ROOT_2_OVER_PI) * x * (all(1.0) + all(CUBE) * x * x));
    let s = all(1.0) / (all(1.0) + e);
    (s, e * s)
}

crate::vectorize! {
    /// `y = gelu(x)`
    pub fn gelu(x: &[f32], y: &mut [f32]) = gelu_with;

    /// Recomputes `y = gelu(x)` and replaces `g`, the gradient of y, by the gradient of x.
    pub fn gelu_backward(x: &[f32], y: &mut [f32], g: &mut [f32]) = gelu_backward_with;
}

#[inline(always)]
fn gelu_with<S: Simd>(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES)) {
        let x = load::<S>(x);
        store(y, x * gate(x).0);
    }
}

#[inline(always)]
fn gelu_backward_with<S: Simd>(x: &[f32], y: &mut [f32], g: &mut [f32]) {
    let all = Lanes::splat;
    for ((y, g), x) in y.chunks_mut(LANES).zip(g.chunks_mut(LANES)).zip(x.chunks(LANES)) {
        let x = load::<S>(x);
        let (s, rest) = gate(x);
        store(y, x * s);
        let derivative = s + x * s * rest * (all(2.0 * ROOT_2_OVER_PI) * (all(1.0) + all(3.0 * CUBE) * x * x));
        store(g, load(g) * derivative);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(x: f64) -> f64 {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    }

    #[test]
    fn value_and_derivative_agree_with_the_tanh_form_in_float64() {
        let x: Vec<f32> = (-120..=120).map(|i| i as f32 / 10.0).collect();
        let (mut y, mut again, mut g) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![2.0; x.len()]);
        gelu(&x, &mut y);
        gelu_backward(&x, &mut again, &mut g);
        assert_eq!(y, again);
        for ((x, y), g) in x.into_iter().map(f64::from).zip(y).zip(g) {
            assert!((f64::from(y) - exact(x)).abs() < 1e-6, "gelu({x}) = {y}");
            let derivative = (exact(x + 1e-5) - exact(x - 1e-5)) / 2e-5;
            assert!((f64::from(g) - 2.0 * derivative).abs() < 2e-6, "at {x}: {g}, expected {}", 2.0 * derivative);
        }
    }
}
