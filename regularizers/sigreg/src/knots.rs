//! The quadrature of the Epps-Pulley statistic.

use regatta_core::libm;

/// A knot of the quadrature, at which characteristic functions are compared.
pub struct Knot {
    /// The argument of the characteristic functions.
    pub t: f64,
    /// The characteristic function of the standard normal, `φ = exp(-t²/2)`.
    pub target: f64,
    /// The weight of the trapezoid rule, doubled by symmetry, times φ.
    pub weight: f64,
}

/// `count` knots, at least 2, evenly spaced over [0, `t_max`].
pub fn knots(count: usize, t_max: f64) -> Vec<Knot> {
    let step = t_max / (count - 1) as f64;
    let knot = |index: usize| {
        let t = step * index as f64;
        let target = libm::exp(-0.5 * t * t);
        let ends = index == 0 || index == count - 1;
        Knot { t, target, weight: target * if ends { step } else { 2.0 * step } }
    };
    (0..count).map(knot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knots_have_trapezoid_weights_times_phi() {
        let found: Vec<[f64; 3]> = knots(3, 2.0).into_iter().map(|knot| [knot.t, knot.target, knot.weight]).collect();
        let [one, two] = [(-0.5f64).exp(), (-2f64).exp()];
        let expected = [[0.0, 1.0, 1.0], [1.0, one, 2.0 * one], [2.0, two, two]];
        let close = found.as_flattened().iter().zip(expected.as_flattened()).all(|(found, e)| (found - e).abs() < 1e-15);
        assert!(close, "{found:?}");
    }
}
