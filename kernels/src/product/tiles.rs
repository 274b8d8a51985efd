//! Tiles of a product, whose sums stay in registers from the first term to the last.
//!
//! A tile is [`ROWS`] rows of the output by the columns of one panel. For each term it reads a row of the panel, and one number of
//! each row of the left factor, in place. With 32 registers, a tile of six rows by four registers has 24 sums. Four registers for
//! the panel and one for the left factor fill most of the rest, and keep both multipliers of a core busy.

use super::Matrix;
use crate::simd::{DOUBLES, Doubles, Kernel, LANES, Lanes, Register, Simd};
use std::ops::Range;

/// Rows per tile.
const ROWS: usize = 6;

/// The largest number of registers per term of a panel.
pub(super) const MOST_ACROSS: usize = 4;

/// A register of sums of a product.
pub(super) trait Vector: Copy {
    /// f32 or f64.
    type Number: Copy;
    /// Numbers per register.
    const COUNT: usize;
    const ZERO: Self;

    fn splat(x: Self::Number) -> Self;

    /// The first `COUNT` numbers of `x`, padded with zeros if there are fewer.
    fn load(x: &[Self::Number]) -> Self;

    /// Writes to the first `COUNT` numbers of `x`, or to all of them if there are fewer.
    fn store(self, x: &mut [Self::Number]);

    /// `self·by + to`, rounded once.
    fn mul_add(self, by: Self, to: Self) -> Self;
}

macro_rules! vector {
    ($vector:ident, $number:ty, $count:ident) => {
        impl<S: Simd> Vector for $vector<S> {
            type Number = $number;
            const COUNT: usize = $count;
            const ZERO: Self = Self::ZERO;

            #[inline(always)]
            fn splat(x: $number) -> Self {
                Self::splat(x)
            }

            #[inline(always)]
            fn load(x: &[$number]) -> Self {
                let mut padded = [0.0; $count];
                match x.first_chunk::<$count>() {
                    Some(whole) => padded = *whole,
                    None => padded[..x.len()].copy_from_slice(x),
                }
                Self::from(padded)
            }

            #[inline(always)]
            fn store(self, x: &mut [$number]) {
                match x.first_chunk_mut::<$count>() {
                    Some(whole) => *whole = self.to_array(),
                    None => x.copy_from_slice(&self.to_array()[..x.len()]),
                }
            }

            #[inline(always)]
            fn mul_add(self, by: Self, to: Self) -> Self {
                self.mul_add(by, to)
            }
        }
    };
}

vector!(Lanes, f32, LANES);
vector!(Doubles, f64, DOUBLES);

/// The type of a product's factors: float32, float64, or pairs of bfloat16.
pub(super) trait Factor<S: Simd>: Copy {
    /// One register's columns of a term of the right factor, as packed in a panel.
    type Stored: Copy;
    /// A register of a term's columns, or of one number of the left factor in all lanes.
    type Right: Copy;
    type Sum: Vector;

    fn load(stored: &Self::Stored) -> Self::Right;

    /// This number in all lanes.
    fn splat(self) -> Self::Right;

    /// `sum + left·right`.
    fn multiply_add(left: Self::Right, right: Self::Right, sum: Self::Sum) -> Self::Sum;
}

/// The number type of sums of these factors.
pub(super) type Number<T, S> = <<T as Factor<S>>::Sum as Vector>::Number;

macro_rules! factor {
    ($number:ty, $vector:ident, $stored:ty) => {
        impl<S: Simd> Factor<S> for $number {
            type Stored = $stored;
            type Right = $vector<S>;
            type Sum = $vector<S>;

            #[inline(always)]
            fn load(stored: &$stored) -> $vector<S> {
                $vector::from(stored.0)
            }

            #[inline(always)]
            fn splat(self) -> $vector<S> {
                $vector::splat(self)
            }

            #[inline(always)]
            fn multiply_add(left: $vector<S>, right: $vector<S>, sum: $vector<S>) -> $vector<S> {
                left.mul_add(right, sum)
            }
        }
    };
}

/// Eight float64 of a panel.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct WideRegister(pub [f64; DOUBLES]);

factor!(f32, Lanes, Register);
factor!(f64, Doubles, WideRegister);

/// The initial value of a product's sums.
#[derive(Debug, Clone, Copy)]
pub(super) enum Initial<'a, N> {
    Zero,
    /// The current numbers of the output.
    Output,
    /// The same row for every row of the output.
    Row(&'a [N]),
}

impl<N> Initial<'_, N> {
    /// The initial value for `columns` and the terms from `first` on: later terms are added to the sums of earlier ones.
    pub fn of(self, columns: &Range<usize>, first: usize) -> Self {
        match self {
            _ if first > 0 => Initial::Output,
            Initial::Row(shared) => Initial::Row(&shared[columns.clone()]),
            whole => whole,
        }
    }
}

/// Columns of a product's output, at most as many as a panel has.
pub(super) struct Band<'a, N> {
    pub numbers: &'a mut [N],
    pub columns: usize,
    pub stride: usize,
    pub initial: Initial<'a, N>,
    pub scale: N,
}

/// Columns of the right factor, `across` registers per term. They hold at least as many columns as the output has.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a, T> {
    pub registers: &'a [T],
    pub across: usize,
}

/// `out = initial + scale·left·right`. left (m, k), right (k terms)
pub(super) fn multiply<S: Simd, T: Factor<S>>(out: Band<'_, Number<T, S>>, left: Matrix<'_, T>, right: Panel<'_, T::Stored>) {
    match (out.columns.div_ceil(T::Sum::COUNT), right.across) {
        (_, 1) => S::run(Tiles::<S, T, 1, 1> { out, left, right: right.registers }),
        (_, 2) => S::run(Tiles::<S, T, 2, 2> { out, left, right: right.registers }),
        (_, 3) => S::run(Tiles::<S, T, 3, 3> { out, left, right: right.registers }),
        (1, _) => S::run(Tiles::<S, T, 1, MOST_ACROSS> { out, left, right: right.registers }),
        (2, _) => S::run(Tiles::<S, T, 2, MOST_ACROSS> { out, left, right: right.registers }),
        (3, _) => S::run(Tiles::<S, T, 3, MOST_ACROSS> { out, left, right: right.registers }),
        _ => S::run(Tiles::<S, T, MOST_ACROSS, MOST_ACROSS> { out, left, right: right.registers }),
    }
}

/// All tiles of the first V of a panel's P registers per term.
struct Tiles<'a, S: Simd, T: Factor<S>, const V: usize, const P: usize> {
    out: Band<'a, Number<T, S>>,
    left: Matrix<'a, T>,
    right: &'a [T::Stored],
}

impl<S: Simd, T: Factor<S>, const V: usize, const P: usize> Kernel<S> for Tiles<'_, S, T, V, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { out, left, right } = self;
        let (right, _) = right.as_chunks::<P>();
        let m = left.rows;
        let count = m.div_ceil(ROWS);
        for tile in 0..count {
            let (first, end) = (tile * m / count, (tile + 1) * m / count);
            let last = (end - 1) * out.stride + out.columns;
            let out = Band { numbers: &mut out.numbers[first * out.stride..last], ..out };
            let left = left.block(first..end, 0..left.columns);
            match end - first {
                1 => of_tile::<S, T, 1, V, P>(out, left, right),
                2 => of_tile::<S, T, 2, V, P>(out, left, right),
                3 => of_tile::<S, T, 3, V, P>(out, left, right),
                4 => of_tile::<S, T, 4, V, P>(out, left, right),
                5 => of_tile::<S, T, 5, V, P>(out, left, right),
                _ => of_tile::<S, T, 6, V, P>(out, left, right),
            }
        }
    }
}

type Sums<T, S, const R: usize, const V: usize> = [[<T as Factor<S>>::Sum; V]; R];

#[inline(always)]
fn of_tile<S: Simd, T: Factor<S>, const R: usize, const V: usize, const P: usize>(
    out: Band<'_, Number<T, S>>,
    left: Matrix<'_, T>,
    right: &[[T::Stored; P]],
) {
    let sums = if left.column_stride == 1 {
        of_rows::<S, T, R, V, P>(left.numbers, left.row_stride, right)
    } else {
        of_columns::<S, T, R, V, P>(left.numbers, left.column_stride, right)
    };
    write(out, sums);
}

/// The sums of a tile where each row of the left factor is contiguous.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn of_rows<S: Simd, T: Factor<S>, const R: usize, const V: usize, const P: usize>(
    left: &[T],
    stride: usize,
    right: &[[T::Stored; P]],
) -> Sums<T, S, R, V> {
    const STEPS: usize = 4; // terms per bounds check of the rows
    let mut sums = [[T::Sum::ZERO; V]; R];
    let terms = right.len();
    let mut rows = [&left[..terms]; R];
    for row in 1..R {
        rows[row] = &left[row * stride..][..terms];
    }
    let mut fours = [rows[0].as_chunks::<STEPS>().0; R];
    for row in 1..R {
        fours[row] = rows[row].as_chunks::<STEPS>().0;
    }
    let (steps, rest) = right.as_chunks::<STEPS>();
    for (index, right) in steps.iter().enumerate() {
        let mut left = [&fours[0][index]; R];
        for row in 1..R {
            left[row] = &fours[row][index];
        }
        for step in 0..STEPS {
            let mut numbers = [left[0][step]; R];
            for row in 1..R {
                numbers[row] = left[row][step];
            }
            add_term::<S, T, R, V, P>(&mut sums, &numbers, &right[step]);
        }
    }
    for (index, right) in rest.iter().enumerate() {
        let mut numbers = [rows[0][steps.len() * STEPS + index]; R];
        for row in 1..R {
            numbers[row] = rows[row][steps.len() * STEPS + index];
        }
        add_term::<S, T, R, V, P>(&mut sums, &numbers, right);
    }
    sums
}

/// The sums of a tile where each column of the left factor is contiguous.
#[inline(always)]
fn of_columns<S: Simd, T: Factor<S>, const R: usize, const V: usize, const P: usize>(
    left: &[T],
    stride: usize,
    right: &[[T::Stored; P]],
) -> Sums<T, S, R, V> {
    let mut sums = [[T::Sum::ZERO; V]; R];
    for (left, right) in left.chunks(stride).zip(right) {
        let left: &[T; R] = left.first_chunk().expect("one number per row");
        add_term::<S, T, R, V, P>(&mut sums, left, right);
    }
    sums
}

#[allow(clippy::needless_range_loop)] // with iterators, the sums leave their registers, which costs 15% of a training step
#[inline(always)]
fn add_term<S: Simd, T: Factor<S>, const R: usize, const V: usize, const P: usize>(
    sums: &mut Sums<T, S, R, V>,
    left: &[T; R],
    right: &[T::Stored; P],
) {
    let mut registers = [T::load(&right[0]); V];
    for column in 1..V {
        registers[column] = T::load(&right[column]);
    }
    for row in 0..R {
        let left = left[row].splat();
        for column in 0..V {
            sums[row][column] = T::multiply_add(left, registers[column], sums[row][column]);
        }
    }
}

#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn write<V: Vector, const R: usize, const N: usize>(out: Band<'_, V::Number>, sums: [[V; N]; R]) {
    let Band { numbers, columns, stride, initial, scale } = out;
    let scale = V::splat(scale);
    let whole = columns >= N * V::COUNT;
    for row in 0..R {
        let numbers = &mut numbers[row * stride..];
        let numbers = if whole { &mut numbers[..N * V::COUNT] } else { &mut numbers[..columns] };
        for column in 0..N {
            let first = column * V::COUNT;
            if !whole && first >= columns {
                break;
            }
            let chunk =
                if whole { &mut numbers[first..first + V::COUNT] } else { &mut numbers[first..columns.min(first + V::COUNT)] };
            let initial = match initial {
                Initial::Zero => V::ZERO,
                Initial::Output => V::load(chunk),
                Initial::Row(shared) => V::load(&shared[first..]),
            };
            sums[row][column].mul_add(scale, initial).store(chunk);
        }
    }
}

/// Terms of a panel per run: they stay in a core's L2 cache while all rows of the left factor are multiplied with them.
const DEPTH: usize = 512;

/// The terms of a panel in runs of at most [`DEPTH`]; one empty run if there are no terms.
pub(super) fn depths(terms: usize) -> impl Iterator<Item = Range<usize>> {
    (0..terms.max(1)).step_by(DEPTH).map(move |first| first..(first + DEPTH).min(terms))
}
