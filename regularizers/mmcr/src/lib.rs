//! Maximum manifold capacity representations: the centroids of two views of each point fill as many dims as they can.
//!
//! For the unit vectors `u_i` and `v_i` of a group of n points and a second view of them, and the centroids
//! `c_i = (u_i + v_i) / 2`, the rows of C:
//! ```text
//! -‖C‖_* + local · mean_i ‖[u_i, v_i]‖_*
//! ```
//! with the nuclear norm `‖·‖_*`, the sum of singular values. Where the views of a point differ, its centroid is short; where
//! centroids fill few dims, their nuclear norm is small. `[u_i, v_i]` is the matrix of both columns, whose singular values are
//! `sqrt(‖u_i + v_i‖² / 2)` and `sqrt(‖u_i - v_i‖² / 2)`.
//!
//! Yerxa, Kuang, Simoncelli, Chung, "Learning Efficient Coding of Natural Images with Maximum Manifold Capacity Representations",
//! NeurIPS 2023, arXiv:2303.03307. The sum is not divided by n, as there. Deviations:
//!
//! - Points are hidden states, without a projector; the second view is another dropout mask's.
//! - A singular value σ counts as `sqrt(σ² + ε)`, ε = 1e-8. The nuclear norm has no gradient where a singular value is 0, and the
//!   second of `[u_i, v_i]` one that changes its direction at once where views coincide. Here both are smooth: what belongs to
//!   singular values of 0 has derivative 0. Each singular value counts for at most 1e-4 too much.
//!
//! # Shapes
//! points and view (g, n, d) -> scalar, by way of (g, m, m), m the smaller of n and d
//!
//! # Errors
//! Of a cloud without a second view.

use regatta_core::candle::DType;
use regatta_core::kernels::vector::{self, sum_of_with};
use regatta_core::kernels::{Float, Matrix, Resolvents, Scaled, gram, times, wide_gram, widened};
use regatta_core::maths::{eigenvalue_sum, smaller_gram, symmetric_eigen_of, unit};
use regatta_core::number::NonNegative;
use regatta_core::simd::Simd;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag, vectorize};

/// Added to the square of a singular value: far above what float64 rounds in the Gram, far below singular values that matter.
const EPSILON: f64 = 1e-8;

regularizer! {
    name: "mmcr",
    summary: "the centroids of two views fill as many dims as they can",
    paper: "Yerxa et al., \"Learning Efficient Coding of Natural Images with Maximum Manifold Capacity Representations\", \
            NeurIPS 2023, arXiv:2303.03307",
    formula: "-‖C‖_* + local · mean_i ‖[u_i, v_i]‖_*, u and v the unit vectors of both views, the rows of C (u_i + v_i) / 2, \
              ‖·‖_* the sum of sqrt(σ² + 1e-8) over singular values σ (needs train.dropout)",
    expects: "two views of all tokens of a batch, at any scale (train.dropout)",
    variants: [Mmcr { local: NonNegative::new(0.1) }],
    /// Centroids of two views spread over all dims.
    pub struct Mmcr {
        /// Weight of the nuclear norms of the views of each point, which draws them together (authors' code: 0).
        pub local: NonNegative = NonNegative::new(0.0),
    }
}

#[typetag::serde(name = "mmcr")]
impl Regularizer for Mmcr {
    /// In float64 whatever the dtype: a Gram in float32 would round small singular values away.
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let [points, view] = cloud.both_views()?; // (g, n, d) each
        let (u, v) = (unit(&points.to_dtype(DType::F64)?)?, unit(&view.to_dtype(DType::F64)?)?);
        let gram = smaller_gram(&((&u + &v)? / 2.0)?)?; // (g, m, m)
        let global = eigenvalue_sum(&gram, root)?.mean_all()?;
        let singular = |of: Tensor| (of.sqr()?.sum(2)? / 2.0)?.affine(1.0, EPSILON)?.sqrt(); // (g, n)
        let local = (singular((&u + &v)?)? + singular((&u - &v)?)?)?.mean_all()?;
        Ok(((local * self.local.get())? - global)?.to_dtype(points.dtype())?)
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn needs_view(&self) -> bool {
        true
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

/// The root of an eigenvalue of the Gram, and its derivative; one that was rounded below 0 counts as 0.
fn root(eigenvalue: f64) -> (f64, f64) {
    let root = (eigenvalue.max(0.0) + EPSILON).sqrt();
    (root, 0.5 / root)
}

impl Kernel for Mmcr {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        cloud.each_group_of_views(|views, gradients| self.fused(views, d, gradients))
    }
}

impl Mmcr {
    /// Value and gradients together, on the float32 points of one group. points, view and their gradients (n, d)
    fn fused(&self, views: [&[f32]; 2], d: usize, [of_points, of_view]: [&mut [f32]; 2]) -> Result<f64> {
        let [u, v] = views.map(|points| Scaled::new(points.to_vec(), d, 0.0));
        let mut centroids = u.points().to_vec();
        vector::add(&mut centroids, v.points());
        vector::scale(&mut centroids, 0.5);
        let mut value = -nuclear_norm(&centroids, d, of_points)?;
        vector::scale(of_points, -0.5);
        of_view.copy_from_slice(of_points);
        if self.local.get() > 0.0 {
            let weight = self.local.get() / (centroids.len() / d) as f64;
            value += weight * add_local([u.points(), v.points()], d, weight as f32, of_points, of_view);
        }
        u.backward(of_points, 1.0);
        v.backward(of_view, 1.0);
        Ok(value)
    }
}

/// The sum of `sqrt(σ² + ε)` over singular values; its gradient `C (CᵀC + εI)^(-1/2)` is written. The inverse root stands on the
/// other side where there are fewer points than dims. centroids, gradient (n, d)
fn nuclear_norm(centroids: &[f32], d: usize, gradient: &mut [f32]) -> Result<f64> {
    let n = centroids.len() / d;
    let m = n.min(d);
    let gram = if n < d {
        let transposed: Vec<f64> = (0..d).flat_map(|k| centroids[k..].iter().step_by(d).map(|x| f64::from(*x))).collect();
        gram(&transposed, n)
    } else {
        wide_gram(centroids, &vec![0.0; d])
    };
    let inverse = Resolvents::inverse_sqrt(EPSILON, n as f64 + EPSILON).shifted(EPSILON).of(&gram, m)?;
    if inverse.iter().map(|x| x * x).sum::<f64>().sqrt() > LARGEST_INVERSE {
        let (value, inverse) = by_eigenvectors(&gram, m)?;
        let mut wide = vec![0f64; centroids.len()];
        write_scaled(&widened(centroids, &vec![0.0; d]), &inverse, d, &mut wide);
        gradient.iter_mut().zip(wide).for_each(|(narrow, x)| *narrow = x as f32);
        return Ok(value);
    }
    write_scaled(centroids, &inverse.iter().map(|x| *x as f32).collect::<Vec<f32>>(), d, gradient);
    let trace: f64 = inverse.iter().step_by(m + 1).sum();
    Ok(gram.iter().zip(&inverse).map(|(x, y)| x * y).sum::<f64>() + EPSILON * trace)
}

/// The Frobenius norm of the inverse root up to which resolvents and float32 products keep enough digits: no singular value is then
/// below 1/512. Beyond it the kernel takes eigenvectors and float64, which cost more.
const LARGEST_INVERSE: f64 = 512.0;

/// The sum of `sqrt(λ + ε)` over the eigenvalues of a Gram, and `(G + εI)^(-1/2)`. (m, m) -> scalar, (m, m)
fn by_eigenvectors(gram: &[f64], m: usize) -> Result<(f64, Vec<f64>)> {
    let (values, vectors) = symmetric_eigen_of(gram, m)?;
    let (roots, derivatives): (Vec<f64>, Vec<f64>) = values.into_iter().map(root).unzip();
    let rows = vectors.chunks_exact(m);
    let weighted: Vec<f64> =
        rows.flat_map(|row| row.iter().zip(&derivatives).map(|(x, derivative)| 2.0 * derivative * x)).collect();
    let mut inverse = vec![0f64; m * m];
    times(&weighted, Matrix::new(&vectors, m, m).transposed(), &mut inverse, |_, _| {});
    Ok((roots.iter().sum(), inverse))
}

/// The points times a matrix (d, d), or a matrix (n, n) times the points where there are fewer points than dims. points, out (n, d)
fn write_scaled<T: Float>(points: &[T], matrix: &[T], d: usize, out: &mut [T]) {
    let n = points.len() / d;
    if n < d {
        times(matrix, Matrix::new(points, n, d), out, |_, _| {});
    } else {
        times(points, Matrix::new(matrix, d, d), out, |_, _| {});
    }
}

vectorize! {
    /// `Σ_i sqrt(‖u_i + v_i‖²/2 + ε) + sqrt(‖u_i - v_i‖²/2 + ε)`; the gradients of `weight` times it are added.
    /// points, gradients (n, d)
    fn add_local(points: [&[f32]; 2], d: usize, weight: f32, of_u: &mut [f32], of_v: &mut [f32]) -> f64 = add_local_with;
}

#[inline(always)]
fn add_local_with<S: Simd>([u, v]: [&[f32]; 2], d: usize, weight: f32, of_u: &mut [f32], of_v: &mut [f32]) -> f64 {
    let mut sum = 0.0;
    let rows = of_u.chunks_exact_mut(d).zip(of_v.chunks_exact_mut(d));
    for ((of_u, of_v), (u, v)) in rows.zip(u.chunks_exact(d).zip(v.chunks_exact(d))) {
        let along = sum_of_with::<S>(u, v, |u, v| (u + v) * (u + v));
        let apart = sum_of_with::<S>(u, v, |u, v| (u - v) * (u - v));
        let [along, apart] = [along, apart].map(|square| (f64::from(square) / 2.0 + EPSILON).sqrt());
        sum += along + apart;
        let [toward, off] = [along, apart].map(|root| (f64::from(weight) * 0.5 / root) as f32);
        for ((of_u, of_v), (u, v)) in of_u.iter_mut().zip(of_v).zip(u.iter().zip(v)) {
            let (toward, off) = (toward * (u + v), off * (u - v));
            *of_u += toward + off;
            *of_v += toward - off;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    /// Within what ε adds.
    fn check<const N: usize, const D: usize>(local: f64, points: [[f64; D]; N], view: [[f64; D]; N], expected: f64) {
        let tensor = |points: [[f64; D]; N]| Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::with_view(tensor(points), tensor(view)).unwrap();
        let regularizer = Mmcr { local: NonNegative::new(local) };
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!(
            (found - expected).abs() < 1e-4 * (N.min(D) as f64 + local) + 1e-6,
            "{regularizer:?}: {found}, expected {expected}"
        );
    }

    #[test]
    fn centroids_that_fill_the_plane_pay_least() {
        let axes = [[3.0, 0.0], [0.0, 4.0]];
        check(0.0, axes, axes, -2.0); // singular values 1 and 1
        check(0.0, [[3.0, 0.0], [4.0, 0.0]], [[1.0, 0.0], [2.0, 0.0]], -2f64.sqrt()); // sqrt(2) and 0
        check(0.0, axes, [[-1.0, 0.0], [0.0, -1.0]], 0.0); // centroids 0
        check(0.0, [[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]], [[0.0, 0.0, 1.0], [0.0, 4.0, 0.0]], -1.0 - 0.5f64.sqrt());
    }

    #[test]
    fn views_at_an_angle_pay_the_local_norm() {
        let (points, view) = ([[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.0, 1.0]]);
        // centroids (0.8, 0.4) and (0, 1): (σ1 + σ2)² = ‖C‖² + 2 |det| = 1.8 + 1.6
        let local = ((1.6f64.sqrt() + 0.4f64.sqrt()) + 2f64.sqrt()) / 2.0;
        check(0.0, points, view, -3.4f64.sqrt());
        check(10.0, points, view, 10.0 * local - 3.4f64.sqrt());
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        for local in [0.0, 0.1, 20.0] {
            regatta_core::conformance::kernel_agrees(&Mmcr { local: NonNegative::new(local) }, 1e-5);
        }
    }

    /// Centroids in a plane of ten dims: eight singular values are 0, and the kernel takes eigenvectors.
    #[test]
    fn kernel_agrees_where_dims_are_empty() {
        let normal = |step| Draw::new(0, "test", step, 0).normals(&[2, 30, 2], DType::F64, &Device::Cpu).unwrap();
        let points = normal(0);
        let near = (&points + (normal(1) * 0.3).unwrap()).unwrap();
        let [points, view] = [points, near].map(|plane| plane.pad_with_zeros(2, 3, 5).unwrap());
        let cloud = Cloud::with_view(points, view).unwrap();
        let regularizer = Mmcr { local: NonNegative::new(0.1) };
        regatta_core::conformance::kernel_agrees_on(&regularizer, "points in a plane", &cloud, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<Mmcr>();
    }
}
