//! A power law of loss against model size.

use super::{ALPHA, Interval, Paired, mean};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// `loss = a · parameters^(-b)`, fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// The factor: the loss that the line has at one parameter, nats per token.
    pub a: f64,
    /// The exponent; above 0 larger models have a lower loss.
    pub b: f64,
    /// 95% interval of the exponent; none where nothing says how sure it is.
    pub interval: Option<Interval>,
    /// How many models it rests on: k.
    pub sizes: usize,
    /// Seeds that all of them finished: n.
    pub seeds: usize,
}

/// Fits `loss = a · parameters^(-b)`.
///
/// `models` is parameters and losses of each model, the losses of the same n seeds in the same order. With `x_i = ln parameters`
/// of model i of k, `y_is = ln loss` of its seed s, `ȳ_i` the mean of the latter over seeds, `x̄` and `ȳ` means over models and
/// `S = Σ_i (x_i - x̄)²`:
/// ```text
/// -b      = Σ_i (x_i - x̄) (ȳ_i - ȳ) / S         ln a = ȳ + b x̄
/// k ≥ 3:    b ± q e     e² = Σ_i (ȳ_i - ln a + b x_i)² / ((k - 2) S)       q the 0.975 quantile of t, k - 2 degrees
/// k = 2:    b ± q e     e = s / √n, s the standard deviation of the b_s    q the same of n - 1 degrees
/// ```
/// with `b_s` the exponent of the losses of seed s alone, whose mean is b. All (model, seed) pairs count alike, since every model
/// has every seed; but seeds of one model are not observations of their own of the line, which its own shape sets apart from
/// others in the same way for each seed. So from three models on, the interval rests on the k means and how far off the line
/// they lie, which holds both the seeds' noise and a law that does not fit. Two models always lie on a line: there the interval
/// knows the noise of seeds alone.
///
/// Least squares and its interval: Draper and Smith, "Applied Regression Analysis", 3rd ed. 1998, section 1.4. One slope per
/// subject as a summary: Matthews et al., "Analysis of serial measurements in medical research", BMJ 300, 1990. The law: Kaplan
/// et al., "Scaling Laws for Neural Language Models", 2020, arXiv:2001.08361, section 1.2.
///
/// `None` of fewer than two different sizes, of no seed, of models with unlike numbers of losses, and where a size or a loss is
/// not finite and above 0.
pub fn power_law(models: &[(f64, Vec<f64>)]) -> Option<PowerLaw> {
    let seeds = models.first()?.1.len();
    let legal = |value: &f64| value.is_finite() && *value > 0.0;
    if seeds == 0 || !models.iter().all(|(size, losses)| legal(size) && losses.len() == seeds && losses.iter().all(legal)) {
        return None;
    }
    let x: Vec<f64> = models.iter().map(|(size, _)| size.ln()).collect();
    let means = models.iter().map(|(_, losses)| mean(&losses.iter().map(|loss| loss.ln()).collect::<Vec<_>>()));
    let y = means.collect::<Option<Vec<f64>>>()?;
    let slope = slope_of(&x, &y)?;
    let (x_mean, y_mean) = (mean(&x)?, mean(&y)?);
    let intercept = y_mean - slope * x_mean;
    let squares: f64 = x.iter().map(|x| (x - x_mean).powi(2)).sum();
    let interval = match models.len() - 2 {
        0 => {
            let of_seed = |seed: usize| slope_of(&x, &[0, 1].map(|model| models[model].1[seed].ln()));
            let slopes: Vec<f64> = (0..seeds).filter_map(of_seed).map(|slope| -slope).collect();
            Paired::of(&slopes).map(|slopes| slopes.interval(1))
        }
        freedom => {
            let misses: f64 = x.iter().zip(&y).map(|(x, y)| (y - intercept - slope * x).powi(2)).sum();
            let error = (misses / freedom as f64 / squares).sqrt();
            let student = StudentsT::new(0.0, 1.0, freedom as f64).ok()?;
            let half = student.inverse_cdf(1.0 - ALPHA / 2.0) * error;
            Some(Interval { low: -slope - half, high: -slope + half })
        }
    };
    Some(PowerLaw { a: intercept.exp(), b: -slope, interval, sizes: models.len(), seeds })
}

/// Slope of the least squares line through `(x, y)`; none where all x are alike.
fn slope_of(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x_mean, y_mean) = (mean(x)?, mean(y)?);
    let squares: f64 = x.iter().map(|x| (x - x_mean).powi(2)).sum();
    let products: f64 = x.iter().zip(y).map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    (squares > 0.0).then(|| products / squares)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    /// 0.975 quantile of Student's t with one degree of freedom, Cauchy's.
    fn cauchy() -> f64 {
        (0.475 * std::f64::consts::PI).tan()
    }

    /// Models by ln of their size, with ln of their losses.
    fn fitted(models: &[(f64, &[f64])]) -> Option<PowerLaw> {
        let model = |(size, losses): &(f64, &[f64])| (size.exp(), losses.iter().map(|loss| loss.exp()).collect());
        power_law(&models.iter().map(model).collect::<Vec<_>>())
    }

    #[test]
    fn an_exact_law_is_found() {
        // loss = 2 / √parameters
        let law = power_law(&[(1.0, vec![2.0; 2]), (4.0, vec![1.0; 2]), (16.0, vec![0.5; 2])]).unwrap();
        check(law.a, 2.0);
        check(law.b, 0.5);
        check(law.interval.unwrap().low, 0.5);
        assert_eq!((law.sizes, law.seeds), (3, 2));
    }

    #[test]
    fn three_sizes_are_judged_by_how_far_off_the_line_they_lie() {
        // x 0, 1, 2 and means 1, 0, -2: slope (-1·1 + 1·(-2)) / 2, misses -1/6, 1/3, -1/6 with squares 1/6; e² = (1/6) / 1 / 2
        let law = fitted(&[(0.0, &[0.5, 1.5]), (1.0, &[0.0, 0.0]), (2.0, &[-1.0, -3.0])]).unwrap();
        check(law.b, 1.5);
        check(law.a.ln(), -1.0 / 3.0 + 1.5);
        check(law.interval.unwrap().low, 1.5 - cauchy() * (1.0f64 / 12.0).sqrt());
        check(law.interval.unwrap().high, 1.5 + cauchy() * (1.0f64 / 12.0).sqrt());
    }

    #[test]
    fn two_sizes_are_judged_by_their_seeds() {
        // exponents 1 and 3 of the two seeds: mean 2, s = √2, e = 1
        let law = fitted(&[(0.0, &[0.0, 0.0]), (1.0, &[-1.0, -3.0])]).unwrap();
        check(law.b, 2.0);
        check(law.interval.unwrap().low, 2.0 - cauchy());
        check(law.interval.unwrap().high, 2.0 + cauchy());
        assert_eq!(fitted(&[(0.0, &[0.0]), (1.0, &[-1.0])]).unwrap().interval, None);
    }

    #[test]
    fn what_is_no_law_is_none() {
        assert_eq!(power_law(&[]), None);
        assert_eq!(fitted(&[(0.0, &[1.0])]), None);
        assert_eq!(fitted(&[(1.0, &[1.0]), (1.0, &[2.0])]), None);
        assert_eq!(fitted(&[(0.0, &[]), (1.0, &[])]), None);
        assert_eq!(fitted(&[(0.0, &[1.0]), (1.0, &[2.0, 3.0])]), None);
        assert_eq!(power_law(&[(1.0, vec![2.0]), (4.0, vec![0.0])]), None);
        assert_eq!(power_law(&[(1.0, vec![2.0]), (f64::INFINITY, vec![1.0])]), None);
    }
}
