//! GELU in its tanh form: `x/2·(1 + tanh u)`, `u = sqrt(2/π)·(x + 0.044715 x³)`; Hendrycks & Gimpel 2016, arXiv 1606.08415.

use super::is_float32_on_cpu;
use super::vector::exps;
use crate::Result;
use crate::simd::{LANES, Lanes, Simd, load, store};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use std::f64::consts::PI;

const CUBE: f32 = 0.044_715;
const ROOT_2_OVER_PI: f32 = 0.797_884_6;

/// `s = σ(2u) = (1 + tanh u)/2`, and `1 - s` without the digits that the difference would lose.
#[inline(always)]
fn gate<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let all = Lanes::splat;
    let e = exps(all(-2.0 * ROOT_2_OVER_PI) * x * (all(1.0) + all(CUBE) * x * x));
    let s = all(1.0) / (all(1.0) + e);
    (s, e * s)
}

crate::vectorize! {
    /// `y = gelu(x)`
    pub fn gelu(x: &[f32], y: &mut [f32]) = gelu_with;

    /// `y = gelu(x)` again, and `g`, the gradient of y, replaced by that of x.
    pub fn gelu_backward(x: &[f32], y: &mut [f32], g: &mut [f32]) = gelu_backward_with;
}

#[inline(always)]
fn gelu_with<S: Simd>(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES)) {
        let x = load::<S>(x);
        store(y, x * gate(x).0);
    }
}

#[inline(always)]
fn gelu_backward_with<S: Simd>(x: &[f32], y: &mut [f32], g: &mut [f32]) {
    let all = Lanes::splat;
    for ((y, g), x) in y.chunks_mut(LANES).zip(g.chunks_mut(LANES)).zip(x.chunks(LANES)) {
        let x = load::<S>(x);
        let (s, rest) = gate(x);
        store(y, x * s);
        let derivative = s + x * s * rest * (all(2.0 * ROOT_2_OVER_PI) * (all(1.0) + all(3.0 * CUBE) * x * x));
        store(g, load(g) * derivative);
    }
}

/// GELU of a tensor, with its gradient. Float32 on the CPU is computed by [`gelu`], the rest by tensor operations.
///
/// # Errors
/// When a tensor operation fails.
pub fn gelu_of(x: &Tensor) -> Result<Tensor> {
    if is_float32_on_cpu(x) {
        return Ok(x.contiguous()?.apply_op1(Gelu)?);
    }
    let inner = ((x + ((x.sqr()? * x)? * f64::from(CUBE))?)? * (2.0 / PI).sqrt())?;
    Ok((x * ((inner.tanh()? + 1.0)? * 0.5)?)?)
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (CpuStorage::F32(x), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("gelu: expected a contiguous float32 tensor")
        };
        let mut y = vec![0.0; end - start];
        gelu(&x[start..end], &mut y);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut gradient = upstream.flatten_all()?.to_vec1::<f32>()?;
        let numbers = x.flatten_all()?.to_vec1::<f32>()?;
        gelu_backward(&numbers, &mut vec![0.0; numbers.len()], &mut gradient);
        Ok(Some(Tensor::from_vec(gradient, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(x: f64) -> f64 {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    }

    #[test]
    fn value_and_slope_are_those_of_the_tanh_form() {
        let x: Vec<f32> = (-120..=120).map(|i| i as f32 / 10.0).collect();
        let (mut y, mut again, mut g) = (vec![0.0; x.len()], vec![0.0; x.len()], vec![2.0; x.len()]);
        gelu(&x, &mut y);
        gelu_backward(&x, &mut again, &mut g);
        assert_eq!(y, again);
        for ((x, y), g) in x.into_iter().map(f64::from).zip(y).zip(g) {
            assert!((f64::from(y) - exact(x)).abs() < 1e-6, "gelu({x}) = {y}");
            let slope = (exact(x + 1e-5) - exact(x - 1e-5)) / 2e-5;
            assert!((f64::from(g) - 2.0 * slope).abs() < 2e-6, "at {x}: {g}, expected {}", 2.0 * slope);
        }
    }

    #[test]
    fn a_tensors_gradient_is_that_of_tensor_operations() {
        use candle_core::{DType, Device, Var};
        let x = Tensor::arange(-30f32, 30.0, &Device::Cpu).unwrap().affine(0.1, 0.03).unwrap();
        let [narrow, wide] = [DType::F32, DType::F64].map(|dtype| {
            let x = Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
            let sum = gelu_of(&x).unwrap().sqr().unwrap().sum_all().unwrap();
            let slopes = sum.backward().unwrap().get(&x).unwrap().to_dtype(DType::F64).unwrap();
            (sum.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap(), slopes.to_vec1::<f64>().unwrap())
        });
        assert!((narrow.0 / wide.0 - 1.0).abs() < 1e-6);
        assert!(narrow.1.iter().zip(&wide.1).all(|(found, expected)| (found - expected).abs() < 1e-5));
    }
}
