//! Matrix products with weights.

use super::slices::{floats, with_floats};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;
use rayon::prelude::*;

/// `y = x·W + bias`, W as GPT-2 stores it: rows are inputs.
///
/// # Shapes
/// x (r, i), weight (i, o), bias (o) -> (r, o)
///
/// # Errors
/// When shapes do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, Linear)
}

/// `y = x·Eᵀ`: the logits of a model whose output matrix is its embedding.
///
/// # Shapes
/// x (r, d), embedding (v, d) -> (r, v)
///
/// # Errors
/// When shapes do not fit.
pub fn unembed(x: &Tensor, embedding: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(embedding, Unembed)
}

/// A matrix view: numbers with a row and a column stride.
struct View<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(numbers.len(), rows * columns);
        Self { numbers, rows, columns, row_stride: columns, column_stride: 1 }
    }

    fn transposed(self) -> Self {
        let Self { numbers, rows, columns, row_stride, column_stride } = self;
        Self { numbers, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }
}

/// `out = left·right`, or `out += left·right`.
fn product(out: &mut [f32], left: View<'_>, right: View<'_>, add: bool) {
    assert_eq!(left.columns, right.rows);
    assert_eq!(out.len(), left.rows * right.columns);
    // SAFETY: `View` keeps every index inside its slice, `out` has rows x columns numbers, and nothing aliases `out`.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            right.columns as isize,
            add,
            left.numbers.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.numbers.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

/// Sum over rows, in blocks of a fixed size so that the number of threads does not show.
pub(super) fn column_sums(numbers: &[f32], columns: usize) -> Vec<f32> {
    const ROWS: usize = 64;
    let blocks: Vec<Vec<f32>> = numbers
        .par_chunks(ROWS * columns)
        .map(|block| {
            let mut sums = vec![0f32; columns];
            for row in block.chunks_exact(columns) {
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            sums
        })
        .collect();
    let mut sums = vec![0f32; columns];
    for block in blocks {
        sums.iter_mut().zip(block).for_each(|(sum, x)| *sum += x);
    }
    sums
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let ((r, i), (rows, o)) = (x_layout.shape().dims2()?, weight_layout.shape().dims2()?);
        if i != rows || bias_layout.shape().dims1()? != o {
            bail!("linear: x {:?}, weight {:?}, bias {:?}", x_layout.shape(), weight_layout.shape(), bias_layout.shape())
        }
        let (x, weight) = (floats(x, x_layout, "linear")?, floats(weight, weight_layout, "linear")?);
        let bias = floats(bias, bias_layout, "linear")?;
        let mut y = Vec::with_capacity(r * o);
        (0..r).for_each(|_| y.extend_from_slice(bias));
        product(&mut y, View::new(x, r, i), View::new(weight, i, o), true);
        Ok((CpuStorage::F32(y), (r, o).into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let ((r, i), o) = (x.dims2()?, weight.dim(1)?);
        let (dx, dw, db) = with_floats([x, weight, upstream], "linear", |[x, weight, g]| {
            let (mut dx, mut dw) = (vec![0f32; r * i], vec![0f32; i * o]);
            product(&mut dx, View::new(g, r, o), View::new(weight, i, o).transposed(), false);
            product(&mut dw, View::new(x, r, i).transposed(), View::new(g, r, o), false);
            (dx, dw, column_sums(g, o))
        })?;
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(dx, (r, i), device)?),
            Some(Tensor::from_vec(dw, (i, o), device)?),
            Some(Tensor::from_vec(db, o, device)?),
        ))
    }
}

struct Unembed;

impl CustomOp2 for Unembed {
    fn name(&self) -> &'static str {
        "unembed"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_layout: &Layout, e: &CpuStorage, e_layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((r, d), (v, columns)) = (x_layout.shape().dims2()?, e_layout.shape().dims2()?);
        if d != columns {
            bail!("unembed: x {:?}, embedding {:?}", x_layout.shape(), e_layout.shape())
        }
        let (x, e) = (floats(x, x_layout, "unembed")?, floats(e, e_layout, "unembed")?);
        let mut logits = vec![0f32; r * v];
        product(&mut logits, View::new(x, r, d), View::new(e, v, d).transposed(), false);
        Ok((CpuStorage::F32(logits), (r, v).into()))
    }

    fn bwd(&self, x: &Tensor, e: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let ((r, d), v) = (x.dims2()?, e.dim(0)?);
        let (dx, de) = with_floats([x, e, upstream], "unembed", |[x, e, g]| {
            let (mut dx, mut de) = (vec![0f32; r * d], vec![0f32; v * d]);
            product(&mut dx, View::new(g, r, v), View::new(e, v, d), false);
            product(&mut de, View::new(g, r, v).transposed(), View::new(x, r, d), false);
            (dx, de)
        })?;
        Ok((Some(Tensor::from_vec(dx, (r, d), x.device())?), Some(Tensor::from_vec(de, (v, d), x.device())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{agree, normals};
    use super::*;

    #[test]
    fn linear_is_matmul_plus_bias() {
        agree(
            &[normals(&[5, 3]), normals(&[3, 4]), normals(&[4])],
            |x| linear(&x[0], &x[1], &x[2]),
            |x| x[0].matmul(&x[1])?.broadcast_add(&x[2]),
        );
    }

    #[test]
    fn unembed_is_matmul_with_the_transposed_embedding() {
        agree(&[normals(&[5, 3]), normals(&[7, 3])], |x| unembed(&x[0], &x[1]), |x| x[0].matmul(&x[1].t()?));
    }

    #[test]
    fn column_sums_over_several_blocks() {
        let numbers: Vec<f32> = (0..200).flat_map(|row| [1.0, row as f32]).collect();
        assert_eq!(column_sums(&numbers, 2), [200.0, 19_900.0]);
    }
}
