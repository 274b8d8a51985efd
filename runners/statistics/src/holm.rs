//! p values that are judged together.

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
    use super::super::check;
    use super::*;

    #[test]
    fn holm_by_hand() {
        let adjusted = holm(&[0.04, 0.01, 0.03]); // 3·0.01; 2·0.03; 1·0.04 raised to 0.06
        adjusted.iter().zip([0.06, 0.03, 0.06]).for_each(|(a, e)| check(*a, e));
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
