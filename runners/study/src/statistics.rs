//! What a handful of seeds can say: paired differences, their interval, and what they could have detected.
//!
//! All arms of a seed share their first weights and their batches, so the seed's own luck cancels in the difference of two of
//! its losses. With `x_1 .. x_n` those differences (arm - baseline, lower is better), `x̄` their mean and `s` their standard
//! deviation:
//! ```text
//! standard error  e = s / √n
//! t               = x̄ / e                                          with ν = n - 1 degrees of freedom
//! interval        = x̄ ± q e              q the 0.975 quantile of Student's t
//! p               = P(|T| ≥ |t|)         T of Student's t
//! effect size     d_z = x̄ / s
//! detectable      = λ e                  λ so that P(|T_λ| > q) = 0.8, T_λ of the noncentral t
//! ```
//! Student, "The probable error of a mean", Biometrika 6, 1908; Cohen, "Statistical Power Analysis for the Behavioral
//! Sciences", 2nd ed. 1988, sections 2.2 and 2.3; Wilcoxon, "Individual comparisons by ranking methods", Biometrics 1, 1945;
//! Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

use statrs::distribution::{Chi, Continuous, ContinuousCDF, Normal, StudentsT};

/// Chance of calling two equal arms different.
const ALPHA: f64 = 0.05;
/// Chance of seeing a difference as large as [`Paired::detectable`].
const POWER: f64 = 0.8;

/// What the differences between an arm and the baseline, one a seed, say together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// How many pairs: n.
    pub pairs: usize,
    /// Mean difference `x̄`.
    pub mean: f64,
    /// Lower end of the 95% interval of the mean difference.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Two-sided p of the paired t test.
    pub p: f64,
    /// Student's t; 0 where every difference is 0, infinite where all are equal and not 0.
    pub t: f64,
    /// Cohen's `d_z`: the mean difference in standard deviations of the differences; at its limits as t.
    pub effect_size: f64,
    /// The smallest true difference that this test at 5% would have found four times in five, were the spread as seen.
    pub detectable: f64,
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
        let error = spread / (pairs as f64).sqrt();
        let student = StudentsT::new(0.0, 1.0, pairs as f64 - 1.0).ok()?;
        let quantile = student.inverse_cdf(1.0 - ALPHA / 2.0);
        let t = ratio(mean, error);
        Some(Self {
            pairs,
            mean,
            low: mean - quantile * error,
            high: mean + quantile * error,
            p: if t.is_finite() { 2.0 * student.sf(t.abs()) } else { 0.0 },
            t,
            effect_size: ratio(mean, spread),
            detectable: if error > 0.0 { detectable_shift(pairs - 1, quantile)? * error } else { 0.0 },
        })
    }
}

/// `mean / spread`, and 0 where both are 0.
fn ratio(mean: f64, spread: f64) -> f64 {
    if mean == 0.0 { 0.0 } else { mean / spread }
}

/// In words, what the interval says; a loss is better when it is lower.
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

/// Reads the interval of `arm - baseline`.
pub fn verdict(paired: Option<&Paired>) -> Verdict {
    match paired {
        None => Verdict::Unknown,
        Some(paired) if paired.high < 0.0 => Verdict::Better,
        Some(paired) if paired.low > 0.0 => Verdict::Worse,
        Some(_) => Verdict::NoDifference,
    }
}

/// Arithmetic mean; `None` of nothing. Measured from the first value, so that equal values have exactly that mean.
pub fn mean(values: &[f64]) -> Option<f64> {
    let origin = *values.first()?;
    Some(origin + values.iter().map(|x| x - origin).sum::<f64>() / values.len() as f64)
}

/// Standard deviation with n - 1; `None` of fewer than two values.
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    Some((squares / (values.len() as f64 - 1.0)).sqrt())
}

/// Standard error of the mean, `s / √n`; `None` of fewer than two values.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    Some(standard_deviation(values)? / (values.len() as f64).sqrt())
}

/// The shift λ, in standard errors, at which the two-sided t test of `freedom` degrees finds a difference with [`POWER`].
///
/// Power grows with λ: the root lies between 0, where it is 5%, and a doubled bound, and is halved in until it stops moving.
fn detectable_shift(freedom: usize, quantile: f64) -> Option<f64> {
    let (mut low, mut high) = (0.0, 1.0);
    while power(freedom, quantile, high)? < POWER {
        (low, high) = (high, 2.0 * high);
    }
    while high - low > 1e-10 * high {
        let middle = (low + high) / 2.0;
        if power(freedom, quantile, middle)? < POWER { low = middle } else { high = middle }
    }
    Some((low + high) / 2.0)
}

/// `P(|T_λ| > q)` for `T_λ = (Z + λ) / (c / √ν)` with Z standard normal and c of the chi distribution.
///
/// Given c, |T_λ| ≤ q says that Z lies between -qc/√ν - λ and qc/√ν - λ; what is left is an integral over c, by Simpson's rule.
/// c has a mean of about √ν and a standard deviation below 1, so nothing that counts lies further than 9 from √ν.
fn power(freedom: usize, quantile: f64, shift: f64) -> Option<f64> {
    const STEPS: usize = 4_000; // even; an error of 3e-10 at ν = 1, where the integrand is steepest, and less above
    let normal = Normal::standard();
    let chi = Chi::new(freedom as u64).ok()?;
    let root = (freedom as f64).sqrt();
    let (start, end) = ((root - 9.0).max(0.0), root + 9.0);
    let step = (end - start) / STEPS as f64;
    let kept: f64 = (1..=STEPS)
        .map(|index| {
            let c = start + index as f64 * step;
            let bound = quantile * c / root;
            let simpson = if index == STEPS { 1.0 } else { 2.0 + 2.0 * (index % 2) as f64 };
            // at index 0 nothing is kept: either c is 0, where the bounds meet, or its density vanishes
            simpson * chi.pdf(c) * (normal.cdf(bound - shift) - normal.cdf(-bound - shift))
        })
        .sum();
    Some(1.0 - kept * step / 3.0)
}

/// Exact two-sided p of Wilcoxon's signed-rank test; `None` where no difference is left once zeros are dropped.
///
/// Under the null hypothesis each rank's sign is a fair coin, so the distribution of the positive ranks' sum is built up rank by
/// rank. Ties take their mean rank; ranks are doubled to keep them whole. Time grows with n³, which suits seeds.
pub fn wilcoxon_p(differences: &[f64]) -> Option<f64> {
    let mut ordered: Vec<f64> = differences.iter().copied().filter(|x| *x != 0.0).collect();
    if ordered.is_empty() || ordered.iter().any(|x| !x.is_finite()) {
        return None;
    }
    ordered.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let count = ordered.len();
    let mut chance = vec![0.0; count * (count + 1) + 1]; // of each doubled sum of positive ranks
    chance[0] = 1.0;
    let (mut reached, mut found) = (0, 0);
    for tie in ordered.chunk_by(|a, b| a.abs() == b.abs()) {
        let before = ordered.partition_point(|x| x.abs() < tie[0].abs());
        let doubled = 2 * before + tie.len() + 1; // (before + 1) + (before + tie.len())
        for difference in tie {
            reached += doubled;
            for sum in (0..=reached).rev() {
                let taken = if sum >= doubled { chance[sum - doubled] } else { 0.0 };
                chance[sum] = 0.5 * (chance[sum] + taken);
            }
            if *difference > 0.0 {
                found += doubled;
            }
        }
    }
    let (below, above): (f64, f64) = (chance[..=found].iter().sum(), chance[found..].iter().sum());
    Some((2.0 * below.min(above)).min(1.0))
}

/// Holm's step-down adjustment of p values that are judged together, in the order given.
///
/// The k-th smallest of m (from 0) is multiplied by m - k, and no adjusted value is below one before it.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0f64;
    for (k, &index) in order.iter().enumerate() {
        largest = largest.max((p.len() - k) as f64 * p[index]).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
    }

    #[test]
    fn three_differences_by_hand() {
        // mean 2, s = 1, e = 1/√3; ν = 2, where the quantile is 0.95·√(2 / (1 - 0.95²)) and P(T > t) = (1 - t/√(2 + t²)) / 2
        let paired = Paired::of(&[1.0, 2.0, 3.0]).unwrap();
        let (t, half) = (12f64.sqrt(), 0.95 * (2.0 / (1.0 - 0.95f64.powi(2))).sqrt() / 3f64.sqrt());
        check(paired.t, t);
        check(paired.low, 2.0 - half);
        check(paired.high, 2.0 + half);
        check(paired.p, 1.0 - t / (2.0 + t * t).sqrt());
        check(paired.effect_size, 2.0);
        assert_eq!(verdict(Some(&paired)), Verdict::NoDifference); // 2 ± 2.48
    }

    #[test]
    fn two_pairs_follow_cauchy() {
        // ν = 1: P(T > t) = 1/2 - arctan(t)/π, so t = 3 / 1 gives p = 1 - 2·arctan(3)/π
        let paired = Paired::of(&[2.0, 4.0]).unwrap();
        check(paired.p, 1.0 - 2.0 * 3f64.atan() / std::f64::consts::PI);
        check((paired.high - paired.low) / 2.0, (0.475 * std::f64::consts::PI).tan());
    }

    #[test]
    fn without_a_shift_the_power_is_alpha_and_with_many_pairs_it_is_normal() {
        for freedom in [1, 2, 7, 400] {
            let quantile = StudentsT::new(0.0, 1.0, freedom as f64).unwrap().inverse_cdf(0.975);
            check(power(freedom, quantile, 0.0).unwrap(), 0.05);
        }
        let shift = detectable_shift(1_000_000, 1.959963984540054).unwrap(); // 1.960 + 0.842
        assert!((shift - 2.801585).abs() < 1e-4, "{shift}");
    }

    #[test]
    fn no_spread_is_no_panic() {
        let same = Paired::of(&[0.0; 3]).unwrap();
        assert_eq!((same.low, same.high, same.p, same.t, same.detectable), (0.0, 0.0, 1.0, 0.0, 0.0));
        assert_eq!(verdict(Some(&same)), Verdict::NoDifference);
        let shifted = Paired::of(&[-0.1; 3]).unwrap();
        assert_eq!((shifted.low, shifted.high, shifted.p), (-0.1, -0.1, 0.0));
        assert_eq!((shifted.t, shifted.effect_size), (f64::NEG_INFINITY, f64::NEG_INFINITY));
        assert_eq!(verdict(Some(&shifted)), Verdict::Better);
    }

    #[test]
    fn what_cannot_be_judged_is_unknown() {
        for differences in [&[][..], &[0.3], &[0.1, f64::NAN], &[0.1, f64::INFINITY]] {
            assert_eq!(Paired::of(differences), None);
        }
        assert_eq!(verdict(None), Verdict::Unknown);
        assert_eq!(verdict(Paired::of(&[0.9, 1.0, 1.1]).as_ref()), Verdict::Worse); // 1 ± 0.25
        assert_eq!((mean(&[]), standard_deviation(&[1.0]), standard_error(&[1.0])), (None, None, None));
        check(standard_error(&[1.0, 2.0, 3.0, 4.0]).unwrap(), (5.0f64 / 3.0).sqrt() / 2.0);
    }

    #[test]
    fn signed_ranks_by_hand() {
        check(wilcoxon_p(&[1.0, 2.0, 3.0]).unwrap(), 0.25); // the largest sum of 8 equally likely ones, doubled
        check(wilcoxon_p(&[-1.0, 2.0, 3.0, 0.0]).unwrap(), 0.5); // sums 5 and 6 of {1, 2, 3}: 2 of 8, doubled
        check(wilcoxon_p(&[1.0, 1.0, -1.0]).unwrap(), 1.0); // all ranks 2: two or more of three coins, 4 of 8, doubled
        assert_eq!(wilcoxon_p(&[0.0, 0.0]), None);
    }

    #[test]
    fn holm_by_hand() {
        let adjusted = holm(&[0.04, 0.01, 0.03]); // 3·0.01; 2·0.03; 1·0.04 raised to 0.06
        adjusted.iter().zip([0.06, 0.03, 0.06]).for_each(|(a, e)| check(*a, e));
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
