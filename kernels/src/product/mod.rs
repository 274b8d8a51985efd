//! Matrix products of slices of floats, on the calling thread. A caller with many products runs them in parallel itself.
//!
//! - The left factor is read in place; only the right factor is packed.
//! - A caller that keeps the packed factor as [`Panels`] packs it once for many products, in float32 or rounded to bfloat16.
//! - Each sum has one order: fused multiply-adds from the first term to the last, in runs of 512 terms. The bytes of a result
//!   depend neither on the width of registers nor on the size of caches.

mod bfloat16;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // other architectures have no unit for tiles
mod blocks;
#[cfg(debug_assertions)]
mod counted;
mod pack;
mod panels;
#[cfg(test)]
mod testing;
mod tiles;

#[cfg(debug_assertions)]
pub use counted::counted_flops;
pub use panels::{Panels, PanelsPart, affine, product_of_panels};

use crate::simd::{Level, Register, level, sets};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::ops::Range;
use tiles::WideRegister;

/// The precision of the factors of a product with [`Panels`]; sums are float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Precision {
    /// Factors are not rounded.
    #[default]
    #[serde(rename = "f32")]
    Float32,
    /// Factors are rounded to bfloat16, 8 bits of precision. Products run at up to twice the speed of float32 where the processor
    /// has instructions for them. Elsewhere the rounded factors are multiplied in float32, at about the speed of float32 itself.
    #[serde(rename = "bf16")]
    BFloat16,
}

/// f32 or f64.
pub trait Float: Copy + Default + Send + Sync + std::ops::AddAssign + From<f32> + 'static {
    /// [`product`], for shapes that have been checked.
    #[doc(hidden)]
    fn multiply(out: MatrixMut<'_, Self>, onto: Onto, scale: Self, left: Matrix<'_, Self>, right: Matrix<'_, Self>);
}

thread_local! {
    static PANEL: Cell<Vec<Register>> = const { Cell::new(Vec::new()) };
    static WIDE_PANEL: Cell<Vec<WideRegister>> = const { Cell::new(Vec::new()) };
}

macro_rules! float {
    ($number:ty, $panel:ident, $zero:expr, $pack:path) => {
        impl Float for $number {
            fn multiply(out: MatrixMut<'_, Self>, onto: Onto, scale: Self, left: Matrix<'_, Self>, right: Matrix<'_, Self>) {
                let pack = ($zero, $pack as panels::Pack<Self, _>);
                $panel.with(|buffer| match level() {
                    Level::Portable => panels::by_matrix::<sets::Portable, Self>(out, onto, scale, left, right, buffer, pack),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => panels::by_matrix::<sets::Avx2, Self>(out, onto, scale, left, right, buffer, pack),
                    #[cfg(target_arch = "x86_64")]
                    _ => panels::by_matrix::<sets::Avx512, Self>(out, onto, scale, left, right, buffer, pack),
                    #[cfg(not(target_arch = "x86_64"))]
                    other => unreachable!("{other} on another architecture"),
                });
            }
        }
    };
}

float!(f32, PANEL, Register::ZERO, pack::pack);
float!(f64, WIDE_PANEL, WideRegister([0.0; 8]), pack::pack_wide);

/// A view of a slice as a matrix, row-major or transposed.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T = f32> {
    numbers: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Float> Matrix<'a, T> {
    /// `rows` x `columns` numbers, row-major.
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
    /// When rows overlap, or the slice is too short.
    pub fn part(numbers: &'a [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride && extent(rows, columns, stride) <= numbers.len());
        Self { numbers, rows, columns, row_stride: stride, column_stride: 1 }
    }
}

impl<T: Copy> Matrix<'_, T> {
    /// Number of rows and of columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The transpose, a view of the same numbers.
    pub fn transposed(self) -> Self {
        let Self { numbers, rows, columns, row_stride, column_stride } = self;
        Self { numbers, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    #[cfg(test)]
    fn at(self, row: usize, column: usize) -> T {
        self.numbers[row * self.row_stride + column * self.column_stride]
    }

    /// The submatrix of these rows and columns.
    fn block(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        let first = rows.start * self.row_stride + columns.start * self.column_stride;
        let numbers = &self.numbers[first.min(self.numbers.len())..];
        Self { numbers, rows: rows.len(), columns: columns.len(), ..self }
    }
}

/// A mutable view of a slice as a row-major matrix.
#[derive(Debug)]
pub struct MatrixMut<'a, T = f32> {
    numbers: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T: Float> MatrixMut<'a, T> {
    /// `rows` x `columns` numbers, row-major.
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
    /// When rows overlap, or the slice is too short.
    pub fn part(numbers: &'a mut [T], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(columns <= stride && extent(rows, columns, stride) <= numbers.len());
        Self { numbers, rows, columns, stride }
    }
}

/// Numbers from the first of the first row to the last of the last row.
fn extent(rows: usize, columns: usize, stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + columns }
}

/// Whether a product overwrites its output or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// The output is overwritten.
    Replace,
    /// The product is added to the output.
    Add,
}

/// `out = scale·left·right`, or `out += scale·left·right`.
///
/// # Shapes
/// left (m, k), right (k, n), out (m, n)
///
/// # Panics
/// When the shapes do not match.
pub fn product<T: Float>(out: MatrixMut<'_, T>, onto: Onto, scale: T, left: Matrix<'_, T>, right: Matrix<'_, T>) {
    check_shapes(&out, left, right.shape());
    T::multiply(out, onto, scale, left, right);
}

fn check_shapes<T>(out: &MatrixMut<'_, T>, left: Matrix<'_, T>, (rows, columns): (usize, usize)) {
    assert_eq!((out.rows, out.columns, left.columns), (left.rows, columns, rows), "(m, n, k)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_by_hand() {
        let (left, right) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let mut out = [100.0; 4];
        product(MatrixMut::new(&mut out, 2, 2), Onto::Replace, 1.0, Matrix::new(&left, 2, 2), Matrix::new(&right, 2, 2));
        assert_eq!(out, [19.0, 22.0, 43.0, 50.0]);
        product(MatrixMut::new(&mut out, 2, 2), Onto::Add, 2.0, Matrix::new(&left, 2, 2).transposed(), Matrix::new(&right, 2, 2));
        assert_eq!(out, [19.0 + 2.0 * 26.0, 22.0 + 2.0 * 30.0, 43.0 + 2.0 * 38.0, 50.0 + 2.0 * 44.0]);
    }

    #[test]
    fn other_numbers_of_a_slice_are_neither_read_nor_written() {
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
    fn a_part_larger_than_its_slice_is_refused() {
        let _ = Matrix::part(&[0.0; 5], 2, 2, 4);
    }
}
