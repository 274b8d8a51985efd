//! SIGReg: matches one-dimensional projections (slices) of a cloud to a standard normal.
//!
//! A group `z` of n points is projected onto k random unit directions a: `x = a·z`. The Epps-Pulley statistic of a slice is the
//! weighted squared distance between its empirical characteristic function and that of N(0, 1), at knots `t_j` over [0, t_max] with
//! spacing `dt`:
//! ```text
//! n Σ_j w_j [(mean_i cos(t_j x_i) - φ_j)² + (mean_i sin(t_j x_i))²],  φ_j = exp(-t_j²/2)
//! w_j = φ_j dt at both ends, 2 φ_j dt inside
//! ```
//! The penalty is the mean over slices. The weights are those of the trapezoid rule, doubled since the integrand is even.
//!
//! Balestriero, LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics", 2025,
//! arXiv:2511.08544 (SIGReg with the Epps-Pulley test). The statistic is that of the paper. Each call draws new directions from the
//! runner's stream, and all groups of a call share them.
//!
//! # Shapes
//! points (g, n, d), directions (d, k) -> scalar, through one intermediate (g, n, k) per knot. The kernel needs one (n, k) per
//! group.
//!
//! # Units
//! Dimensionless.
//!
//! # Errors
//! Returns an error only if a tensor operation fails.

mod fused;
mod knots;

use fused::Slices;
use knots::{Knot, knots};
use regatta_core::candle::{DType, Device};
use regatta_core::maths::{matmul, unit, with_floats};
use regatta_core::number::{Count, Positive};
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Scale, Tensor, regularizer, typetag};

regularizer! {
    name: "sigreg",
    summary: "matches random one-dimensional projections to a standard normal by their characteristic functions",
    paper: "Balestriero, LeCun, \"LeJEPA\", 2025, arXiv:2511.08544",
    formula: "x = a·z for random unit directions a; mean over a of n Σ_t w_t [(mean cos(t x) - exp(-t²/2))² + (mean sin(t x))²]
w_t = exp(-t²/2) dt at both ends of [0, t_max], 2 exp(-t²/2) dt inside",
    expects: "all tokens of a batch, rows with unit variance",
    /// Distance of random one-dimensional projections from a standard normal.
    pub struct SigReg {
        /// Number k of random directions.
        pub slices: Count<1, 65536> = Count::new(256),
        /// Number of knots t_j, evenly spaced over [0, t_max].
        pub knots: Count<2, 1024> = Count::new(17),
        /// The last knot.
        pub t_max: Positive = Positive::new(3.0),
    }
}

#[typetag::serde(name = "sigreg")]
impl Regularizer for SigReg {
    fn penalty(&self, cloud: &Cloud, draw: &mut Draw) -> Result<Tensor> {
        let z = cloud.points();
        let directions = self.directions(cloud.dims(), draw)?;
        self.penalty_along(z, &directions.t()?.to_dtype(z.dtype())?.to_device(z.device())?)
    }

    fn home(&self) -> Home {
        Home { scale: Scale::LayerNorm, ..Home::BATCH }
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for SigReg {
    fn penalties(&self, cloud: FloatCloud<'_>, draw: &mut Draw) -> Result<Vec<f64>> {
        let directions = self.directions(cloud.dims(), draw)?;
        self.kernel_along(&directions.t()?)?.penalties(cloud, draw)
    }
}

impl SigReg {
    /// Random unit directions, drawn in float32 on the CPU so that they do not depend on the cloud's dtype. -> (k, d)
    fn directions(&self, dims: usize, draw: &mut Draw) -> Result<Tensor> {
        unit(&draw.normals(&[self.slices.get(), dims], DType::F32, &Device::Cpu)?)
    }

    /// The penalty for given unit directions, the columns of `slices`.
    ///
    /// # Shapes
    /// points (g, n, d), slices (d, k) -> scalar
    ///
    /// # Errors
    /// Returns an error if the shapes do not fit.
    pub fn penalty_along(&self, points: &Tensor, slices: &Tensor) -> Result<Tensor> {
        let (g, n, d) = points.dims3()?;
        let x = matmul(&points.reshape((g * n, d))?, slices)?.reshape((g, n, ()))?; // (g, n, k)
        let mut statistic = x.zeros_like()?.mean(1)?; // (g, k)
        for Knot { t, target, weight } in self.quadrature() {
            let angles = (&x * t)?;
            let real_error = (angles.cos()?.mean(1)? - target)?;
            let sine = angles.sin()?.mean(1)?;
            statistic = (statistic + ((real_error.sqr()? + sine.sqr()?)? * (n as f64 * weight))?)?;
        }
        Ok(statistic.mean_all()?)
    }

    /// The kernel for given unit directions, the columns of `slices`, in float32. slices (d, k)
    ///
    /// # Errors
    /// Returns an error for another dtype.
    pub fn kernel_along(&self, slices: &Tensor) -> Result<impl Kernel + use<>> {
        let (dims, _) = slices.dims2()?;
        let directions = slices.t()?.contiguous()?; // (k, d)
        Ok(with_floats([&directions], "sigreg", |[directions]| Slices::new(directions, dims, self.quadrature()))?)
    }

    fn quadrature(&self) -> Vec<Knot> {
        knots(self.knots.get(), self.t_max.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::serde::{Deserialize, Serialize};
    use std::f64::consts::FRAC_PI_2;

    /// Uses two knots, at 0 and 1. The term of the first is always 0; the second has weight exp(-1/2).
    fn check<const K: usize>(points: [[f64; 2]; 2], slices: [[f64; 2]; K], expected: f64) {
        let regularizer = SigReg { knots: Count::new(2), t_max: Positive::new(1.0), ..Default::default() };
        let points = Tensor::new(&[points], &Device::Cpu).unwrap();
        let slices = Tensor::new(&slices, &Device::Cpu).unwrap().t().unwrap();
        let found = regularizer.penalty_along(&points, &slices).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn statistics_of_two_points() {
        let phi = (-0.5f64).exp();
        let apart = [[FRAC_PI_2, 0.0], [-FRAC_PI_2, 0.0]];
        check(apart, [[1.0, 0.0]], 2.0 * phi * phi.powi(2)); // the cosines are 0 and the sines cancel
        check(apart, [[0.0, 1.0]], 2.0 * phi * (1.0 - phi).powi(2)); // all projections 0: mean cosine 1, mean sine 0
        check([[FRAC_PI_2, 0.0], [FRAC_PI_2, 0.0]], [[1.0, 0.0]], 2.0 * phi * (phi.powi(2) + 1.0)); // mean cosine 0, mean sine 1
    }

    #[test]
    fn the_penalty_is_the_mean_over_slices() {
        let phi = (-0.5f64).exp();
        let each = [2.0 * phi * phi.powi(2), 2.0 * phi * (1.0 - phi).powi(2)];
        let points = [[FRAC_PI_2, 0.0], [-FRAC_PI_2, 0.0]];
        check(points, [[1.0, 0.0], [0.0, 1.0]], (each[0] + each[1]) / 2.0);
        let many: [_; 11] = std::array::from_fn(|i| if i < 9 { [1.0, 0.0] } else { [0.0, 1.0] }); // more than one block of 8
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

    /// SIGReg along fixed directions.
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(crate = "regatta_core::serde")]
    struct Along(SigReg);

    impl Along {
        /// (d, k)
        fn slices(&self, dims: usize) -> Result<Tensor> {
            Ok(self.0.directions(dims, &mut Draw::new(0, "test", 0, 0))?.t()?)
        }
    }

    #[typetag::serde(name = "sigreg_along_other_directions")]
    impl Regularizer for Along {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
            self.0.penalty_along(cloud.points(), &self.slices(cloud.dims())?.to_dtype(cloud.points().dtype())?)
        }

        fn kernel(&self) -> Option<&dyn Kernel> {
            Some(self)
        }
    }

    impl Kernel for Along {
        fn penalties(&self, cloud: FloatCloud<'_>, draw: &mut Draw) -> Result<Vec<f64>> {
            self.0.kernel_along(&self.slices(cloud.dims())?)?.penalties(cloud, draw)
        }
    }

    #[test]
    fn kernels_agree_with_tensor_operations() {
        for (slices, knots, t_max) in
            [(1, 2, 1.0), (16, 9, 3.0), (5, 10, 2.0), (16, 17, 3.0), (3, 18, 3.0), (19, 33, 5.0), (3, 100, 9.0)]
        {
            let regularizer = SigReg { slices: Count::new(slices), knots: Count::new(knots), t_max: Positive::new(t_max) };
            regatta_core::conformance::kernel_agrees(&Along(regularizer), 1e-5);
        }
        regatta_core::conformance::kernel_agrees(&SigReg::default(), 1e-5);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<SigReg>();
    }
}
