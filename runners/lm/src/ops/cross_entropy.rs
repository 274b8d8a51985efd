//! Cross-entropy of logits.

use super::slices::{floats, with_floats};
use super::vector::{exp, max, sum_of};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// `log sum_v exp(x_v) - x_target` of each row, in nats.
///
/// # Shapes
/// logits (r, v), targets r ids -> (r)
///
/// # Errors
/// When there is not one target a row, or a target lies outside the vocabulary.
pub fn cross_entropy(logits: &Tensor, targets: Vec<u32>) -> Result<Tensor> {
    let (r, v) = logits.dims2()?;
    if targets.len() != r {
        bail!("cross_entropy: expected {r} targets, found {}", targets.len())
    }
    if let Some(outside) = targets.iter().find(|&&target| target as usize >= v) {
        bail!("cross_entropy: target {outside} in a vocabulary of {v}")
    }
    logits.contiguous()?.apply_op1(CrossEntropy { targets })
}

struct CrossEntropy {
    targets: Vec<u32>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (r, v) = layout.shape().dims2()?;
        let logits = floats(logits, layout, "cross_entropy")?;
        let rows = logits.par_chunks(v).zip(&self.targets);
        let losses = rows.map(|(row, &target)| {
            let most = max(row);
            let sum = sum_of(row, row, |x, _| exp(x - most));
            sum.ln() + (most - row[target as usize])
        });
        Ok((CpuStorage::F32(losses.collect()), r.into()))
    }

    /// `softmax - onehot`; the log-sum-exp is the loss plus the target's logit, so one pass over the logits is enough.
    fn bwd(&self, logits: &Tensor, losses: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let v = logits.dim(1)?;
        let gradient = with_floats([logits, losses, upstream], "cross_entropy", |[logits, losses, g]| {
            let mut gradient = vec![0f32; logits.len()];
            let rows = gradient.par_chunks_mut(v).zip(logits.par_chunks(v)).zip(losses.par_iter().zip(g).zip(&self.targets));
            rows.for_each(|((out, row), ((loss, g), &target))| {
                let log_sum = loss + row[target as usize];
                out.iter_mut().zip(row).for_each(|(out, x)| *out = g * exp(x - log_sum));
                out[target as usize] -= g;
            });
            gradient
        })?;
        Ok(Some(Tensor::from_vec(gradient, logits.shape(), logits.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, normals};
    use super::*;
    use candle_core::{D, Device};

    #[test]
    fn is_minus_the_log_softmax_at_the_target() {
        let targets = [3u32, 0, 18, 7];
        agree(
            &[(normals(&[4, 19]) * 4.0).unwrap()],
            |x| cross_entropy(&x[0], targets.to_vec()),
            |x| {
                let index = Tensor::new(&targets, &Device::Cpu)?.unsqueeze(1)?;
                candle_nn::ops::log_softmax(&x[0], D::Minus1)?.gather(&index, 1)?.squeeze(1)?.neg()
            },
        );
    }

    #[test]
    fn equal_logits_cost_the_log_of_the_vocabulary() {
        let logits = Tensor::full(1000f32, (1, 8), &Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, vec![5]).unwrap().to_vec1::<f32>().unwrap()[0];
        assert!((loss - 8f32.ln()).abs() < 1e-6);
        assert!(cross_entropy(&logits, vec![8]).is_err());
    }
}
