//! Norms over rows, of two kinds:
//!
//! - layer norm, `(x - mean) / sqrt(variance + epsilon)·weight + bias`, the variance biased; Ba et al. 2016, arXiv:1607.06450;
//! - RMS norm, `x / sqrt(mean(x²) + epsilon)·weight`; Zhang & Sennrich 2019, arXiv:1910.07467.

use crate::simd::Simd;
use crate::vector::{add_with, dot_with, sum_of_with, sum_with};
use crate::vectorize;

/// The parameters of a norm: a layer norm if there is a bias, otherwise an RMS norm.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Scale, (d).
    pub weight: &'a [f32],
    /// Offset, (d); none for an RMS norm.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance or the mean square, under the square root.
    pub epsilon: f32,
}

impl Norm<'_> {
    /// `y = norm(x)`. x (r, d) -> y (r, d)
    pub fn forward(self, x: &[f32], y: &mut [f32]) {
        match self.bias {
            Some(bias) => layer_norm(x, self.weight, bias, self.epsilon, y),
            None => rms_norm(x, self.weight, self.epsilon, y),
        }
    }

    /// Recomputes `y = norm(x)`. Given `g`, the gradient of y, adds the gradients of x, weight and bias to `dx`, `dw` and `db`.
    ///
    /// # Shapes
    /// x, y, dx (r, d); g (r, d), overwritten; dw, db (d), db unused without a bias
    pub fn backward(self, x: &[f32], g: &mut [f32], y: &mut [f32], dx: &mut [f32], dw: &mut [f32], db: &mut [f32]) {
        match self.bias {
            Some(bias) => layer_norm_backward(x, (self.weight, bias, self.epsilon), g, y, dx, dw, db),
            None => rms_norm_backward(x, (self.weight, self.epsilon), g, y, dx, dw),
        }
    }
}

/// Adjacent heads in every row of a matrix, such as the queries or the keys.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Numbers per row.
    pub row: usize,
    /// Index of the first head's first number in a row.
    pub first: usize,
    /// Number of heads.
    pub heads: usize,
    /// Numbers per head.
    pub dims: usize,
}

/// Mean, and `1 / sqrt(variance + epsilon)`.
#[inline(always)]
fn statistics<S: Simd>(row: &[f32], epsilon: f32) -> (f32, f32) {
    let d = row.len() as f32;
    let mean = sum_with::<S>(row) / d;
    let variance = sum_of_with::<S>(row, row, |x, _| (x - mean) * (x - mean)) / d;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

vectorize! {
    fn layer_norm(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, y: &mut [f32]) = layer_norm_with;

    fn layer_norm_backward(
        x: &[f32],
        norm: (&[f32], &[f32], f32),
        g: &mut [f32],
        y: &mut [f32],
        dx: &mut [f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) = layer_norm_backward_with;

    fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32]) = rms_norm_with;

    fn rms_norm_backward(x: &[f32], norm: (&[f32], f32), g: &mut [f32], y: &mut [f32], dx: &mut [f32], dw: &mut [f32]) =
        rms_norm_backward_with;

    /// The RMS norm of each head, in place. x (r, row), weight (dims)
    pub fn rms_norm_heads(x: &mut [f32], heads: Heads, weight: &[f32], epsilon: f32) = rms_norm_heads_with;

    /// Replaces `g`, the gradient of each head's norm, by the gradient of its input, and adds the gradient of the weight to `dw`.
    /// x, g (r, row), weight, dw (dims)
    pub fn rms_norm_heads_backward(
        x: &[f32],
        heads: Heads,
        norm: (&[f32], f32),
        g: &mut [f32],
        dw: &mut [f32],
    ) = rms_norm_heads_backward_with;
}

#[inline(always)]
fn layer_norm_with<S: Simd>(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, y: &mut [f32]) {
    let d = weight.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        let (mean, scale) = statistics::<S>(x, epsilon);
        for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            *y = (x - mean) * scale * w + b;
        }
    }
}

#[inline(always)]
fn layer_norm_backward_with<S: Simd>(
    x: &[f32],
    (weight, bias, epsilon): (&[f32], &[f32], f32),
    g: &mut [f32],
    y: &mut [f32],
    dx: &mut [f32],
    dw: &mut [f32],
    db: &mut [f32],
) {
    let d = weight.len();
    let rows = x.chunks_exact(d).zip(g.chunks_exact_mut(d)).zip(y.chunks_exact_mut(d).zip(dx.chunks_exact_mut(d)));
    for ((x, g), (y, dx)) in rows {
        let (mean, scale) = statistics::<S>(x, epsilon);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = (x - mean) * scale); // normalised, for now
        add_with::<S>(db, g);
        dw.iter_mut().zip(&*g).zip(&*y).for_each(|((dw, g), n)| *dw += g * n);
        g.iter_mut().zip(weight).for_each(|(g, w)| *g *= w);
        let (mean_g, mean_gn) = (sum_with::<S>(g) / d as f32, dot_with::<S>(g, y) / d as f32);
        for ((dx, g), n) in dx.iter_mut().zip(&*g).zip(&*y) {
            *dx += scale * (g - mean_g - n * mean_gn);
        }
        y.iter_mut().zip(weight).zip(bias).for_each(|((y, w), b)| *y = *y * w + b);
    }
}

/// `1 / sqrt(mean(x²) + epsilon)`.
#[inline(always)]
fn inverse_root<S: Simd>(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot_with::<S>(row, row) / row.len() as f32 + epsilon).sqrt()
}

#[inline(always)]
fn rms_norm_with<S: Simd>(x: &[f32], weight: &[f32], epsilon: f32, y: &mut [f32]) {
    let d = weight.len();
    for (x, y) in x.chunks_exact(d).zip(y.chunks_exact_mut(d)) {
        let scale = inverse_root::<S>(x, epsilon);
        y.iter_mut().zip(x).zip(weight).for_each(|((y, x), w)| *y = x * scale * w);
    }
}

#[inline(always)]
fn rms_norm_backward_with<S: Simd>(
    x: &[f32],
    (weight, epsilon): (&[f32], f32),
    g: &mut [f32],
    y: &mut [f32],
    dx: &mut [f32],
    dw: &mut [f32],
) {
    let d = weight.len();
    let rows = x.chunks_exact(d).zip(g.chunks_exact_mut(d)).zip(y.chunks_exact_mut(d).zip(dx.chunks_exact_mut(d)));
    for ((x, g), (y, dx)) in rows {
        let scale = inverse_root::<S>(x, epsilon);
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale); // normalised, for now
        dw.iter_mut().zip(&*g).zip(&*y).for_each(|((dw, g), n)| *dw += g * n);
        g.iter_mut().zip(weight).for_each(|(g, w)| *g *= w);
        let mean_gn = dot_with::<S>(g, y) / d as f32;
        dx.iter_mut().zip(&*g).zip(&*y).for_each(|((dx, g), n)| *dx += scale * (g - n * mean_gn));
        y.iter_mut().zip(weight).for_each(|(y, w)| *y *= w);
    }
}

#[inline(always)]
fn rms_norm_heads_with<S: Simd>(x: &mut [f32], heads: Heads, weight: &[f32], epsilon: f32) {
    let Heads { row, first, heads, dims } = heads;
    for x in x.chunks_exact_mut(row) {
        for x in x[first..][..heads * dims].chunks_exact_mut(dims) {
            let scale = inverse_root::<S>(x, epsilon);
            x.iter_mut().zip(weight).for_each(|(x, w)| *x *= scale * w);
        }
    }
}

#[inline(always)]
fn rms_norm_heads_backward_with<S: Simd>(
    x: &[f32],
    heads: Heads,
    (weight, epsilon): (&[f32], f32),
    g: &mut [f32],
    dw: &mut [f32],
) {
    let Heads { row, first, heads, dims } = heads;
    for (x, g) in x.chunks_exact(row).zip(g.chunks_exact_mut(row)) {
        let each = x[first..][..heads * dims].chunks_exact(dims).zip(g[first..][..heads * dims].chunks_exact_mut(dims));
        for (x, g) in each {
            let scale = inverse_root::<S>(x, epsilon);
            dw.iter_mut().zip(&*g).zip(x).for_each(|((dw, g), x)| *dw += g * (x * scale));
            g.iter_mut().zip(weight).for_each(|(g, w)| *g *= w);
            let mean_gn = scale * dot_with::<S>(g, x) / dims as f32;
            g.iter_mut().zip(x).for_each(|(g, x)| *g = scale * (*g - x * scale * mean_gn));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_by_hand() {
        // mean 2, variance 1, epsilon 0: normalised (-1, 1)
        let norm = Norm { weight: &[10.0, 100.0], bias: Some(&[1.0, 2.0]), epsilon: 0.0 };
        let mut y = [0.0; 2];
        norm.forward(&[1.0, 3.0], &mut y);
        assert_eq!(y, [-9.0, 102.0]);
        let (mut dx, mut dw, mut db) = ([5.0, 5.0], [0.0; 2], [0.0; 2]);
        norm.backward(&[1.0, 3.0], &mut [0.1, 0.02], &mut y, &mut dx, &mut dw, &mut db);
        assert_eq!((y, dw, db), ([-9.0, 102.0], [-0.1, 0.02], [0.1, 0.02]));
        assert!(
            dx.iter().all(|x| (x - 5.0f32).abs() < 1e-6),
            "the norm of two numbers is always (-1, 1), so the gradient is 0: {dx:?}"
        );
    }

    #[test]
    fn an_rms_norm_by_hand() {
        // mean square (1 + 49)/2 = 25: normalised (0.2, 1.4)
        let norm = Norm { weight: &[10.0, 100.0], bias: None, epsilon: 0.0 };
        let mut y = [0.0; 2];
        norm.forward(&[1.0, 7.0], &mut y);
        assert_eq!(y, [2.0, 140.0]);
        let (mut dx, mut dw) = ([5.0, 5.0], [0.0; 2]);
        norm.backward(&[1.0, 7.0], &mut [0.5, 0.0], &mut y, &mut dx, &mut dw, &mut []);
        assert_eq!((y, dw), ([2.0, 140.0], [0.1, 0.0]));
        // g·w = (5, 0), along the normalised row 5·0.2/2 = 0.5: (5 - 0.2·0.5, -1.4·0.5)/5
        assert!((dx[0] - 5.98f32).abs() < 1e-6 && (dx[1] - 4.86f32).abs() < 1e-6, "{dx:?}");
    }

    #[test]
    fn heads_are_normed_separately_and_other_numbers_are_unchanged() {
        let heads = Heads { row: 5, first: 1, heads: 2, dims: 2 };
        let raw = [9.0, 1.0, 7.0, 3.0, 4.0];
        let mut x = raw;
        rms_norm_heads(&mut x, heads, &[10.0, 100.0], 0.0);
        assert!((x[3] - 30.0 / 12.5f32.sqrt()).abs() < 1e-5); // mean square (9 + 16)/2
        assert_eq!(x[..3], [9.0, 2.0, 140.0]);
        let (mut g, mut dw) = ([9.0, 0.5, 0.0, 0.0, 0.0], [0.0; 2]);
        rms_norm_heads_backward(&raw, heads, (&[10.0, 100.0], 0.0), &mut g, &mut dw);
        assert_eq!(g[0], 9.0);
        assert!((g[1] - 0.98).abs() < 1e-6 && (g[2] + 0.14).abs() < 1e-6, "as in the RMS norm of a row: {g:?}");
        assert_eq!((g[3], g[4], dw), (0.0, 0.0, [0.1, 0.0]));
    }
}
