//! Layer norm over the last dim.

use super::linear::column_sums;
use super::slices::{floats, with_floats};
use super::vector::{dot, sum, sum_of};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

/// `(x - mean) / sqrt(variance + epsilon)·weight + bias` over the last dim, the variance biased; Ba et al. 2016,
/// arXiv 1607.06450.
///
/// # Shapes
/// x (..., d), weight (d), bias (d) -> (..., d)
///
/// # Errors
/// When shapes do not fit.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, LayerNorm { epsilon: epsilon as f32 })
}

struct LayerNorm {
    epsilon: f32,
}

impl LayerNorm {
    /// Mean, and 1 / standard deviation.
    #[inline]
    fn statistics(&self, row: &[f32]) -> (f32, f32) {
        let d = row.len() as f32;
        let mean = sum(row) / d;
        let variance = sum_of(row, row, |x, _| (x - mean) * (x - mean)) / d;
        (mean, 1.0 / (variance + self.epsilon).sqrt())
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, x_layout, "layer_norm")?;
        let (weight, bias) = (floats(weight, weight_layout, "layer_norm")?, floats(bias, bias_layout, "layer_norm")?);
        let d = weight.len();
        if x_layout.dims().last() != Some(&d) || bias.len() != d {
            bail!("layer_norm: x {:?}, weight of {d}, bias of {}", x_layout.shape(), bias.len())
        }
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(d).zip(x.par_chunks(d)).with_min_len(16).for_each(|(y, x)| {
            let (mean, scale) = self.statistics(x);
            for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                *y = (x - mean) * scale * w + b;
            }
        });
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let d = weight.dim(0)?;
        let (dx, dw, db) = with_floats([x, weight, upstream], "layer_norm", |[x, weight, g]| {
            let (mut dx, mut normed) = (vec![0f32; x.len()], vec![0f32; x.len()]);
            let rows = dx.par_chunks_mut(d).zip(normed.par_chunks_mut(d)).zip(x.par_chunks(d)).zip(g.par_chunks(d));
            rows.with_min_len(16).for_each(|(((dx, normed), x), g)| {
                let (mean, scale) = self.statistics(x);
                normed.iter_mut().zip(x).for_each(|(n, x)| *n = (x - mean) * scale);
                dx.iter_mut().zip(g).zip(weight).for_each(|((dx, g), w)| *dx = g * w);
                let (along_ones, along_normed) = (sum(dx) / d as f32, dot(dx, normed) / d as f32);
                for (dx, n) in dx.iter_mut().zip(normed.iter()) {
                    *dx = scale * (*dx - along_ones - n * along_normed);
                }
                normed.iter_mut().zip(g).for_each(|(n, g)| *n *= g);
            });
            (dx, column_sums(&normed, d), column_sums(g, d))
        })?;
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), device)?),
            Some(Tensor::from_vec(dw, d, device)?),
            Some(Tensor::from_vec(db, d, device)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, normals};
    use super::*;

    #[test]
    fn is_candles_slow_form() {
        agree(
            &[normals(&[2, 70, 20]), normals(&[20]), normals(&[20])],
            |x| layer_norm(&x[0], &x[1], &x[2], 1e-5),
            |x| candle_nn::ops::layer_norm_slow(&x[0], &x[1], &x[2], 1e-5),
        );
    }
}
