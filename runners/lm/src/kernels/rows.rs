//! Linear maps and sums over rows.

use super::product;
use regatta_core::maths::{Matrix, MatrixMut, Onto};

/// `y = x·W + bias`, W as GPT-2 stores it: rows are inputs. x (r, i), weight (i, o), bias (o) -> y (r, o)
pub(crate) fn linear(x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let (outputs, inputs) = (bias.len(), weight.len() / bias.len());
    let rows = y.len() / outputs;
    y.chunks_exact_mut(outputs).for_each(|y| y.copy_from_slice(bias));
    product(MatrixMut::new(y, rows, outputs), Onto::Add, 1.0, Matrix::new(x, rows, inputs), Matrix::new(weight, inputs, outputs));
}

/// `x += y`, number by number.
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Adds every row of x (r, o) to `sums` (o).
pub(crate) fn add_columns(sums: &mut [f32], x: &[f32]) {
    x.chunks_exact(sums.len()).for_each(|row| add(sums, row));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_by_hand() {
        let mut y = [0.0; 4];
        linear(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], &[100.0, 200.0], &mut y);
        assert_eq!(y, [119.0, 222.0, 143.0, 250.0]);
        let mut sums = [1.0, 0.0];
        add_columns(&mut sums, &y);
        assert_eq!(sums, [263.0, 472.0]);
    }
}
