//! Tiles of a product whose float32 sums stay in registers from the first term to the last.
//!
//! A tile is [`ROWS`] rows of a panel of the right factor: for each term it reads a row of the panel and one number of each row of
//! the left factor, where they lie. Six rows of four registers are 24 sums; with a row of the panel and a number of the left
//! they fill most of 32 registers, and a core's two multipliers wait for nothing.

use super::super::vector::{LANES, Lanes, load, store};
use super::Matrix;

/// Rows of a tile.
const ROWS: usize = 6;

/// Registers in a row of a panel: as many as leave all sums in registers.
pub(super) const ACROSS: usize = if cfg!(target_feature = "avx512f") { 4 } else { 1 };

/// What a product's left factor consists of: a float32, or two bfloat16.
pub(super) trait Factor: Copy {
    /// Sixteen columns of the right factor.
    type Lanes: Copy;

    /// The same in all columns.
    fn splat(self) -> Self::Lanes;

    /// `sum + left·right`.
    fn multiply_add(left: Self::Lanes, right: Self::Lanes, sum: Lanes) -> Lanes;
}

impl Factor for f32 {
    type Lanes = Lanes;

    #[inline(always)]
    fn splat(self) -> Lanes {
        Lanes::splat(self)
    }

    #[inline(always)]
    fn multiply_add(left: Lanes, right: Lanes, sum: Lanes) -> Lanes {
        left.mul_add(right, sum)
    }
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Before<'a> {
    Nothing,
    /// What the product is written over.
    Itself,
    /// The same row for every row of the product.
    Row(&'a [f32]),
}

/// Some columns of a product, as many as a panel has.
pub(super) struct Band<'a> {
    pub numbers: &'a mut [f32],
    pub columns: usize,
    pub stride: usize,
    pub before: Before<'a>,
    pub scale: f32,
}

/// The right factor's columns: `across` registers a term, which hold as many columns as there are of the product, or more.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a, L> {
    pub registers: &'a [L],
    pub across: usize,
}

/// `out = before + scale·left·right`. left (m, k), right (k terms)
pub(super) fn multiply<T: Factor>(out: &mut Band<'_>, left: Matrix<'_, T>, right: Panel<'_, T::Lanes>) {
    let whole = right.across == ACROSS;
    let tiles = match if whole { out.columns.div_ceil(LANES) } else { right.across } {
        1 if whole => tiles_of::<T, 1, ACROSS>(),
        2 if whole => tiles_of::<T, 2, ACROSS>(),
        3 if whole => tiles_of::<T, 3, ACROSS>(),
        1 => tiles_of::<T, 1, 1>(),
        2 => tiles_of::<T, 2, 2>(),
        3 => tiles_of::<T, 3, 3>(),
        _ => tiles_of::<T, ACROSS, ACROSS>(),
    };
    let m = left.rows;
    let count = m.div_ceil(ROWS);
    for (first, end) in (0..count).map(|tile| (tile * m / count, (tile + 1) * m / count)) {
        let rows = end - first;
        let last = first * out.stride + (rows - 1) * out.stride + out.columns;
        let out = Band { numbers: &mut out.numbers[first * out.stride..last], ..*out };
        tiles[rows - 1](out, left.block(first..end, 0..left.columns), right.registers);
    }
}

type Tile<T> = fn(Band<'_>, Matrix<'_, T>, &[<T as Factor>::Lanes]);

/// Tiles of one row, of two, and so on, of the first V of a panel's S registers.
fn tiles_of<T: Factor, const V: usize, const S: usize>() -> [Tile<T>; ROWS] {
    [tile::<T, 1, V, S>, tile::<T, 2, V, S>, tile::<T, 3, V, S>, tile::<T, 4, V, S>, tile::<T, 5, V, S>, tile::<T, 6, V, S>]
}

fn tile<T: Factor, const R: usize, const V: usize, const S: usize>(out: Band<'_>, left: Matrix<'_, T>, right: &[T::Lanes]) {
    let (right, _) = right.as_chunks::<S>();
    if left.column_stride == 1 {
        of_rows::<T, R, V, S>(out, left.numbers, left.row_stride, right);
    } else {
        of_columns::<T, R, V, S>(out, left.numbers, left.column_stride, right);
    }
}

type Sums<const R: usize, const V: usize> = [[Lanes; V]; R];

/// Where each row of the left factor is contiguous.
#[inline(never)]
fn of_rows<T: Factor, const R: usize, const V: usize, const S: usize>(
    out: Band<'_>,
    left: &[T],
    stride: usize,
    right: &[[T::Lanes; S]],
) {
    const STEPS: usize = 4; // terms between two looks at where the rows lie
    let mut sums = [[Lanes::ZERO; V]; R];
    let rows: [&[T]; R] = std::array::from_fn(|row| &left[row * stride..][..right.len()]);
    let left = rows.map(|row| row.as_chunks::<STEPS>().0);
    let (steps, rest) = right.as_chunks::<STEPS>();
    for (index, right) in steps.iter().enumerate() {
        let left: [&[T; STEPS]; R] = std::array::from_fn(|row| &left[row][index]);
        for step in 0..STEPS {
            add_term(&mut sums, |row| left[row][step], &right[step]);
        }
    }
    for (index, right) in rest.iter().enumerate() {
        add_term(&mut sums, |row| rows[row][steps.len() * STEPS + index], right);
    }
    write(out, sums);
}

/// Where each column is.
#[inline(never)]
fn of_columns<T: Factor, const R: usize, const V: usize, const S: usize>(
    out: Band<'_>,
    left: &[T],
    stride: usize,
    right: &[[T::Lanes; S]],
) {
    let mut sums = [[Lanes::ZERO; V]; R];
    for (left, right) in left.chunks(stride).zip(right) {
        let left: &[T; R] = left.first_chunk().expect("a number of each row");
        add_term(&mut sums, |row| left[row], right);
    }
    write(out, sums);
}

#[allow(clippy::needless_range_loop)] // by iterators, the sums leave their registers: 15% of a step
#[inline(always)]
fn add_term<T: Factor, const R: usize, const V: usize, const S: usize>(
    sums: &mut Sums<R, V>,
    left: impl Fn(usize) -> T,
    right: &[T::Lanes; S],
) {
    let right = *right;
    for row in 0..R {
        let left = left(row).splat();
        for column in 0..V {
            sums[row][column] = T::multiply_add(left, right[column], sums[row][column]);
        }
    }
}

#[inline(always)]
fn write<const R: usize, const V: usize>(out: Band<'_>, sums: Sums<R, V>) {
    let Band { numbers, columns, stride, before, scale } = out;
    let scale = Lanes::splat(scale);
    if columns < V * LANES {
        return write_part(numbers, columns, stride, before, sums.map(|row| row.map(|sum| sum * scale)));
    }
    for row in 0..R {
        let (chunks, _) = numbers[row * stride..].as_chunks_mut::<LANES>();
        let chunks: &mut [[f32; LANES]; V] = chunks.first_chunk_mut().expect("a row of the tile");
        for column in 0..V {
            let before = match before {
                Before::Nothing => Lanes::ZERO,
                Before::Itself => Lanes::from(chunks[column]),
                Before::Row(shared) => load(&shared[column * LANES..]),
            };
            chunks[column] = sums[row][column].mul_add(scale, before).to_array();
        }
    }
}

/// As [`write`] where the registers of a row hold more than there are columns.
fn write_part<const R: usize, const V: usize>(
    numbers: &mut [f32],
    columns: usize,
    stride: usize,
    before: Before<'_>,
    sums: Sums<R, V>,
) {
    for (row, sums) in numbers.chunks_mut(stride).zip(sums) {
        for (register, (chunk, sum)) in row[..columns].chunks_mut(LANES).zip(sums).enumerate() {
            let before = match before {
                Before::Nothing => Lanes::ZERO,
                Before::Itself => load(chunk),
                Before::Row(shared) => load(&shared[register * LANES..]),
            };
            store(chunk, before + sum);
        }
    }
}
