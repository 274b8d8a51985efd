//! Contrastive losses: spread points uniformly over the unit sphere and, given a second view, align the two views of each point.
//!
//! For the unit vectors `u_i = z_i / ‖z_i‖` of a group of n points and the unit vectors `v_i` of a second view of them:
//! ```text
//! wang_isola     log mean_{i<j} exp(-t ‖u_i - u_j‖²)
//! negatives      mean_i log mean_{j≠i} exp(u_i·u_j / τ)
//! contrastive    mean_i (log Σ_j exp(u_i·v_j / τ) - u_i·v_i / τ)
//! align_uniform  alignment · mean_i ‖u_i - v_i‖² + (wang_isola of u + wang_isola of v) / 2
//! ```
//! Wang, Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere", ICML 2020,
//! arXiv:2005.10242, section 4.1.2 (`wang_isola`, and `align_uniform` with α = 2 and weights 1 and 1); Gao, Yao, Chen, "SimCSE",
//! EMNLP 2021, arXiv:2104.08821, eq. 4 (`contrastive`, with views from two dropout masks as in the paper, and `negatives`, the log
//! of its denominator without the positive pair).
//!
//! # Deviations from the papers
//!
//! - `wang_isola` and `negatives` have no positive pairs: a language model has one view of each token, and a second one costs a
//!   forward pass.
//! - `negatives` takes a mean where InfoNCE takes a sum, so its value does not grow with n.
//! - The points are hidden states, without a projector.
//!
//! # Shapes
//! points (g, n, d), and for `contrastive` and `align_uniform` the view (g, n, d) -> scalar, through intermediates (g, n, n). The
//! kernel computes pairs in blocks; its memory is linear in n.
//!
//! # Units
//! Nats. The alignment term is a squared distance between unit vectors, from 0 to 4.
//!
//! # Errors
//! `contrastive` and `align_uniform` return an error if the cloud has no second view.

mod contrast;
mod kernels;
mod temperature;

use regatta_core::maths::{cosines, diagonal, log_mean_exp, matmul, off_diagonal, squared_distances, unit};
use regatta_core::number::{NonNegative, Positive};
use regatta_core::schemars::JsonSchema;
use regatta_core::serde::{Deserialize, Serialize};
use regatta_core::{Cloud, Draw, Home, Kernel, Points, Regularizer, Result, Tensor, regularizer, typetag};
pub use temperature::Temperature;

/// The loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
#[schemars(crate = "regatta_core::schemars")]
pub enum Form {
    /// Uniformity: a log-mean-exp of squared distances over all pairs.
    WangIsola,
    /// The mean over points of a log-mean-exp of cosines with all other points.
    Negatives,
    /// InfoNCE: cross-entropy of identifying a point's second view among those of all points.
    Contrastive,
    /// Squared distance between the views of each point, plus the mean of both views' wang_isola.
    AlignUniform,
}

regularizer! {
    name: "infonce",
    summary: "spreads points uniformly over the unit sphere; some forms align two views of each point",
    paper: "Wang, Isola, ICML 2020, arXiv:2005.10242, section 4.1.2; Gao, Yao, Chen, \"SimCSE\", EMNLP 2021, arXiv:2104.08821",
    formula: "with unit vectors u_i = z_i / ‖z_i‖
wang_isola: log mean_{i<j} exp(-t ‖u_i - u_j‖²)
negatives: mean_i log mean_{j≠i} exp(u_i·u_j / temperature)
with unit vectors v_i of a second view (needs train.dropout)
contrastive: mean_i (log Σ_j exp(u_i·v_j / temperature) - u_i·v_i / temperature)
align_uniform: alignment · mean_i ‖u_i - v_i‖² + mean of wang_isola of both views",
    expects: "points of a sequence, at any scale; contrastive and align_uniform: two views of them (train.dropout)",
    variants: [
        InfoNce { form: Form::Negatives, ..Default::default() },
        InfoNce { form: Form::Contrastive, ..Default::default() },
        InfoNce { form: Form::AlignUniform, ..Default::default() },
    ],
    /// Closeness of points on the unit sphere.
    pub struct InfoNce {
        /// The loss: wang_isola or negatives, or with two views (train.dropout above 0) contrastive or align_uniform.
        pub form: Form = Form::WangIsola,
        /// Inverse width t of the Gaussian in wang_isola and align_uniform. A larger t gives more weight to the closest pairs.
        pub t: Positive = Positive::new(2.0) => [form: Form::WangIsola | Form::AlignUniform],
        /// Temperature τ of negatives and contrastive. A smaller τ gives more weight to the closest pairs. `usual` is 0.5 for
        /// negatives and 0.05 for contrastive, as in SimCSE.
        pub temperature: Temperature = Temperature::Usual => [form: Form::Negatives | Form::Contrastive],
        /// Weight of the distance between the views of a point in align_uniform (paper: 1).
        pub alignment: NonNegative = NonNegative::new(1.0) => [form: Form::AlignUniform],
    }
}

#[typetag::serde(name = "infonce")]
impl Regularizer for InfoNce {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (z, n) = (cloud.points(), cloud.count()); // (g, n, d)
        if self.needs_view() {
            return self.two_view_loss(cloud.both_views()?);
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
    /// The configured temperature, or the default of the form.
    fn temperature(&self) -> f64 {
        self.temperature.or_usual(if self.form == Form::Contrastive { 0.05 } else { 0.5 })
    }

    /// `wang_isola` of unit vectors. (g, n, d) -> scalar
    fn uniformity(&self, u: &Tensor) -> Result<Tensor> {
        let n = u.dim(1)?;
        let exponents = (squared_distances(u)? * -self.t.get())?; // (g, n, n)
        // Pairs (i, j) and (j, i) have equal terms, so the mean over i≠j is the mean over i<j.
        Ok(log_mean_exp(&off_diagonal(&exponents, f64::NEG_INFINITY)?, 2, n * (n - 1))?.mean_all()?)
    }

    /// The forms that compare two views. (g, n, d) each -> scalar
    fn two_view_loss(&self, [points, view]: [&Tensor; 2]) -> Result<Tensor> {
        let (u, v) = (unit(points)?, unit(view)?);
        if self.form == Form::AlignUniform {
            let alignment = ((&u - &v)?.sqr()?.sum(2)?.mean_all()? * self.alignment.get())?;
            return Ok((alignment + ((self.uniformity(&u)? + self.uniformity(&v)?)? / 2.0)?)?);
        }
        let exponents = (matmul(&u, &v.transpose(1, 2)?)? / self.temperature())?; // (g, n, n)
        let own = diagonal(&exponents)?; // (g, n)
        Ok((log_mean_exp(&exponents, 1, 1)? - own)?.mean_all()?) // a log-mean-exp with count 1: the mean is a sum
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
    fn opposite_points_have_the_lowest_penalty() {
        check(Form::WangIsola, [[2.0, 0.0], [-3.0, 0.0]], -2.0 * 4.0); // t‖u - u'‖²
        check(Form::Negatives, [[2.0, 0.0], [-3.0, 0.0]], -1.0 / 0.5);
    }

    #[test]
    fn equal_directions_have_the_highest_penalty() {
        check(Form::WangIsola, [[1.0, 1.0], [5.0, 5.0]], 0.0);
        check(Form::Negatives, [[1.0, 1.0], [5.0, 5.0]], 1.0 / 0.5);
    }

    #[test]
    fn forms_average_over_pairs_or_points() {
        // squared distances 2, 2 and 4; cosines 0, 0 and -1
        let points = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];
        check(Form::WangIsola, points, ((2.0 * (-4f64).exp() + (-8f64).exp()) / 3.0).ln());
        check(Form::Negatives, points, 2.0 * ((1.0 + (-2f64).exp()) / 2.0).ln() / 3.0); // the second point's log is 0
    }

    fn check_views(regularizer: &InfoNce, points: [[f64; 2]; 2], view: [[f64; 2]; 2], expected: f64) {
        let tensor = |points| Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::with_view(tensor(points), tensor(view)).unwrap();
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{regularizer:?}: {found}, expected {expected}");
    }

    #[test]
    fn contrastive_compares_each_point_with_all_views() {
        let (points, view) = ([[1.0, 0.0], [0.0, 1.0]], [[3.0, 4.0], [0.0, 2.0]]); // v: (0.6, 0.8) and (0, 1)
        let contrastive = InfoNce { form: Form::Contrastive, ..Default::default() };
        // u_1 has cosine 0.6 with v_1 and 0 with v_2; u_2 has cosine 1 with v_2 and 0.8 with v_1
        check_views(&contrastive, points, view, ((1.0 + (-12f64).exp()).ln() + (1.0 + (-4f64).exp()).ln()) / 2.0);
        let softer = InfoNce { temperature: Temperature::Given(Positive::new(0.2)), ..contrastive };
        check_views(&softer, points, view, ((1.0 + (-3f64).exp()).ln() + (1.0 + (-1f64).exp()).ln()) / 2.0);
    }

    #[test]
    fn align_uniform_adds_alignment_and_uniformity() {
        let align_uniform = InfoNce { form: Form::AlignUniform, alignment: NonNegative::new(3.0), ..Default::default() };
        // squared distances: u_i to v_i 0.8 and 0, u_1 to u_2 2, v_1 to v_2 0.4
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
