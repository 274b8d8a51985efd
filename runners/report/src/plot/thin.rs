//! Long curves, thinned.

use crate::CurvePoint;

/// Points that a plotted curve has at most.
pub const MOST_POINTS: usize = 300;

/// At most `most` points: each is the mean of equally many neighbours (the last of what is left), NaN left out.
pub fn thinned(curve: &[CurvePoint], most: usize) -> Vec<CurvePoint> {
    let size = bucket(curve.len(), most);
    curve.chunks(size).map(|points| if points.len() == 1 { points[0] } else { mean_point(points) }).collect()
}

/// Neighbours that make one point.
pub fn bucket(length: usize, most: usize) -> usize {
    length.div_ceil(most.max(1)).max(1)
}

fn mean_point(points: &[CurvePoint]) -> CurvePoint {
    let mean = |of: fn(&CurvePoint) -> f64| {
        let finite: Vec<f64> = points.iter().map(of).filter(|value| value.is_finite()).collect();
        finite.iter().sum::<f64>() / finite.len() as f64 // 0/0 is NaN: a gap stays a gap
    };
    let step = points.iter().map(|point| u128::from(point.step)).sum::<u128>() / points.len() as u128;
    CurvePoint { step: step as u64, mean: mean(|p| p.mean), low: mean(|p| p.low), high: mean(|p| p.high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_averaged() {
        let point = |step, mean| CurvePoint { step, mean, low: mean - 1.0, high: mean + 1.0 };
        let curve = [point(0, 4.0), point(2, 2.0), point(4, f64::NAN), point(6, 3.0), point(8, 7.0)];
        let thin = thinned(&curve, 3);
        let steps: Vec<u64> = thin.iter().map(|p| p.step).collect();
        let means: Vec<f64> = thin.iter().map(|p| p.mean).collect();
        assert_eq!((steps, means), (vec![1, 5, 8], vec![3.0, 3.0, 7.0])); // (4 + 2)/2, 3 alone, 7 alone
        assert_eq!(thin[0].low, 2.0);
    }

    #[test]
    fn a_short_curve_is_left_as_it_is() {
        assert_eq!(thinned(&crate::sample::curve(300, 1), MOST_POINTS).len(), 300);
        assert_eq!(thinned(&crate::sample::curve(10_000, 1), MOST_POINTS).len(), 295); // 10,000 / 34
        assert!(thinned(&[], MOST_POINTS).is_empty());
    }
}
