//! Statistics of order, which assume no shape of the distribution.

/// Beyond so many differences the exact distribution is no longer built: its time grows with their third power.
const MOST_RANKS: usize = 500;

/// Exact two-sided p of Wilcoxon's signed-rank test; `None` where no difference is left once zeros are dropped, where one is
/// not finite, and beyond 500 of them.
///
/// Under the null hypothesis each rank's sign is a fair coin, so the distribution of the positive ranks' sum is built up rank by
/// rank. Ties take their mean rank; ranks are doubled to keep them whole. With n differences no p is below `2 / 2^n`: five seeds
/// cannot reach 5%.
pub fn wilcoxon_p(differences: &[f64]) -> Option<f64> {
    let mut ordered: Vec<f64> = differences.iter().copied().filter(|x| *x != 0.0).collect();
    if ordered.is_empty() || ordered.len() > MOST_RANKS || ordered.iter().any(|x| !x.is_finite()) {
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

/// How likely a run of the arm beats a run of the baseline: the fraction of all pairs of their losses in which the arm's is lower,
/// ties counting half. 0.5 says that neither tends to win. `None` where either has no loss, or one that is not finite.
///
/// ```text
/// P(arm < baseline) = 1/(N K) Σ_i Σ_j S(a_i, b_j)      S = 1 where a_i < b_j, 1/2 where they are equal, 0 where a_i > b_j
/// ```
/// That of Agarwal et al. with one task, where higher scores were better; it is the statistic of Mann and Whitney over `N K`.
/// It is not paired: every loss of one arm meets every loss of the other, so the seeds' own luck stays in it, and a small
/// difference that pairing shows clearly can leave it near 0.5.
pub fn probability_of_improvement(arm: &[f64], baseline: &[f64]) -> Option<f64> {
    if arm.is_empty() || baseline.is_empty() || arm.iter().chain(baseline).any(|loss| !loss.is_finite()) {
        return None;
    }
    let score = |a: f64, b: f64| {
        if a < b {
            1.0
        } else if a == b {
            0.5
        } else {
            0.0
        }
    };
    let won: f64 = arm.iter().flat_map(|&a| baseline.iter().map(move |&b| score(a, b))).sum();
    Some(won / (arm.len() * baseline.len()) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn signed_ranks_by_hand() {
        check(wilcoxon_p(&[1.0, 2.0, 3.0]).unwrap(), 0.25); // the largest sum of 8 equally likely ones, doubled
        check(wilcoxon_p(&[-1.0, 2.0, 3.0, 0.0]).unwrap(), 0.5); // sums 5 and 6 of {1, 2, 3}: 2 of 8, doubled
        check(wilcoxon_p(&[1.0, 1.0, -1.0]).unwrap(), 1.0); // all ranks 2: two or more of three coins, 4 of 8, doubled
        check(wilcoxon_p(&[-1.0; 5]).unwrap(), 0.0625); // 2 of 32
    }

    #[test]
    fn what_has_no_signed_ranks() {
        for differences in [&[][..], &[0.0, 0.0], &[0.1, f64::NAN], &[0.1; 501]] {
            assert_eq!(wilcoxon_p(differences), None);
        }
        check(wilcoxon_p(&[0.1; 500]).unwrap(), 0.0);
    }

    #[test]
    fn every_loss_meets_every_loss() {
        let check = |arm: &[f64], baseline: &[f64], expected| assert_eq!(probability_of_improvement(arm, baseline), expected);
        check(&[1.0, 2.0], &[3.0, 4.0], Some(1.0));
        check(&[3.0, 4.0], &[1.0, 2.0], Some(0.0));
        check(&[1.0, 3.0], &[2.0, 3.0, 4.0], Some(4.5 / 6.0)); // 1 wins three; 3 ties with 3 and wins against 4
        check(&[2.0; 3], &[2.0; 3], Some(0.5));
        check(&[], &[1.0], None);
        check(&[1.0], &[f64::NAN], None);
    }
}
