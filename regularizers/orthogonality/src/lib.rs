//! Soft orthogonality: the columns of a matrix held to unit norm and to right angles with each other.
//!
//! For a group of n points of d dims, the rows of W:
//! ```text
//! 1/d ‖WᵀW - I‖²_F
//! ```
//! Bansal, Chen, Wang, "Can We Gain More from Orthogonality Regularizations in Training Deep CNNs?", NeurIPS 2018,
//! arXiv:1810.09102: their soft orthogonality. W is not centred. With fewer rows than dims WᵀW cannot be I, and the
//! penalty is at least `(d - n)/d`. Deviations: divided by d, so that a weight means the same for models of any width; on the
//! embedding matrix of a language model, where the paper has the filters of convolutions.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, d, d)

use regatta_core::kernels::{Matrix, gram, times, vector};
use regatta_core::maths::matmul;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Site, Tensor, regularizer, typetag};

regularizer! {
    name: "orthogonality",
    summary: "holds the columns of a matrix to an orthonormal set",
    paper: "Bansal, Chen, Wang, \"Can We Gain More from Orthogonality Regularizations\", NeurIPS 2018, arXiv:1810.09102",
    formula: "‖WᵀW - I‖²_F / d, the points the rows of W",
    expects: "all rows of a matrix, as they are",
    /// Columns of a matrix held to an orthonormal set.
    pub struct Orthogonality {}
}

#[typetag::serde(name = "orthogonality")]
impl Regularizer for Orthogonality {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (w, d) = (cloud.points(), cloud.dims()); // (g, n, d)
        let eye = Tensor::eye(d, w.dtype(), w.device())?;
        let excess = matmul(&w.transpose(1, 2)?, w)?.broadcast_sub(&eye)?; // (g, d, d)
        Ok((excess.sqr()?.sum((1, 2))?.mean_all()? / d as f64)?)
    }

    fn home(&self) -> Home {
        Home { site: Site::Embedding, max_points: None, ..Home::DEFAULT }
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for Orthogonality {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        cloud.each_group(|points, gradient| Ok(fused(points, d, gradient)))
    }
}

/// Value and gradient together, on the float32 points of one group. points (n, d), gradient (n, d)
fn fused(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let mut excess = gram(points, d); // WᵀW - I, then the derivative with respect to WᵀW: the gradient is twice W times that
    let mut squares = 0.0;
    for (k, row) in excess.chunks_exact_mut(d).enumerate() {
        row[k] -= 1.0;
        squares += f64::from(vector::dot(row, row));
        vector::scale(row, (4.0 / d as f64) as f32);
    }
    times(points, Matrix::new(&excess, d, d), gradient, |_, _| {});
    squares / d as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize, const D: usize>(points: [[f64; D]; N], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let found = Orthogonality {}.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn orthonormal_columns_cost_nothing() {
        check([[1.0, 0.0], [0.0, 1.0]], 0.0);
        check([[0.6, -0.8], [0.8, 0.6]], 0.0);
        check([[1.0, 0.0], [0.0, 0.6], [0.0, 0.8]], 0.0);
    }

    #[test]
    fn norms_and_angles_by_hand() {
        check([[2.0, 0.0], [0.0, 0.0]], (9.0 + 1.0) / 2.0); // WᵀW = diag(4, 0)
        check([[1.0, 1.0], [0.0, 0.0]], (1.0 + 1.0) / 2.0); // WᵀW = [[1, 1], [1, 1]]
        check([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], 1.0 / 3.0); // two rows cannot fill three dims
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&Orthogonality {}, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<Orthogonality>();
    }
}
