//! Activations of an MLP, and the soft cap on logits.

use crate::simd::{LANES, Lanes, Simd, load, store};
use crate::vector::exps;
use crate::vectorize;

vectorize! {
    /// `y = x·Φ(x)`, Φ the standard normal distribution; Hendrycks & Gimpel 2016, arXiv:1606.08415.
    pub fn gelu_exact(x: &[f32], y: &mut [f32]) = gelu_exact_with;

    /// Recomputes `y = x·Φ(x)` and replaces `g`, the gradient of y, by the gradient of x.
    pub fn gelu_exact_backward(x: &[f32], y: &mut [f32], g: &mut [f32]) = gelu_exact_backward_with;

    /// `y = silu(gate)·up`, silu(x) = x·σ(x); Shazeer 2020, arXiv:2002.05202. x (r, 2m): gates, then ups; y (r, m)
    pub fn swiglu(x: &[f32], m: usize, y: &mut [f32]) = swiglu_with;

    /// Recomputes `y = silu(gate)·up` and writes `dx`, the gradient of x, given `g`, the gradient of y. x, dx (r, 2m), y, g (r, m)
    pub fn swiglu_backward(x: &[f32], m: usize, y: &mut [f32], g: &[f32], dx: &mut [f32]) = swiglu_backward_with;

    /// `x <- c·tanh(x / c)`
    pub fn cap(x: &mut [f32], c: f32) = cap_with;

    /// Replaces `g`, the gradient of the capped numbers y, by the gradient of the numbers before the cap: `g·(1 - (y/c)²)`.
    pub fn cap_backward(y: &[f32], c: f32, g: &mut [f32]) = cap_backward_with;
}

/// `Φ(x)` within 1e-7, and `exp(-x²/2)`, by Abramowitz and Stegun, 7.1.26, at `x/√2`.
#[inline(always)]
fn normal<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    const P: f32 = 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2;
    let all = Lanes::splat;
    let e = exps(all(-0.5) * x * x);
    let t = all(1.0) / x.abs().mul_add(all(P), all(1.0));
    let p = t.mul_add(all(1.061_405_4), all(-1.453_152));
    let p = p.mul_add(t, all(1.421_413_8));
    let p = p.mul_add(t, all(-0.284_496_72));
    let p = p.mul_add(t, all(0.254_829_6));
    let beyond = all(0.5) * (p * t) * e; // the tail beyond |x|
    (x.simd_lt(Lanes::ZERO).select(beyond, all(1.0) - beyond), e)
}

#[inline(always)]
fn gelu_exact_with<S: Simd>(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES)) {
        let x = load::<S>(x);
        store(y, x * normal(x).0);
    }
}

#[inline(always)]
fn gelu_exact_backward_with<S: Simd>(x: &[f32], y: &mut [f32], g: &mut [f32]) {
    const DENSITY_AT_0: f32 = 0.398_942_3; // 1/sqrt(2π)
    for ((y, g), x) in y.chunks_mut(LANES).zip(g.chunks_mut(LANES)).zip(x.chunks(LANES)) {
        let x = load::<S>(x);
        let (below, e) = normal(x);
        store(y, x * below);
        store(g, load(g) * (below + x * e * Lanes::splat(DENSITY_AT_0)));
    }
}

/// `σ(x)`, and `1 - σ(x)` without cancellation.
#[inline(always)]
fn sigmoid<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let e = exps(Lanes::ZERO - x);
    let s = Lanes::ONE / (Lanes::ONE + e);
    (s, e * s)
}

#[inline(always)]
fn swiglu_with<S: Simd>(x: &[f32], m: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(2 * m).zip(y.chunks_exact_mut(m)) {
        let (gates, ups) = x.split_at(m);
        for ((gate, up), y) in gates.chunks(LANES).zip(ups.chunks(LANES)).zip(y.chunks_mut(LANES)) {
            let (gate, up) = (load::<S>(gate), load::<S>(up));
            store(y, gate * sigmoid(gate).0 * up);
        }
    }
}

#[inline(always)]
fn swiglu_backward_with<S: Simd>(x: &[f32], m: usize, y: &mut [f32], g: &[f32], dx: &mut [f32]) {
    let rows = x.chunks_exact(2 * m).zip(dx.chunks_exact_mut(2 * m)).zip(y.chunks_exact_mut(m).zip(g.chunks_exact(m)));
    for ((x, dx), (y, g)) in rows {
        let ((gates, ups), (gate_grads, up_grads)) = (x.split_at(m), dx.split_at_mut(m));
        let grads = gate_grads.chunks_mut(LANES).zip(up_grads.chunks_mut(LANES));
        let both = y.chunks_mut(LANES).zip(g.chunks(LANES));
        for (((gate, up), (gate_grad, up_grad)), (y, g)) in gates.chunks(LANES).zip(ups.chunks(LANES)).zip(grads).zip(both) {
            let (gate, up, g) = (load::<S>(gate), load::<S>(up), load::<S>(g));
            let (s, rest) = sigmoid(gate);
            let silu = gate * s;
            store(y, silu * up);
            store(up_grad, g * silu);
            store(gate_grad, g * up * (s + silu * rest));
        }
    }
}

#[inline(always)]
fn cap_with<S: Simd>(x: &mut [f32], c: f32) {
    let all = Lanes::<S>::splat;
    let (c, inverse) = (all(c), all(1.0 / c));
    for x in x.chunks_mut(LANES) {
        let u = inverse * load(x);
        let half = Lanes::ONE / (Lanes::ONE + exps(u + u)); // (1 - tanh)/2
        let square = u * u;
        let series = square.mul_add(all(-17.0 / 315.0), all(2.0 / 15.0)); // used near 0, where the difference would cancel
        let series = square.mul_add(square.mul_add(series, all(-1.0 / 3.0)), Lanes::ONE) * u;
        store(x, c * square.simd_lt(all(0.04)).select(series, Lanes::ONE - half - half));
    }
}

#[inline(always)]
fn cap_backward_with<S: Simd>(y: &[f32], c: f32, g: &mut [f32]) {
    let inverse = 1.0 / c;
    g.iter_mut().zip(y).for_each(|(g, y)| *g *= 1.0 - (y * inverse) * (y * inverse));
}

#[cfg(test)]
mod tests {
    use super::*;
    use libm;

    fn numbers() -> Vec<f32> {
        (-130..=130).map(|i| i as f32 / 10.0).chain([-200.0, -90.0, 90.0, 200.0]).collect()
    }

    /// Compares value and gradient of `found` with a function in float64 and its central difference.
    fn check(found: impl Fn(&[f32], &mut [f32], &mut [f32]), exact: impl Fn(f64) -> f64) {
        let x = numbers();
        let (mut y, mut g) = (vec![0.0; x.len()], vec![2.0; x.len()]);
        found(&x, &mut y, &mut g);
        for ((x, y), g) in x.into_iter().map(f64::from).zip(y).zip(g) {
            assert!((f64::from(y) - exact(x)).abs() < 1e-6 * exact(x).abs().max(1.0), "at {x}: {y}, expected {}", exact(x));
            let grad = (exact(x + 1e-5) - exact(x - 1e-5)) / 2e-5;
            assert!((f64::from(g) - 2.0 * grad).abs() < 4e-6, "at {x}: {g}, expected {}", 2.0 * grad);
        }
    }

    #[test]
    fn gelu_exact_agrees_with_the_error_function() {
        let exact = |x: f64| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()));
        check(gelu_exact_backward, exact);
        let (mut y, mut again) = (vec![0.0; 265], vec![0.0; 265]);
        gelu_exact(&numbers(), &mut y);
        gelu_exact_backward(&numbers(), &mut again, &mut [0.0; 265]);
        assert_eq!(y, again);
    }

    #[test]
    fn swiglu_agrees_with_its_definition() {
        let silu = |x: f64| x / (1.0 + libm::exp(-x));
        let (up, m) = (0.75, 1);
        let both = |x: &[f32], y: &mut [f32], g: &mut [f32]| {
            for ((x, y), g) in x.iter().zip(y).zip(g) {
                let (mut out, mut grads) = ([0.0], [0.0; 2]);
                swiglu_backward(&[*x, up], m, &mut out, &[*g], &mut grads);
                assert!((f64::from(grads[1]) - f64::from(*g) * silu(f64::from(*x))).abs() < 2e-6);
                let mut again = [0.0];
                swiglu(&[*x, up], m, &mut again);
                assert_eq!(out, again);
                (*y, *g) = (out[0], grads[0]);
            }
        };
        check(both, |x| 0.75 * silu(x));
    }

    #[test]
    fn cap_agrees_with_tanh() {
        let capped = |x: &[f32], y: &mut [f32], g: &mut [f32]| {
            y.copy_from_slice(x);
            cap(y, 5.0);
            cap_backward(y, 5.0, g);
        };
        check(capped, |x| 5.0 * (x / 5.0).tanh());
        let wide = |x: &[f32], y: &mut [f32], g: &mut [f32]| {
            y.copy_from_slice(x);
            cap(y, 1e4);
            cap_backward(y, 1e4, g);
        };
        check(wide, |x| 1e4 * (x / 1e4).tanh());
    }
}
