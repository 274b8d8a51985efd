//! Layer norm over rows: `(x - mean) / sqrt(variance + epsilon)·weight + bias`, the variance biased; Ba et al. 2016,
//! arXiv 1607.06450.

use regatta_core::maths::vector::{add_with, dot_with, sum_of_with, sum_with};
use regatta_core::simd::Simd;
use regatta_core::vectorize;

/// The parameters of a norm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    pub epsilon: f32,
}

/// Mean, and 1 / standard deviation.
#[inline(always)]
fn statistics<S: Simd>(row: &[f32], epsilon: f32) -> (f32, f32) {
    let d = row.len() as f32;
    let mean = sum_with::<S>(row) / d;
    let variance = sum_of_with::<S>(row, row, |x, _| (x - mean) * (x - mean)) / d;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

vectorize! {
    /// y = norm(x). x (r, d) -> y (r, d)
    pub(crate) fn layer_norm(x: &[f32], norm: Norm<'_>, y: &mut [f32]) = layer_norm_with;

    /// y = norm(x) again; the gradient of x, given `g`, that of y, is added to `dx`, and those of weight and bias to `dw` and `db`.
    /// x, y, dx (r, d); g (r, d) is overwritten; dw, db (d)
    pub(crate) fn layer_norm_backward(
        x: &[f32],
        norm: Norm<'_>,
        g: &mut [f32],
        y: &mut [f32],
        dx: &mut [f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) = layer_norm_backward_with;
}

#[inline(always)]
fn layer_norm_with<S: Simd>(x: &[f32], norm: Norm<'_>, y: &mut [f32]) {
    let d = norm.weight.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        let (mean, scale) = statistics::<S>(x, norm.epsilon);
        for (((y, x), w), b) in y.iter_mut().zip(x).zip(norm.weight).zip(norm.bias) {
            *y = (x - mean) * scale * w + b;
        }
    }
}

#[inline(always)]
fn layer_norm_backward_with<S: Simd>(
    x: &[f32],
    norm: Norm<'_>,
    g: &mut [f32],
    y: &mut [f32],
    dx: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let d = norm.weight.len();
    let rows = x.chunks_exact(d).zip(g.chunks_exact_mut(d)).zip(y.chunks_exact_mut(d).zip(dx.chunks_exact_mut(d)));
    for ((x, g), (y, dx)) in rows {
        let (mean, scale) = statistics::<S>(x, norm.epsilon);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * scale); // normed, for now
        add_with::<S>(db, g);
        dw.iter_mut().zip(&*g).zip(&*y).for_each(|((dw, g), n)| *dw += g * n);
        g.iter_mut().zip(norm.weight).for_each(|(g, w)| *g *= w);
        let (along_ones, along_normed) = (sum_with::<S>(g) / d as f32, dot_with::<S>(g, y) / d as f32);
        for ((dx, g), n) in dx.iter_mut().zip(&*g).zip(&*y) {
            *dx += scale * (g - along_ones - n * along_normed);
        }
        y.iter_mut().zip(norm.weight).zip(norm.bias).for_each(|((y, w), b)| *y = *y * w + b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_by_hand() {
        // mean 2, variance 1, epsilon 0: normed (-1, 1)
        let norm = Norm { weight: &[10.0, 100.0], bias: &[1.0, 2.0], epsilon: 0.0 };
        let mut y = [0.0; 2];
        layer_norm(&[1.0, 3.0], norm, &mut y);
        assert_eq!(y, [-9.0, 102.0]);
        let (mut dx, mut dw, mut db) = ([5.0, 5.0], [0.0; 2], [0.0; 2]);
        layer_norm_backward(&[1.0, 3.0], norm, &mut [0.1, 0.02], &mut y, &mut dx, &mut dw, &mut db);
        assert_eq!((y, dw, db), ([-9.0, 102.0], [-0.1, 0.02], [0.1, 0.02]));
        assert!(dx.iter().all(|x| (x - 5.0f32).abs() < 1e-6), "two numbers always norm to (-1, 1): no slope; {dx:?}");
    }
}
