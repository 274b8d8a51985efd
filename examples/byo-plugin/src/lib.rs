//! Mean resultant length of a cloud's directions, as a penalty.
//!
//! For a group of n points with unit vectors `u_i = z_i / ‖z_i‖`:
//! ```text
//! R²      = ‖1/n Σ_i u_i‖²          1 where all directions agree, 0 where they cancel, about 1/n where they are random
//! penalty = max(0, R² - allowed)
//! ```
//! R² is the mean cosine over all pairs, each point with itself included, without the n² of the pairs: it costs one sum. It
//! sees a common direction and nothing finer; a cloud on two opposite points pays nothing.
//!
//! R is the mean resultant length of Mardia & Jupp, "Directional Statistics", Wiley 2000, section 9.2; as a penalty it is this
//! example's own.

use regatta_core::number::Fraction;
use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, maths, regularizer, typetag};

regularizer! {
    name: "resultant",
    summary: "squared length of the mean direction",
    paper: "Mardia & Jupp, Directional Statistics, Wiley 2000, section 9.2",
    formula: "max(0, ‖mean_i z_i/‖z_i‖‖² - allowed)",
    expects: "points of a sequence, at any scale",
    /// Points should not share a direction.
    pub struct Resultant {
        /// Part of R² that is free.
        pub allowed: Fraction = Fraction::new(0.0),
    }
}

#[typetag::serde(name = "resultant")]
impl Regularizer for Resultant {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let directions = maths::unit(cloud.points())?; // (g, n, d)
        let squared_length = directions.mean(1)?.sqr()?.sum(1)?; // (g)
        Ok((squared_length - self.allowed.get())?.relu()?.mean_all()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check(points: [[f64; 2]; 2], allowed: f64, expected: f64) {
        let points = Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::new(points).unwrap();
        let resultant = Resultant { allowed: Fraction::new(allowed) };
        let found = resultant.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "found {found}, expected {expected}");
    }

    #[test]
    fn the_mean_direction_by_hand() {
        let points = [[3.0, 4.0], [0.0, 2.0]]; // (0.6, 0.8) and (0, 1): the mean is (0.3, 0.9), 0.09 + 0.81
        check(points, 0.0, 0.9);
        check(points, 0.5, 0.4);
    }

    #[test]
    fn agreement_pays_all_and_opposites_nothing() {
        check([[1.0, 0.0], [7.0, 0.0]], 0.0, 1.0);
        check([[1.0, 0.0], [-7.0, 0.0]], 0.0, 0.0);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<Resultant>();
        regatta_core::conformance::keeps_its_promises(&Resultant { allowed: Fraction::new(0.02) });
    }
}
