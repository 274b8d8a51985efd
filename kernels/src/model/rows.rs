//! Linear layers and sums over rows.

use crate::simd::Simd;
use crate::vector::{add_with, dot};
use crate::vectorize;
use crate::{Matrix, MatrixMut, Onto, Panels};
use crate::{affine, product_of_panels};

/// `y = x·W`, plus `bias` if there is one. W has one row per input, as in GPT-2. x (r, i), weight (i, o), bias (o) -> y (r, o)
pub fn linear(x: &[f32], weight: &Panels, bias: Option<&[f32]>, y: &mut [f32]) {
    let (inputs, outputs) = weight.shape();
    let rows = y.len() / outputs;
    let (y, x) = (MatrixMut::new(y, rows, outputs), Matrix::new(x, rows, inputs));
    match bias {
        Some(bias) => affine(y, x, weight, bias),
        None => product_of_panels(y, Onto::Replace, 1.0, x, weight),
    }
}

/// Numbers per block of a sum of squares: a block is summed in float32, the blocks in float64.
pub const SQUARES_BLOCK: usize = 4_096;

/// The sum of the squares of a block, recomputed in float64 where float32 overflows.
pub fn sum_of_squares(numbers: &[f32]) -> f64 {
    let sum = f64::from(dot(numbers, numbers));
    if sum.is_finite() { sum } else { numbers.iter().map(|&x| f64::from(x) * f64::from(x)).sum() }
}

vectorize! {
    /// Adds every row of x (r, o) to `sums` (o).
    pub fn add_columns(sums: &mut [f32], x: &[f32]) = add_columns_with;

    /// `out = x + y`
    pub fn sum(x: &[f32], y: &[f32], out: &mut [f32]) = sum_with;
}

#[inline(always)]
fn add_columns_with<S: Simd>(sums: &mut [f32], x: &[f32]) {
    x.chunks_exact(sums.len()).for_each(|row| add_with::<S>(sums, row));
}

#[inline(always)]
fn sum_with<S: Simd>(x: &[f32], y: &[f32], out: &mut [f32]) {
    out.iter_mut().zip(x).zip(y).for_each(|((out, x), y)| *out = x + y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_layer_by_hand() {
        let mut y = [0.0; 4];
        let weight = Panels::of(Matrix::new(&[5.0, 6.0, 7.0, 8.0], 2, 2));
        linear(&[1.0, 2.0, 3.0, 4.0], &weight, Some(&[100.0, 200.0]), &mut y);
        assert_eq!(y, [119.0, 222.0, 143.0, 250.0]);
        let mut without = [0.0; 4];
        linear(&[1.0, 2.0, 3.0, 4.0], &weight, None, &mut without);
        assert_eq!(without, [19.0, 22.0, 43.0, 50.0]);
        let mut sums = [1.0, 0.0];
        add_columns(&mut sums, &y);
        assert_eq!(sums, [263.0, 472.0]);
    }
}
