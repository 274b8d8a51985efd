//! CosReg: the mean cosine similarity between the points of a group.
//!
//! For the unit vectors `u_i = z_i / ‖z_i‖` of a group of n points:
//! ```text
//! Σ_{i≠j} u_i·u_j / n²  =  (‖Σ_i u_i‖² - Σ_i ‖u_i‖²) / n²
//! ```
//! Gao, He, Tan, Qin, Wang, Liu, "Representation Degeneration Problem in Training Natural Language Generation Models", ICLR
//! 2019, arXiv:1907.12009, section 5. The paper applies it to all rows of the embedding matrix: `at: {site: embedding}`, with
//! `max_points` to subsample them. The right-hand side avoids pairs, so the cost is linear in n. The penalty is minimal as soon as
//! the unit vectors sum to 0: two opposite clusters reach the minimum.
//!
//! # Shapes
//! points (g, n, d) -> scalar
//!
//! # Units
//! A cosine, dimensionless.

use regatta_core::kernels::{Scaled, vector};
use regatta_core::maths::unit;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Site, Tensor, regularizer, typetag};

regularizer! {
    name: "cosreg",
    summary: "lowers the mean cosine similarity between points",
    paper: "Gao et al., \"Representation Degeneration Problem\", ICLR 2019, arXiv:1907.12009 (at: {site: embedding})",
    formula: "Σ_{i≠j} u_i·u_j / n², u_i = z_i / ‖z_i‖",
    expects: "weight rows, at any scale",
    /// Mean cosine similarity between points.
    pub struct CosReg {}
}

#[typetag::serde(name = "cosreg")]
impl Regularizer for CosReg {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (u, n) = (unit(cloud.points())?, cloud.count() as f64); // (g, n, d)
        let all = u.sum(1)?.sqr()?.sum(1)?; // (g), including the pairs i = j
        let own = u.sqr()?.sum((1, 2))?; // (g)
        Ok(((all - own)?.mean_all()? / (n * n))?)
    }

    fn home(&self) -> Home {
        Home { site: Site::Embedding, max_points: None, ..Home::DEFAULT }
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for CosReg {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        cloud.each_group(|points, gradient| Ok(fused(points, d, gradient)))
    }
}

/// Computes value and gradient for one group of float32 points. points, gradient (n, d)
fn fused(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let u = Scaled::new(points.to_vec(), d, 0.0);
    let n = (points.len() / d) as f64;
    let mean = vector::mean_row(u.points(), d); // in float64: if the cosines cancel, the square of the mean is small
    let narrow: Vec<f32> = mean.iter().map(|x| *x as f32).collect();
    // The pairs i = j are not subtracted: their gradient is radial, and the backward pass of the normalisation removes it.
    gradient.chunks_exact_mut(d).for_each(|row| row.copy_from_slice(&narrow));
    u.backward(gradient, (2.0 / n) as f32);
    let own: f64 = u.points().chunks_exact(d).map(|u| f64::from(vector::dot(u, u))).sum();
    mean.iter().map(|x| x * x).sum::<f64>() - own / (n * n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize>(points: [[f64; 2]; N], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let found = CosReg {}.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn the_sum_over_ordered_pairs_is_divided_by_n_squared() {
        check([[2.0, 0.0], [0.0, 5.0]], 0.0); // cosine 0
        check([[2.0, 0.0], [3.0, 4.0]], 2.0 * 0.6 / 4.0);
        check([[1.0, 1.0], [7.0, 7.0]], 2.0 / 4.0); // equal directions: n(n - 1)/n²
        check([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], -2.0 / 9.0); // cosines 0, 0 and -1
    }

    #[test]
    fn a_zero_vector_has_cosine_0() {
        check([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]], 2.0 / 9.0);
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&CosReg {}, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<CosReg>();
    }
}
