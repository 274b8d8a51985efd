//! What a trial did along training, in few enough points to be kept and drawn: of 1,000 trials, and of any length.

use std::collections::BTreeMap;

/// Most points of a curve: a terminal cannot show more.
const POINTS: usize = 128;

/// Means of a value over stretches of steps, which grow as the steps become many.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve {
    /// Stretches are 2 to this power steps long.
    doublings: u32,
    stretches: Vec<Stretch>,
}

/// Sums over the steps of a stretch that have a value.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    index: usize,
    count: f64,
    steps: f64,
    values: f64,
}

impl Stretch {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.steps += other.steps;
        self.values += other.values;
    }
}

impl Curve {
    /// Adds a value, if it has a place on a curve.
    pub fn push(&mut self, step: usize, value: f64) {
        if !can_be_drawn(value) {
            return;
        }
        let one = Stretch { index: step >> self.doublings, count: 1.0, steps: step as f64, values: value };
        match self.stretches.binary_search_by_key(&one.index, |stretch| stretch.index) {
            Ok(place) => self.stretches[place].add(one),
            Err(place) => self.stretches.insert(place, one),
        }
        while self.stretches.len() > POINTS {
            self.doublings += 1; // ends: 2^64 steps in stretches of 2^57 are 128
            self.stretches = self.coarser(self.doublings, self.doublings - 1);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    fn coarser(&self, doublings: u32, from: u32) -> Vec<Stretch> {
        let mut merged: Vec<Stretch> = Vec::with_capacity(self.stretches.len());
        for stretch in &self.stretches {
            let index = stretch.index >> (doublings - from);
            match merged.last_mut().filter(|last| last.index == index) {
                Some(last) => last.add(*stretch),
                None => merged.push(Stretch { index, ..*stretch }),
            }
        }
        merged
    }

    /// Mean over several trials, where they got as far: step and value.
    pub fn mean<'a>(curves: impl Iterator<Item = &'a Self> + Clone) -> Vec<(f64, f64)> {
        let doublings = curves.clone().map(|curve| curve.doublings).max().unwrap_or_default();
        let mut sums: BTreeMap<usize, Stretch> = BTreeMap::new();
        for curve in curves {
            for stretch in curve.coarser(doublings, curve.doublings) {
                let (steps, values) = (stretch.steps / stretch.count, stretch.values / stretch.count);
                sums.entry(stretch.index).or_default().add(Stretch { index: stretch.index, count: 1.0, steps, values });
            }
        }
        sums.values().map(|sum| (sum.steps / sum.count, sum.values / sum.count)).collect()
    }
}

/// Whether a value is finite, and stays so when such values are added up.
pub(super) fn can_be_drawn(value: f64) -> bool {
    value.abs() < 1e100
}

/// Each value as the mean of those around it; toward the ends of fewer, as many on either side, so that a curve that falls is
/// not shifted.
pub(super) fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let most = points.len() / 24;
    let mean = |(index, (step, _)): (usize, &(f64, f64))| {
        let reach = most.min(index).min(points.len() - 1 - index);
        let around = &points[index - reach..=index + reach];
        (*step, around.iter().map(|(_, value)| value).sum::<f64>() / around.len() as f64)
    };
    points.iter().enumerate().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(steps: impl Iterator<Item = usize>) -> Curve {
        let mut curve = Curve::default();
        steps.for_each(|step| curve.push(step, step as f64));
        curve
    }

    #[test]
    fn a_short_curve_is_kept_as_it_is_and_gaps_stay() {
        let mut curve = line([0, 1, 50].into_iter());
        curve.push(2, f64::NAN);
        curve.push(3, f64::INFINITY);
        curve.push(4, f64::MAX);
        assert_eq!(Curve::mean([&curve].into_iter()), [(0.0, 0.0), (1.0, 1.0), (50.0, 50.0)]);
    }

    #[test]
    fn a_long_curve_keeps_means_of_stretches() {
        let points = Curve::mean([&line(0..1000)].into_iter());
        assert_eq!(points.len(), 125, "stretches of 8 steps");
        assert_eq!(points[0], (3.5, 3.5));
        assert!(points.iter().all(|(step, value)| step == value));
    }

    #[test]
    fn curves_of_different_lengths_meet_at_their_mean() {
        let (long, mut short) = (line(0..200), Curve::default());
        (0..4).for_each(|step| short.push(step, 2.0)); // stretches of 1 step here, of 2 there
        let points = Curve::mean([&long, &short].into_iter());
        assert_eq!(points[..3], [(0.5, 1.25), (2.5, 2.25), (4.5, 4.5)]);
        assert!(Curve::mean([].into_iter()).is_empty());
    }

    #[test]
    fn steps_beyond_all_measure_end_the_doubling() {
        let curve = line((0..4 * POINTS).map(|step| step * (usize::MAX / (4 * POINTS))));
        assert!(curve.stretches.len() <= POINTS && curve.stretches.len() > POINTS / 4);
    }

    #[test]
    fn smoothing_keeps_a_straight_line_and_calms_a_jagged_one() {
        let straight: Vec<(f64, f64)> = (0..100).map(|step| (f64::from(step), f64::from(step))).collect();
        let jagged: Vec<(f64, f64)> = (0..100).map(|step| (f64::from(step), f64::from(step % 2))).collect();
        let close = |(smooth, point): (&(f64, f64), &(f64, f64))| (smooth.1 - point.1).abs() < 1e-9;
        assert!(smoothed(&straight).iter().zip(&straight).all(close));
        assert!(smoothed(&jagged)[10..90].iter().all(|(_, value)| (value - 0.5).abs() < 0.06));
        assert!(smoothed(&[]).is_empty());
    }
}
