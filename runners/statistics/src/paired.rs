//! The differences between two arms, one per seed, and their summary.

use super::power::detectable_shift;
use super::{ALPHA, mean, standard_deviation};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Where a true value plausibly lies, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A summary of the differences between an arm and the baseline, one per seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// How many pairs: n.
    pub pairs: usize,
    /// Mean difference `x̄`.
    pub mean: f64,
    /// Its standard error `s / √n`.
    pub standard_error: f64,
    /// Student's t; 0 where every difference is 0, infinite where all are equal and not 0.
    pub t: f64,
    /// Two-sided p of the paired t test, of this comparison alone.
    pub p: f64,
    /// Cohen's `d_z`: the mean difference in standard deviations of the differences; at its limits as t.
    pub effect_size: f64,
    student: StudentsT,
}

impl Paired {
    /// The summary of `differences`, arm - baseline; `None` where there are fewer than two, or one is not finite.
    ///
    /// Differences that are all equal leave no spread to judge by: the interval is then one point, and p is 1 where they are 0
    /// and else 0.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let pairs = differences.len();
        if pairs < 2 || differences.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let mean = mean(differences)?;
        let spread = standard_deviation(differences)?;
        let standard_error = spread / (pairs as f64).sqrt();
        let student = StudentsT::new(0.0, 1.0, pairs as f64 - 1.0).ok()?;
        let t = ratio(mean, standard_error);
        let p = if t.is_finite() { 2.0 * student.sf(t.abs()) } else { 0.0 };
        Some(Self { pairs, mean, standard_error, t, p, effect_size: ratio(mean, spread), student })
    }

    /// The interval of the mean difference at level `1 - 0.05 / comparisons`, `x̄ ± q_m e`. Of so many intervals all hold their
    /// true differences with a chance of 95% or more (Bonferroni's inequality); of one it is the plain 95% interval.
    pub fn interval(&self, comparisons: usize) -> Interval {
        let half = self.quantile(comparisons) * self.standard_error;
        Interval { low: self.mean - half, high: self.mean + half }
    }

    /// The smallest true difference that [`Self::interval`] of so many comparisons would have told from 0 four times in five,
    /// were the spread as seen. NaN where no spread was seen: differences that are all equal do not say how small a one they would
    /// have shown.
    pub fn detectable(&self, comparisons: usize) -> f64 {
        if self.standard_error > 0.0 {
            detectable_shift(self.pairs - 1, self.quantile(comparisons)) * self.standard_error
        } else {
            f64::NAN
        }
    }

    /// `q_m`: Student's t exceeds it on either side with a chance of `0.05 / comparisons`.
    fn quantile(&self, comparisons: usize) -> f64 {
        self.student.inverse_cdf(1.0 - ALPHA / comparisons.max(1) as f64 / 2.0)
    }
}

/// `mean / spread`, and 0 where both are 0.
fn ratio(mean: f64, spread: f64) -> f64 {
    if mean == 0.0 { 0.0 } else { mean / spread }
}

/// The verdict that an interval gives; a loss is better when it is lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The whole interval lies below 0.
    Better,
    /// The whole interval lies above 0.
    Worse,
    /// The interval holds 0: these seeds cannot tell the arm from the baseline.
    NoDifference,
    /// There is no interval: fewer than two pairs, or a loss that is not finite.
    Unknown,
}

/// Reads the interval of `arm - baseline`: that of all comparisons which are judged together, or the verdict claims too much.
pub fn verdict(interval: Option<Interval>) -> Verdict {
    match interval {
        None => Verdict::Unknown,
        Some(interval) if interval.high < 0.0 => Verdict::Better,
        Some(interval) if interval.low > 0.0 => Verdict::Worse,
        Some(_) => Verdict::NoDifference,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn three_differences_by_hand() {
        // mean 2, s = 1, e = 1/√3; ν = 2, where the quantile is 0.95·√(2 / (1 - 0.95²)) and P(T > t) = (1 - t/√(2 + t²)) / 2
        let paired = Paired::of(&[1.0, 2.0, 3.0]).unwrap();
        let (t, half) = (12f64.sqrt(), 0.95 * (2.0 / (1.0 - 0.95f64.powi(2))).sqrt() / 3f64.sqrt());
        let interval = paired.interval(1);
        check(paired.t, t);
        check(interval.low, 2.0 - half);
        check(interval.high, 2.0 + half);
        check(paired.p, 1.0 - t / (2.0 + t * t).sqrt());
        check(paired.effect_size, 2.0);
        assert_eq!(verdict(Some(interval)), Verdict::NoDifference); // 2 ± 2.48
    }

    #[test]
    fn two_pairs_follow_cauchy() {
        // ν = 1: P(T > t) = 1/2 - arctan(t)/π, so t = 3 / 1 gives p = 1 - 2·arctan(3)/π
        let paired = Paired::of(&[2.0, 4.0]).unwrap();
        check(paired.p, 1.0 - 2.0 * 3f64.atan() / std::f64::consts::PI);
        let half = |comparisons| (paired.interval(comparisons).high - paired.interval(comparisons).low) / 2.0;
        check(half(1), (0.475 * std::f64::consts::PI).tan());
        check(half(5), (0.495 * std::f64::consts::PI).tan()); // 1% shared by both sides
        let wide = (0.49995 * std::f64::consts::PI).tan(); // of 500 comparisons: 6366
        assert!((half(500) / wide - 1.0).abs() < 1e-7, "{} and {wide}", half(500));
    }

    #[test]
    fn more_comparisons_take_a_verdict_back() {
        // mean 1, s = 0.1, e = 0.1/√3, ν = 2: q is 4.303 alone and 0.99·√(2 / (1 - 0.99²)) = 9.925 of five; of 100 it is 44.7
        let paired = Paired::of(&[0.9, 1.0, 1.1]).unwrap();
        let half = 0.99 * (2.0 / (1.0 - 0.99f64.powi(2))).sqrt() * 0.1 / 3f64.sqrt();
        check(paired.interval(5).low, 1.0 - half);
        check(paired.interval(5).high, 1.0 + half);
        assert_eq!(verdict(Some(paired.interval(5))), Verdict::Worse); // 1 ± 0.57
        assert_eq!(verdict(Some(paired.interval(100))), Verdict::NoDifference); // 1 ± 2.58
        assert_eq!(paired.interval(0), paired.interval(1));
        assert!(paired.detectable(5) > 1.5 * paired.detectable(1));
    }

    #[test]
    fn no_spread_is_no_panic() {
        let same = Paired::of(&[0.0; 3]).unwrap();
        assert_eq!((same.interval(4), same.p, same.t), (Interval { low: 0.0, high: 0.0 }, 1.0, 0.0));
        assert_eq!(same.effect_size, 0.0);
        assert!(same.detectable(4).is_nan(), "not that 0 could have been detected");
        assert_eq!(verdict(Some(same.interval(4))), Verdict::NoDifference);
        let shifted = Paired::of(&[-0.1; 3]).unwrap();
        assert_eq!((shifted.interval(4), shifted.p), (Interval { low: -0.1, high: -0.1 }, 0.0));
        assert_eq!((shifted.t, shifted.effect_size), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert_eq!(verdict(Some(shifted.interval(4))), Verdict::Better);
    }

    #[test]
    fn what_cannot_be_judged_is_unknown() {
        for differences in [&[][..], &[0.3], &[0.1, f64::NAN], &[0.1, f64::INFINITY]] {
            assert_eq!(Paired::of(differences), None);
        }
        assert_eq!(verdict(None), Verdict::Unknown);
    }
}
