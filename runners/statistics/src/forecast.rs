//! The loss of a model that was not trained, by a power law.

use super::{ALPHA, Interval, Paired, mean, power_law};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The loss of one more model, by the line through others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Nats per token.
    pub loss: f64,
    /// Where it lies, at 95%, if the law holds there; none where nothing says how sure the line is.
    pub interval: Option<Interval>,
}

/// The loss at `size` parameters by the law of [`power_law`] through `models`.
///
/// With `x`, `y`, S, k and n as there, `x* = ln size` and `ŷ = ln a - b x*`:
/// ```text
/// k ≥ 3:  exp(ŷ ± q e)   e² = s² (1 + 1/k + (x* - x̄)²/S)   s² = Σ_i (ȳ_i - ln a + b x_i)²/(k - 2)   q the 0.975 quantile of t, k - 2 degrees
/// k = 2:  exp(ŷ ± q e)   e = s / √n, s the standard deviation of the lines of single seeds at x*      q the same of n - 1 degrees
/// ```
/// The first is the interval of one more observation (Draper and Smith, "Applied Regression Analysis", 3rd ed. 1998, section
/// 3.1): another model, with as many seeds, off the line by as much as those it is made of. The second knows the noise of seeds
/// alone. Neither knows that a law may bend beyond the sizes that were tried.
///
/// `None` where there is no law, and of a size that is not finite and above 0.
pub fn forecast(models: &[(f64, Vec<f64>)], size: f64) -> Option<Forecast> {
    let law = power_law(models)?;
    if !(size.is_finite() && size > 0.0) {
        return None;
    }
    let at = |x: f64| law.a.ln() - law.b * x;
    let x: Vec<f64> = models.iter().map(|(size, _)| size.ln()).collect();
    let (goal, x_mean) = (size.ln(), mean(&x)?);
    let interval = if models.len() == 2 {
        let line = |seed: usize| {
            let [y, other] = [0, 1].map(|model: usize| models[model].1[seed].ln());
            y + (other - y) / (x[1] - x[0]) * (goal - x[0])
        };
        Paired::of(&(0..law.seeds).map(line).collect::<Vec<_>>()).map(|lines| lines.interval(1))
    } else {
        let logarithms = |losses: &Vec<f64>| mean(&losses.iter().map(|loss| loss.ln()).collect::<Vec<_>>());
        let misses = models.iter().zip(&x).map(|((_, losses), x)| Some((logarithms(losses)? - at(*x)).powi(2)));
        let misses = misses.sum::<Option<f64>>()?;
        let (count, squares) = (models.len() as f64, x.iter().map(|x| (x - x_mean).powi(2)).sum::<f64>());
        let error = (misses / (count - 2.0) * (1.0 + 1.0 / count + (goal - x_mean).powi(2) / squares)).sqrt();
        let half = StudentsT::new(0.0, 1.0, count - 2.0).ok()?.inverse_cdf(1.0 - ALPHA / 2.0) * error;
        Some(Interval { low: at(goal) - half, high: at(goal) + half })
    };
    Some(Forecast {
        loss: at(goal).exp(),
        interval: interval.map(|Interval { low, high }| Interval { low: low.exp(), high: high.exp() }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    /// 0.975 quantile of Student's t with one degree of freedom, Cauchy's.
    fn cauchy() -> f64 {
        (0.475 * std::f64::consts::PI).tan()
    }

    /// ln of the loss at ln of a size, and half its interval, by models in logarithms too.
    fn at(models: &[(f64, &[f64])], size: f64) -> Option<(f64, Option<f64>)> {
        let model = |(size, losses): &(f64, &[f64])| (size.exp(), losses.iter().map(|loss| loss.exp()).collect());
        let found = forecast(&models.iter().map(model).collect::<Vec<_>>(), size.exp())?;
        Some((found.loss.ln(), found.interval.map(|of| (of.high / of.low).ln() / 2.0)))
    }

    #[test]
    fn three_sizes_and_one_more() {
        // means 1, 0, -2 at 0, 1, 2: slope -1.5 through (1, -1/3), misses -1/6, 1/3, -1/6, so s² = 1/6; S = 2
        let models: [(f64, &[f64]); 3] = [(0.0, &[0.5, 1.5]), (1.0, &[0.0, 0.0]), (2.0, &[-1.0, -3.0])];
        let (loss, half) = at(&models, 3.0).unwrap();
        check(loss, -1.0 / 3.0 - 1.5 * 2.0);
        check(half.unwrap(), cauchy() * (1.0f64 / 6.0 * (1.0 + 1.0 / 3.0 + 4.0 / 2.0)).sqrt());
        let (loss, half) = at(&models, 1.0).unwrap(); // in the middle nothing is extrapolated
        check(loss, -1.0 / 3.0);
        check(half.unwrap(), cauchy() * (1.0f64 / 6.0 * (4.0 / 3.0)).sqrt());
    }

    #[test]
    fn two_sizes_know_their_seeds_alone() {
        // the lines of the two seeds fall by 1 and by 3: at 2 they are at -2 and -6, with s = √8 and e = 2
        let models: [(f64, &[f64]); 2] = [(0.0, &[0.0, 0.0]), (1.0, &[-1.0, -3.0])];
        let (loss, half) = at(&models, 2.0).unwrap();
        check(loss, -4.0);
        check(half.unwrap(), 2.0 * cauchy());
        assert_eq!(at(&[(0.0, &[0.0]), (1.0, &[-1.0])], 2.0).unwrap().1, None);
    }

    #[test]
    fn no_law_says_nothing() {
        assert_eq!(at(&[(0.0, &[1.0])], 2.0), None);
        assert_eq!(forecast(&[(1.0, vec![2.0]), (4.0, vec![1.0])], f64::INFINITY), None);
        assert_eq!(forecast(&[(1.0, vec![2.0]), (4.0, vec![1.0])], 0.0), None);
    }
}
