//! Contrastive learning: points spread over the unit sphere, and with a second view, each point near its own.
//!
//! For the unit vectors `u_i = z_i / ‖z_i‖` of a group of n points, and `v_i` of a second view of them:
//! ```text
//! wang_isola     log mean_{i<j} exp(-t ‖u_i - u_j‖²)
//! negatives      mean_i log mean_{j≠i} exp(u_i·u_j / τ)
//! contrastive    mean_i (log Σ_j exp(u_i·v_j / τ) - u_i·v_i / τ)
//! align_uniform  alignment · mean_i ‖u_i - v_i‖² + (wang_isola of u + wang_isola of v) / 2
//! ```
//! Wang, Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere",
//! ICML 2020, arXiv:2005.10242, section 4.1.2 (`wang_isola`, and `align_uniform` with α = 2 and weights 1 and 1); Gao, Yao, Chen,
//! "SimCSE", EMNLP 2021, arXiv:2104.08821, eq. 4 (`contrastive`: two dropout masks make the views, as there; `negatives`: what
//! stands in its denominator). Deviations: `wang_isola` and `negatives` have no positive pairs, since a language
//! model has one view of each token, and the second costs a forward pass; `negatives` takes a mean where InfoNCE takes a sum, so
//! that its size does not depend on n; points are hidden states, without a projector.
//!
//! # Shapes
//! points, and the view for the last two, (g, n, d) -> scalar, by way of (g, n, n); the kernel by way of blocks of pairs,
//! in memory linear in n
//!
//! # Errors
//! For the last two, of a cloud without a second view.

mod contrast;
mod kernels;
mod temperature;

use regatta_core::maths::{cosines, diagonal, log_mean_exp, matmul, off_diagonal, squared_distances, unit};
use regatta_core::number::{NonNegative, Positive};
use regatta_core::schemars::JsonSchema;
use regatta_core::serde::{Deserialize, Serialize};
use regatta_core::{Cloud, Draw, Home, Kernel, Points, Regularizer, Result, Tensor, regularizer, typetag};
pub use temperature::Temperature;

/// How closeness on the sphere is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
#[schemars(crate = "regatta_core::schemars")]
pub enum Form {
    /// A Gaussian of the distance, over all pairs at once.
    WangIsola,
    /// An exponential of the cosine, over the negatives of each point by itself.
    Negatives,
    /// Cross-entropy of finding a point's own second view among those of all.
    Contrastive,
    /// Distance of both views of each point, plus wang_isola of each view.
    AlignUniform,
}

regularizer! {
    name: "infonce",
    summary: "spreads points evenly over the unit sphere",
    paper: "Wang, Isola, ICML 2020, arXiv:2005.10242, section 4.1.2; Gao, Yao, Chen, \"SimCSE\", EMNLP 2021, arXiv:2104.08821",
    formula: "on unit vectors u
wang_isola: log mean_{i<j} exp(-t ‖u_i - u_j‖²)
negatives: mean_i log mean_{j≠i} exp(u_i·u_j / temperature)
with unit vectors v of a second view (needs train.dropout)
contrastive: mean_i (log Σ_j exp(u_i·v_j / temperature) - u_i·v_i / temperature)
align_uniform: alignment · mean_i ‖u_i - v_i‖² + mean of wang_isola of both views",
    expects: "points of a sequence, at any scale; contrastive and align_uniform: two views of them (train.dropout)",
    variants: [
        InfoNce { form: Form::Negatives, ..Default::default() },
        InfoNce { form: Form::Contrastive, ..Default::default() },
        InfoNce { form: Form::AlignUniform, ..Default::default() },
    ],
    /// Points spread over the unit sphere.
    pub struct InfoNce {
        /// How closeness is measured: wang_isola or negatives; contrastive or align_uniform, which need train.dropout.
        pub form: Form = Form::WangIsola,
        /// Width of the Gaussian of wang_isola and align_uniform: the larger t, the more the nearest pairs count.
        pub t: Positive = Positive::new(2.0) => [form: Form::WangIsola | Form::AlignUniform],
        /// Temperature τ of negatives and contrastive: the smaller, the more the nearest pairs count. `usual` is 0.5 for
        /// negatives and 0.05, as in SimCSE, for contrastive.
        pub temperature: Temperature = Temperature::Usual => [form: Form::Negatives | Form::Contrastive],
        /// Weight of align_uniform's distance between the views of a point (paper: 1).
        pub alignment: NonNegative = NonNegative::new(1.0) => [form: Form::AlignUniform],
    }
}

#[typetag::serde(name = "infonce")]
impl Regularizer for InfoNce {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (z, n) = (cloud.points(), cloud.count()); // (g, n, d)
        if self.needs_view() {
            return self.of_views(cloud.both_views()?);
        }
        if self.form == Form::WangIsola {
            return self.uniformity(&unit(z)?);
        }
        let exponents = (cosines(z, 0.0)? / self.temperature())?; // (g, n, n)
        Ok(log_mean_exp(&off_diagonal(&exponents, f64::NEG_INFINITY)?, 1, n - 1)?.mean_all()?) // (g, n) -> scalar
    }

    fn home(&self) -> Home {
        match self.form {
            Form::WangIsola | Form::Negatives => Home::DEFAULT,
            // The negatives of a point are all others of the batch.
            Form::Contrastive | Form::AlignUniform => Home { points: Points::Batch, ..Home::DEFAULT },
        }
    }

    fn needs_view(&self) -> bool {
        matches!(self.form, Form::Contrastive | Form::AlignUniform)
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl InfoNce {
    /// That of the form, where the user gave none.
    fn temperature(&self) -> f64 {
        self.temperature.or_usual(if self.form == Form::Contrastive { 0.05 } else { 0.5 })
    }

    /// wang_isola of unit vectors. (g, n, d) -> scalar
    fn uniformity(&self, u: &Tensor) -> Result<Tensor> {
        let n = u.dim(1)?;
        let exponents = (squared_distances(u)? * -self.t.get())?; // (g, n, n)
        // Each pair appears as (i, j) and (j, i), so the mean over i≠j is that over i<j.
        Ok(log_mean_exp(&off_diagonal(&exponents, f64::NEG_INFINITY)?, 2, n * (n - 1))?.mean_all()?)
    }

    /// The forms of two views. (g, n, d) each -> scalar
    fn of_views(&self, [points, view]: [&Tensor; 2]) -> Result<Tensor> {
        let (u, v) = (unit(points)?, unit(view)?);
        if self.form == Form::AlignUniform {
            let apart = ((&u - &v)?.sqr()?.sum(2)?.mean_all()? * self.alignment.get())?;
            return Ok((apart + ((self.uniformity(&u)? + self.uniformity(&v)?)? / 2.0)?)?);
        }
        let exponents = (matmul(&u, &v.transpose(1, 2)?)? / self.temperature())?; // (g, n, n)
        let own = diagonal(&exponents)?; // (g, n)
        Ok((log_mean_exp(&exponents, 1, 1)? - own)?.mean_all()?) // of one term: a sum
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

    fn check_views(regularizer: &InfoNce, points: [[f64; 2]; 2], view: [[f64; 2]; 2], expected: f64) {
        let tensor = |points| Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::with_view(tensor(points), tensor(view)).unwrap();
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{regularizer:?}: {found}, expected {expected}");
    }

    #[test]
    fn a_points_own_view_among_others_by_hand() {
        let (points, view) = ([[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [0.0, 2.0]]); // v: (0.6, 0.8) and (0, 1)
        let contrastive = InfoNce { form: Form::Contrastive, ..Default::default() };
        // u_1: cosines 0.6 with its own, 0 with the other; u_2: 1 with its own, 0.8 with the other
        check_views(&contrastive, points, view, ((1.0 + (-12f64).exp()).ln() + (1.0 + (-4f64).exp()).ln()) / 2.0);
        let warm = InfoNce { temperature: Temperature::Given(Positive::new(0.2)), ..contrastive };
        check_views(&warm, points, view, ((1.0 + (-3f64).exp()).ln() + (1.0 + (-1f64).exp()).ln()) / 2.0);
    }

    #[test]
    fn alignment_and_uniformity_by_hand() {
        let align_uniform = InfoNce { form: Form::AlignUniform, alignment: NonNegative::new(3.0), ..Default::default() };
        // squared distances: of the pairs u and v 0.8 and 0; of both u 2, of both v 0.4
        let expected = 3.0 * 0.8 / 2.0 - 2.0 * (2.0 + 0.4) / 2.0;
        check_views(&align_uniform, [[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [0.0, 2.0]], expected);
    }

    #[test]
    fn kernels_agree_with_tensor_operations() {
        for form in [Form::WangIsola, Form::Negatives, Form::Contrastive, Form::AlignUniform] {
            for temperature in [Temperature::Usual, Temperature::Given(Positive::new(0.5))] {
                regatta_core::conformance::kernel_agrees(&InfoNce { form, temperature, ..Default::default() }, 1e-5);
            }
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<InfoNce>();
    }
}
