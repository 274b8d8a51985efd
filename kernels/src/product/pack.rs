//! Packing of a right factor into the registers of panels.

use super::bfloat16::{pairs, round};
use super::tiles::WideRegister;
use super::{Matrix, Precision};
use crate::scratch::first;
use crate::simd::{DOUBLES, LANES, Lanes, Register, Simd, level, padded};
use std::cell::Cell;

/// A packed matrix: panel by panel, term by term within a panel. The last panel may have fewer registers per term.
#[derive(Debug)]
pub(super) enum Packed {
    /// Each term is one row.
    Float32(Vec<Register>),
    /// Each term is one row, rounded to bfloat16: for levels without an instruction that multiplies bfloat16.
    Rounded(Vec<Register>),
    /// Each term is two rows, rounded to bfloat16.
    Pairs(Vec<Register<u32>>),
}

impl Default for Packed {
    fn default() -> Self {
        Self::Float32(Vec::new())
    }
}

impl Packed {
    /// Changes to the representation that this machine multiplies in this precision. The numbers are dropped if it is another one.
    pub fn set_precision(&mut self, precision: Precision) {
        let pairs = level().multiplies_bf16();
        match (&self, precision) {
            (Self::Float32(_), Precision::Float32) => {}
            (Self::Pairs(_), Precision::BFloat16) if pairs => {}
            (Self::Rounded(_), Precision::BFloat16) if !pairs => {}
            (_, Precision::Float32) => *self = Self::Float32(Vec::new()),
            (_, Precision::BFloat16) if pairs => *self = Self::Pairs(Vec::new()),
            (_, Precision::BFloat16) => *self = Self::Rounded(Vec::new()),
        }
    }
}

thread_local! {
    static ROWS: Cell<Vec<Register>> = const { Cell::new(Vec::new()) };
}

crate::vectorize! {
    /// Packs the columns of one panel, row by row.
    pub(super) fn pack(panel: &mut [Register], matrix: Matrix<'_>) = pack_with;

    /// Packs the columns of one panel, rounded to bfloat16.
    pub(super) fn pack_rounded(panel: &mut [Register], matrix: Matrix<'_>) = pack_rounded_with;

    /// Packs the columns of one panel in pairs of rows, rounded to bfloat16.
    pub(super) fn pack_pairs(panel: &mut [Register<u32>], matrix: Matrix<'_>) = pack_pairs_with;

    /// Packs the columns of one panel in float64.
    pub(super) fn pack_wide(panel: &mut [WideRegister], matrix: Matrix<'_, f64>) = pack_wide_with;
}

#[inline(always)]
fn pack_with<S: Simd>(panel: &mut [Register], matrix: Matrix<'_>) {
    let across = matrix.columns.div_ceil(LANES);
    if matrix.column_stride == 1 {
        for (row, registers) in panel.chunks_exact_mut(across).enumerate() {
            let row = &matrix.numbers[row * matrix.row_stride..][..matrix.columns];
            let (whole, rest) = row.as_chunks::<LANES>();
            registers.iter_mut().zip(whole).for_each(|(register, row)| register.0 = *row);
            if !rest.is_empty() {
                registers[across - 1].0 = padded(rest, 0.0);
            }
        }
    } else {
        for (register, first) in (0..matrix.columns).step_by(LANES).enumerate() {
            let columns = first..(first + LANES).min(matrix.columns);
            pack_columns::<S>(&mut panel[register..], across, matrix.block(0..matrix.rows, columns));
        }
    }
}

#[inline(always)]
fn pack_rounded_with<S: Simd>(panel: &mut [Register], matrix: Matrix<'_>) {
    pack_with::<S>(panel, matrix);
    for register in panel {
        *register = round::<S>(Lanes::from(*register)).into();
    }
}

#[inline(always)]
fn pack_pairs_with<S: Simd>(panel: &mut [Register<u32>], matrix: Matrix<'_>) {
    let across = matrix.columns.div_ceil(LANES);
    let mut buffer = ROWS.take();
    let rows = first(&mut buffer, matrix.rows * across, Register::ZERO);
    pack_with::<S>(rows, matrix);
    for (out, rows) in panel.chunks_exact_mut(across).zip(rows.chunks(2 * across)) {
        let (first, second) = rows.split_at(across);
        for (register, out) in out.iter_mut().enumerate() {
            let second = second.get(register).unwrap_or(&Register::ZERO);
            out.0 = pairs::<S>(Lanes::from(first[register]), Lanes::from(*second)).to_array();
        }
    }
    ROWS.set(buffer);
}

#[inline(always)]
fn pack_wide_with<S: Simd>(panel: &mut [WideRegister], matrix: Matrix<'_, f64>) {
    let across = matrix.columns.div_ceil(DOUBLES);
    for (row, registers) in panel.chunks_exact_mut(across).enumerate() {
        let row = &matrix.numbers[row * matrix.row_stride..];
        for (register, first) in registers.iter_mut().zip((0..matrix.columns).step_by(DOUBLES)) {
            let count = DOUBLES.min(matrix.columns - first);
            if matrix.column_stride == 1 && count == DOUBLES {
                register.0.copy_from_slice(&row[first..first + DOUBLES]);
            } else {
                register.0 = [0.0; DOUBLES];
                let numbers = register.0[..count].iter_mut().enumerate();
                numbers.for_each(|(column, x)| *x = row[(first + column) * matrix.column_stride]);
            }
        }
    }
}

/// Packs up to sixteen contiguous columns into every `stride`th register, by transposing squares of eight where there are sixteen.
#[inline(always)]
fn pack_columns<S: Simd>(registers: &mut [Register], stride: usize, matrix: Matrix<'_>) {
    const SIDE: usize = 8;
    let column = |column: usize| &matrix.numbers[column * matrix.column_stride..][..matrix.rows];
    let mut transposed = 0;
    if matrix.columns == LANES {
        let mut columns = [column(0).as_chunks::<SIDE>().0; LANES];
        for (index, squares) in columns.iter_mut().enumerate().skip(1) {
            *squares = column(index).as_chunks::<SIDE>().0;
        }
        for (square, registers) in registers.chunks_mut(SIDE * stride).take(matrix.rows / SIDE).enumerate() {
            for half in 0..LANES / SIDE {
                let mut rows = [[0f32; SIDE]; SIDE];
                for (row, column) in rows.iter_mut().zip(&columns[half * SIDE..]) {
                    *row = column[square];
                }
                let rows = S::transpose(rows);
                for (register, row) in registers.iter_mut().step_by(stride).zip(rows) {
                    register.0[half * SIDE..][..SIDE].copy_from_slice(&row);
                }
            }
        }
        transposed = matrix.rows / SIDE * SIDE;
    }
    for row in transposed..matrix.rows {
        let mut numbers = [0f32; LANES];
        numbers[..matrix.columns].iter_mut().enumerate().for_each(|(index, x)| *x = column(index)[row]);
        registers[row * stride].0 = numbers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::sets::Portable;

    /// Row-major and transposed factors, with whole squares of the transposition and all kinds of rests.
    #[test]
    fn a_panel_has_the_numbers_of_its_columns() {
        let special = [f32::NAN, f32::INFINITY, -0.0, f32::MAX, f32::MIN_POSITIVE];
        let numbers: Vec<f32> =
            (0..17 * 64).map(|i| if i % 41 == 0 { special[i % 5] } else { (i * 7919 % 1013) as f32 / 3.0 - 168.0 }).collect();
        for (rows, columns) in (1..=17).flat_map(|rows| (1..=64).map(move |columns| (rows, columns))) {
            let numbers = &numbers[..rows * columns];
            let across = columns.div_ceil(LANES);
            for matrix in [Matrix::new(numbers, rows, columns), Matrix::new(numbers, columns, rows).transposed()] {
                let at = |row: usize, column: usize| if column < columns { matrix.at(row, column) } else { 0.0 };
                let [mut plain, mut rounded] = [(); 2].map(|()| vec![Register([7.0; LANES]); rows * across]);
                pack(&mut plain, matrix);
                pack_rounded(&mut rounded, matrix);
                for (row, column) in (0..rows).flat_map(|row| (0..across * LANES).map(move |column| (row, column))) {
                    let found = |panel: &[Register]| panel[row * across + column / LANES].0[column % LANES].to_bits();
                    let nearest = round::<Portable>(Lanes::splat(at(row, column))).to_array()[0];
                    assert_eq!(found(&plain), at(row, column).to_bits(), "{rows} x {columns}: ({row}, {column})");
                    assert_eq!(found(&rounded), nearest.to_bits(), "{rows} x {columns}: ({row}, {column})");
                }
            }
        }
    }
}
