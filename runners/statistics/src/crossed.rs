//! A difference that is measured for every seed on every item: both are samples, and the mean is uncertain by both.

use super::power::detectable_shift;
use super::{ALPHA, Interval};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of a table of differences, a row for each seed and a column for each item (or task), and how sure it is.
///
/// The table is taken as `d_si = δ + u_s + v_i + e_si`: the seed's own difference u, the item's v, and what is left. With the
/// mean squares of the two-way analysis of variance with one number per cell, S seeds and I items,
/// ```text
/// MS_s = I Σ_s (d_s. - d̄)² / (S - 1)          MS_i = S Σ_i (d_.i - d̄)² / (I - 1)
/// MS_e = Σ_si (d_si - d_s. - d_.i + d̄)² / ((S - 1)(I - 1))
/// variance of d̄ = (MS_s + max(0, MS_i - MS_e)) / (S I)        with ν = min(S, I) - 1 degrees of freedom
/// ```
/// `MS_s + MS_i - MS_e` is the error term for two random factors (Cornfield and Tukey, "Average values of mean squares in
/// factorials", Annals of Mathematical Statistics 27, 1956; for words and readers Clark, "The language-as-fixed-effect fallacy",
/// Journal of Verbal Learning and Verbal Behavior 12, 1973). It is the two-way clustered variance of Cameron, Gelbach and Miller
/// ("Robust inference with multiway clustering", Journal of Business & Economic Statistics 29, 2011) with divisors that make it
/// unbiased; its part `MS_i / (S I)` is I / (I - 1) times the variance clustered by item of Miller ("Adding error bars to evals",
/// arXiv:2411.00640, 2024).
///
/// What items add is never below 0. The degrees of freedom are those of the fewest of seeds and items: with those of Satterthwaite,
/// simulated studies of two or three seeds call identical arms different too often (`simulation_of_tasks`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossed {
    /// Rows: S.
    pub seeds: usize,
    /// Mean over all cells.
    pub mean: f64,
    /// The root of its variance.
    pub standard_error: f64,
    /// The seeds' part of the variance, `MS_s / (S I)`.
    pub of_seeds: f64,
    /// What the items add to it, `max(0, MS_i - MS_e) / (S I)`.
    pub of_items: f64,
    /// Two-sided p of `t = mean / standard error`, of this comparison alone.
    pub p: f64,
    freedom: usize,
    student: StudentsT,
}

impl Crossed {
    /// The mean of `table`, rows of one length; `None` of fewer than two rows or columns, of rows that differ in length, and where
    /// a number is not finite.
    ///
    /// A row's mean moves in steps of `step`: an accuracy over I items in steps of 1 / I. Rows that agree by luck within a step say
    /// nothing of a spread below it, so the variance of their means counts as at least `step² / 12`, that of rounding.
    pub fn of(table: &[Vec<f64>], step: f64) -> Option<Self> {
        let (seeds, items) = (table.len(), table.first()?.len());
        let usable = |row: &Vec<f64>| row.len() == items && row.iter().all(|x| x.is_finite());
        if seeds < 2 || items < 2 || !table.iter().all(usable) {
            return None;
        }
        let (rows, columns) = (seeds as f64, items as f64);
        let row_means: Vec<f64> = table.iter().map(|row| row.iter().sum::<f64>() / columns).collect();
        let column_means: Vec<f64> = (0..items).map(|i| table.iter().map(|row| row[i]).sum::<f64>() / rows).collect();
        let mean = row_means.iter().sum::<f64>() / rows;
        let squares = |means: &[f64]| means.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        let left = |(row, row_mean): (&Vec<f64>, &f64)| {
            row.iter().zip(&column_means).map(|(x, column_mean)| (x - row_mean - column_mean + mean).powi(2)).sum::<f64>()
        };
        let residual: f64 = table.iter().zip(&row_means).map(left).sum::<f64>() / ((rows - 1.0) * (columns - 1.0));
        let of_seeds = (squares(&row_means) / (rows - 1.0)).max(step * step / 12.0) / rows;
        let of_items = (squares(&column_means) / (columns - 1.0) - residual / rows).max(0.0) / columns;
        let standard_error = (of_seeds + of_items).sqrt();
        let freedom = seeds.min(items) - 1;
        let student = StudentsT::new(0.0, 1.0, freedom as f64).ok()?;
        let p = match mean / standard_error {
            _ if mean == 0.0 => 1.0,
            t if t.is_finite() => 2.0 * student.sf(t.abs()),
            _ => 0.0,
        };
        Some(Self { seeds, mean, standard_error, of_seeds, of_items, p, freedom, student })
    }

    /// The interval of the mean at level `1 - 0.05 / comparisons`.
    pub fn interval(&self, comparisons: usize) -> Interval {
        let half = self.quantile(comparisons) * self.standard_error;
        Interval { low: self.mean - half, high: self.mean + half }
    }

    /// The smallest true difference that [`Self::interval`] of so many comparisons would have told from 0 four times in five, were
    /// the standard error as seen.
    pub fn detectable(&self, comparisons: usize) -> f64 {
        detectable_shift(self.freedom, self.quantile(comparisons)) * self.standard_error
    }

    fn quantile(&self, comparisons: usize) -> f64 {
        self.student.inverse_cdf(1.0 - ALPHA / comparisons.max(1) as f64 / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    /// Three seeds on six items.
    const TABLE: [[f64; 6]; 3] =
        [[1.0, 0.0, 1.0, -1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0, 1.0, -1.0], [1.0, 0.0, 1.0, 0.0, 1.0, 1.0]];

    fn crossed<const I: usize>(table: &[[f64; I]], step: f64) -> Option<Crossed> {
        Crossed::of(&table.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), step)
    }

    #[test]
    fn two_seeds_on_two_items_by_hand() {
        // rows have the means 1 and 0, and so have columns: MS_s = MS_i = 2·(1/4 + 1/4) = 1; rows and columns explain all: MS_e = 0
        let found = crossed(&[[1.5, 0.5], [0.5, -0.5]], 0.0).unwrap();
        check(found.mean, 0.5);
        check(found.of_seeds, 0.25);
        check(found.of_items, 0.25);
        check(found.standard_error, 0.5f64.sqrt());
        // one degree of freedom: P(T > t) = 1/2 - arctan(t)/π
        check(found.p, 1.0 - 2.0 * 0.5f64.sqrt().atan() / std::f64::consts::PI);
        check(found.interval(1).high, 0.5 + (0.475 * std::f64::consts::PI).tan() * 0.5f64.sqrt());
    }

    /// From statsmodels 0.15.0 and SciPy 1.17.1, with `d` the table, S = 3, I = 6 and `f` its cells in long form:
    /// `a = anova_lm(smf.ols("d ~ C(s) + C(i)", f).fit()).mean_sq` gives 0.2222.., 0.8888.., 0.3555..; of
    /// `V = (a[0] + max(0, a[1] - a[2])) / (S * I)` the root, `2 * t.sf(d.mean() / V**0.5, S - 1)`, and
    /// `d.mean() - t.ppf(1 - 0.025 / m, S - 1) * V**0.5` for m of 1 and 4.
    #[test]
    fn three_seeds_on_six_items_are_statsmodels_analysis_of_variance() {
        let found = crossed(&TABLE, 0.0).unwrap();
        check(found.mean, 0.4444444444444444);
        check(found.of_seeds, 0.01234567901234567);
        check(found.of_items, 0.02962962962962964);
        check(found.standard_error, 0.20487876571761973);
        check(found.p, 0.162292183416609);
        check(found.interval(1).low, -0.4370777361381726);
        check(found.interval(4).low, -1.3708224026667433);
        assert!(found.detectable(4) > 1.5 * found.detectable(1));
    }

    /// `OLS(f.d, ones).fit(cov_type="cluster", cov_kwds={"groups": g, "use_correction": False})` of statsmodels 0.15.0: the
    /// variance clustered by seed, by item, and by both, which is the sum of the two less the variance of single cells. Its divisors
    /// are S, I and S I in place of S - 1, I - 1 and (S - 1)(I - 1).
    #[test]
    fn parts_are_the_clustered_variances_with_other_divisors() {
        let found = crossed(&TABLE, 0.0).unwrap();
        let (by_seed, by_item) = (0.00823045267489711, 0.041152263374485534);
        check(found.of_seeds, by_seed * 3.0 / 2.0);
        check(found.of_items, by_item * 6.0 / 5.0 - 0.35555555555555557 / 18.0);
        check(by_seed + by_item - 0.02606310013717421, 0.02331961591220846);
    }

    #[test]
    fn items_never_lower_the_variance_and_agreement_within_a_step_is_no_certainty() {
        // columns have the same mean, so less than nothing is left of the items; rows have the means 1/2, -1/2 and 0
        let found = crossed(&[[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], 0.0).unwrap();
        check(found.of_items, 0.0);
        check(found.of_seeds, 0.25 / 3.0);
        // both seeds win one of four items, not the same one: 1/4 ± 12.7 · sqrt(1/16 / 12 / 2), not ± 0
        let found = crossed(&[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]], 0.25).unwrap();
        check(found.standard_error, (1.0f64 / 16.0 / 24.0).sqrt());
        assert!(found.interval(1).low < 0.0, "{found:?}");
    }

    #[test]
    fn what_cannot_be_judged_is_none() {
        assert!(Crossed::of(&[], 0.0).is_none() && crossed(&[[1.0, 0.0]], 0.0).is_none());
        assert!(crossed(&[[1.0], [0.0]], 0.0).is_none() && crossed(&[[1.0, f64::NAN], [0.0, 0.0]], 0.0).is_none());
        assert!(Crossed::of(&[vec![1.0, 0.0], vec![1.0]], 0.0).is_none());
        let same = crossed(&[[0.0; 3]; 2], 0.0).unwrap();
        assert_eq!((same.p, same.standard_error, same.interval(3)), (1.0, 0.0, Interval { low: 0.0, high: 0.0 }));
    }
}
