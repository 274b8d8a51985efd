//! Packing of a right factor into the registers of panels.

use super::bfloat16::{padded, pairs, round};
use super::tiles::WideRegister;
use super::{Matrix, Precision};
use crate::scratch::first;
use crate::simd::{DOUBLES, LANES, Lanes, Register, Simd, level};
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
    pack_each::<S, false>(panel, matrix);
}

#[inline(always)]
fn pack_rounded_with<S: Simd>(panel: &mut [Register], matrix: Matrix<'_>) {
    pack_each::<S, true>(panel, matrix);
}

/// Packs the columns of one panel, rounded to bfloat16 if `ROUND`.
#[inline(always)]
fn pack_each<S: Simd, const ROUND: bool>(panel: &mut [Register], matrix: Matrix<'_>) {
    let across = matrix.columns.div_ceil(LANES);
    if matrix.column_stride == 1 {
        for (row, registers) in panel.chunks_exact_mut(across).enumerate() {
            let row = &matrix.numbers[row * matrix.row_stride..][..matrix.columns];
            let (whole, rest) = row.as_chunks::<LANES>();
            for (register, row) in registers.iter_mut().zip(whole) {
                *register = finished::<S, ROUND>(*row);
            }
            if !rest.is_empty() {
                registers[across - 1] = finished::<S, ROUND>(padded(rest));
            }
        }
    } else {
        for (register, first) in (0..matrix.columns).step_by(LANES).enumerate() {
            let columns = first..(first + LANES).min(matrix.columns);
            pack_columns::<S, ROUND>(&mut panel[register..], across, matrix.block(0..matrix.rows, columns));
        }
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

/// A register as it is packed.
#[inline(always)]
fn finished<S: Simd, const ROUND: bool>(numbers: [f32; LANES]) -> Register {
    if ROUND { round::<S>(Lanes::from(numbers)).into() } else { Register(numbers) }
}

/// Packs up to sixteen contiguous columns into every `stride`th register, by transposing squares of eight where there are sixteen.
#[inline(always)]
fn pack_columns<S: Simd, const ROUND: bool>(registers: &mut [Register], stride: usize, matrix: Matrix<'_>) {
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
            if ROUND {
                for register in registers.iter_mut().step_by(stride) {
                    *register = finished::<S, ROUND>(register.0);
                }
            }
        }
        transposed = matrix.rows / SIDE * SIDE;
    }
    for row in transposed..matrix.rows {
        let mut numbers = [0f32; LANES];
        numbers[..matrix.columns].iter_mut().enumerate().for_each(|(index, x)| *x = column(index)[row]);
        registers[row * stride] = finished::<S, ROUND>(numbers);
    }
}
