//! Penalties that depend on the eigenvalues of the Gram matrix of unit points, on float32 slices.

use crate::{Matrix, Scaled, gram, times, wide_gram};

/// A function of the Gram matrix of a group's unit points: of `uᵀu` or, where there are fewer points than dims, of `uuᵀ`. Both have
/// the same nonzero eigenvalues. Writes the gradient with respect to the points.
///
/// `function` gets the Gram matrix and its size m. It returns a value and its gradient with respect to the Gram matrix, which is
/// symmetric too. The Gram matrix is in float64, since its rounding errors weigh most in the eigenvalues near 0. The products with
/// the gradient amplify no errors, so they are in float32.
///
/// # Shapes
/// points (n, d), gradient (n, d); the Gram matrix and its gradient (m, m), m the smaller of n and d
///
/// # Errors
/// When `function` fails.
pub fn of_smaller_gram<E>(
    points: &[f32],
    d: usize,
    gradient: &mut [f32],
    function: impl FnOnce(Vec<f64>, usize) -> Result<(f64, Vec<f64>), E>,
) -> Result<f64, E> {
    let n = points.len() / d;
    let unit = Scaled::new(points.to_vec(), d, 0.0);
    let u = unit.points();
    let narrow = |numbers: Vec<f64>| numbers.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let value = if n < d {
        let transposed: Vec<f64> = (0..d).flat_map(|k| u[k..].iter().step_by(d).map(|x| f64::from(*x))).collect(); // (d, n)
        let (value, grad_gram) = function(gram(&transposed, n), n)?;
        times(&narrow(grad_gram), Matrix::new(u, n, d), gradient, |_, _| {});
        value
    } else {
        let (value, grad_gram) = function(wide_gram(u, &vec![0.0; d]), d)?;
        times(u, Matrix::new(&narrow(grad_gram), d, d), gradient, |_, _| {});
        value
    };
    unit.backward(gradient, 2.0);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use crate::*;

    /// `‖Gram‖²_F / 4`, whose gradient is half the Gram matrix, of the directions (1, 0) and (0.6, 0.8), by `uᵀu` and by `uuᵀ`.
    fn check(points: &[f32], d: usize, side: usize, expected: &[f32]) {
        let mut gradient = vec![0.0; points.len()];
        let value = of_smaller_gram(points, d, &mut gradient, |gram, m| {
            assert_eq!((gram.len(), m), (side * side, side));
            Ok::<_, std::convert::Infallible>((gram.iter().map(|x| x * x / 4.0).sum(), gram.iter().map(|x| x / 2.0).collect()))
        });
        assert!((value.unwrap() - 2.72 / 4.0).abs() < 1e-7); // 1 + 1 + 2·0.6²
        assert!(gradient.iter().zip(expected).all(|(found, e)| (found - e).abs() < 1e-6), "{gradient:?}");
    }

    #[test]
    fn both_gram_matrices_by_hand() {
        // The part of 0.6 u_j orthogonal to u_i: 0.6·(0, 0.8) for the first point; 0.6·((1, 0) - 0.6·(0.6, 0.8)) =
        // 0.6·(0.64, -0.48) for the second, halved since its norm is 2
        check(&[1.0, 0.0, 1.2, 1.6], 2, 2, &[0.0, 0.48, 0.192, -0.144]);
        check(&[1.0, 0.0, 0.0, 1.2, 1.6, 0.0], 3, 2, &[0.0, 0.48, 0.0, 0.192, -0.144, 0.0]);
    }
}
