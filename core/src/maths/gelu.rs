//! GELU of a tensor in its tanh approximation; Hendrycks & Gimpel 2016, arXiv:1606.08415.

use super::is_float32_on_cpu;
use crate::Result;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use regatta_kernels::model::{CUBE, gelu, gelu_backward};
use std::f64::consts::PI;

/// GELU of a tensor of any shape, with its gradient: by [`gelu`] for float32 on the CPU, otherwise by tensor operations.
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

    #[test]
    fn value_and_gradient_agree_with_tensor_operations() {
        use candle_core::{DType, Device, Var};
        let x = Tensor::arange(-30f32, 30.0, &Device::Cpu).unwrap().affine(0.1, 0.03).unwrap();
        let [narrow, wide] = [DType::F32, DType::F64].map(|dtype| {
            let x = Var::from_tensor(&x.to_dtype(dtype).unwrap()).unwrap();
            let sum = gelu_of(&x).unwrap().sqr().unwrap().sum_all().unwrap();
            let gradients = sum.backward().unwrap().get(&x).unwrap().to_dtype(DType::F64).unwrap();
            (sum.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap(), gradients.to_vec1::<f64>().unwrap())
        });
        assert!((narrow.0 / wide.0 - 1.0).abs() < 1e-6);
        assert!(narrow.1.iter().zip(&wide.1).all(|(found, expected)| (found - expected).abs() < 1e-5));
    }
}
