//! The right factor of a product, packed for tiles: panels of a few registers' columns, term by term.

use super::bfloat16::{Pair, with_pairs, with_rounded};
#[cfg(target_arch = "x86_64")]
use super::blocks::by_tiles;
use super::pack::{Packed, pack, pack_pairs, pack_rounded};
use super::tiles::{Band, Factor, Initial, MOST_ACROSS, Number, Panel, Vector, depths, multiply};
use super::{Matrix, MatrixMut, Onto, Precision, check_shapes};
use crate::scratch::first;
#[cfg(target_arch = "x86_64")]
use crate::simd::Amx;
use crate::simd::{Lanes, Level, Register, Simd, level, sets, store};
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;

/// Registers per term of a panel: as many as keep all sums of a tile in registers, of which AVX-512 has 32.
fn across() -> usize {
    if level() >= Level::Avx512 { MOST_ACROSS } else { 1 }
}

/// A packed matrix: the right factor of any number of products.
#[derive(Debug, Default)]
pub struct Panels {
    packed: Packed,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// Packs a matrix in float32.
    pub fn of(matrix: Matrix<'_>) -> Self {
        let mut panels = Self::default();
        panels.pack(matrix, Precision::Float32);
        panels
    }

    /// Replaces the packed matrix, on all threads if it is large. The memory is reused.
    pub fn pack(&mut self, matrix: Matrix<'_>, precision: Precision) {
        self.packed.set_precision(precision);
        self.fill(matrix);
    }

    /// Packs a matrix in the current representation.
    fn fill(&mut self, matrix: Matrix<'_>) {
        let (rows, columns) = matrix.shape();
        (self.rows, self.columns) = (rows, columns);
        let width = across() * Register::COUNT;
        let block = |panel: usize| matrix.block(0..rows, panel * width..((panel + 1) * width).min(columns));
        match &mut self.packed {
            Packed::Float32(registers) => {
                resized(registers, rows, columns, Register::ZERO).for_each(|(panel, registers)| pack(registers, block(panel)));
            }
            Packed::Rounded(registers) => {
                let panels = resized(registers, rows, columns, Register::ZERO);
                panels.for_each(|(panel, registers)| pack_rounded(registers, block(panel)));
            }
            Packed::Pairs(registers) => {
                let panels = resized(registers, rows.div_ceil(2), columns, Register::NO_BITS);
                panels.for_each(|(panel, registers)| pack_pairs(registers, block(panel)));
            }
        }
    }

    /// Number of rows and of columns of the matrix.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The sum of the squares of each column, in the order of a product: the diagonal of `xᵀx`. The matrix is packed in float32.
    pub(crate) fn column_squares(&self) -> Vec<f32> {
        let Packed::Float32(registers) = &self.packed else { panic!("squares of columns that are not packed in float32") };
        let mut squares = vec![0.0; self.columns];
        for (columns, panel) in panels(registers, self.into(), Register::COUNT, 1) {
            sum_squares(panel, &mut squares[columns]);
        }
        squares
    }

    /// The submatrix of these rows and the first `columns` columns.
    ///
    /// # Panics
    /// When the matrix has fewer rows or columns. In bfloat16, also when the range splits a pair of rows.
    pub fn part(&self, rows: Range<usize>, columns: usize) -> PanelsPart<'_> {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows && columns <= self.columns,
            "{rows:?} x {columns} of {:?}",
            self.shape()
        );
        let whole = |row: usize| row.is_multiple_of(2) || row == self.rows;
        let pairs = !matches!(self.packed, Packed::Float32(_));
        assert!(!pairs || whole(rows.start) && whole(rows.end), "two rows are one term");
        PanelsPart { panels: self, first: rows.start, rows: rows.len(), columns }
    }
}

/// A submatrix of a packed matrix: a range of its rows, of its first columns.
#[derive(Debug, Clone, Copy)]
pub struct PanelsPart<'a> {
    panels: &'a Panels,
    first: usize,
    rows: usize,
    columns: usize,
}

impl PanelsPart<'_> {
    /// Number of rows and of columns of the part.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }
}

impl<'a> From<&'a Panels> for PanelsPart<'a> {
    fn from(panels: &'a Panels) -> Self {
        Self { panels, first: 0, rows: panels.rows, columns: panels.columns }
    }
}

crate::vectorize! {
    fn sum_squares(panel: Panel<'_, Register>, squares: &mut [f32]) = sum_squares_with;
}

#[inline(always)]
fn sum_squares_with<S: Simd>(panel: Panel<'_, Register>, squares: &mut [f32]) {
    for (register, squares) in squares.chunks_mut(Register::COUNT).enumerate() {
        let mut all = Lanes::<S>::ZERO;
        for terms in depths(panel.registers.len() / panel.across) {
            let mut sums = Lanes::ZERO;
            for term in terms {
                let x = Lanes::from(panel.registers[term * panel.across + register]);
                sums = x.mul_add(x, sums);
            }
            all += sums;
        }
        store(squares, all);
    }
}

/// Resizes `registers` for panels of `terms` terms, and returns the panels with their indices.
fn resized<T: Copy + Send>(
    registers: &mut Vec<T>,
    terms: usize,
    columns: usize,
    zero: T,
) -> impl IndexedParallelIterator<Item = (usize, &mut [T])> {
    const LEAST: usize = 1 << 18; // numbers per thread that outweigh the cost of starting one
    registers.resize(terms * columns.div_ceil(Register::COUNT), zero);
    let panel = (terms * across()).max(1);
    registers.par_chunks_mut(panel).enumerate().with_min_len(LEAST.div_ceil(panel * Register::COUNT))
}

/// [`product`](super::product) with a packed right factor. The left factor is rounded to the precision of the right one.
///
/// # Shapes
/// left (m, k), right (k, n), out (m, n)
///
/// # Panics
/// When the shapes do not match.
pub fn product_of_panels<'a>(out: MatrixMut<'_>, onto: Onto, scale: f32, left: Matrix<'_>, right: impl Into<PanelsPart<'a>>) {
    by_panels(out, onto.into(), scale, left, right.into());
}

/// `out = left·right + bias`, with the same bias for every row.
///
/// # Shapes
/// left (m, k), right (k, n), bias (n), out (m, n)
///
/// # Panics
/// When the shapes do not match.
pub fn affine(out: MatrixMut<'_>, left: Matrix<'_>, right: &Panels, bias: &[f32]) {
    assert_eq!(bias.len(), right.columns, "one bias per column");
    by_panels(out, Initial::Row(bias), 1.0, left, right.into());
}

impl<N> From<Onto> for Initial<'_, N> {
    fn from(onto: Onto) -> Self {
        match onto {
            Onto::Replace => Self::Zero,
            Onto::Add => Self::Output,
        }
    }
}

fn by_panels(out: MatrixMut<'_>, initial: Initial<'_, f32>, scale: f32, left: Matrix<'_>, right: PanelsPart<'_>) {
    check_shapes(&out, left, right.shape());
    #[cfg(debug_assertions)]
    super::counted::count(left.shape(), right.shape());
    match &right.panels.packed {
        Packed::Float32(registers) => in_float32(out, initial, scale, left, registers, right),
        Packed::Rounded(registers) => with_rounded(left, |left| in_float32(out, initial, scale, left, registers, right)),
        #[cfg(target_arch = "x86_64")]
        Packed::Pairs(registers) if level() == Level::Amx => {
            let mut tiles = Amx::configure().expect("the level is available");
            by_tiles(&mut tiles, out, initial, scale, left, panels(registers, right, Register::COUNT, 2));
        }
        Packed::Pairs(registers) => with_pairs(left, |left| in_pairs(out, initial, scale, left, registers, right)),
    }
}

fn in_float32(
    out: MatrixMut<'_>,
    initial: Initial<'_, f32>,
    scale: f32,
    left: Matrix<'_>,
    registers: &[Register],
    right: PanelsPart<'_>,
) {
    match level() {
        Level::Portable => by_packed::<sets::Portable, f32, 1>(out, initial, scale, left, registers, right),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => by_packed::<sets::Avx2, f32, 1>(out, initial, scale, left, registers, right),
        #[cfg(target_arch = "x86_64")]
        _ => by_packed::<sets::Avx512, f32, 1>(out, initial, scale, left, registers, right),
        #[cfg(not(target_arch = "x86_64"))]
        other => unreachable!("{other} on another architecture"),
    }
}

fn in_pairs(
    out: MatrixMut<'_>,
    initial: Initial<'_, f32>,
    scale: f32,
    left: Matrix<'_, Pair>,
    registers: &[Register<u32>],
    right: PanelsPart<'_>,
) {
    #[cfg(target_arch = "x86_64")]
    by_packed::<sets::Avx512Bf16, Pair, 2>(out, initial, scale, left, registers, right);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (out, initial, scale, left, registers, right); // never packed so
}

/// Each panel of a part: its columns and its registers for the part's terms.
///
/// `registers` are those of the whole matrix, of `count` columns each. A term is `rows_in_term` rows.
pub(super) fn panels<'a, T>(
    registers: &'a [T],
    right: PanelsPart<'_>,
    count: usize,
    rows_in_term: usize,
) -> impl Iterator<Item = (Range<usize>, Panel<'a, T>)> {
    let Panels { rows, columns: all, .. } = *right.panels;
    let width = across() * count;
    bands(right.columns, width).zip(bands(all, width)).map(move |(columns, of_panel)| {
        let across = of_panel.len().div_ceil(count);
        let panel = &registers[rows.div_ceil(rows_in_term) * of_panel.start / count..][right.first / rows_in_term * across..];
        (columns, Panel { registers: &panel[..right.rows.div_ceil(rows_in_term) * across], across })
    })
}

/// The product with a packed factor, whose terms are `ROWS` rows.
fn by_packed<S: Simd, T, const ROWS: usize>(
    mut out: MatrixMut<'_, Number<T, S>>,
    initial: Initial<'_, Number<T, S>>,
    scale: Number<T, S>,
    left: Matrix<'_, T>,
    registers: &[T::Stored],
    right: PanelsPart<'_>,
) where
    T: Factor<S>,
    Number<T, S>: Copy,
{
    for (columns, Panel { registers, across }) in panels(registers, right, T::Sum::COUNT, ROWS) {
        for terms in depths(left.columns) {
            let registers = &registers[terms.start * across..terms.end * across];
            band::<S, T>(&mut out, columns.clone(), initial, scale, left, terms, Panel { registers, across });
        }
    }
}

/// A function that packs the columns of one panel.
pub(super) type Pack<T, P> = fn(&mut [P], Matrix<'_, T>);

/// The product with a right factor that is packed for this product alone, one panel of at most 512 terms at a time.
pub(super) fn by_matrix<S: Simd, T>(
    mut out: MatrixMut<'_, T>,
    onto: Onto,
    scale: T,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    buffer: &Cell<Vec<T::Stored>>,
    (zero, pack): (T::Stored, Pack<T, T::Stored>),
) where
    T: Factor<S>,
    T::Sum: Vector<Number = T>,
{
    let mut kept = buffer.take();
    for columns in bands(out.columns, across() * T::Sum::COUNT) {
        for rows in depths(right.rows) {
            let across = columns.len().div_ceil(T::Sum::COUNT);
            let panel = first(&mut kept, rows.len() * across, zero);
            pack(panel, right.block(rows.clone(), columns.clone()));
            band::<S, T>(&mut out, columns.clone(), onto.into(), scale, left, rows, Panel { registers: panel, across });
        }
    }
    buffer.set(kept);
}

/// The columns of each panel, at most `width`.
fn bands(columns: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..columns).step_by(width).map(move |first| first..(first + width).min(columns))
}

/// Adds the products of `terms` to the columns of one panel. `panel` holds these terms of the right factor.
fn band<S: Simd, T: Factor<S>>(
    out: &mut MatrixMut<'_, Number<T, S>>,
    columns: Range<usize>,
    initial: Initial<'_, Number<T, S>>,
    scale: Number<T, S>,
    left: Matrix<'_, T>,
    terms: Range<usize>,
    panel: Panel<'_, T::Stored>,
) {
    let initial = initial.of(&columns, terms.start);
    if out.rows > 0 {
        let numbers = &mut out.numbers[columns.start..];
        let out = Band { numbers, columns: columns.len(), stride: out.stride, initial, scale };
        multiply::<S, T>(out, left.block(0..left.rows, terms), panel);
    }
}

/// Products by a [`TileUnit`](crate::simd::TileUnit), independent of the level of this machine.
#[cfg(test)]
pub(super) mod with_tiles {
    use super::super::blocks::by_tiles;
    use super::*;
    use crate::simd::TileUnit;

    pub fn pairs_of(matrix: Matrix<'_>) -> Panels {
        let mut panels = Panels { packed: Packed::Pairs(Vec::new()), ..Panels::default() };
        panels.fill(matrix);
        panels
    }

    pub fn product<'a>(
        unit: &mut impl TileUnit,
        out: MatrixMut<'_>,
        initial: Initial<'_, f32>,
        scale: f32,
        left: Matrix<'_>,
        right: impl Into<PanelsPart<'a>>,
    ) {
        let right = right.into();
        check_shapes(&out, left, right.shape());
        let Packed::Pairs(registers) = &right.panels.packed else { panic!("pairs") };
        by_tiles(unit, out, initial, scale, left, panels(registers, right, Register::COUNT, 2));
    }
}

#[cfg(test)]
mod tests;
