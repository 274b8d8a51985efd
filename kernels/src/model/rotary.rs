//! Rotary position embedding; Su et al. 2021, arXiv:2104.09864.
//!
//! Dim i of a head's first half and dim i of its second half are rotated as a pair, by the angle `position·frequency_i`. Hugging
//! Face pairs the halves so; the paper pairs neighbouring dims.

use super::norm::Heads;
use crate::simd::Simd;
use crate::vectorize;

/// The direction of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// By +angle, for queries and keys.
    Forward,
    /// By -angle, for their gradients.
    Inverse,
}

vectorize! {
    /// Rotates the first `2·r` dims of each head, in place. x (t, row), cosines, sines (t, r)
    pub fn rotate(x: &mut [f32], heads: Heads, cosines: &[f32], sines: &[f32], rotation: Rotation) = rotate_with;
}

#[inline(always)]
fn rotate_with<S: Simd>(x: &mut [f32], heads: Heads, cosines: &[f32], sines: &[f32], rotation: Rotation) {
    let Heads { row, first, heads, dims } = heads;
    let half = cosines.len() / (x.len() / row);
    let sign = if rotation == Rotation::Forward { 1.0 } else { -1.0 };
    for (x, (cosines, sines)) in x.chunks_exact_mut(row).zip(cosines.chunks_exact(half).zip(sines.chunks_exact(half))) {
        for x in x[first..][..heads * dims].chunks_exact_mut(dims) {
            let (low, high) = x[..2 * half].split_at_mut(half);
            for (((low, high), cosine), sine) in low.iter_mut().zip(high).zip(cosines).zip(sines) {
                let (a, b, sine) = (*low, *high, sign * sine);
                *low = a * cosine - b * sine;
                *high = b * cosine + a * sine;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn_and_its_inverse() {
        let heads = Heads { row: 6, first: 1, heads: 1, dims: 5 };
        let (cosines, sines) = ([1.0, 0.0], [0.0, 1.0]); // one position, two frequencies: angles 0 and π/2
        let start = [7.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        let mut x = start;
        rotate(&mut x, heads, &cosines, &sines, Rotation::Forward);
        assert_eq!(x, [7.0, 1.0, -4.0, 3.0, 2.0, 5.0], "the pair (2, 4) becomes (-4, 2); the last dim is not rotated");
        rotate(&mut x, heads, &cosines, &sines, Rotation::Inverse);
        assert_eq!(x, start);
    }
}
