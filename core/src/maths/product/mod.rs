//! Matrix products of slices of floats, on the calling thread: a caller with many of them spreads them over threads itself.
//!
//! Those in float32, which are most of a step, are our own: they read the left factor where it lies, so that only the right one
//! is laid out anew, and that once for many products where the caller keeps its [`Panels`]. Their factors can be rounded to
//! bfloat16 then. Those in float64 are the gemm crate's.

mod bfloat16;
mod layout;
mod panels;
mod tiles;

pub use panels::{Panels, PanelsPart, affine, product_of_panels};

use gemm::Parallelism;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// To what the factors of a product with [`Panels`] are rounded before they are multiplied; the sums are float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Precision {
    /// They are not.
    #[default]
    #[serde(rename = "f32")]
    Float32,
    /// To bfloat16: 8 bits of precision, at up to twice the speed where the processor has instructions for it.
    #[serde(rename = "bf16")]
    BFloat16,
}

impl Precision {
    /// Whether this program was built with instructions for products of such factors; without them, float32's compute the same.
    pub fn has_instructions(self) -> bool {
        self == Self::Float32 || cfg!(target_feature = "avx512bf16")
    }
}

/// f32 or f64.
pub trait Float: Copy + Default + Send + Sync + std::ops::AddAssign + From<f32> + 'static {
    /// [`product`] of shapes that fit.
    #[doc(hidden)]
    fn multiply(out: MatrixMut<'_, Self>, onto: Onto, scale: Self, left: Matrix<'_, Self>, right: Matrix<'_, Self>);
}

impl Float for f32 {
    fn multiply(out: MatrixMut<'_>, onto: Onto, scale: f32, left: Matrix<'_>, right: Matrix<'_>) {
        panels::by_matrix(out, onto, scale, left, right);
    }
}

impl Float for f64 {
    fn multiply(out: MatrixMut<'_, f64>, onto: Onto, scale: f64, left: Matrix<'_, f64>, right: Matrix<'_, f64>) {
        // SAFETY: the constructors hold every index inside its slice, and `out` is borrowed for writing alone.
        unsafe {
            gemm::gemm(
                out.rows,
                out.columns,
                left.columns,
                out.numbers.as_mut_ptr(),
                1,
                out.stride as isize,
                onto == Onto::Add,
                left.numbers.as_ptr(),
                left.column_stride as isize,
                left.row_stride as isize,
                right.numbers.as_ptr(),
                right.column_stride as isize,
                right.row_stride as isize,
                1.0,
                scale,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// A matrix inside a slice.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    numbers: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Float> Matrix<'a, T> {
    /// `rows` x `columns` numbers, row after row.
    ///
    /// # Panics
    /// When the slice has another length.
    pub fn new(numbers: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns);
        Self::part(numbers, rows, columns, columns)
    }

    /// The first `columns` numbers of each of `rows` rows that start `stride` numbers apart.
    ///
    /// # Panics
    /// When they overlap, or do not lie inside the slice.
    pub fn part(numbers: &'a [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride && extent(rows, columns, stride) <= numbers.len());
        Self { numbers, rows, columns, row_stride: stride, column_stride: 1 }
    }
}

impl<T> Matrix<'_, T> {
    /// How many rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        let Self { numbers, rows, columns, row_stride, column_stride } = self;
        Self { numbers, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    /// Some rows of some columns.
    fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let first = rows.start * self.row_stride + columns.start * self.column_stride;
        let numbers = &self.numbers[first.min(self.numbers.len())..];
        Self { numbers, rows: rows.len(), columns: columns.len(), ..self }
    }
}

/// A matrix inside a slice, to write to; its rows are contiguous.
#[derive(Debug)]
pub struct MatrixMut<'a, T = f32> {
    numbers: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T: Float> MatrixMut<'a, T> {
    /// `rows` x `columns` numbers, row after row.
    ///
    /// # Panics
    /// When the slice has another length.
    pub fn new(numbers: &'a mut [T], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns);
        Self::part(numbers, rows, columns, columns)
    }

    /// The first `columns` numbers of each of `rows` rows that start `stride` numbers apart.
    ///
    /// # Panics
    /// When they overlap, or do not lie inside the slice.
    pub fn part(numbers: &'a mut [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride && extent(rows, columns, stride) <= numbers.len());
        Self { numbers, rows, columns, stride }
    }
}

/// Numbers from the first of the first row to the last of the last.
fn extent(rows: usize, columns: usize, stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + columns }
}

/// What becomes of the numbers that a product is written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// They are replaced.
    Replace,
    /// The product is added to them.
    Add,
}

/// `out = scale·left·right`, or added to what is there.
///
/// # Shapes
/// left (m, k), right (k, n), out (m, n)
///
/// # Panics
/// When the shapes do not fit.
pub fn product<T: Float>(out: MatrixMut<'_, T>, onto: Onto, scale: T, left: Matrix<'_, T>, right: Matrix<'_, T>) {
    fit(&out, left, right.shape());
    T::multiply(out, onto, scale, left, right);
}

fn fit<T>(out: &MatrixMut<'_, T>, left: Matrix<'_, T>, (rows, columns): (usize, usize)) {
    assert_eq!((out.rows, out.columns, left.columns), (left.rows, columns, rows), "(m, n, k)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let (left, right) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let mut out = [100.0; 4];
        product(MatrixMut::new(&mut out, 2, 2), Onto::Replace, 1.0, Matrix::new(&left, 2, 2), Matrix::new(&right, 2, 2));
        assert_eq!(out, [19.0, 22.0, 43.0, 50.0]);
        product(MatrixMut::new(&mut out, 2, 2), Onto::Add, 2.0, Matrix::new(&left, 2, 2).transposed(), Matrix::new(&right, 2, 2));
        assert_eq!(out, [19.0 + 2.0 * 26.0, 22.0 + 2.0 * 30.0, 43.0 + 2.0 * 38.0, 50.0 + 2.0 * 44.0]);
    }

    #[test]
    fn parts_leave_the_rest_alone() {
        let wide = [1.0, 0.0, 9.0, 0.0, 2.0, 9.0]; // diag(1, 2) beside a column of 9
        let mut out = [7.0; 6];
        let ones = [1.0; 4];
        product(
            MatrixMut::part(&mut out[1..], 2, 2, 3),
            Onto::Replace,
            1.0,
            Matrix::part(&wide, 2, 2, 3),
            Matrix::new(&ones, 2, 2),
        );
        assert_eq!(out, [7.0, 1.0, 1.0, 7.0, 2.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "extent")]
    fn a_part_that_reaches_beyond_is_refused() {
        let _ = Matrix::part(&[0.0; 5], 2, 2, 4);
    }
}
