//! Factors rounded to bfloat16, the upper half of a float32: the same range, 8 bits of precision. The product of two is exact in
//! float32; sums are float32.
//!
//! Where an instruction multiplies bfloat16, two consecutive terms of a product are packed into 32 bits, as the instruction reads
//! them. Elsewhere factors are rounded and multiplied as float32.

use super::Matrix;
use super::tiles::Factor;
use crate::scratch::first;
use crate::simd::{Bits, DotBf16, LANES, Lanes, Register, Simd, load, padded, store};
use std::cell::Cell;

/// Two terms of a row of the left factor: the first in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Pair(pub u32);

impl<S: DotBf16> Factor<S> for Pair {
    type Stored = Register<u32>;
    type Right = Bits<S>;
    type Sum = Lanes<S>;

    #[inline(always)]
    fn load(stored: &Register<u32>) -> Bits<S> {
        Bits::from(stored.0)
    }

    #[inline(always)]
    fn splat(self) -> Bits<S> {
        Bits::splat(self.0)
    }

    #[inline(always)]
    fn multiply_add(left: Bits<S>, right: Bits<S>, sum: Lanes<S>) -> Lanes<S> {
        S::dot_bf16(left, right, sum)
    }
}

/// The bits of the nearest bfloat16, ties to even, in the upper half of each lane; the lower half is meaningless. NaN stays NaN.
#[inline(always)]
fn nearest<S: Simd>(x: Lanes<S>) -> Bits<S> {
    let bits = x.to_bits();
    let odd = (bits >> 16) & Bits::splat(1);
    x.is_nan().select_bits(bits | Bits::splat(0x0040_0000), bits + odd + Bits::splat(0x7fff))
}

/// The nearest bfloat16 of each lane, ties to even.
#[inline(always)]
pub(super) fn round<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    Lanes::from_bits(nearest(x) & Bits::splat(0xffff_0000))
}

/// The two numbers of each lane as a pair, rounded to bfloat16, the first in the lower half.
#[inline(always)]
pub(super) fn pairs<S: Simd>(first: Lanes<S>, second: Lanes<S>) -> Bits<S> {
    (nearest(first) >> 16) | (nearest(second) & Bits::splat(0xffff_0000))
}

/// Every two consecutive numbers as a pair, rounded to bfloat16, the first in the lower half.
#[inline(always)]
pub(super) fn consecutive_pairs<S: Simd>(x: &[f32; 2 * LANES]) -> [u32; LANES] {
    let mut rounded = [[0; LANES]; 2];
    for (out, x) in rounded.iter_mut().zip(x.as_chunks().0) {
        *out = nearest::<S>(Lanes::from(*x)).to_array();
    }
    let mut pairs = [0; LANES];
    for (pair, &[first, second]) in pairs.iter_mut().zip(rounded.as_flattened().as_chunks().0) {
        *pair = (first >> 16) | (second & 0xffff_0000);
    }
    pairs
}

thread_local! {
    static PAIRS: Cell<Vec<Pair>> = const { Cell::new(Vec::new()) };
    static ROUNDED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `body` on a left factor packed into pairs of terms, in the storage order of `left`. left (m, k) -> (m, ceil(k/2))
pub(super) fn with_pairs(left: Matrix<'_>, body: impl FnOnce(Matrix<'_, Pair>)) {
    let mut buffer = PAIRS.take();
    let (rows, columns) = (left.rows, left.columns.div_ceil(2));
    let pairs = first(&mut buffer, rows * columns, Pair(0));
    fill_pairs(left, pairs);
    let (row_stride, column_stride) = if left.column_stride == 1 { (columns, 1) } else { (1, rows) };
    body(Matrix { numbers: pairs, rows, columns, row_stride, column_stride });
    PAIRS.set(buffer);
}

/// Runs `body` on a left factor with its numbers rounded, in the storage order of `left`.
pub(super) fn with_rounded(left: Matrix<'_>, body: impl FnOnce(Matrix<'_>)) {
    let mut buffer = ROUNDED.take();
    let Matrix { rows, columns, .. } = left;
    let rounded = first(&mut buffer, rows * columns, 0.0);
    fill_rounded(left, rounded);
    let (row_stride, column_stride) = if left.column_stride == 1 { (columns, 1) } else { (1, rows) };
    body(Matrix { numbers: rounded, rows, columns, row_stride, column_stride });
    ROUNDED.set(buffer);
}

crate::vectorize! {
    fn fill_pairs(left: Matrix<'_>, buffer: &mut [Pair]) = fill_pairs_with;

    fn fill_rounded(left: Matrix<'_>, buffer: &mut [f32]) = fill_rounded_with;
}

#[inline(always)]
fn fill_pairs_with<S: Simd>(left: Matrix<'_>, buffer: &mut [Pair]) {
    if left.column_stride == 1 {
        let terms = left.columns.div_ceil(2);
        for (row, out) in buffer.chunks_exact_mut(terms.max(1)).enumerate() {
            let row = &left.numbers[row * left.row_stride..][..left.columns];
            for (out, numbers) in out.chunks_mut(LANES).zip(row.chunks(2 * LANES)) {
                store_pairs(out, consecutive_pairs::<S>(&padded(numbers, 0.0)));
            }
        }
    } else {
        let column = |column: usize| &left.numbers[column * left.column_stride..][..left.rows];
        let zeros = vec![0.0; if left.columns.is_multiple_of(2) { 0 } else { left.rows }]; // beside the last of an odd number
        for (term, out) in buffer.chunks_exact_mut(left.rows.max(1)).enumerate() {
            let second = if 2 * term + 1 < left.columns { column(2 * term + 1) } else { &zeros };
            let (first, first_rest) = column(2 * term).as_chunks();
            let ((second, second_rest), (out, out_rest)) = (second.as_chunks(), out.as_chunks_mut::<LANES>());
            for ((out, first), second) in out.iter_mut().zip(first).zip(second) {
                store_pairs(out, pairs::<S>(Lanes::from(*first), Lanes::from(*second)).to_array());
            }
            store_pairs(out_rest, pairs::<S>(load(first_rest), load(second_rest)).to_array());
        }
    }
}

/// Writes sixteen pairs, or as many as there is room for.
#[inline(always)]
fn store_pairs(out: &mut [Pair], pairs: [u32; LANES]) {
    match out.first_chunk_mut() {
        Some(whole) => *whole = pairs.map(Pair),
        None => out.iter_mut().zip(pairs).for_each(|(out, pair)| *out = Pair(pair)),
    }
}

#[inline(always)]
fn fill_rounded_with<S: Simd>(left: Matrix<'_>, buffer: &mut [f32]) {
    let (length, stride) =
        if left.column_stride == 1 { (left.columns, left.row_stride) } else { (left.rows, left.column_stride) };
    for (line, rounded) in buffer.chunks_exact_mut(length.max(1)).enumerate() {
        let numbers = &left.numbers[line * stride..][..length];
        let ((out, out_rest), (numbers, rest)) = (rounded.as_chunks_mut(), numbers.as_chunks());
        for (out, numbers) in out.iter_mut().zip(numbers) {
            *out = round::<S>(Lanes::from(*numbers)).to_array();
        }
        store(out_rest, round::<S>(load(rest)));
    }
}

const _: () = assert!(size_of::<Pair>() * LANES == size_of::<Register<u32>>());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::sets::Portable;

    fn value(x: f32) -> f32 {
        round::<Portable>(Lanes::splat(x)).to_array()[0]
    }

    fn pair(first: f32, second: f32) -> u32 {
        pairs::<Portable>(Lanes::splat(first), Lanes::splat(second)).to_array()[0]
    }

    #[test]
    fn numbers_are_rounded_to_nearest_with_ties_to_even() {
        let step = 2f32.powi(-7); // spacing of bfloat16 numbers in [1, 2]
        for (x, expected) in [
            (1.0, 1.0),
            (-3.0, -3.0),
            (1.0 + 0.49 * step, 1.0),
            (1.0 + 0.5 * step, 1.0), // a tie: the even one is below
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (1.0 + 0.51 * step, 1.0 + step),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (0.0, 0.0),
        ] {
            assert_eq!(value(x), expected, "{x}");
        }
        assert!(value(f32::NAN).is_nan() && value(f32::from_bits(0x7f80_0001)).is_nan());
    }

    /// Numbers of all magnitudes that occur in a model, then special values.
    fn numbers(count: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 % 10_007) as f32 / 5_003.0 - 1.0) * 10f32.powi((i % 9) as i32 - 6);
        let mut numbers: Vec<f32> = (0..count).map(number).collect();
        numbers.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1.0]);
        numbers
    }

    /// Row-major and transposed factors, with whole registers and all kinds of rests.
    #[test]
    fn a_left_factor_is_rounded_number_by_number() {
        for (rows, columns) in [1, 15, 16, 17, 67].into_iter().flat_map(|rows| (1..=66).map(move |columns| (rows, columns))) {
            let numbers: Vec<f32> = numbers(64).into_iter().cycle().take(rows * columns).collect();
            let row_major = Matrix::new(&numbers, rows, columns);
            for matrix in [row_major, Matrix::new(&numbers, columns, rows).transposed()] {
                let at = |i: usize, j: usize| if j < columns { matrix.at(i, j) } else { 0.0 };
                let stale = [7.0; 67 * 67]; // what is not written would show
                with_pairs(Matrix::new(&stale, 67, 67), |_| {});
                with_pairs(matrix, |found| {
                    for (i, j) in (0..rows).flat_map(|i| (0..columns.div_ceil(2)).map(move |j| (i, j))) {
                        assert_eq!(found.at(i, j), Pair(pair(at(i, 2 * j), at(i, 2 * j + 1))), "{rows} x {columns}: ({i}, {j})");
                    }
                });
                with_rounded(Matrix::new(&stale, 67, 67), |_| {});
                with_rounded(matrix, |found| {
                    for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                        assert_eq!(found.at(i, j).to_bits(), value(at(i, j)).to_bits(), "{rows} x {columns}: ({i}, {j})");
                    }
                });
            }
        }
    }

    /// Compares the instruction, where this machine has it, with its definition in plain Rust.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_instruction_agrees_with_its_definition() {
        use crate::simd::{Kernel, Level, available, sealed::Operations, sets::Avx512Bf16};

        struct Dot([[u32; LANES]; 2], [f32; LANES]);
        impl<S: DotBf16> Kernel<S> for Dot {
            type Output = [f32; LANES];

            #[inline(always)]
            fn run(self) -> [f32; LANES] {
                let [left, right] = self.0.map(Bits::<S>::from);
                Pair::multiply_add(left, right, Lanes::from(self.1)).to_array()
            }
        }
        if !available().contains(&Level::Avx512Bf16) {
            return; // only the definition is left, which the tests of `product` cover
        }
        let numbers = numbers(4_088);
        let at = |index: usize| numbers[index % (numbers.len() - 8)];
        for index in (0..4_000).step_by(7) {
            let terms = |first: usize| std::array::from_fn(|lane| pair(at(first + 5 * lane), at(first + 5 * lane + 3)));
            let sum: [f32; LANES] = std::array::from_fn(|lane| at(index + 7 + 11 * lane));
            let factors = [terms(index), terms(index + 1)];
            let (found, expected) = (Avx512Bf16::run(Dot(factors, sum)), Portable::run(Dot(factors, sum)));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 3e-7 * expected.abs().max(1e-3), "{found}, {expected}");
            }
        }
    }
}
