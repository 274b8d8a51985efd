//! KoLeo: pushes each point away from its nearest neighbour on the unit sphere.
//!
//! For the unit vectors `u_i = z_i / ‖z_i‖` of a group of n points:
//! ```text
//! -1/n Σ_i log(ε + min_{j≠i} ‖u_i - u_j‖),  ε = 1e-8
//! ```
//! Up to a constant and a positive factor, this is minus the Kozachenko-Leonenko estimate of the differential entropy of the
//! points. Sablayrolles, Douze, Schmid, Jégou, "Spreading vectors for similarity search", ICLR 2019, arXiv:1806.03198; with ε and
//! unit vectors as in DINOv2: Oquab et al., 2023, arXiv:2304.07193. As in DINOv2, the neighbour is the point with the largest
//! cosine (the first one on ties), and its choice is not differentiated.
//!
//! Deviation: DINOv2 also adds ε to each coordinate of the difference. Here the gradient of a pair at distance 0 is 0, since the
//! direction between equal points is undefined.
//!
//! # Shapes
//! points (g, n, d) -> scalar, through intermediates (g, n, n). The kernel computes pairs in blocks; its memory is linear in n.
//!
//! # Units
//! Nats.

mod kernel;

use regatta_core::candle::D;
use regatta_core::maths::{cosines, off_diagonal, unit};
use regatta_core::{Cloud, Draw, FloatCloud, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

/// ε, which keeps the logarithm finite for equal points.
const EPSILON: f64 = 1e-8;

/// Added under the root, which makes the gradient at distance 0 equal to 0. It is far below ε².
const TINY_SQUARE: f64 = 1e-30;

regularizer! {
    name: "koleo",
    summary: "pushes each point away from its nearest neighbour on the unit sphere",
    paper: "Sablayrolles et al., \"Spreading vectors\", ICLR 2019, arXiv:1806.03198; DINOv2, 2023, arXiv:2304.07193",
    formula: "-mean_i log(1e-8 + min_{j≠i} ‖u_i - u_j‖), u_i = z_i / ‖z_i‖",
    expects: "points of a sequence, at any scale",
    /// Closeness of nearest neighbours on the unit sphere.
    pub struct KoLeo {}
}

#[typetag::serde(name = "koleo")]
impl Regularizer for KoLeo {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let z = cloud.points(); // (g, n, d)
        let u = unit(z)?;
        let nearest = off_diagonal(&cosines(z, 0.0)?.detach(), f64::NEG_INFINITY)?.argmax_keepdim(D::Minus1)?; // (g, n, 1)
        let neighbours = u.gather(&nearest.broadcast_as(u.shape())?.contiguous()?, 1)?; // (g, n, d)
        let distances = ((u - neighbours)?.sqr()?.sum(D::Minus1)? + TINY_SQUARE)?.sqrt()?; // (g, n)
        Ok((distances + EPSILON)?.log()?.mean_all()?.neg()?)
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for KoLeo {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        cloud.each_group(|points, gradient| Ok(kernel::value_and_gradient(points, d, gradient)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::{Device, Var};

    fn penalty(points: &Tensor) -> Tensor {
        KoLeo {}.penalty(&Cloud::new(points.clone()).unwrap(), &mut Draw::new(0, "test", 0, 0)).unwrap()
    }

    fn check<const N: usize>(points: [[f64; 2]; N], expected: f64) {
        let found = penalty(&Tensor::new(&[points], &Device::Cpu).unwrap()).to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-7, "{found}, expected {expected}"); // the expected values ignore ε
    }

    #[test]
    fn only_the_nearest_neighbour_counts() {
        check([[3.0, 0.0], [-2.0, 0.0]], -2f64.ln()); // opposite points: distance 2
        // distances sqrt(2), sqrt(2) and 2: each has a neighbour at sqrt(2)
        check([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], -0.5 * 2f64.ln());
        // two points at cosine 0.8, squared distance 0.4; the third is nearer to the second, at cosine -0.8, squared distance 3.6
        check([[0.0, 1.0], [0.6, 0.8], [0.0, -1.0]], -(2.0 * 0.4f64.ln() + 3.6f64.ln()) / 6.0);
    }

    #[test]
    fn equal_directions_have_value_minus_log_epsilon_and_gradient_0() {
        for points in [[[1f32, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]] {
            let points = Var::new(&[points], &Device::Cpu).unwrap();
            let value = penalty(&points);
            assert!((value.to_scalar::<f32>().unwrap() - 18.420_681).abs() < 1e-5); // -ln 1e-8
            let grads = value.backward().unwrap();
            assert_eq!(grads.get(&points).unwrap().to_vec3::<f32>().unwrap(), [[[0.0; 2]; 2]]);
        }
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        regatta_core::conformance::kernel_agrees(&KoLeo {}, 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<KoLeo>();
    }
}
