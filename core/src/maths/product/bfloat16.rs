//! Factors rounded to bfloat16: the upper half of a float32, with its range and 8 bits of precision. Products of two are exact in
//! float32; sums are float32.
//!
//! Two numbers that follow each other along the terms of a product share 32 bits, which is how processors read them.

use super::super::vector::{LANES, Lanes};
use super::Matrix;
use super::tiles::Factor;
use wide::u32x16;

/// Two terms of a row of the left factor: the first in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Pair(u32);

/// Two terms of sixteen columns of the right factor.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(super) struct PairLanes(u32x16);

impl PairLanes {
    pub const ZERO: Self = Self(u32x16::ZERO);

    /// Of the numbers of two terms.
    #[inline(always)]
    fn of(first: Lanes, second: Lanes) -> Self {
        let upper = u32x16::splat(0xffff_0000);
        let first: u32x16 = rounded_lanes(first) >> 16;
        Self(first | (rounded_lanes(second) & upper))
    }
}

impl Factor for Pair {
    type Lanes = PairLanes;

    #[inline(always)]
    fn splat(self) -> PairLanes {
        PairLanes(u32x16::splat(self.0))
    }

    #[inline(always)]
    fn multiply_add(left: PairLanes, right: PairLanes, sum: Lanes) -> Lanes {
        #[cfg(target_feature = "avx512bf16")]
        return by_instruction(left, right, sum);
        #[cfg(not(target_feature = "avx512bf16"))]
        by_halves(left, right, sum)
    }
}

#[cfg(target_feature = "avx512bf16")]
#[inline(always)]
fn by_instruction(left: PairLanes, right: PairLanes, sum: Lanes) -> Lanes {
    use std::arch::x86_64::{__m512, __m512bh, _mm512_dpbf16_ps};
    use std::mem::transmute;
    // SAFETY: the program is compiled for a processor that has the instruction, and all of them are sixteen times 32 bits.
    unsafe {
        let [left, right] = [left, right].map(|pairs| transmute::<PairLanes, __m512bh>(pairs));
        transmute::<__m512, Lanes>(_mm512_dpbf16_ps(transmute::<Lanes, __m512>(sum), left, right))
    }
}

/// What the instruction computes, but for its rounding: it takes numbers below 1.2e-38 for 0.
#[cfg(any(test, not(target_feature = "avx512bf16")))]
#[inline(always)]
fn by_halves(left: PairLanes, right: PairLanes, sum: Lanes) -> Lanes {
    let first = |pair: PairLanes| Lanes::from_bits(pair.0 << 16);
    let second = |pair: PairLanes| Lanes::from_bits(pair.0 & u32x16::splat(0xffff_0000));
    first(left).mul_add(first(right), second(left).mul_add(second(right), sum))
}

/// The bits of the nearest bfloat16 in the upper half, the even one of two; the lower half is of no meaning. NaN stays NaN.
#[inline(always)]
fn rounded(x: f32) -> u32 {
    let bits = x.to_bits();
    if x.is_nan() { bits | 0x0040_0000 } else { bits + 0x7fff + ((bits >> 16) & 1) }
}

/// [`rounded`], of sixteen.
#[inline(always)]
fn rounded_lanes(x: Lanes) -> u32x16 {
    let (bits, all) = (x.to_bits(), u32x16::splat);
    let last: u32x16 = bits >> 16;
    let nan = (bits | all(0x0040_0000)) & x.is_nan().to_bits();
    let number = (bits + all(0x7fff) + (last & all(1))) & !x.is_nan().to_bits();
    nan | number
}

/// The pairs of a left factor, in the direction that it lies in. left (m, k) -> (m, k/2), rounded up
pub(super) fn pairs<'a>(left: Matrix<'_>, room: &'a mut Vec<Pair>) -> Matrix<'a, Pair> {
    let (rows, terms) = (left.rows, left.columns.div_ceil(2));
    room.resize(rows * terms, Pair(0));
    let pair = |first: f32, second: f32| Pair((rounded(first) >> 16) | (rounded(second) & 0xffff_0000));
    if left.column_stride == 1 {
        for (row, pairs) in room.chunks_exact_mut(terms.max(1)).enumerate() {
            let row = &left.numbers[row * left.row_stride..][..left.columns];
            let (twos, rest) = row.as_chunks::<2>();
            pairs.iter_mut().zip(twos).for_each(|(out, &[first, second])| *out = pair(first, second));
            rest.iter().for_each(|&last| pairs[terms - 1] = pair(last, 0.0));
        }
        Matrix { numbers: room, rows, columns: terms, row_stride: terms, column_stride: 1 }
    } else {
        let column = |column: usize| &left.numbers[column * left.column_stride..][..rows];
        for (term, pairs) in room.chunks_exact_mut(rows.max(1)).enumerate() {
            let first = column(2 * term);
            match 2 * term + 1 < left.columns {
                true => {
                    let numbers = first.iter().zip(column(2 * term + 1));
                    pairs.iter_mut().zip(numbers).for_each(|(out, (&first, &second))| *out = pair(first, second));
                }
                false => pairs.iter_mut().zip(first).for_each(|(out, &first)| *out = pair(first, 0.0)),
            }
        }
        Matrix { numbers: room, rows, columns: terms, row_stride: 1, column_stride: rows }
    }
}

/// A panel of float32, two of its rows in one. panel (k, registers), out (k/2, registers), rounded up
pub(super) fn pair_panel(panel: &[Lanes], across: usize, out: &mut [PairLanes]) {
    for (pairs, rows) in out.chunks_exact_mut(across).zip(panel.chunks(2 * across)) {
        let (first, second) = rows.split_at(across);
        for (register, pair) in pairs.iter_mut().enumerate() {
            *pair = PairLanes::of(first[register], second.get(register).copied().unwrap_or(Lanes::ZERO));
        }
    }
}

const _: () = assert!(size_of::<PairLanes>() == size_of::<Lanes>() && size_of::<Pair>() * LANES == size_of::<PairLanes>());

#[cfg(test)]
mod tests {
    use super::*;

    fn value(x: f32) -> f32 {
        f32::from_bits(rounded(x) & 0xffff_0000)
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_to_the_even_of_two() {
        let step = 2f32.powi(-7); // between bfloat16 numbers from 1 to 2
        for (x, expected) in [
            (1.0, 1.0),
            (-3.0, -3.0),
            (1.0 + 0.49 * step, 1.0),
            (1.0 + 0.5 * step, 1.0), // the even one below
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

    /// Numbers of all sizes that a model has, and what is none.
    fn numbers(count: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 7919 % 10_007) as f32 / 5_003.0 - 1.0) * 10f32.powi((i % 9) as i32 - 6);
        let mut numbers: Vec<f32> = (0..count).map(number).collect();
        numbers.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1.0]);
        numbers
    }

    #[test]
    fn sixteen_are_rounded_as_one_is() {
        for numbers in numbers(4_088).as_chunks::<LANES>().0 {
            let expected = numbers.map(|x| rounded(x) >> 16);
            let found: u32x16 = rounded_lanes(Lanes::from(*numbers)) >> 16;
            assert_eq!(found.to_array(), expected, "{numbers:?}");
        }
    }

    #[cfg(target_feature = "avx512bf16")]
    #[test]
    fn the_instruction_computes_what_the_halves_do() {
        let numbers = numbers(4_096);
        let numbers = &numbers[..4_096];
        for (index, left) in numbers.as_chunks::<2>().0.iter().enumerate().step_by(LANES) {
            let lanes = |at: usize| Lanes::from(std::array::from_fn(|lane| numbers[(at + 5 * lane) % numbers.len()]));
            let (mut room, sum) = (Vec::new(), lanes(index + 7));
            let left = pairs(Matrix::new(left, 1, 2), &mut room).numbers[0].splat();
            let right = PairLanes::of(lanes(index), lanes(index + 3));
            let (found, expected) = (Pair::multiply_add(left, right, sum).to_array(), by_halves(left, right, sum).to_array());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 3e-7 * expected.abs().max(1e-3), "{found}, {expected}");
            }
        }
    }
}
