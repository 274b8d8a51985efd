//! Two models on the same items: the items that only one of them has right decide.

use super::{ALPHA, Interval};
use statrs::function::beta::beta_reg;

/// Two models on the same items, by McNemar's exact test ("Note on the sampling error of the difference between correlated
/// proportions or percentages", Psychometrika 12, 1947).
///
/// Of n items that one model has right and the other wrong, the arm has w right. Where the models are as good as each other, w is
/// binomial of n and 1/2. The interval is that of the share of w by Clopper and Pearson (Biometrika 26, 1934), mapped to a
/// difference in accuracy with n as found:
/// ```text
/// p          = min(1, 2 P(W ≥ max(w, n - w)))            W binomial of n and 1/2
/// difference = (2 w/n - 1) n / items                     interval: the same of the two ends of the interval of w/n
/// ```
/// It leaves out 0 exactly where p is below its level. It is a statement on these two models and on items like these: how other
/// seeds of the two arms would do, no single pair can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct McNemar {
    /// Items that the arm alone has right.
    pub wins: usize,
    /// Items that the baseline alone has right.
    pub losses: usize,
    /// All items.
    pub items: usize,
}

impl McNemar {
    /// The comparison of two models by their outcomes, item by item: 1 where the arm alone is right, -1 where the baseline alone is.
    pub fn of(differences: &[f64]) -> Self {
        let count = |wanted: fn(&f64) -> bool| differences.iter().filter(|x| wanted(x)).count();
        Self { wins: count(|x| *x > 0.0), losses: count(|x| *x < 0.0), items: differences.len() }
    }

    /// Difference in accuracy.
    pub fn mean(&self) -> f64 {
        self.difference(self.wins as f64 / (self.wins + self.losses).max(1) as f64)
    }

    /// Two-sided p, of this comparison alone.
    pub fn p(&self) -> f64 {
        let (most, least) = (self.wins.max(self.losses), self.wins.min(self.losses));
        if most <= least + 1 { 1.0 } else { (2.0 * beta_reg(most as f64, least as f64 + 1.0, 0.5)).min(1.0) }
    }

    /// The interval of the difference at level `1 - 0.05 / comparisons` or above; one point where no item tells the models apart.
    pub fn interval(&self, comparisons: usize) -> Interval {
        let tail = ALPHA / comparisons.max(1) as f64 / 2.0;
        let (wins, losses) = (self.wins as f64, self.losses as f64);
        // the share at which so many wins or more, so many losses or more, are as rare as the tail
        let low = if self.wins == 0 { 0.0 } else { share(|share| beta_reg(wins, losses + 1.0, share), tail) };
        let high = if self.losses == 0 { 1.0 } else { 1.0 - share(|share| beta_reg(losses, wins + 1.0, share), tail) };
        Interval { low: self.difference(low), high: self.difference(high) }
    }

    /// The difference in accuracy, were `share` of the items that tell the models apart the arm's.
    fn difference(&self, share: f64) -> f64 {
        (2.0 * share - 1.0) * (self.wins + self.losses) as f64 / self.items.max(1) as f64
    }
}

/// Where a chance that grows with the share is `aim`, by halving.
fn share(chance: impl Fn(f64) -> f64, aim: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if chance(middle) < aim { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn five_wins_of_five_by_hand() {
        let five = McNemar::of(&[1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(five, McNemar { wins: 5, losses: 0, items: 7 });
        check(five.mean(), 5.0 / 7.0);
        check(five.p(), 2.0 / 32.0);
        // share^5 = 0.025 at the lower end, and 1 at the upper
        check(five.interval(1).low, (2.0 * 0.025f64.powf(0.2) - 1.0) * 5.0 / 7.0);
        check(five.interval(1).high, 5.0 / 7.0);
        check(five.interval(5).low, (2.0 * 0.005f64.powf(0.2) - 1.0) * 5.0 / 7.0);
    }

    /// Of 100 items: `mcnemar([[0, k], [l, 0]], exact=True).pvalue` of statsmodels 0.15.0; for m of 1 and 4 the ends q of
    /// `binomtest(k, k + l).proportion_ci(1 - 0.05 / m, "exact")` of SciPy 1.17.1, as `(2 q - 1) (k + l) / 100`.
    #[test]
    fn wins_and_losses_are_statsmodels_and_scipys() {
        for (wins, losses, p, ends) in [
            (9, 2, 0.0654296875, [-0.003906287519227403, 0.10497713637400899, -0.021400515686229634, 0.10757598019431161]),
            (0, 5, 0.0625, [-0.05, 0.0021823750104981387, -0.05, 0.013761016816115256]),
            (3, 3, 1.0, [-0.04582593014915697, 0.04582593014915697, -0.05139580631365814, 0.05139580631365814]),
            (40, 20, 0.01348929373119186, [0.03975279030856336, 0.3397566654825957, -0.00210989381958937, 0.3711908107608515]),
            (1, 0, 1.0, [-0.0095, 0.01, -0.009875, 0.01]),
        ] {
            let found = McNemar { wins, losses, items: 100 };
            check(found.p(), p);
            let [one, four] = [found.interval(1), found.interval(4)];
            [one.low, one.high, four.low, four.high].iter().zip(ends).for_each(|(found, expected)| check(*found, expected));
        }
    }

    #[test]
    fn the_interval_leaves_out_0_exactly_where_p_is_below_its_level() {
        for (wins, losses) in (0..40).flat_map(|wins| (0..40).map(move |losses| (wins, losses))) {
            let found = McNemar { wins, losses, items: 100 };
            for comparisons in [1, 3, 20] {
                let Interval { low, high } = found.interval(comparisons);
                let excluded = wins != losses && (low > 0.0 || high < 0.0);
                assert_eq!(excluded, found.p() < 0.05 / comparisons as f64, "{found:?}: {low} to {high}, p {}", found.p());
                assert!(low <= found.mean() && found.mean() <= high);
            }
        }
    }

    #[test]
    fn models_that_agree_do_not_differ() {
        let same = McNemar::of(&[0.0; 4]);
        assert_eq!((same.p(), same.mean(), same.interval(2)), (1.0, 0.0, Interval { low: 0.0, high: 0.0 }));
    }
}
