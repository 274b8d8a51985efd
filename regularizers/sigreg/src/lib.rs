//! SIGReg: every slice of a cloud held to a standard normal.
//!
//! For a group `z` of n points, with k random unit directions a and projections `x = a·z`, the Epps-Pulley statistic of each
//! slice is the weighted distance of its empirical characteristic function from that of N(0, 1), at knots `t_j` spaced `dt`
//! apart over [0, t_max]:
//! ```text
//! n Σ_j w_j [(mean_i cos(t_j x_i) - φ_j)² + (mean_i sin(t_j x_i))²],  φ_j = exp(-t_j²/2)
//! w_j = φ_j dt at both ends, 2 φ_j dt inside
//! ```
//! and the penalty is the mean over slices. The weights are the trapezoid rule, doubled since the integrand is even.
//!
//! Balestriero, LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics", 2025,
//! arXiv:2511.08544 (SIGReg with the Epps-Pulley test). Deviations: none in the statistic; the directions are drawn afresh for
//! each call from the runner's stream, and all groups of a call share them.
//!
//! # Shapes
//! points (g, n, d), slices (d, k), projections (g, n, k) -> scalar; never (g, n, k, knots)

mod epps_pulley;
mod fused;

use epps_pulley::{EppsPulley, knots};
use fused::Slices;
use regatta_core::candle::DType;
use regatta_core::maths::{attach_gradient, matmul, mean_over_groups, takes_kernels, unit, with_floats};
use regatta_core::number::{Count, Positive};
use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, regularizer, typetag};

regularizer! {
    name: "sigreg",
    summary: "holds random slices to a standard normal by their characteristic functions",
    paper: "Balestriero, LeCun, \"LeJEPA\", 2025, arXiv:2511.08544",
    formula: "x = a·z for random unit directions a; mean over a of n Σ_t w_t [(mean cos(t x) - exp(-t²/2))² + (mean sin(t x))²]
w_t = exp(-t²/2) dt at both ends of [0, t_max], 2 exp(-t²/2) dt inside",
    expects: "all tokens of a batch, rows with unit variance (points: batch, scale: layer_norm or unit_sqrt_dim)",
    home: "points: batch, scale: layer_norm",
    /// Random slices held to a standard normal.
    pub struct SigReg {
        /// How many random directions k.
        pub slices: Count<1, 65536> = Count::new(256),
        /// How many knots t_j, evenly spaced over [0, t_max].
        pub knots: Count<2, 1024> = Count::new(17),
        /// The last knot.
        pub t_max: Positive = Positive::new(3.0),
    }
}

#[typetag::serde(name = "sigreg")]
impl Regularizer for SigReg {
    fn penalty(&self, cloud: &Cloud, draw: &mut Draw) -> Result<Tensor> {
        let z = cloud.points();
        let normals = draw.normals(&[self.slices.get(), cloud.dims()], z.dtype(), z.device())?;
        let directions = unit(&normals)?; // (k, d)
        self.penalty_along(z, &directions.t()?)
    }
}

impl SigReg {
    /// The penalty along given unit directions, one a column.
    ///
    /// # Shapes
    /// points (g, n, d), slices (d, k) -> scalar
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn penalty_along(&self, points: &Tensor, slices: &Tensor) -> Result<Tensor> {
        let (g, n, d) = points.dims3()?;
        let k = slices.dim(1)?;
        let knots = knots(self.knots.get(), self.t_max.get());
        if takes_kernels(points) && takes_kernels(slices) {
            let directions = slices.t()?.contiguous()?; // (k, d)
            return with_floats([&directions], "sigreg", |[directions]| {
                let slices = Slices::new(directions, d, knots);
                mean_over_groups(points, "sigreg", |points, gradient| Ok(slices.penalty(points, gradient)))
            })?;
        }
        let projections = matmul(&points.reshape((g * n, d))?, slices)?.reshape((g, n, k))?;
        let x = projections.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;

        let statistic = EppsPulley::new(knots);
        let mut gradient = vec![0.0; x.len()];
        let groups = x.chunks_exact(n * k).zip(gradient.chunks_exact_mut(n * k));
        let value: Vec<f64> = groups.map(|(x, gradient)| statistic.mean_over_slices(x, k, gradient)).collect();

        let like = |numbers: Vec<f64>, shape: &[usize]| -> Result<Tensor> {
            Ok(Tensor::from_vec(numbers, shape, points.device())?.to_dtype(points.dtype())?)
        };
        let value = attach_gradient(&projections, like(value, &[g])?, like(gradient, &[g, n, k])?)?; // (g)
        Ok(value.mean_all()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;
    use std::f64::consts::FRAC_PI_2;

    /// Two knots, at 0 and 1: the first is always 0, the second has weight exp(-1/2).
    fn check<const K: usize>(points: [[f64; 2]; 2], slices: [[f64; 2]; K], expected: f64) {
        let regularizer = SigReg { knots: Count::new(2), t_max: Positive::new(1.0), ..Default::default() };
        let points = Tensor::new(&[points], &Device::Cpu).unwrap();
        let slices = Tensor::new(&slices, &Device::Cpu).unwrap().t().unwrap();
        let found = regularizer.penalty_along(&points, &slices).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn two_points_by_hand() {
        let phi = (-0.5f64).exp();
        let apart = [[FRAC_PI_2, 0.0], [-FRAC_PI_2, 0.0]];
        check(apart, [[1.0, 0.0]], 2.0 * phi * phi.powi(2)); // cos(±π/2) = 0, the sines cancel
        check(apart, [[0.0, 1.0]], 2.0 * phi * (1.0 - phi).powi(2)); // all at 0: cos 1, sin 0
        check([[FRAC_PI_2, 0.0], [FRAC_PI_2, 0.0]], [[1.0, 0.0]], 2.0 * phi * (phi.powi(2) + 1.0)); // cos 0, sin 1
    }

    #[test]
    fn the_penalty_is_the_mean_over_slices() {
        let phi = (-0.5f64).exp();
        let each = [2.0 * phi * phi.powi(2), 2.0 * phi * (1.0 - phi).powi(2)];
        let points = [[FRAC_PI_2, 0.0], [-FRAC_PI_2, 0.0]];
        check(points, [[1.0, 0.0], [0.0, 1.0]], (each[0] + each[1]) / 2.0);
        let many: [_; 11] = std::array::from_fn(|i| if i < 9 { [1.0, 0.0] } else { [0.0, 1.0] }); // more than a block of 8
        check(points, many, (9.0 * each[0] + 2.0 * each[1]) / 11.0);
    }

    #[test]
    fn slices_are_unit_directions_from_the_draw() {
        let value = |step| {
            let cloud = Cloud::new(Tensor::new(&[[[0.5f64, 2.0], [-1.0, 0.3], [0.1, 0.2]]], &Device::Cpu).unwrap()).unwrap();
            SigReg::default().penalty(&cloud, &mut Draw::new(0, "test", step, 0)).unwrap().to_scalar::<f64>().unwrap()
        };
        assert_eq!(value(0), value(0));
        assert_ne!(value(0), value(1));
    }

    #[test]
    fn kernels_agree_with_tensor_operations() {
        for (slices, knots, t_max) in
            [(1, 2, 1.0), (16, 9, 3.0), (5, 10, 2.0), (16, 17, 3.0), (3, 18, 3.0), (19, 33, 5.0), (3, 100, 9.0)]
        {
            let regularizer = SigReg { knots: Count::new(knots), t_max: Positive::new(t_max), ..Default::default() };
            regatta_core::maths::agreement::penalty_agrees(&format!("{regularizer:?} along {slices}"), |points| {
                // The same directions for both: a draw rounded to float32 gives others than one that is not.
                let normals = Draw::new(0, "test", 0, 0).normals(&[slices, points.dim(2)?], DType::F32, &Device::Cpu)?;
                regularizer.penalty_along(points, &unit(&normals)?.t()?.to_dtype(points.dtype())?)
            });
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<SigReg>();
    }
}
