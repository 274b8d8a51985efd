//! The uniformity half of contrastive learning: points spread over the unit sphere.
//!
//! For the unit vectors `u_i = z_i / ‖z_i‖` of a group of n points:
//! ```text
//! wang_isola  log mean_{i<j} exp(-t ‖u_i - u_j‖²)
//! negatives   mean_i log mean_{j≠i} exp(u_i·u_j / τ)
//! ```
//! Wang, Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere",
//! ICML 2020, arXiv:2005.10242, section 4.1.2 (`wang_isola`); Gao, Yao, Chen, "SimCSE", EMNLP 2021, arXiv:2104.08821, section 3
//! (`negatives`: the denominator of InfoNCE). Deviation: no positive pairs, since a language model has one view of each token;
//! and `negatives` takes a mean where InfoNCE takes a sum, so that its size does not depend on n.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, n, n); of float32 on the CPU by way of blocks of pairs, in memory linear in n

mod kernels;

use regatta_core::maths::{cosines, log_mean_exp, off_diagonal, squared_distances, takes_kernels, unit};
use regatta_core::number::Positive;
use regatta_core::serde::{Deserialize, Serialize};
use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, regularizer, typetag};

/// How closeness on the sphere is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
pub enum Form {
    /// A Gaussian of the distance, over all pairs at once.
    WangIsola,
    /// An exponential of the cosine, over the negatives of each point by itself.
    Negatives,
}

regularizer! {
    name: "infonce",
    summary: "spreads points evenly over the unit sphere",
    paper: "Wang, Isola, ICML 2020, arXiv:2005.10242, section 4.1.2; Gao, Yao, Chen, \"SimCSE\", EMNLP 2021, arXiv:2104.08821",
    formula: "on unit vectors u
wang_isola: log mean_{i<j} exp(-t ‖u_i - u_j‖²)
negatives: mean_i log mean_{j≠i} exp(u_i·u_j / temperature)",
    variants: [InfoNce { form: Form::Negatives, ..Default::default() }],
    /// Points spread over the unit sphere.
    pub struct InfoNce {
        /// How closeness is measured: wang_isola or negatives.
        pub form: Form = Form::WangIsola,
        /// Width of wang_isola's Gaussian: the larger t, the more the nearest pairs count.
        pub t: Positive = Positive::new(2.0),
        /// Temperature τ of negatives: the smaller, the more the nearest pairs count.
        pub temperature: Positive = Positive::new(0.5),
    }
}

#[typetag::serde(name = "infonce")]
impl Regularizer for InfoNce {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (z, n) = (cloud.points(), cloud.count()); // (g, n, d)
        if takes_kernels(z) {
            return self.fused(z);
        }
        match self.form {
            Form::WangIsola => {
                let exponents = (squared_distances(&unit(z)?)? * -self.t.get())?; // (g, n, n)
                // Each pair appears as (i, j) and (j, i), so the mean over i≠j is that over i<j.
                Ok(log_mean_exp(&off_diagonal(&exponents, f64::NEG_INFINITY)?, 2, n * (n - 1))?.mean_all()?)
            }
            Form::Negatives => {
                let exponents = (cosines(z, 0.0)? / self.temperature.get())?; // (g, n, n)
                Ok(log_mean_exp(&off_diagonal(&exponents, f64::NEG_INFINITY)?, 1, n - 1)?.mean_all()?) // (g, n) -> scalar
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize>(form: Form, points: [[f64; 2]; N], expected: f64) {
        let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
        let regularizer = InfoNce { form, ..Default::default() };
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{form:?}: {found}, expected {expected}");
    }

    #[test]
    fn opposite_points_are_as_far_apart_as_can_be() {
        check(Form::WangIsola, [[2.0, 0.0], [-3.0, 0.0]], -2.0 * 4.0); // t‖u - u'‖²
        check(Form::Negatives, [[2.0, 0.0], [-3.0, 0.0]], -1.0 / 0.5);
    }

    #[test]
    fn equal_directions_pay_most() {
        check(Form::WangIsola, [[1.0, 1.0], [5.0, 5.0]], 0.0);
        check(Form::Negatives, [[1.0, 1.0], [5.0, 5.0]], 1.0 / 0.5);
    }

    #[test]
    fn three_points_by_hand() {
        // squared distances 2, 2 and 4; cosines 0, 0 and -1
        let points = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
        check(Form::WangIsola, points, ((2.0 * (-4f64).exp() + (-8f64).exp()) / 3.0).ln());
        check(Form::Negatives, points, 2.0 * ((1.0 + (-2f64).exp()) / 2.0).ln() / 3.0); // the middle point's log is 0
    }

    #[test]
    fn kernels_agree_with_tensor_operations() {
        for form in [Form::WangIsola, Form::Negatives] {
            regatta_core::maths::agreement::float32_agrees(&InfoNce { form, ..Default::default() });
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<InfoNce>();
    }
}
