//! Products of bfloat16 factors by a [`TileUnit`], in blocks of 32 rows by 32 columns.
//!
//! A block is two by two tiles of sums, which stay in the unit for a run of 512 terms (pairs). Two tiles of each factor are loaded
//! for every four products. The panels of the right factor are packed as the unit reads them; the left factor is packed into tiles
//! for each product.
//!
//! Partial tiles:
//!
//! - Rows and terms of the left factor are padded with zeros.
//! - The last terms of the right factor are padded with zeros, in a copy.
//! - If a block has a single tile of rows or of columns, the unit multiplies that tile twice.

use super::bfloat16::{consecutive_pairs, pairs};
use super::tiles::{Band, Initial, MOST_ACROSS, Panel, Vector, depths};
use super::{Matrix, MatrixMut};
use crate::scratch::first;
use crate::simd::{LANES, Lanes, Register, SIDE, Simd, Sums, Tile, TileColumn, TileUnit, load, padded};
use std::cell::Cell;
use std::ops::Range;

thread_local! {
    static LEFT: Cell<Vec<Tile>> = const { Cell::new(Vec::new()) };
}

const NO_TILE: Tile = [Register::NO_BITS; SIDE];

/// `out = initial + scale·left·right`. left (m, k), panels of ceil(k/2) terms, each with its columns of `out`
pub(super) fn by_tiles<'a>(
    unit: &mut impl TileUnit,
    out: MatrixMut<'_>,
    initial: Initial<'_, f32>,
    scale: f32,
    left: Matrix<'_>,
    panels: impl Iterator<Item = (Range<usize>, Panel<'a, Register<u32>>)>,
) {
    if left.rows == 0 {
        return;
    }
    let count = left.columns.div_ceil(2 * SIDE);
    let mut buffer = LEFT.take();
    let tiles = first(&mut buffer, left.rows.div_ceil(SIDE) * count, NO_TILE);
    pack_left(tiles, left);
    for (columns, Panel { registers, across }) in panels {
        for terms in depths(left.columns.div_ceil(2)) {
            let registers = &registers[terms.start * across..terms.end * across];
            let numbers = &mut out.numbers[columns.start..];
            let initial = initial.of(&columns, terms.start);
            let out = Band { numbers, columns: columns.len(), stride: out.stride, initial, scale };
            let left = Left { tiles, count, rows: left.rows, terms: terms.start / SIDE..terms.end.div_ceil(SIDE) };
            of_panel(unit, out, &left, Panel { registers, across });
        }
    }
    LEFT.set(buffer);
}

/// Terms of the packed left factor. It is stored as lines of `count` tiles, one line per 16 rows.
struct Left<'a> {
    tiles: &'a [Tile],
    count: usize,
    rows: usize,
    terms: Range<usize>,
}

impl Left<'_> {
    /// The tiles of a line, or of the last line if there are fewer.
    fn line(&self, line: usize) -> &[Tile] {
        let line = line.min(self.rows.div_ceil(SIDE) - 1);
        &self.tiles[line * self.count..][self.terms.clone()]
    }
}

/// Adds the products of a run of terms to the columns of one panel. `right` holds these terms and columns.
fn of_panel(unit: &mut impl TileUnit, out: Band<'_, f32>, left: &Left<'_>, right: Panel<'_, Register<u32>>) {
    let Panel { registers, across } = right;
    let whole = registers.len() / (SIDE * across); // tiles of each column
    let (_, last_terms) = registers.split_at(whole * SIDE * across);
    let mut last = [NO_TILE; MOST_ACROSS];
    for (row, registers) in last_terms.chunks_exact(across).enumerate() {
        last.iter_mut().zip(registers).for_each(|(tile, register)| tile[row] = *register);
    }
    let mut sums = Sums::default();
    let tiles = out.columns.div_ceil(SIDE);
    for row in (0..left.rows).step_by(2 * SIDE) {
        let left_tiles = [0, 1].map(|next| left.line(row / SIDE + next).split_at(whole));
        for tile in (0..tiles).step_by(2) {
            let pair = [tile, (tile + 1).min(tiles - 1)];
            let right = pair.map(|tile| TileColumn { registers: &registers[tile.min(registers.len())..], stride: across });
            unit.multiply(&mut sums, true, left_tiles.map(|(whole, _)| whole), right);
            if !last_terms.is_empty() {
                let right = pair.map(|tile| TileColumn { registers: &last[tile], stride: 1 });
                unit.multiply(&mut sums, false, left_tiles.map(|(_, last)| last), right);
            }
            let columns = tile * SIDE..out.columns.min((tile + 2) * SIDE);
            let numbers = &mut out.numbers[row * out.stride + columns.start..];
            let initial = out.initial.of(&columns, 0);
            let (stride, scale) = (out.stride, out.scale);
            let rows = (left.rows - row).min(2 * SIDE);
            write(Band { numbers, columns: columns.len(), stride, initial, scale }, rows, &sums);
        }
    }
}

crate::vectorize! {
    /// Writes the sums of a block to its rows of the output.
    fn write(out: Band<'_, f32>, rows: usize, sums: &Sums) = write_with;

    /// Packs the left factor into tiles of pairs rounded to bfloat16, one line per 16 rows, padded with zeros.
    fn pack_left(tiles: &mut [Tile], left: Matrix<'_>) = pack_left_with;
}

#[inline(always)]
fn write_with<S: Simd>(out: Band<'_, f32>, rows: usize, sums: &Sums) {
    let scale = Lanes::<S>::splat(out.scale);
    for (row, numbers) in out.numbers.chunks_mut(out.stride).take(rows).enumerate() {
        for (tile, chunk) in numbers[..out.columns].chunks_mut(LANES).enumerate() {
            let initial: Lanes<S> = match out.initial {
                Initial::Zero => Lanes::ZERO,
                Initial::Output => Vector::load(chunk),
                Initial::Row(shared) => Vector::load(&shared[tile * LANES..]),
            };
            let sum = Lanes::from(sums[row / SIDE][tile][row % SIDE].0);
            Vector::store(sum.mul_add(scale, initial), chunk);
        }
    }
}

#[inline(always)]
fn pack_left_with<S: Simd>(tiles: &mut [Tile], left: Matrix<'_>) {
    let count = left.columns.div_ceil(2 * SIDE).max(1);
    for (line, tiles) in tiles.chunks_exact_mut(count).enumerate() {
        let rows = line * SIDE..left.rows.min((line + 1) * SIDE);
        for (index, tile) in tiles.iter_mut().enumerate() {
            let columns = index * 2 * SIDE..left.columns.min((index + 1) * 2 * SIDE);
            let block = left.block(rows.clone(), columns);
            *tile = if left.column_stride == 1 { tile_of_rows::<S>(block) } else { tile_of_columns::<S>(block) };
        }
    }
}

/// Packs a tile of a factor whose rows are contiguous.
#[inline(always)]
fn tile_of_rows<S: Simd>(block: Matrix<'_>) -> Tile {
    let mut tile = NO_TILE;
    for (row, out) in tile.iter_mut().take(block.rows).enumerate() {
        let numbers = &block.numbers[row * block.row_stride..][..block.columns];
        out.0 = consecutive_pairs::<S>(&padded(numbers, 0.0));
    }
    tile
}

/// Packs a tile of a factor whose columns are contiguous: packs pairs along columns, then transposes.
#[inline(always)]
fn tile_of_columns<S: Simd>(block: Matrix<'_>) -> Tile {
    const HALF: usize = SIDE / 2;
    let mut terms = [[0f32; SIDE]; SIDE]; // bits of pairs, not numbers
    for (term, out) in terms.iter_mut().take(block.columns.div_ceil(2)).enumerate() {
        let column = |column: usize| &block.numbers[column * block.column_stride..][..block.rows];
        let second = if 2 * term + 1 < block.columns { column(2 * term + 1) } else { &[] };
        *out = Lanes::from_bits(pairs::<S>(load(column(2 * term)), load(second))).to_array();
    }
    let mut tile = NO_TILE;
    for (rows, of_terms) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let square = S::transpose(std::array::from_fn(|term| terms[of_terms * HALF + term].as_chunks().0[rows]));
        for (pairs, row) in tile[rows * HALF..].iter_mut().zip(square) {
            pairs.0[of_terms * HALF..][..HALF].copy_from_slice(&row.map(f32::to_bits));
        }
    }
    tile
}

#[cfg(test)]
mod tests;
