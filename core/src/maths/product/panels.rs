//! The right factor of a float32 product, laid out as tiles read it: panels of a few registers' columns, row after row.

use super::super::vector::{LANES, Lanes, load};
use super::tiles::{ACROSS, Band, Before, multiply};
use super::{Matrix, MatrixMut, Onto, fit};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;
use wide::f32x8;

/// Columns of a panel.
const COLUMNS: usize = ACROSS * LANES;

/// Rows of a panel that are worked on at a time: they stay in a core's second cache, while all rows of the left factor pass by.
const DEPTH: usize = 512;

/// A matrix laid out once to be the right factor of many products.
#[derive(Debug, Default)]
pub struct Panels {
    /// Panel by panel; the last may have fewer registers in a row.
    numbers: Vec<Lanes>,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// Takes the place of what was laid out before; on all threads.
    pub fn lay_out(&mut self, matrix: Matrix<'_>) {
        let (rows, columns) = matrix.shape();
        self.numbers.resize(rows * columns.div_ceil(LANES), Lanes::ZERO);
        (self.rows, self.columns) = (rows, columns);
        let panels = self.numbers.par_chunks_mut((rows * ACROSS).max(1)).enumerate();
        panels.for_each(|(panel, numbers)| {
            let first = panel * COLUMNS;
            lay_out(numbers, matrix.block(0..rows, first..(first + COLUMNS).min(columns)));
        });
    }

    /// How many rows and columns the matrix has.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }
}

/// [`product`](super::product) with a right factor that is laid out already.
///
/// # Shapes
/// left (m, k), right (k, n), out (m, n)
///
/// # Panics
/// When the shapes do not fit.
pub fn product_of_panels(out: MatrixMut<'_>, onto: Onto, scale: f32, left: Matrix<'_>, right: &Panels) {
    by_panels(out, onto.into(), scale, left, right);
}

/// `out = left·right + bias`, the bias added to every row.
///
/// # Shapes
/// left (m, k), right (k, n), bias (n), out (m, n)
///
/// # Panics
/// When the shapes do not fit.
pub fn affine(out: MatrixMut<'_>, left: Matrix<'_>, right: &Panels, bias: &[f32]) {
    assert_eq!(bias.len(), right.columns, "a bias of each column");
    by_panels(out, Before::Row(bias), 1.0, left, right);
}

impl From<Onto> for Before<'_> {
    fn from(onto: Onto) -> Self {
        match onto {
            Onto::Replace => Self::Nothing,
            Onto::Add => Self::Itself,
        }
    }
}

fn by_panels(mut out: MatrixMut<'_>, before: Before<'_>, scale: f32, left: Matrix<'_>, right: &Panels) {
    fit(&out, left, right.shape());
    for columns in bands(out.columns) {
        let across = columns.len().div_ceil(LANES);
        let panel = &right.numbers[right.rows * columns.start / LANES..][..right.rows * across];
        for rows in depths(right.rows) {
            let panel = &panel[rows.start * across..rows.end * across];
            band(&mut out, columns.clone(), before, scale, left, rows, panel);
        }
    }
}

/// The same with a right factor that is laid out as it is needed, for this product alone.
pub(super) fn by_matrix(mut out: MatrixMut<'_>, onto: Onto, scale: f32, left: Matrix<'_>, right: Matrix<'_>) {
    let mut panel = PANEL.take();
    for columns in bands(out.columns) {
        for rows in depths(right.rows) {
            panel.resize(rows.len() * columns.len().div_ceil(LANES), Lanes::ZERO);
            lay_out(&mut panel, right.block(rows.clone(), columns.clone()));
            band(&mut out, columns.clone(), onto.into(), scale, left, rows, &panel);
        }
    }
    PANEL.set(panel);
}

thread_local! {
    static PANEL: Cell<Vec<Lanes>> = const { Cell::new(Vec::new()) };
}

/// The columns of each panel.
fn bands(columns: usize) -> impl Iterator<Item = Range<usize>> {
    (0..columns).step_by(COLUMNS).map(move |first| first..(first + COLUMNS).min(columns))
}

/// The rows of a panel that are worked on at a time; none at once where there are none.
fn depths(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows.max(1)).step_by(DEPTH).map(move |first| first..(first + DEPTH).min(rows))
}

/// What some terms add to some columns. panel: `rows` of the right factor
fn band(
    out: &mut MatrixMut<'_>,
    columns: Range<usize>,
    before: Before<'_>,
    scale: f32,
    left: Matrix<'_>,
    rows: Range<usize>,
    panel: &[Lanes],
) {
    let before = match before {
        _ if rows.start > 0 => Before::Itself,
        Before::Row(shared) => Before::Row(&shared[columns.clone()]),
        first => first,
    };
    if out.rows > 0 {
        let numbers = &mut out.numbers[columns.start..];
        let mut out = Band { numbers, columns: columns.len(), stride: out.stride, before, scale };
        multiply(&mut out, left.block(0..left.rows, rows), panel);
    }
}

/// The columns of one panel, at most [`COLUMNS`], row after row.
fn lay_out(panel: &mut [Lanes], matrix: Matrix<'_>) {
    let across = matrix.columns.div_ceil(LANES);
    if matrix.column_stride == 1 {
        let rows = matrix.numbers.chunks(matrix.row_stride.max(1));
        for (registers, row) in panel.chunks_exact_mut(across).zip(rows) {
            let row = &row[..matrix.columns];
            match (<&mut [Lanes; ACROSS]>::try_from(&mut *registers), row.as_chunks::<LANES>().0.first_chunk::<ACROSS>()) {
                (Ok(registers), Some(row)) => *registers = row.map(Lanes::from),
                _ => registers.iter_mut().zip(row.chunks(LANES)).for_each(|(register, row)| *register = load(row)),
            }
        }
    } else {
        for (register, first) in (0..matrix.columns).step_by(LANES).enumerate() {
            let columns = first..(first + LANES).min(matrix.columns);
            lay_out_columns(&mut panel[register..], across, matrix.block(0..matrix.rows, columns));
        }
    }
}

/// Sixteen columns or fewer, each of them contiguous, into every `stride`th register: squares of eight are turned as a whole.
fn lay_out_columns(registers: &mut [Lanes], stride: usize, matrix: Matrix<'_>) {
    const SIDE: usize = 8;
    let column = |column: usize| &matrix.numbers[column * matrix.column_stride..][..matrix.rows];
    let mut turned = 0;
    if matrix.columns == LANES {
        let columns: [&[[f32; SIDE]]; LANES] = std::array::from_fn(|index| column(index).as_chunks::<SIDE>().0);
        for (square, registers) in registers.chunks_mut(SIDE * stride).take(matrix.rows / SIDE).enumerate() {
            let turn = |first: usize| f32x8::transpose(std::array::from_fn(|index| f32x8::from(columns[first + index][square])));
            let (left, right) = (turn(0), turn(SIDE));
            for (register, (left, right)) in registers.iter_mut().step_by(stride).zip(left.into_iter().zip(right)) {
                let (first, second) = register.as_mut_array().split_at_mut(SIDE);
                first.copy_from_slice(left.as_array());
                second.copy_from_slice(right.as_array());
            }
        }
        turned = matrix.rows / SIDE * SIDE;
    }
    for row in turned..matrix.rows {
        let mut numbers = [0f32; LANES];
        numbers[..matrix.columns].iter_mut().enumerate().for_each(|(index, x)| *x = column(index)[row]);
        registers[row * stride] = Lanes::from(numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::super::product;
    use super::*;

    /// Small whole numbers: every order of adding gives the same sums.
    fn numbers(count: usize, modulus: usize) -> Vec<f32> {
        (0..count).map(|i| (i * 7919 % modulus) as f32 - (modulus / 2) as f32).collect()
    }

    #[test]
    fn every_shape_and_direction_gives_the_sums_of_its_definition() {
        for (m, k, n) in [(1, 1, 1), (5, 3, 2), (7, 20, 15), (6, 8, 16), (13, 515, 70), (64, 33, 130), (3, 1030, 64)] {
            let (a, b, bias) = (numbers(m * k, 13), numbers(k * n, 11), numbers(n, 5));
            for (left_turned, right_turned) in [(false, false), (false, true), (true, false), (true, true)] {
                let left = if left_turned { Matrix::new(&a, k, m).transposed() } else { Matrix::new(&a, m, k) };
                let right = if right_turned { Matrix::new(&b, n, k).transposed() } else { Matrix::new(&b, k, n) };
                let at = |matrix: Matrix<'_>, i: usize, j: usize| matrix.numbers[i * matrix.row_stride + j * matrix.column_stride];
                let sum = |i: usize, j: usize| (0..k).map(|p| at(left, i, p) * at(right, p, j)).sum::<f32>();
                let expected = |before: &dyn Fn(usize) -> f32, scale: f32| -> Vec<f32> {
                    (0..m * n).map(|index| before(index % n) + scale * sum(index / n, index % n)).collect()
                };
                let mut panels = Panels::default();
                panels.lay_out(right);

                let mut out = vec![3.0; m * n];
                product(MatrixMut::new(&mut out, m, n), Onto::Add, 2.0, left, right);
                assert!(out == expected(&|_| 3.0, 2.0), "{m} x {k} x {n}");
                product(MatrixMut::new(&mut out, m, n), Onto::Replace, 0.5, left, right);
                assert!(out == expected(&|_| 0.0, 0.5), "{m} x {k} x {n}");
                affine(MatrixMut::new(&mut out, m, n), left, &panels, &bias);
                assert!(out == expected(&|column| bias[column], 1.0), "{m} x {k} x {n}");
                product_of_panels(MatrixMut::new(&mut out, m, n), Onto::Replace, 1.0, left, &panels);
                assert!(out == expected(&|_| 0.0, 1.0), "{m} x {k} x {n}");
            }
        }
    }

    #[test]
    fn a_sum_of_no_terms_is_0() {
        let mut out = [7.0; 6];
        product(MatrixMut::new(&mut out, 2, 3), Onto::Replace, 1.0, Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3));
        assert_eq!(out, [0.0; 6]);
        let mut panels = Panels::default();
        panels.lay_out(Matrix::new(&[], 0, 3));
        affine(MatrixMut::new(&mut out, 2, 3), Matrix::new(&[], 2, 0), &panels, &[1.0, 2.0, 3.0]);
        assert_eq!(out, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
        product(MatrixMut::new(&mut [], 0, 3), Onto::Replace, 1.0, Matrix::new(&[], 0, 2), Matrix::new(&[1.0; 6], 2, 3));
    }

    #[test]
    fn one_product_has_the_same_bytes_however_its_right_factor_is_laid_out() {
        let (m, k, n) = (40, 700, 90);
        let third = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| x / 3.0).collect() };
        let (a, b) = (third(numbers(m * k, 1013)), third(numbers(k * n, 1009)));
        let (left, right) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
        let mut panels = Panels::default();
        panels.lay_out(right);
        let (mut once, mut again) = (vec![0.0; m * n], vec![0.0; m * n]);
        product(MatrixMut::new(&mut once, m, n), Onto::Replace, 1.0, left, right);
        product_of_panels(MatrixMut::new(&mut again, m, n), Onto::Replace, 1.0, left, &panels);
        assert_eq!(once, again);
    }
}
