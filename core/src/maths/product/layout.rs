//! Numbers of a right factor into the registers of a panel.

use super::super::vector::{LANES, Lanes, load};
use super::Matrix;
use super::bfloat16::{PairLanes, pair_panel};
use super::tiles::ACROSS;
use std::cell::Cell;
use wide::f32x8;

thread_local! {
    static ROWS: Cell<Vec<Lanes>> = const { Cell::new(Vec::new()) };
}

/// The columns of one panel, row after row.
pub(super) fn lay_out(panel: &mut [Lanes], matrix: Matrix<'_>) {
    let across = matrix.columns.div_ceil(LANES);
    if matrix.column_stride == 1 {
        for (row, registers) in panel.chunks_exact_mut(across).enumerate() {
            let row = &matrix.numbers[row * matrix.row_stride..][..matrix.columns];
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

/// The same of pairs of rows.
pub(super) fn lay_out_pairs(panel: &mut [PairLanes], matrix: Matrix<'_>) {
    let across = matrix.columns.div_ceil(LANES);
    let mut rows = ROWS.take();
    rows.resize(matrix.rows * across, Lanes::ZERO);
    lay_out(&mut rows, matrix);
    pair_panel(&rows, across, panel);
    ROWS.set(rows);
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
