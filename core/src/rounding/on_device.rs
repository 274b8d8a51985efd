//! The same rounding by operations of tensors, on whatever device they are.

use super::{Bits, Granularity, LEAST_SCALE, most_of};
use candle_core::{DType, Result, Tensor};

/// Added to and subtracted from a float32 below 2^22, it leaves the nearest integer, ties to even: 1.5 * 2^23, from where on
/// neighbouring numbers are 1 apart.
const TO_EVEN: f64 = 12_582_912.0;

/// The weights of a linear layer, rounded like those of [`round`](super::round) in
/// [`Layout::linear`](super::Layout::linear). Means are summed in float32, so that a scale may differ in its last digits.
///
/// # Shapes
/// weights (inputs, outputs) -> the same
///
/// # Errors
/// When a tensor operation fails.
pub fn round_linear(weights: &Tensor, bits: Bits, granularity: Granularity) -> Result<Tensor> {
    let (inputs, outputs) = weights.dims2()?;
    let size = match granularity {
        Granularity::Tensor => return rounded(&weights.reshape((1, inputs * outputs, 1))?, bits)?.reshape((inputs, outputs)),
        Granularity::Channel => inputs,
        Granularity::Group(size) => (size as usize).min(inputs),
    };
    let whole = inputs / size * size;
    let groups = |first: usize, inputs: usize, size: usize| {
        let groups = weights.narrow(0, first, inputs)?.reshape((inputs / size, size, outputs))?;
        rounded(&groups, bits)?.reshape((inputs, outputs))
    };
    if whole == inputs {
        return groups(0, inputs, size);
    }
    Tensor::cat(&[groups(0, whole, size)?, groups(whole, inputs - whole, inputs - whole)?], 0)
}

/// Each channel of each group with a scale of its own. (groups, weights of each, channels)
fn rounded(weights: &Tensor, bits: Bits) -> Result<Tensor> {
    let sizes = weights.abs()?;
    let (groups, size, channels) = sizes.dims3()?;
    // scales in two stages: a running sum of many numbers loses digits, and a GPU reduces one dim in one block
    let part = (1..=size.isqrt()).rev().find(|part| size % part == 0).unwrap_or(1);
    let sizes = sizes.reshape((groups, part, size / part, channels))?;
    let mean = || sizes.mean(2)?.mean_keepdim(1);
    let (scale, most) = match bits {
        Bits::Whole(bits) => {
            let most = most_of(bits);
            // divided by a tensor: a number would be multiplied by its inverse, which moves ties
            let scale = sizes.max(2)?.max_keepdim(1)?.broadcast_div(&Tensor::new(most, weights.device())?)?;
            (scale.maximum(f64::from(f32::MIN_POSITIVE))?, f64::from(most)) // weights that are all 0 stay 0
        }
        Bits::Ternary => (mean()?.maximum(f64::from(LEAST_SCALE))?, 1.0),
        Bits::Binary => {
            let signs = weights.ge(0f32)?.to_dtype(DType::F32)?.affine(2.0, -1.0)?;
            return signs.broadcast_mul(&mean()?);
        }
    };
    let multiples = weights.broadcast_div(&scale)?.clamp(-most, most)?;
    ((multiples + TO_EVEN)? - TO_EVEN)?.broadcast_mul(&scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;
    use crate::rounding::{Layout, round};
    use candle_core::Device;

    /// On numbers that are multiples of their scale and on ties, too.
    #[test]
    fn it_rounds_like_slices() {
        let mut draw = Draw::new(0, "weights", 0, 0);
        let normal: Vec<f32> = (0..60).map(|_| (0.02 * draw.normal()) as f32).collect();
        let whole: Vec<f32> = (0..60).map(|i| (i * 7 % 13) as f32 - 6.0).collect();
        let sizes = [Bits::Whole(2), Bits::Whole(4), Bits::Whole(8), Bits::Ternary, Bits::Binary];
        let granularities = [Granularity::Tensor, Granularity::Channel, Granularity::Group(4), Granularity::Group(99)];
        for (weights, inputs) in [(&normal, 10), (&whole, 12), (&vec![0.0; 60], 6), (&normal, 1)] {
            let outputs = weights.len() / inputs;
            let tensor = Tensor::from_slice(weights, (inputs, outputs), &Device::Cpu).unwrap();
            for bits in sizes {
                for granularity in granularities {
                    let mut expected = weights.clone();
                    round(&mut expected, Layout::linear(inputs, outputs), bits, granularity);
                    let found =
                        round_linear(&tensor, bits, granularity).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    let near = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 2e-7 * expected.abs();
                    assert!(found.iter().zip(&expected).all(near), "{bits} {granularity}: {found:?}, expected {expected:?}");
                }
            }
        }
    }
}
