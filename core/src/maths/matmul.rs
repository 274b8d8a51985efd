//! Matrix products of tensors whose bytes are the same on every machine.

use crate::Result;
use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;
use regatta_kernels::{Float, Matrix, MatrixMut, Onto, product};

/// `x·y`, like `Tensor::matmul`, with gradients of both. On the CPU each sum has a fixed order, whereas the order of candle's sums
/// depends on the processor's instructions and caches.
///
/// # Shapes
/// (..., m, k), (..., k, n) -> (..., m, n), with the same leading dims
///
/// # Errors
/// When the shapes do not match, or a tensor operation fails.
pub fn matmul(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { Ok(on_cpu(x, y)?) } else { Ok(x.matmul(y)?) }
}

fn on_cpu(x: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
    x.contiguous()?.apply_op2(&y.contiguous()?, Product)
}

struct Product;

/// The leading dims, and m, k, n.
fn sizes<'a>(x: &'a [usize], y: &'a [usize]) -> candle_core::Result<(&'a [usize], [usize; 3])> {
    match (x, y) {
        ([lead @ .., m, k], [others @ .., inner, n]) if lead == others && k == inner => Ok((lead, [*m, *k, *n])),
        _ => candle_core::bail!("matmul: expected (..., m, k) and (..., k, n), found {x:?} and {y:?}"),
    }
}

fn multiply<T: Float>(x: &[T], y: &[T], [m, k, n]: [usize; 3], groups: usize) -> Vec<T> {
    let mut out = vec![T::default(); groups * m * n];
    let matrices = out.par_chunks_mut((m * n).max(1)).enumerate().with_max_len(1);
    matrices.for_each(|(group, out)| {
        let (left, right) = (&x[group * m * k..][..m * k], &y[group * k * n..][..k * n]);
        let rows = out.par_chunks_mut(ROWS * n).zip(left.par_chunks((ROWS * k).max(1))).with_max_len(1);
        rows.for_each(|(out, left)| {
            let count = out.len() / n;
            let (left, right) = (Matrix::new(left, count, k), Matrix::new(right, k, n));
            product(MatrixMut::new(out, count, n), Onto::Replace, T::from(1.0), left, right);
        });
    });
    out
}

/// Rows per task.
const ROWS: usize = 256;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn cpu_fwd(
        &self,
        left: &CpuStorage,
        left_layout: &Layout,
        right: &CpuStorage,
        right_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (lead, shape) = sizes(left_layout.dims(), right_layout.dims())?;
        let out = Shape::from([lead, &[shape[0], shape[2]]].concat());
        let (Some((x, x_end)), Some((y, y_end))) = (left_layout.contiguous_offsets(), right_layout.contiguous_offsets()) else {
            candle_core::bail!("matmul: expected contiguous tensors")
        };
        let groups = lead.iter().product();
        let numbers = match (left, right) {
            (CpuStorage::F32(left), CpuStorage::F32(right)) => {
                CpuStorage::F32(multiply(&left[x..x_end], &right[y..y_end], shape, groups))
            }
            (CpuStorage::F64(left), CpuStorage::F64(right)) => {
                CpuStorage::F64(multiply(&left[x..x_end], &right[y..y_end], shape, groups))
            }
            _ => candle_core::bail!("matmul: expected two tensors of float32 or of float64"),
        };
        Ok((numbers, out))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let rank = x.rank();
        let transposed = |of: &Tensor| of.transpose(rank - 2, rank - 1);
        Ok((Some(on_cpu(g, &transposed(y)?)?), Some(on_cpu(&transposed(x)?, g)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    #[test]
    fn value_and_gradients_agree_with_candle() {
        for dtype in [DType::F32, DType::F64] {
            let var = |shape: &[usize], by: f64| {
                let numbers = Tensor::arange(0f64, shape.iter().product::<usize>() as f64, &Device::Cpu).unwrap();
                Var::from_tensor(&numbers.affine(by, -1.0).unwrap().to_dtype(dtype).unwrap().reshape(shape).unwrap()).unwrap()
            };
            let (x, y) = (var(&[2, 3, 4], 0.25), var(&[2, 5, 4], 0.5));
            let y_transposed = y.transpose(1, 2).unwrap();
            let of = |product: Tensor| {
                let gradients = product.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let numbers = |of: &Tensor| of.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
                [numbers(&product), numbers(gradients.get(&x).unwrap()), numbers(gradients.get(&y).unwrap())]
            };
            assert_eq!(of(matmul(&x, &y_transposed).unwrap()), of(x.matmul(&y_transposed).unwrap())); // quarters add exactly
        }
        let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(matmul(&x, &x).unwrap_err().to_string().contains("found [2, 3] and [2, 3]"));
    }
}
