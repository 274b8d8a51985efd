//! GELU in its tanh form.

use super::slices::{floats, with_floats};
use super::vector::exp;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// `x/2·(1 + tanh u)`, `u = sqrt(2/π)·(x + 0.044715 x³)`; Hendrycks & Gimpel 2016, arXiv 1606.08415. Any shape.
///
/// # Errors
/// When the tensor is not float32 on the CPU.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu)
}

const CUBE: f32 = 0.044_715;
const SLOPE: f32 = 0.797_884_6; // sqrt(2/π)
const CHUNK: usize = 16_384;

/// `σ(2u) = (1 + tanh u)/2`
#[inline]
fn gate(x: f32) -> f32 {
    1.0 / (1.0 + exp(-2.0 * SLOPE * (x + CUBE * x * x * x)))
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, layout, "gelu")?;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * gate(x));
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let dx = with_floats([x, upstream], "gelu", |[x, g]| {
            let mut dx = vec![0f32; x.len()];
            dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(g.par_chunks(CHUNK)).for_each(|((dx, x), g)| {
                for ((dx, &x), &g) in dx.iter_mut().zip(x).zip(g) {
                    let s = gate(x);
                    *dx = g * (s + x * s * (1.0 - s) * 2.0 * SLOPE * (1.0 + 3.0 * CUBE * x * x));
                }
            });
            dx
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, normals};
    use super::*;

    #[test]
    fn is_the_tanh_form() {
        agree(
            &[(normals(&[3, 40]) * 3.0).unwrap()],
            |x| gelu(&x[0]),
            |x| {
                let u = ((x[0].as_tensor() + (x[0].powf(3.0)? * 0.044_715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
                (x[0].as_tensor() * 0.5)?.mul(&(u.tanh()? + 1.0)?)
            },
        );
    }
}
