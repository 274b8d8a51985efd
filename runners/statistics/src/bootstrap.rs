//! An interval that assumes no shape of the distribution; with few seeds it is too short.

use super::paired::Interval;
use super::{ALPHA, mean};
use regatta_core::Draw;

/// Resamples of the differences: the ends of an interval then move by about a fiftieth of its width from draw to draw.
const RESAMPLES: usize = 10_000;

/// The 95% percentile interval of the mean difference: from the 0.025 to the 0.975 quantile of the means of 10,000 resamples,
/// each of n differences drawn with replacement. `None` of fewer than two, or where one is not finite.
///
/// The draw is fixed, so the same differences always give the same interval. Quantiles are interpolated
/// linearly. With few differences it is too short: n of them leave out what none of them showed, and below four the interval
/// runs from the least to the greatest. No verdict is read from it.
pub fn bootstrap_interval(differences: &[f64]) -> Option<Interval> {
    let count = differences.len();
    if count < 2 || differences.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let centre = mean(differences)?;
    let mut draw = Draw::new(0, "statistics.bootstrap", 0, 0);
    // measured from the mean: differences that are all equal give exactly that mean
    let mut shifts: Vec<f64> =
        (0..RESAMPLES).map(|_| (0..count).map(|_| differences[draw.below(count)] - centre).sum::<f64>() / count as f64).collect();
    shifts.sort_by(f64::total_cmp);
    Some(Interval { low: centre + quantile(&shifts, ALPHA / 2.0), high: centre + quantile(&shifts, 1.0 - ALPHA / 2.0) })
}

/// The `p` quantile of `sorted`, by linear interpolation between neighbours.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn two_differences_reach_from_one_to_the_other() {
        // means of resamples: 0 with a chance of 1/4, 1 with 1/2, 2 with 1/4
        let interval = bootstrap_interval(&[0.0, 2.0]).unwrap();
        check(interval.low, 0.0);
        check(interval.high, 2.0);
        assert_eq!(bootstrap_interval(&[-0.1; 4]), Some(Interval { low: -0.1, high: -0.1 }));
    }

    #[test]
    fn the_ends_cut_two_and_a_half_percent_of_all_resamples() {
        // all 5^5 resamples are as likely: counted one by one
        let differences = [0.0, 1.0, 3.0, 7.0, 20.0];
        let mut means: Vec<f64> = (0..5usize.pow(5))
            .map(|code| (0..5).map(|place| differences[code / 5usize.pow(place) % 5]).sum::<f64>() / 5.0)
            .collect();
        means.sort_by(f64::total_cmp);
        let fraction =
            |below: &dyn Fn(f64) -> bool| means.iter().filter(|mean| below(**mean)).count() as f64 / means.len() as f64;
        let interval = bootstrap_interval(&differences).unwrap();
        let slack = 4.0 * (0.025f64 * 0.975 / 10_000.0).sqrt(); // four standard deviations of a fraction of 10,000 resamples
        for (end, aim) in [(interval.low, 0.025), (interval.high, 0.975)] {
            assert!(fraction(&|mean| mean < end - 1e-9) <= aim + slack, "{end} leaves too much below");
            assert!(fraction(&|mean| mean <= end + 1e-9) >= aim - slack, "{end} leaves too little below");
        }
    }

    #[test]
    fn the_same_differences_give_the_same_interval() {
        let differences = [0.11, -0.2, 0.31, 0.02, 0.07];
        assert_eq!(bootstrap_interval(&differences), bootstrap_interval(&differences));
        for differences in [&[][..], &[0.1], &[0.1, f64::INFINITY]] {
            assert_eq!(bootstrap_interval(differences), None);
        }
    }
}
