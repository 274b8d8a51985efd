//! Sums over the last dim, and the repetition that is their adjoint, with the same bytes on every machine.
//!
//! candle adds the float32 numbers of a row in an order that it chooses by the processor: in 32 running sums with AVX2, in others
//! with NEON, else one after the other. The gradient of a broadcast is such a sum too. Here the order is always that of AVX2.

use super::is_float32_on_cpu;
use crate::Result;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Shape, Tensor};
use rayon::prelude::*;
use regatta_kernels::vector;

/// The sum over the last dim, which is kept. (..., n) -> (..., 1)
///
/// # Errors
/// When a tensor operation fails.
pub fn sum_last(x: &Tensor) -> Result<Tensor> {
    if is_float32_on_cpu(x) { Ok(sum_on_cpu(x)?) } else { Ok(x.sum_keepdim(D::Minus1)?) }
}

/// The mean over the last dim, which is kept. (..., n) -> (..., 1)
///
/// # Errors
/// When a tensor operation fails.
pub fn mean_last(x: &Tensor) -> Result<Tensor> {
    Ok((sum_last(x)? * (1.0 / x.dim(D::Minus1)? as f64))?)
}

/// The mean of all numbers. (...) -> scalar
///
/// # Errors
/// When a tensor operation fails.
pub fn mean_all(x: &Tensor) -> Result<Tensor> {
    Ok((sum_last(&x.flatten_all()?)?.squeeze(0)? / x.elem_count() as f64)?)
}

/// The last dim, of size 1, repeated. Its gradient is [`sum_last`]. (..., 1) -> (..., count)
///
/// # Errors
/// When the last dim has another size, or a tensor operation fails.
pub fn repeat_last(x: &Tensor, count: usize) -> Result<Tensor> {
    if is_float32_on_cpu(x) {
        return Ok(repeat_on_cpu(x, count)?);
    }
    let lead = &x.dims()[..x.rank().saturating_sub(1)];
    Ok(x.broadcast_as([lead, &[count]].concat())?)
}

/// `ln Σ exp(x)` over the last dim. (..., n) -> (...)
///
/// # Errors
/// When a tensor operation fails.
pub fn log_sum_exp(x: &Tensor) -> Result<Tensor> {
    if is_float32_on_cpu(x) { Ok(x.contiguous()?.apply_op1(LogSumExp)?) } else { Ok(x.log_sum_exp(D::Minus1)?) }
}

fn sum_on_cpu(x: &Tensor) -> candle_core::Result<Tensor> {
    x.contiguous()?.apply_op1(Sum)
}

fn repeat_on_cpu(x: &Tensor, count: usize) -> candle_core::Result<Tensor> {
    x.contiguous()?.apply_op1(Repeat(count))
}

/// The numbers of a contiguous float32 tensor, its leading dims and its last.
fn rows<'a>(storage: &'a CpuStorage, layout: &'a Layout, name: &str) -> candle_core::Result<(&'a [f32], &'a [usize], usize)> {
    match (storage, layout.contiguous_offsets(), layout.dims()) {
        (CpuStorage::F32(x), Some((start, end)), [lead @ .., last]) => Ok((&x[start..end], lead, *last)),
        _ => candle_core::bail!("{name}: expected a contiguous float32 tensor with at least one dim"),
    }
}

struct Sum;

impl CustomOp1 for Sum {
    fn name(&self) -> &'static str {
        "sum_last"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, lead, last) = rows(storage, layout, self.name())?;
        let mut sums = vec![0.0; lead.iter().product()];
        vector::sums_of_rows(x, last, &mut sums);
        Ok((CpuStorage::F32(sums), Shape::from([lead, &[1]].concat())))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(repeat_on_cpu(upstream, x.dim(D::Minus1)?)?))
    }
}

/// With the number of repetitions.
struct Repeat(usize);

impl CustomOp1 for Repeat {
    fn name(&self) -> &'static str {
        "repeat_last"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, lead, last) = rows(storage, layout, self.name())?;
        if last != 1 {
            candle_core::bail!("{}: expected a last dim of 1, found {last}", self.name());
        }
        let numbers = x.iter().flat_map(|x| std::iter::repeat_n(*x, self.0)).collect();
        Ok((CpuStorage::F32(numbers), Shape::from([lead, &[self.0]].concat())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(sum_on_cpu(upstream)?))
    }
}

struct LogSumExp;

impl CustomOp1 for LogSumExp {
    fn name(&self) -> &'static str {
        "log_sum_exp"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, lead, last) = rows(storage, layout, self.name())?;
        if last == 0 {
            candle_core::bail!("{}: expected at least one number", self.name());
        }
        let of_row = |row: &[f32]| {
            let largest = vector::max(row);
            (f64::from(largest) + libm::log(f64::from(vector::sum_of_exponentials(row, largest, 1.0)))) as f32
        };
        Ok((CpuStorage::F32(x.par_chunks_exact(last).map(of_row).collect()), Shape::from(lead)))
    }

    fn bwd(&self, x: &Tensor, out: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut gradient = x.flatten_all()?.to_vec1::<f32>()?;
        let (out, upstream) = (out.flatten_all()?.to_vec1::<f32>()?, upstream.flatten_all()?.to_vec1::<f32>()?);
        let rows = gradient.par_chunks_exact_mut(x.dim(D::Minus1)?).zip(out).zip(upstream);
        rows.for_each(|((row, out), upstream)| {
            vector::exponentials(row, out);
            vector::scale(row, upstream);
        });
        Ok(Some(Tensor::from_vec(gradient, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    /// Values of `of` and of its gradient, the sum of squares downstream.
    fn both(of: impl Fn(&Tensor) -> Tensor, x: &Tensor) -> [Vec<f64>; 2] {
        let x = Var::from_tensor(x).unwrap();
        let value = of(&x);
        let gradients = value.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        [&value, gradients.get(&x).unwrap()]
            .map(|of| of.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap())
    }

    /// Halves add exactly, so that every order has the same sums.
    #[test]
    fn sums_and_repetitions_are_those_of_candle() {
        let x = Tensor::arange(0f32, 2.0 * 3.0 * 70.0, &Device::Cpu).unwrap().reshape((2, 3, 70)).unwrap();
        let x = x.affine(0.5, -20.0).unwrap();
        assert_eq!(both(|x| sum_last(x).unwrap(), &x), both(|x| x.sum_keepdim(2).unwrap(), &x));
        assert_eq!(both(|x| mean_last(x).unwrap(), &x), both(|x| x.mean_keepdim(2).unwrap(), &x));
        assert_eq!(both(|x| mean_all(x).unwrap(), &x), both(|x| x.mean_all().unwrap(), &x));
        let column = x.narrow(2, 5, 1).unwrap();
        assert_eq!(
            both(|x| repeat_last(x, 40).unwrap(), &column),
            both(|x| x.broadcast_as((2, 3, 40)).unwrap().contiguous().unwrap(), &column)
        );
        assert!(repeat_last(&x, 2).unwrap_err().to_string().contains("a last dim of 1, found 70"));
    }

    #[test]
    fn a_log_of_a_sum_of_exponentials_agrees_with_float64() {
        let x = Tensor::arange(0f32, 120.0, &Device::Cpu).unwrap().reshape((3, 40)).unwrap();
        let x = (x.affine(0.7, 1.0).unwrap().sin().unwrap() * 9.0).unwrap();
        let [narrow, wide] = [DType::F32, DType::F64].map(|dtype| both(|x| log_sum_exp(x).unwrap(), &x.to_dtype(dtype).unwrap()));
        assert_eq!([narrow[0].len(), narrow[1].len()], [3, 120]);
        for (found, expected) in narrow.iter().flatten().zip(wide.iter().flatten()) {
            assert!((found - expected).abs() < 2e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
        }
        let far = Tensor::new(&[1e4f32, 1e4, -1e9], &Device::Cpu).unwrap();
        assert_eq!(log_sum_exp(&far).unwrap().to_scalar::<f32>().unwrap(), (1e4 + 2f64.ln()) as f32);
    }
}
