//! Middle and spread of a few numbers.

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

/// Mean of the sorted values without the first and the last `⌊n/4⌋`; `None` of nothing or where a value is not finite.
///
/// Whole values are cut, as `scipy.stats.trim_mean(values, 0.25)` and with it rliable do: none of fewer than four, where it is
/// the mean. A definition that cuts a quarter exactly, by weighting the values at the edges, differs where n is no multiple of 4.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    if values.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(&sorted[cut..sorted.len() - cut])
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn middle_and_spread_by_hand() {
        assert_eq!((mean(&[]), standard_deviation(&[1.0]), standard_error(&[1.0])), (None, None, None));
        assert_eq!(mean(&[0.1; 3]), Some(0.1));
        check(standard_error(&[1.0, 2.0, 3.0, 4.0]).unwrap(), (5.0f64 / 3.0).sqrt() / 2.0);
    }

    #[test]
    fn a_quarter_at_each_end_does_not_count() {
        check(interquartile_mean(&[1.0, 2.0, 90.0]).unwrap(), 31.0); // nothing is cut of three
        check(interquartile_mean(&[90.0, 2.0, 1.0, 4.0]).unwrap(), 3.0); // 2 and 4 are left
        check(interquartile_mean(&[0.0, 1.0, 2.0, 6.0, 7.0, 7.0, 99.0]).unwrap(), 23.0 / 5.0); // one is cut on each side
        assert_eq!(interquartile_mean(&[]), None);
        assert_eq!(interquartile_mean(&[1.0, f64::NAN]), None);
    }
}
