//! Output embedding centering: the rows of the output matrix held to a mean of zero.
//!
//! For a group of n points:
//! ```text
//! ‖m‖²,  m = 1/n Σ_i z_i
//! ```
//! Adding one vector to every row of the output matrix adds the same number to every logit of a token, which no softmax sees.
//! So the mean is free to drift, and with it the largest logit. This holds it near zero. Stollenwerk et al., "Output Embedding
//! Centering for Stable LLM Pretraining", 2026, arXiv:2601.02031: μ-loss, where the weight of the term is its γ.
//! The same paper subtracts the mean outright instead (μ-centering), which is not a penalty. Deviations: none.
//!
//! # Shapes
//! points (g, n, d) -> scalar

use regatta_core::kernels::vector;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Site, Tensor, regularizer, typetag};

regularizer! {
    name: "centering",
    summary: "holds the mean of the output matrix's rows at zero",
    paper: "Stollenwerk et al., \"Output Embedding Centering\", 2026, arXiv:2601.02031 (μ-loss)",
    formula: "‖mean_i z_i‖²",
    expects: "all rows of the output matrix, as they are",
    /// The squared norm of the mean point.
    pub struct Centering {}
}

#[typetag::serde(name = "centering")]
impl Regularizer for Centering {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        Ok(cloud.points().mean(1)?.sqr()?.sum(1)?.mean_all()?) // (g, d), then (g)
    }

    fn home(&self) -> Home {
        Home { site: Site::Unembedding, max_points: None, ..Home::DEFAULT }
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for Centering {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        cloud.each_group(|points, gradient| Ok(fused(points, d, gradient)))
    }
}

/// Value and gradient together, on the float32 points of one group. points (n, d), gradient (n, d)
fn fused(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let n = (points.len() / d) as f64;
    let mean = vector::mean_row(points, d); // in float64: of rows that cancel, little is left
    let pull: Vec<f32> = mean.iter().map(|x| (2.0 * x / n) as f32).collect();
    gradient.chunks_exact_mut(d).for_each(|row| row.copy_from_slice(&pull));
    mean.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::{Device, Var};

    fn check<const N: usize>(points: [[f64; 2]; N], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let found = Centering {}.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn the_mean_counts_and_the_spread_does_not() {
        check([[3.0, 0.0], [1.0, 2.0]], 5.0); // mean (2, 1)
        check([[2.0, 1.0], [2.0, 1.0]], 5.0);
        check([[7.0, -3.0], [-7.0, 3.0]], 0.0);
        check([[3.0, 0.0], [0.0, 3.0], [0.0, 0.0]], 2.0); // mean (1, 1)
    }

    #[test]
    fn every_row_is_pulled_alike() {
        let points = Var::new(&[[[3f64, 0.0], [1.0, 2.0]]], &Device::Cpu).unwrap();
        let cloud = Cloud::new(points.as_tensor().clone()).unwrap();
        let grads = Centering {}.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().backward().unwrap();
        assert_eq!(grads.get(&points).unwrap().to_vec3::<f64>().unwrap(), [[[2.0, 1.0], [2.0, 1.0]]]); // 2/n times the mean
    }

    #[test]
    fn rows_that_nearly_cancel_keep_their_digits() {
        // In sums of float32 the 1s would be lost beside 1e8: the mean is (1, 0)
        let (points, mut gradient) = ([1e8, 0.0, 1.0, 1.0, 2.0, -1.0, -1e8 + 8.0, 0.0], [0f32; 8]);
        let exact = (1.0 + 2.0 + 8.0) / 4.0;
        assert_eq!(fused(&points, 2, &mut gradient), exact * exact);
        assert_eq!(gradient, [exact as f32 / 2.0, 0.0].repeat(4)[..]);
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&Centering {}, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<Centering>();
    }
}
