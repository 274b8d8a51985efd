//! Cross-entropy of logits.

use crate::simd::Simd;
use crate::vector::{exponentials_with, max_with, scale_with, sum_of_exponentials_with};
use crate::vectorize;

/// Whether the gradient is computed with the loss.
#[derive(Debug, Clone, Copy)]
pub enum Gradient {
    /// No: the logits are left unchanged.
    Unwanted,
    /// Yes: the logits are overwritten with the gradient of this factor times the sum of the losses.
    Times(f32),
}

vectorize! {
    /// `ln Σ_v exp(x_v) - x_target` of each row, in nats; its gradient is `softmax - onehot`. logits (r, v), targets (r),
    /// losses (r)
    pub fn cross_entropy(logits: &mut [f32], targets: &[u32], losses: &mut [f32], gradient: Gradient) = cross_entropy_with;
}

vectorize! {
    /// As [`cross_entropy`], with `weight` times the squared log-normaliser `z = ln Σ_v exp(x_v)` added to each loss in the gradient:
    /// the logits are overwritten with the gradient of `scale` times the sum of `loss + weight·z²`, whose factor of the softmax is
    /// `1 + 2·weight·z`. The losses are written without it. logits (r, v), targets (r), losses (r), normalizers (r)
    pub fn cross_entropy_and_normalizers(
        logits: &mut [f32],
        targets: &[u32],
        losses: &mut [f32],
        normalizers: &mut [f32],
        scale: f32,
        weight: f32,
    ) = cross_entropy_and_normalizers_with;
}

#[inline(always)]
fn cross_entropy_with<S: Simd>(logits: &mut [f32], targets: &[u32], losses: &mut [f32], gradient: Gradient) {
    let vocabulary = logits.len() / targets.len();
    for ((row, &target), loss) in logits.chunks_exact_mut(vocabulary).zip(targets).zip(losses) {
        let target = target as usize;
        *loss = match gradient {
            Gradient::Unwanted => {
                let (most, at_target) = (max_with::<S>(row), row[target]);
                libm::logf(sum_of_exponentials_with::<S>(row, most, 1.0)) + (most - at_target)
            }
            Gradient::Times(scale) => gradient_with::<S>(row, target, scale, 0.0).0,
        };
    }
}

#[inline(always)]
fn cross_entropy_and_normalizers_with<S: Simd>(
    logits: &mut [f32],
    targets: &[u32],
    losses: &mut [f32],
    normalizers: &mut [f32],
    scale: f32,
    weight: f32,
) {
    let vocabulary = logits.len() / targets.len();
    let outputs = losses.iter_mut().zip(normalizers);
    for ((row, &target), (loss, normalizer)) in logits.chunks_exact_mut(vocabulary).zip(targets).zip(outputs) {
        (*loss, *normalizer) = gradient_with::<S>(row, target as usize, scale, weight);
    }
}

/// Writes the gradient of `scale·(loss + weight·z²)` over a row, and returns loss and z. With weight 0 the factor of the softmax is
/// exactly `scale`.
#[inline(always)]
fn gradient_with<S: Simd>(row: &mut [f32], target: usize, scale: f32, weight: f32) -> (f32, f32) {
    let (most, at_target) = (max_with::<S>(row), row[target]);
    let sum = exponentials_with::<S>(row, most);
    let log_sum = libm::logf(sum);
    let normalizer = log_sum + most;
    scale_with::<S>(row, scale * (1.0 + 2.0 * weight * normalizer) / sum);
    row[target] -= scale;
    (log_sum + (most - at_target), normalizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_of_equal_logits_is_the_log_of_the_vocabulary_size() {
        let (mut logits, mut losses) = ([1000f32; 8], [0.0]);
        cross_entropy(&mut logits, &[5], &mut losses, Gradient::Unwanted);
        assert!((losses[0] - 8f32.ln()).abs() < 1e-6);
        assert_eq!(logits, [1000.0; 8]);
        cross_entropy(&mut logits, &[5], &mut losses, Gradient::Times(2.0));
        assert!((losses[0] - 8f32.ln()).abs() < 1e-6);
        assert_eq!(logits, [0.25, 0.25, 0.25, 0.25, 0.25, -1.75, 0.25, 0.25]); // 2·(1/8 - onehot)
    }

    #[test]
    fn squared_normalizers_by_hand() {
        let (mut logits, mut losses, mut normalizers) = ([0.0, 3f32.ln(), 1.0, 1.0], [0.0; 2], [0.0; 2]);
        cross_entropy_and_normalizers(&mut logits, &[1, 0], &mut losses, &mut normalizers, 1.0, 0.5);
        // z is ln 4 and 1 + ln 2; the softmax, (1/4, 3/4) and (1/2, 1/2), is multiplied by 1 + z
        let z = [4f32.ln(), 1.0 + 2f32.ln()];
        assert!(normalizers.iter().zip(z).all(|(found, z)| (found - z).abs() < 1e-6), "{normalizers:?}");
        assert!((losses[0] - (4f32 / 3.0).ln()).abs() < 1e-6 && (losses[1] - 2f32.ln()).abs() < 1e-6, "{losses:?}");
        let expected = [0.25 * (1.0 + z[0]), 0.75 * (1.0 + z[0]) - 1.0, 0.5 * (1.0 + z[1]) - 1.0, 0.5 * (1.0 + z[1])];
        assert!(logits.iter().zip(expected).all(|(x, e)| (x - e).abs() < 1e-6), "{logits:?}");
    }

    #[test]
    fn two_rows_by_hand() {
        let (mut logits, mut losses) = ([0.0, 3f32.ln(), 0.0, 0.0], [0.0; 2]);
        cross_entropy(&mut logits, &[1, 0], &mut losses, Gradient::Times(1.0));
        assert!((losses[0] - (4f32 / 3.0).ln()).abs() < 1e-6 && (losses[1] - 2f32.ln()).abs() < 1e-6, "{losses:?}");
        assert!(logits.iter().zip([0.25, -0.25, -0.5, 0.5]).all(|(x, e)| (x - e).abs() < 1e-6), "{logits:?}");
    }
}
