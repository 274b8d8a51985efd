//! How large a difference a t test finds four times in five.

use statrs::function::gamma::gamma_lr;
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// Shifts that were found, by freedom and the bits of the quantile: a study asks for the same one for every arm.
    static FOUND: RefCell<BTreeMap<(usize, u64), f64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Chance of seeing a difference as large as the one that is called detectable.
const POWER: f64 = 0.8;
/// How far off the chance may be in each piece. Much less would ask for more digits than the incomplete gamma function has at
/// thousands of degrees.
const TOLERANCE: f64 = 1e-9;

/// The shift λ, in standard errors, at which the two-sided t test of `freedom` degrees with the critical value `quantile` finds
/// a difference with a chance of 80%.
///
/// The chance grows with λ: the root lies between 0 and a doubled bound, and is halved in until it stops moving.
pub(super) fn detectable_shift(freedom: usize, quantile: f64) -> f64 {
    let key = (freedom, quantile.to_bits());
    if let Some(shift) = FOUND.with_borrow(|found| found.get(&key).copied()) {
        return shift;
    }
    let shift = search(freedom, quantile);
    FOUND.with_borrow_mut(|found| found.insert(key, shift));
    shift
}

fn search(freedom: usize, quantile: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while power(freedom, quantile, high) < POWER {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > 1e-10 * high {
        let middle = (low + high) / 2.0;
        if power(freedom, quantile, middle) < POWER { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// `P(|T_λ| > q)` for `T_λ = (Z + λ) / √(V / ν)` with Z standard normal and V of the chi-squared distribution of ν degrees.
///
/// Given Z = z, |T_λ| > q says that `V < ν ((z + λ) / q)²`; what is left is an integral over z. Nothing that counts lies further
/// than 9 from 0. The integrand has a kink where z + λ is 0 and rises steeply, the more so the larger ν, where |z + λ| is q: the
/// integral is taken piece by piece between those places.
fn power(freedom: usize, quantile: f64, shift: f64) -> f64 {
    let half = freedom as f64 / 2.0;
    let density = |z: f64| {
        let bound = half * ((z + shift) / quantile).powi(2);
        let below = if bound > 0.0 { gamma_lr(half, bound) } else { 0.0 }; // it refuses 0
        below * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
    };
    let mut places = [-9.0, -quantile - shift, -shift, 0.0, quantile - shift, 9.0].map(|z: f64| z.clamp(-9.0, 9.0));
    places.sort_by(f64::total_cmp);
    places.windows(2).map(|piece| Piece::new(&density, piece[0], piece[1]).integral(&density, TOLERANCE, 24)).sum()
}

/// A stretch of a curve: its ends, and its height there and in the middle.
struct Piece {
    ends: (f64, f64),
    heights: (f64, f64, f64),
}

impl Piece {
    fn new(curve: &impl Fn(f64) -> f64, from: f64, to: f64) -> Self {
        Self { ends: (from, to), heights: (curve(from), curve((from + to) / 2.0), curve(to)) }
    }

    /// Simpson's rule.
    fn estimate(&self) -> f64 {
        (self.ends.1 - self.ends.0) / 6.0 * (self.heights.0 + 4.0 * self.heights.1 + self.heights.2)
    }

    /// Simpson's rule on halves of halves, until halving changes nothing that counts: an estimate from two halves is 15 times
    /// as close as their difference from the whole.
    fn integral(self, curve: &impl Fn(f64) -> f64, tolerance: f64, halvings: u32) -> f64 {
        let (from, to) = self.ends;
        if from == to {
            return 0.0;
        }
        let middle = (from + to) / 2.0;
        let half = |ends: (f64, f64), heights: (f64, f64)| Piece {
            ends,
            heights: (heights.0, curve((ends.0 + ends.1) / 2.0), heights.1),
        };
        let left = half((from, middle), (self.heights.0, self.heights.1));
        let right = half((middle, to), (self.heights.1, self.heights.2));
        let halves = left.estimate() + right.estimate();
        let change = halves - self.estimate();
        // a first look at five places may miss a narrow rise: only pieces shorter than 1 are trusted
        if halvings == 0 || (to - from < 1.0 && change.abs() <= 15.0 * tolerance) {
            return halves + change / 15.0;
        }
        left.integral(curve, tolerance / 2.0, halvings - 1) + right.integral(curve, tolerance / 2.0, halvings - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use statrs::distribution::{ContinuousCDF, StudentsT};

    fn quantile(freedom: usize, comparisons: f64) -> f64 {
        StudentsT::new(0.0, 1.0, freedom as f64).unwrap().inverse_cdf(1.0 - 0.025 / comparisons)
    }

    #[test]
    fn without_a_shift_the_power_is_the_level() {
        for freedom in [1, 2, 7, 400] {
            check(power(freedom, quantile(freedom, 1.0), 0.0), 0.05);
            check(power(freedom, quantile(freedom, 20.0), 0.0), 0.0025);
        }
    }

    #[test]
    fn with_many_pairs_the_shift_is_that_of_a_normal() {
        let shift = detectable_shift(9_999, 1.960201); // 1.960 + 0.842
        assert!((shift - 2.801585).abs() < 1e-3, "{shift}");
    }

    #[test]
    fn with_two_pairs_and_many_comparisons_the_spread_alone_decides() {
        // q is large, so λ is too, and |T_λ| > q says that |c| < λ/q for c standard normal: a chance of 0.8 at λ/q = 1.2816
        let shift = detectable_shift(1, 6366.2);
        assert!((shift / 6366.2 - 1.2815516).abs() < 1e-5, "{shift}");
    }
}
