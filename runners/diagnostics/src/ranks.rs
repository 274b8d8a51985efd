//! Rank correlation: whether one number rises with another, whatever the shape of the rise.

/// Spearman's ρ: the correlation of the ranks of x and y, ties at their mean rank. 1 where y always rises with x, -1 where it
/// always falls. `None` below two pairs, where x or y never changes, where a number is not finite, and where one has more numbers.
///
/// Spearman, "The proof and measurement of association between two things", American Journal of Psychology 15, 1904.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    comparable(x, y).then(|| correlation(&ranks(x), &ranks(y)))?
}

/// Kendall's τ_b: pairs of observations that x and y order alike less those they order unlike, over the geometric mean of the
/// pairs that x orders and those that y orders. n² work. `None` as for [`spearman`].
///
/// Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
pub fn kendall(x: &[f64], y: &[f64]) -> Option<f64> {
    if !comparable(x, y) {
        return None;
    }
    let (mut both, mut by_x, mut by_y) = (0i64, 0i64, 0i64);
    for i in 0..x.len() {
        for j in 0..i {
            let (a, b) = (order(x[i], x[j]), order(y[i], y[j]));
            both += a * b;
            by_x += a * a;
            by_y += b * b;
        }
    }
    (by_x > 0 && by_y > 0).then(|| both as f64 / (by_x as f64 * by_y as f64).sqrt())
}

fn comparable(x: &[f64], y: &[f64]) -> bool {
    x.len() == y.len() && x.len() >= 2 && x.iter().chain(y).all(|number| number.is_finite())
}

/// 1, 0 or -1.
fn order(a: f64, b: f64) -> i64 {
    i64::from(a > b) - i64::from(a < b)
}

/// Ranks from 1, ties at their mean.
fn ranks(numbers: &[f64]) -> Vec<f64> {
    let mut by_size: Vec<usize> = (0..numbers.len()).collect();
    by_size.sort_by(|&i, &j| (numbers[i] + 0.0).total_cmp(&(numbers[j] + 0.0))); // -0 + 0 is 0: they tie
    let mut ranks = vec![0.0; numbers.len()];
    let mut before = 0;
    for tie in by_size.chunk_by(|&i, &j| numbers[i] == numbers[j]) {
        let mean = before as f64 + (tie.len() + 1) as f64 / 2.0;
        tie.iter().for_each(|&i| ranks[i] = mean);
        before += tie.len();
    }
    ranks
}

/// Pearson's; `None` where one never changes.
fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let mean = (x.len() + 1) as f64 / 2.0; // of ranks
    let sum = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    let (by_x, by_y) = (sum(x, x), sum(y, y));
    (by_x > 0.0 && by_y > 0.0).then(|| sum(x, y) / (by_x * by_y).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(x: &[f64], y: &[f64], expected: [f64; 2]) {
        let found = [spearman(x, y).unwrap(), kendall(x, y).unwrap()];
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?}, expected {expected:?}");
    }

    #[test]
    fn by_hand() {
        check(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0], [1.0, 1.0]);
        check(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], [-1.0, -1.0]);
        // one swap of neighbours among four: 1 - 6·2/(4·15), and 5 pairs alike against 1
        check(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0], [0.8, 4.0 / 6.0]);
        // ranks (1, 2.5, 2.5) and (1, 2, 3): 1.5 / √(1.5·2); two pairs alike of two that x orders and three that y orders
        check(&[0.0, 5.0, 5.0], &[1.0, 2.0, 3.0], [1.5 / 3f64.sqrt(), 2.0 / 6f64.sqrt()]);
        check(&[0.0, -0.0, 1.0], &[1.0, 1.0, 2.0], [1.0, 1.0]);
    }

    #[test]
    fn what_has_no_order() {
        for (x, y) in [(&[][..], &[][..]), (&[1.0], &[1.0]), (&[1.0, 1.0], &[1.0, 2.0]), (&[1.0, 2.0], &[3.0, 3.0])] {
            assert_eq!((spearman(x, y), kendall(x, y)), (None, None), "{x:?} {y:?}");
        }
        assert_eq!((spearman(&[1.0, f64::NAN], &[1.0, 2.0]), kendall(&[1.0, 2.0], &[1.0])), (None, None));
    }
}
