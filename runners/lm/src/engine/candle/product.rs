//! Matrix products whose factors may be rounded to bfloat16.

use crate::model::Affine;
use candle_core::{DType, Result, Tensor};
use regatta_kernels::Precision;

/// A factor of [`multiply`]. candle's CPU does not multiply bfloat16: there, the rounded numbers are float32.
pub(super) fn factor(x: &Tensor, precision: Precision) -> Result<Tensor> {
    match precision {
        Precision::Float32 => Ok(x.clone()),
        Precision::BFloat16 if x.device().is_cpu() => x.to_dtype(DType::BF16)?.to_dtype(DType::F32),
        Precision::BFloat16 => x.to_dtype(DType::BF16),
    }
}

/// `x·y` of two factors, in float32.
pub(super) fn multiply(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    x.matmul(y)?.to_dtype(DType::F32)
}

/// `x·W + bias`. x (r, i), W (i, o) -> (r, o)
pub(super) fn linear(x: &Tensor, map: &Affine<Tensor>, precision: Precision) -> Result<Tensor> {
    let y = multiply(&factor(x, precision)?, &factor(&map.weight, precision)?)?;
    match &map.bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}
