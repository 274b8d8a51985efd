//! Rounding of weights to few bits: the numbers of a matrix are rounded to multiples of a scale.
//!
//! Weights w that share a scale s are replaced by s·q with an integer q:
//!
//! ```text
//! b bits    s = max |w| / (2^(b-1) - 1)     q = round(w / s)                         symmetric round-to-nearest, absmax
//! ternary   s = max(mean |w|, 1e-5)         q = clamp(round(w / s), -1, 1)           absmean, BitNet b1.58
//! binary    s = mean |w|                    q = 1 where w ≥ 0, else -1               BWN
//! ```
//!
//! Ties are rounded to even, as in PyTorch. b bits give the 2^b - 1 values from -(2^(b-1) - 1) to 2^(b-1) - 1. 2 bits give -1, 0
//! and 1, like ternary, but with another scale.
//!
//! Sources:
//!
//! - ternary: Ma et al. 2024, arXiv:2402.17764; the smallest scale, 1e-5, is from the authors' code;
//! - binary: Rastegari et al. 2016, arXiv:1603.05279, section 3.1, with one scale per output channel.

mod bits;
mod on_device;

use crate::simd::Simd;
pub use bits::{Bits, Granularity};
pub use on_device::round_linear;

/// The smallest scale of ternary weights.
const LEAST_SCALE: f32 = 1e-5;

/// The memory layout of a weight matrix: input k of output channel c is at `c·channels_apart + k·inputs_apart`.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Output channels.
    pub channels: usize,
    /// Weights per channel.
    pub inputs: usize,
    /// Distance between channels.
    pub channels_apart: usize,
    /// Distance between inputs.
    pub inputs_apart: usize,
}

impl Layout {
    /// The layout of a linear layer's weight, `inputs` rows of `outputs` numbers: each column is a channel.
    pub fn linear(inputs: usize, outputs: usize) -> Self {
        Self { channels: outputs, inputs, channels_apart: 1, inputs_apart: outputs }
    }
}

/// Rounds a matrix in place, each group of weights with its own scale. Finite weights stay finite.
///
/// # Panics
/// When the layout exceeds the matrix.
pub fn round(weights: &mut [f32], layout: Layout, bits: Bits, granularity: Granularity) {
    let size = match granularity {
        Granularity::Tensor => return round_group(weights, bits),
        Granularity::Channel => layout.inputs,
        Granularity::Group(size) => size as usize,
    };
    let mut group = Vec::with_capacity(size.min(layout.inputs));
    for channel in 0..layout.channels {
        for first in (0..layout.inputs).step_by(size) {
            let places = (first..layout.inputs.min(first + size))
                .map(|input| channel * layout.channels_apart + input * layout.inputs_apart);
            group.clear();
            group.extend(places.clone().map(|place| weights[place]));
            round_group(&mut group, bits);
            places.zip(&group).for_each(|(place, &rounded)| weights[place] = rounded);
        }
    }
}

/// Rounds weights that share a scale.
fn round_group(weights: &mut [f32], bits: Bits) {
    match bits {
        Bits::Whole(bits) => {
            let most = most_of(bits);
            let scale = weights.iter().fold(0f32, |most, w| most.max(w.abs())) / most;
            if scale > 0.0 {
                to_multiples(weights, scale, most);
            }
        }
        Bits::Ternary => to_multiples(weights, mean_size(weights).max(LEAST_SCALE), 1.0),
        Bits::Binary => {
            let scale = mean_size(weights);
            weights.iter_mut().for_each(|w| *w = if *w >= 0.0 { scale } else { -scale });
        }
    }
}

/// The largest integer of so many bits.
fn most_of(bits: u8) -> f32 {
    f32::from((1u8 << (bits - 1)) - 1)
}

crate::vectorize! {
    /// `clamp(round(w / scale), -most, most)·scale`, with ties to even.
    fn to_multiples(weights: &mut [f32], scale: f32, most: f32) = to_multiples_with;
}

#[inline(always)]
fn to_multiples_with<S: Simd>(weights: &mut [f32], scale: f32, most: f32) {
    weights.iter_mut().for_each(|w| *w = (*w / scale).round_ties_even().clamp(-most, most) * scale);
}

/// `mean |w|`
fn mean_size(weights: &[f32]) -> f32 {
    (weights.iter().map(|w| f64::from(w.abs())).sum::<f64>() / weights.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[f32], bits: Bits, expected: &[f32]) {
        let mut rounded = weights.to_vec();
        round_group(&mut rounded, bits);
        assert!(rounded.iter().zip(expected).all(|(r, e)| (r - e).abs() < 1e-6), "{rounded:?}, expected {expected:?}");
    }

    #[test]
    fn whole_bits_by_hand() {
        // 3 bits reach to 3, so the scale of 6 is 2: 2.9 / 2 = 1.45 is 1, 3.1 / 2 = 1.55 is 2, and the halves 1 and 3 are 0 and 4
        check(&[6.0, 2.9, 3.1, -3.1, 1.0, 3.0, 0.0], Bits::Whole(3), &[6.0, 2.0, 4.0, -4.0, 0.0, 4.0, 0.0]);
        check(&[-4.0, 1.9, 2.1, -2.1], Bits::Whole(2), &[-4.0, 0.0, 4.0, -4.0]); // 2 bits: -1, 0, 1 times 4
        check(&[127.0, -126.6, 0.4], Bits::Whole(8), &[127.0, -127.0, 0.0]);
        check(&[0.0, 0.0], Bits::Whole(4), &[0.0, 0.0]);
    }

    #[test]
    fn ternary_and_binary_by_hand() {
        // mean size (4 + 1 + 2 + 1) / 4 = 2: 4 is cut to one scale, 1 / 2 is a half and goes to 0
        check(&[4.0, -1.0, -2.0, 1.0], Bits::Ternary, &[2.0, 0.0, -2.0, 0.0]);
        check(&[4.0, -1.0, -2.0, 1.0], Bits::Binary, &[2.0, -2.0, -2.0, 2.0]);
        check(&[0.0, 0.0], Bits::Ternary, &[0.0, 0.0]);
        check(&[0.0, -3.0], Bits::Binary, &[1.5, -1.5]);
    }

    #[test]
    fn scales_are_shared_within_a_group_of_inputs_of_one_channel() {
        // (inputs, outputs) = (3, 2): columns 1, 2, 5 and 10, 30, 50
        let matrix = [1.0, 10.0, 2.0, 30.0, 5.0, 50.0];
        let check = |granularity: Granularity, expected: [f32; 6]| {
            let mut rounded = matrix;
            round(&mut rounded, Layout::linear(3, 2), Bits::Binary, granularity);
            assert!(rounded.iter().zip(expected).all(|(r, e)| (r - e).abs() < 1e-4), "{granularity}: {rounded:?}");
        };
        check(Granularity::Tensor, [98.0 / 6.0; 6]);
        check(Granularity::Channel, [8.0 / 3.0, 30.0, 8.0 / 3.0, 30.0, 8.0 / 3.0, 30.0]);
        check(Granularity::Group(2), [1.5, 20.0, 1.5, 20.0, 5.0, 50.0]);
        check(Granularity::Group(32), [8.0 / 3.0, 30.0, 8.0 / 3.0, 30.0, 8.0 / 3.0, 30.0]);
    }

    #[test]
    fn rows_can_be_channels() {
        let mut rounded = [1.0, 3.0, 10.0, 30.0];
        round(
            &mut rounded,
            Layout { channels: 2, inputs: 2, channels_apart: 2, inputs_apart: 1 },
            Bits::Binary,
            Granularity::Channel,
        );
        assert_eq!(rounded, [2.0, 2.0, 20.0, 20.0]);
    }
}
