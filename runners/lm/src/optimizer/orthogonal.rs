//! The orthogonal factor of a matrix, nearly: `U·Vᵀ` of `U·S·Vᵀ`, by Newton-Schulz steps (Jordan et al. 2024, "Muon").
//!
//! ```text
//! x <- x / max(‖x‖, 1e-7)
//! a <- xᵀx        x <- x (3.4445 - 4.7750 a + 2.0315 a²)        so many times
//! ```
//! Each step moves every singular value s to `3.4445 s - 4.7750 s³ + 2.0315 s⁵`. The polynomial is chosen for its slope at 0, and
//! does not come to rest at 1: five steps leave all but tiny singular values between about 0.7 and 1.2. All is float32; published
//! code computes it in bfloat16.

use rayon::prelude::*;
use regatta_kernels::model::{SQUARES_BLOCK, sum_of_squares};
use regatta_kernels::simd::Simd;
use regatta_kernels::vector::scale;
use regatta_kernels::vectorize;
use regatta_kernels::{Matrix, gram, times};

pub(crate) const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// What a norm is divided by at least.
pub(crate) const LEAST_NORM: f64 = 1e-7;

/// Makes the columns of `x` nearly orthonormal, by so many steps.
///
/// # Shapes
/// x (rows, columns), where a step is cheap when there are at least as many rows
pub(super) fn orthogonalise(x: &mut Vec<f32>, columns: usize, steps: usize) {
    let norm = x.par_chunks(SQUARES_BLOCK).map(sum_of_squares).collect::<Vec<f64>>().into_iter().sum::<f64>().sqrt();
    scale(x, (1.0 / norm.max(LEAST_NORM)) as f32);
    let mut next = vec![0.0; x.len()];
    for _ in 0..steps {
        let a = gram(x, columns);
        let mut polynomial = gram(&a, columns); // a², since a is symmetric
        combine(&mut polynomial, &a);
        polynomial.iter_mut().step_by(columns + 1).for_each(|diagonal| *diagonal += COEFFICIENTS[0]);
        times(x, Matrix::new(&polynomial, columns, columns), &mut next, |_, _| {});
        std::mem::swap(x, &mut next);
    }
}

vectorize! {
    /// `squared = b·a + c·squared`
    fn combine(squared: &mut [f32], a: &[f32]) = combine_with;
}

#[inline(always)]
fn combine_with<S: Simd>(squared: &mut [f32], a: &[f32]) {
    let [_, b, c] = COEFFICIENTS;
    squared.iter_mut().zip(a).for_each(|(squared, a)| *squared = b * a + c * *squared);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(s: f64) -> f64 {
        3.4445 * s - 4.7750 * s.powi(3) + 2.0315 * s.powi(5)
    }

    /// A matrix with one number in each column is its own singular values: (3, 4) has norm 5.
    #[test]
    fn singular_values_follow_the_polynomial() {
        for steps in 0..=5 {
            let mut x = vec![3.0, 0.0, 0.0, -4.0, 0.0, 0.0];
            orthogonalise(&mut x, 2, steps);
            let expected = [0.6, 0.8].map(|s| (0..steps).fold(s, |s, _| step(s)));
            assert!((f64::from(x[0]) - expected[0]).abs() < 1e-5 && (f64::from(x[3]) + expected[1]).abs() < 1e-5, "{x:?}");
            assert!([1, 2, 4, 5].into_iter().all(|zero| x[zero] == 0.0), "{x:?}");
        }
    }

    /// Rotating the rows rotates the factor: that of `R·x` is `R·orthogonal(x)`.
    #[test]
    fn a_turn_passes_through() {
        let rotated = |x: &[f32]| -> Vec<f32> {
            let (cos, sin) = (0.6, 0.8);
            let row = |i: usize, j: usize| x[i * 2 + j];
            vec![
                cos * row(0, 0) - sin * row(1, 0),
                cos * row(0, 1) - sin * row(1, 1),
                sin * row(0, 0) + cos * row(1, 0),
                sin * row(0, 1) + cos * row(1, 1),
            ]
        };
        let mut x = vec![2.0, 1.0, -1.0, 0.5];
        let mut other = rotated(&x);
        orthogonalise(&mut x, 2, 5);
        orthogonalise(&mut other, 2, 5);
        assert!(rotated(&x).iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-5), "{x:?}, {other:?}");
        let dots = [x[0] * x[0] + x[2] * x[2], x[0] * x[1] + x[2] * x[3], x[1] * x[1] + x[3] * x[3]];
        assert!((0.6..1.5).contains(&dots[0]) && (0.6..1.5).contains(&dots[2]) && dots[1].abs() < 0.3, "{dots:?}");
    }

    #[test]
    fn nothing_stays_nothing_and_the_largest_numbers_are_no_trouble() {
        let mut zeros = vec![0.0; 6];
        orthogonalise(&mut zeros, 2, 5);
        assert_eq!(zeros, [0.0; 6]);
        let (mut large, mut small) = (vec![1e30, 0.0, 0.0, 1e30], vec![1.0, 0.0, 0.0, 1.0]);
        orthogonalise(&mut large, 2, 5);
        orthogonalise(&mut small, 2, 5);
        assert!(large.iter().zip(&small).all(|(l, s)| (l - s).abs() < 1e-5), "{large:?}");
    }
}
