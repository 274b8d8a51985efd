//! resultant: the squared mean resultant length of a cloud's directions, as a penalty.
//!
//! For a group of n points with unit vectors `u_i = z_i / ‖z_i‖`:
//! ```text
//! R²      = ‖1/n Σ_i u_i‖²          1 if all directions agree, 0 if they cancel, about 1/n if they are random
//! penalty = max(0, R² - allowed)    averaged over groups
//! ```
//! R² is the mean cosine over all pairs, each point with itself included, computed as one sum instead of n² cosines. It sees
//! a common direction and nothing finer: two opposite clusters of the same size pay nothing.
//!
//! R is the mean resultant length of Mardia & Jupp, "Directional Statistics", Wiley 2000, section 9.2. As a penalty it is an
//! example, to be replaced by a method of your own: formula, source and deviations from the source belong up here.
//!
//! # Shapes
//! points (g, n, d): groups, points per group, dims; penalty: a scalar

use regatta_core::number::Fraction;
use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, maths, regularizer, typetag};

regularizer! {
    name: "resultant",
    summary: "squared length of the mean direction",
    paper: "Mardia & Jupp, Directional Statistics, Wiley 2000, section 9.2",
    formula: "max(0, ‖mean_i z_i/‖z_i‖‖² - allowed)",
    expects: "points of a sequence, at any scale",
    /// Penalises a common direction.
    pub struct Resultant {
        /// R² that costs nothing.
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
        let allowed = Fraction::new(allowed);
        let plugin = Resultant { allowed };
        let penalty = plugin.penalty(&cloud, &mut Draw::new(0, "test", 0, 0));
        let found = penalty.unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{found} != {expected}");
    }

    #[test]
    fn the_mean_direction_by_hand() {
        // (0.6, 0.8) and (0, 1): the mean is (0.3, 0.9), 0.09 + 0.81 = 0.9
        let points = [[3.0, 4.0], [0.0, 2.0]];
        check(points, 0.0, 0.9);
        check(points, 0.5, 0.4);
    }

    #[test]
    fn one_direction_pays_all_and_opposites_pay_nothing() {
        check([[1.0, 0.0], [7.0, 0.0]], 0.0, 1.0);
        check([[1.0, 0.0], [-7.0, 0.0]], 0.0, 0.0);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<Resultant>();
    }
}
