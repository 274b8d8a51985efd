//! SIGReg: matches one-dimensional projections (slices) of a cloud to a standard normal.
//!
//! A group `z` of n points is projected onto k random unit directions a: `x = a·z`. The penalty is the mean over slices of a statistic of
//! normality. The default, the Epps-Pulley statistic, is the weighted squared distance between the empirical characteristic function of
//! a slice and that of N(0, 1), at knots `t_j` over [0, t_max] with spacing `dt`:
//! ```text
//! epps_pulley  n Σ_j w_j [(mean_i cos(t_j x_i) - φ_j)² + (mean_i sin(t_j x_i))²],  φ_j = exp(-t_j²/2)
//!              w_j = φ_j dt at both ends, 2 φ_j dt inside
//! ```
//! The weights are those of the trapezoid rule, doubled since the integrand is even. The other tests, with `s_1 <= ... <= s_n` the
//! sorted projections, F the distribution function of N(0, 1), `m_i = (2i - 1) / (2n)`, and mean, variance (over n - 1), skewness and
//! kurtosis of the projections:
//! ```text
//! cramer_von_mises  mean_i (F(s_i) - m_i)²
//! watson            cramer_von_mises - (mean_i F(x_i) - 1/2)²
//! anderson_darling  -n - 2 Σ_i [m_i log F(s_i) + (1 - m_i) log F(-s_i)]
//! jarque_bera       n mean²/variance + (n - 1)/2 (variance - 1)² + n/6 [skewness² + (kurtosis - 3)²/4]
//! ```
//! As in the authors' code, epps_pulley, anderson_darling and jarque_bera grow with n. The other two are means: they lack the factor n
//! and the constant 1/(12n) of textbooks.
//!
//! Balestriero, LeCun, "LeJEPA: Provable and Scalable Self-Supervised Learning Without the Heuristics", 2025,
//! arXiv:2511.08544 (SIGReg). The paper chooses the Epps-Pulley test; the others are those that it compares and that its code has. Each
//! call draws new directions from the runner's stream, and all groups of a call share them.
//!
//! # Deviations from the code
//! - anderson_darling computes log F exactly. The published code approximates it beyond 3 standard deviations, where it jumps by 0.02.
//! - jarque_bera divides by a variance of at least 1e-16. The code divides the squared mean by 0 on a collapsed slice.
//!
//! The tests on sorted projections are not differentiable where two projections are equal; equal ones are ranked in the order of their
//! points.
//!
//! # Shapes
//! points (g, n, d), directions (d, k) -> scalar, through one intermediate (g, n, k) per knot, or a few for the other tests. The kernel
//! needs one (n, k) per group.
//!
//! # Units
//! Dimensionless.
//!
//! # Errors
//! Returns an error only if a tensor operation fails.

mod fused;
mod knots;
mod normal;
mod normality;
mod sliced;

use fused::Slices;
use knots::{Knot, knots};
pub use normality::Test;
use regatta_core::kernels::{TINY_SQUARE, vector};
use regatta_core::maths::matmul;
use regatta_core::number::{Count, Positive};
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Scale, Tensor, regularizer, typetag};
use sliced::Sliced;

regularizer! {
    name: "sigreg",
    summary: "matches random one-dimensional projections to a standard normal by a test of normality",
    paper: "Balestriero, LeCun, \"LeJEPA\", 2025, arXiv:2511.08544",
    formula: "x = a·z for random unit directions a; the mean over a of a statistic, s_i the sorted x, m_i = (2i - 1)/(2n)
epps_pulley: n Σ_t w_t [(mean cos(t x) - exp(-t²/2))² + (mean sin(t x))²]
w_t = exp(-t²/2) dt at both ends of [0, t_max], 2 exp(-t²/2) dt inside
cramer_von_mises: mean_i (F(s_i) - m_i)², F the normal distribution function
watson: cramer_von_mises - (mean F(x) - 1/2)²
anderson_darling: -n - 2 Σ_i [m_i log F(s_i) + (1 - m_i) log F(-s_i)]
jarque_bera: n mean²/variance + (n - 1)/2 (variance - 1)² + n/6 [skewness² + (kurtosis - 3)²/4]",
    expects: "all tokens of a batch, rows with unit variance",
    variants: [
        SigReg { test: Test::CramerVonMises, ..Default::default() },
        SigReg { test: Test::Watson, ..Default::default() },
        SigReg { test: Test::AndersonDarling, ..Default::default() },
        SigReg { test: Test::JarqueBera, ..Default::default() },
    ],
    /// Distance of random one-dimensional projections from a standard normal.
    pub struct SigReg {
        /// The statistic of a slice: epps_pulley, cramer_von_mises, watson, anderson_darling or jarque_bera.
        pub test: Test = Test::EppsPulley,
        /// Number k of random directions.
        pub slices: Count<1, 65536> = Count::new(256),
        /// Number of knots t_j of epps_pulley, evenly spaced over [0, t_max].
        pub knots: Count<2, 1024> = Count::new(17) => [test: Test::EppsPulley],
        /// The last knot of epps_pulley.
        pub t_max: Positive = Positive::new(3.0) => [test: Test::EppsPulley],
    }
}

#[typetag::serde(name = "sigreg")]
impl Regularizer for SigReg {
    fn penalty(&self, cloud: &Cloud, draw: &mut Draw) -> Result<Tensor> {
        let (z, dims) = (cloud.points(), cloud.dims());
        let directions = Tensor::from_vec(self.directions(dims, draw), ((), dims), z.device())?;
        self.penalty_along(z, &directions.t()?.to_dtype(z.dtype())?)
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
        let directions = self.directions(cloud.dims(), draw);
        self.along(directions, cloud.dims()).penalties(cloud, draw)
    }
}

impl SigReg {
    /// Random unit directions, drawn in float32 on the CPU so that they do not depend on the cloud's dtype. -> (k, d)
    fn directions(&self, dims: usize, draw: &mut Draw) -> Vec<f32> {
        let mut directions = vec![0.0; self.slices.get() * dims];
        draw.fill_normals(&mut directions);
        let squares: Vec<f32> = directions.iter().map(|x| x * x).collect();
        let mut sums = vec![0.0; self.slices.get()];
        vector::sums_of_rows(&squares, dims, &mut sums);
        for (direction, square) in directions.chunks_exact_mut(dims).zip(sums) {
            let norm = (square + TINY_SQUARE as f32).sqrt();
            direction.iter_mut().for_each(|x| *x /= norm);
        }
        directions
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
        let statistic = match self.test {
            Test::EppsPulley => self.epps_pulley(&x)?,
            Test::CramerVonMises => normality::cramer_von_mises(&x)?,
            Test::Watson => normality::watson(&x)?,
            Test::AndersonDarling => normality::anderson_darling(&x)?,
            Test::JarqueBera => normality::jarque_bera(&x)?,
        };
        Ok(statistic.mean_all()?)
    }

    /// The statistic of each slice. (g, n, k) -> (g, k)
    fn epps_pulley(&self, x: &Tensor) -> Result<Tensor> {
        let n = x.dim(1)?;
        let mut statistic = x.zeros_like()?.mean(1)?; // (g, k)
        for Knot { t, target, weight } in self.quadrature() {
            let angles = (x * t)?;
            let real_error = (angles.cos()?.mean(1)? - target)?;
            let sine = angles.sin()?.mean(1)?;
            statistic = (statistic + ((real_error.sqr()? + sine.sqr()?)? * (n as f64 * weight))?)?;
        }
        Ok(statistic)
    }

    /// The kernel for given unit directions, the columns of `slices`, in float32. slices (d, k)
    ///
    /// # Errors
    /// Returns an error for another dtype.
    pub fn kernel_along(&self, slices: &Tensor) -> Result<impl Kernel + use<>> {
        let (dims, _) = slices.dims2()?;
        Ok(self.along(slices.t()?.flatten_all()?.to_vec1()?, dims))
    }

    /// The kernel for given unit directions. directions (k, d)
    fn along(&self, directions: Vec<f32>, dims: usize) -> Along {
        match self.test {
            Test::EppsPulley => Along::Knots(Slices::new(directions, dims, self.quadrature())),
            test => Along::Values(Sliced::new(directions, dims, test)),
        }
    }

    fn quadrature(&self) -> Vec<Knot> {
        knots(self.knots.get(), self.t_max.get())
    }
}

/// Directions, and what is done with the projections along each.
enum Along {
    /// Sums over points, at each knot.
    Knots(Slices),
    /// A test on the values of a slice.
    Values(Sliced),
}

impl Kernel for Along {
    fn penalties(&self, cloud: FloatCloud<'_>, draw: &mut Draw) -> Result<Vec<f64>> {
        match self {
            Self::Knots(slices) => slices.penalties(cloud, draw),
            Self::Values(slices) => slices.penalties(cloud, draw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;
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
    struct AlongOthers(SigReg);

    impl AlongOthers {
        /// (d, k)
        fn slices(&self, dims: usize) -> Result<Tensor> {
            Ok(Tensor::from_vec(self.0.directions(dims, &mut Draw::new(0, "test", 0, 0)), ((), dims), &Device::Cpu)?.t()?)
        }
    }

    #[typetag::serde(name = "sigreg_along_other_directions")]
    impl Regularizer for AlongOthers {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
            self.0.penalty_along(cloud.points(), &self.slices(cloud.dims())?.to_dtype(cloud.points().dtype())?)
        }

        fn kernel(&self) -> Option<&dyn Kernel> {
            Some(self)
        }
    }

    impl Kernel for AlongOthers {
        fn penalties(&self, cloud: FloatCloud<'_>, draw: &mut Draw) -> Result<Vec<f64>> {
            self.0.kernel_along(&self.slices(cloud.dims())?)?.penalties(cloud, draw)
        }
    }

    #[test]
    fn kernels_agree_with_tensor_operations() {
        for (slices, knots, t_max) in
            [(1, 2, 1.0), (16, 9, 3.0), (5, 10, 2.0), (16, 17, 3.0), (3, 18, 3.0), (19, 33, 5.0), (3, 100, 9.0)]
        {
            let regularizer = SigReg {
                slices: Count::new(slices),
                knots: Count::new(knots),
                t_max: Positive::new(t_max),
                ..Default::default()
            };
            regatta_core::conformance::kernel_agrees(&AlongOthers(regularizer), 1e-5);
        }
        regatta_core::conformance::kernel_agrees(&SigReg::default(), 1e-5);
        for test in [Test::CramerVonMises, Test::Watson, Test::AndersonDarling, Test::JarqueBera] {
            regatta_core::conformance::kernel_agrees(&AlongOthers(SigReg { slices: Count::new(19), ..of(test) }), 2e-5);
        }
    }

    fn of(test: Test) -> SigReg {
        SigReg { test, ..Default::default() }
    }

    /// Along the first axis and then along the second, of one value each.
    fn check_test(test: Test, points: [[f64; 2]; 3], expected: [f64; 2]) {
        let points = Tensor::new(&[points], &Device::Cpu).unwrap();
        for (axis, expected) in [[1.0, 0.0], [0.0, 1.0]].into_iter().zip(expected) {
            let slice = Tensor::new(&[axis], &Device::Cpu).unwrap().t().unwrap();
            let found = of(test).penalty_along(&points, &slice).unwrap().to_scalar::<f64>().unwrap();
            assert!((found - expected).abs() < 1e-12, "{test:?}: {found}, expected {expected}");
        }
    }

    /// Sorted along the first axis: 0 three times, with F = 1/2 beside 1/6, 1/2 and 5/6; along the second -3, 0, 3.
    #[test]
    fn other_tests_by_hand() {
        let points = [[0.0, 3.0], [0.0, -3.0], [0.0, 0.0]];
        let tail: f64 = 0.001_349_898_031_630_094_6; // F(-3)
        let off = 1.0 / 6.0 - tail;
        check_test(Test::CramerVonMises, points, [2.0 / 27.0, 2.0 / 3.0 * off * off]);
        check_test(Test::Watson, points, [2.0 / 27.0, 2.0 / 3.0 * off * off]); // symmetric: the mean of F is 1/2
        let shifted = points.map(|[x, y]| [x + 100.0, y]); // F = 1: the excess is 5/6, 1/2 and 1/6
        check_test(Test::CramerVonMises, shifted, [35.0 / 108.0, 2.0 / 3.0 * off * off]);
        check_test(Test::Watson, shifted, [35.0 / 108.0 - 0.25, 2.0 / 3.0 * off * off]);
        // m = 1/6, 1/2, 5/6: of both outer values the same
        let outer = tail.ln() / 6.0 + 5.0 / 6.0 * (1.0 - tail).ln();
        check_test(Test::AndersonDarling, points, [-3.0 + 6.0 * 2f64.ln(), -3.0 - 2.0 * (2.0 * outer - 2f64.ln())]);
        // variance 0: (n - 1)/2 + n/6·9/4; then variance 9, kurtosis 2/3: 64 + 1/8·(7/3)²
        check_test(Test::JarqueBera, points, [1.0 + 9.0 / 8.0, 64.0 + 49.0 / 72.0]);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<SigReg>();
    }
}
