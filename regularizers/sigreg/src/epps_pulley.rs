//! Value and gradient of the Epps-Pulley statistic, without a table of n·k·knots sines.

use regatta_core::libm;

/// Slices worked on side by side: enough to fill vector registers, few enough to stay in the nearest cache.
const LANES: usize = 8;

/// A complex number per lane.
#[derive(Clone, Copy)]
struct Lanes {
    re: [f64; LANES],
    im: [f64; LANES],
}

impl Lanes {
    const ZERO: Self = Self { re: [0.0; LANES], im: [0.0; LANES] };
    const ONE: Self = Self { re: [1.0; LANES], im: [0.0; LANES] };

    #[inline(always)]
    fn plus(&self, other: &Self) -> Self {
        let mut sum = *self;
        for lane in 0..LANES {
            sum.re[lane] += other.re[lane];
            sum.im[lane] += other.im[lane];
        }
        sum
    }

    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        let mut product = Self::ZERO;
        for lane in 0..LANES {
            product.re[lane] = self.re[lane] * other.re[lane] - self.im[lane] * other.im[lane];
            product.im[lane] = self.re[lane] * other.im[lane] + self.im[lane] * other.re[lane];
        }
        product
    }
}

/// A knot of the quadrature.
pub struct Knot {
    pub t: f64,
    /// Characteristic function of the standard normal: `φ = exp(-t²/2)`.
    pub target: f64,
    /// Trapezoid, doubled by symmetry, times φ.
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

/// The statistic with its knots laid out.
pub struct EppsPulley {
    step: f64,
    knots: Vec<Knot>,
}

impl EppsPulley {
    /// The statistic at these [`knots`].
    pub fn new(knots: Vec<Knot>) -> Self {
        Self { step: knots[1].t, knots }
    }

    /// The mean over slices of the statistic of one group; its gradient is written beside.
    ///
    /// # Shapes
    /// x (n, k), row by row, gradient (n, k)
    pub fn mean_over_slices(&self, x: &[f64], slices: usize, gradient: &mut [f64]) -> f64 {
        let blocks = (0..slices).step_by(LANES);
        blocks.map(|first| self.block(x, slices, first, gradient)).sum::<f64>() / slices as f64
    }

    /// Sum of the statistics of the slices from `first` on, up to a block of them.
    ///
    /// The knots are evenly spaced, so `exp(i t_j x)` is the j-th power of the turn `exp(i dt x)`: one sine and cosine a number.
    fn block(&self, x: &[f64], slices: usize, first: usize, gradient: &mut [f64]) -> f64 {
        let width = LANES.min(slices - first);
        let n = (x.len() / slices) as f64;

        let mut turns = Vec::with_capacity(x.len() / slices);
        let mut sums = vec![Lanes::ZERO; self.knots.len()]; // of exp(i t_j x) over points
        for row in x.chunks_exact(slices) {
            let mut turn = Lanes::ONE;
            for lane in 0..width {
                (turn.im[lane], turn.re[lane]) = libm::sincos(self.step * row[first + lane]);
            }
            let mut power = Lanes::ONE;
            for sum in &mut sums {
                *sum = sum.plus(&power);
                power = power.times(&turn);
            }
            turns.push(turn);
        }

        // With C and S the means of cosine and sine: value n Σ w [(C - φ)² + S²], and
        // d value / dx = Σ 2wt [S cos(t x) - (C - φ) sin(t x)] = Re Σ p_j turn^j,  p_j = 2wt (S + i (C - φ)).
        let mut value = 0.0;
        let mut coefficients = sums; // the sums, turned into p_j in place
        for (knot, p) in self.knots.iter().zip(&mut coefficients) {
            let slope = 2.0 * knot.weight * knot.t / slices as f64;
            for lane in 0..width {
                let (off, sine) = (p.re[lane] / n - knot.target, p.im[lane] / n);
                value += n * knot.weight * (off * off + sine * sine);
                (p.re[lane], p.im[lane]) = (slope * sine, slope * off);
            }
        }
        for (turn, row) in turns.iter().zip(gradient.chunks_exact_mut(slices)) {
            let sum = coefficients.iter().rev().fold(Lanes::ZERO, |sum, p| sum.times(turn).plus(p)); // Horner
            row[first..first + width].copy_from_slice(&sum.re[..width]);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula as it is written, one sine and cosine a point and knot.
    fn by_the_formula(x: &[f64], knots: usize, t_max: f64) -> (f64, Vec<f64>) {
        let n = x.len() as f64;
        let dt = t_max / (knots - 1) as f64;
        let (mut value, mut gradient) = (0.0, vec![0.0; x.len()]);
        for j in 0..knots {
            let t = dt * j as f64;
            let phi = (-t * t / 2.0).exp();
            let weight = phi * if j == 0 || j == knots - 1 { dt } else { 2.0 * dt };
            let cosine = x.iter().map(|x| (t * x).cos()).sum::<f64>() / n - phi;
            let sine = x.iter().map(|x| (t * x).sin()).sum::<f64>() / n;
            value += n * weight * (cosine * cosine + sine * sine);
            for (slope, x) in gradient.iter_mut().zip(x) {
                *slope += 2.0 * weight * t * (sine * (t * x).cos() - cosine * (t * x).sin());
            }
        }
        (value, gradient)
    }

    fn check(slices: usize, knots: usize, t_max: f64) {
        let x: Vec<f64> = (0..5 * slices).map(|i| ((i * i) as f64 * 0.37).sin() * 3.0 + 0.2).collect(); // (5, slices)
        let mut gradient = vec![0.0; x.len()];
        let value = EppsPulley::new(self::knots(knots, t_max)).mean_over_slices(&x, slices, &mut gradient);

        let columns: Vec<_> = (0..slices)
            .map(|k| by_the_formula(&x.iter().copied().skip(k).step_by(slices).collect::<Vec<_>>(), knots, t_max))
            .collect();
        let expected = columns.iter().map(|c| c.0).sum::<f64>() / slices as f64;
        assert!((value - expected).abs() < 1e-12 * expected, "{value} {expected}");
        for (index, found) in gradient.iter().enumerate() {
            let expected = columns[index % slices].1[index / slices] / slices as f64;
            assert!((found - expected).abs() < 1e-12, "at {index}: {found} {expected}");
        }
    }

    #[test]
    fn rotations_give_what_the_formula_gives() {
        check(1, 2, 1.0);
        check(8, 17, 3.0);
        check(19, 33, 5.0); // two whole blocks and a part of one
        check(3, 1024, 40.0);
    }
}
