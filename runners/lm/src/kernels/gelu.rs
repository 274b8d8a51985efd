//! GELU in its tanh form: `x/2·(1 + tanh u)`, `u = sqrt(2/π)·(x + 0.044715 x³)`; Hendrycks & Gimpel 2016, arXiv 1606.08415.

use regatta_core::maths::vector::{LANES, Lanes, exps, load, store};

const CUBE: f32 = 0.044_715;
const SLOPE: f32 = 0.797_884_6; // sqrt(2/π)

/// `s = σ(2u) = (1 + tanh u)/2`, and `1 - s` without the digits that the difference would lose.
#[inline(always)]
fn gate(x: Lanes) -> (Lanes, Lanes) {
    let all = Lanes::splat;
    let e = exps(all(-2.0 * SLOPE) * x * (all(1.0) + all(CUBE) * x * x));
    let s = all(1.0) / (all(1.0) + e);
    (s, e * s)
}

/// `y = gelu(x)`
pub(crate) fn gelu(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES).map(load)) {
        store(y, x * gate(x).0);
    }
}

/// `y = gelu(x)` again, and `g`, the gradient of y, turned into that of x.
pub(crate) fn gelu_backward(x: &[f32], y: &mut [f32], g: &mut [f32]) {
    let all = Lanes::splat;
    for ((y, g), x) in y.chunks_mut(LANES).zip(g.chunks_mut(LANES)).zip(x.chunks(LANES).map(load)) {
        let (s, rest) = gate(x);
        store(y, x * s);
        let slope = s + x * s * rest * (all(2.0 * SLOPE) * (all(1.0) + all(3.0 * CUBE) * x * x));
        store(g, load(g) * slope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(x: f64) -> f64 {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    }

    #[test]
    fn value_and_slope_are_those_of_the_tanh_form() {
        let x: Vec<f32> = (-120..=120).map(|i| i as f32 / 10.0).collect();
        let (mut y, mut again, mut g) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![2.0; x.len()]);
        gelu(&x, &mut y);
        gelu_backward(&x, &mut again, &mut g);
        assert_eq!(y, again);
        for ((x, y), g) in x.into_iter().map(f64::from).zip(y).zip(g) {
            assert!((f64::from(y) - exact(x)).abs() < 1e-6, "gelu({x}) = {y}");
            let slope = (exact(x + 1e-5) - exact(x - 1e-5)) / 2e-5;
            assert!((f64::from(g) - 2.0 * slope).abs() < 2e-6, "at {x}: {g}, expected {}", 2.0 * slope);
        }
    }
}
