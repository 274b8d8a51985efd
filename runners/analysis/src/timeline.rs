//! The validation loss of a trial by the time that it has trained.

use regatta_lm::training::StepRecord;
use regatta_records::{Cost, Validation};

/// Validation loss of one trial by training time.
#[derive(Debug, PartialEq)]
pub(super) struct Timeline {
    /// Seconds of training before a measurement, and what it found; in the order of training.
    points: Vec<(f64, f64)>,
}

impl Timeline {
    /// Seconds are those of the steps alone: measuring is not training. A step's are the tokens of a batch over its tokens per
    /// second; the tokens of a batch are what the median step made of its time.
    ///
    /// `None` where a step is missing, a time is not a positive number, or nothing was measured after the last step.
    pub fn new(steps: &[StepRecord], validations: &[Validation], cost: &Cost) -> Option<Self> {
        let batch_tokens = cost.step_ms / 1e3 * cost.tokens_per_second;
        let mut clock = vec![0.0]; // entry s: seconds before step s
        for (index, record) in steps.iter().enumerate() {
            let seconds = batch_tokens / record.tokens_per_second;
            if record.step != index || !(seconds.is_finite() && seconds > 0.0) {
                return None;
            }
            clock.push(clock[index] + seconds);
        }
        let point = |validation: &Validation| Some((*clock.get(validation.step)?, validation.loss));
        let points = validations.iter().map(point).collect::<Option<Vec<_>>>()?;
        let whole = validations.last().is_some_and(|last| last.step == steps.len());
        let in_order = validations.windows(2).all(|pair| pair[0].step < pair[1].step);
        (whole && in_order).then_some(Self { points })
    }

    /// Seconds of training before each measurement, and what it found.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// Seconds of training in all.
    pub fn seconds(&self) -> f64 {
        self.points.last().map_or(0.0, |&(seconds, _)| seconds)
    }

    /// The validation loss after `seconds` of training, interpolated linearly between the measurements before and after; `None`
    /// outside of them.
    pub fn loss_at(&self, seconds: f64) -> Option<f64> {
        let after = self.points.partition_point(|&(time, _)| time < seconds);
        let &(later, end) = self.points.get(after)?;
        if later == seconds {
            return Some(end);
        }
        let &(earlier, start) = self.points.get(after.checked_sub(1)?)?;
        Some(start + (end - start) * (seconds - earlier) / (later - earlier))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn steps(rates: &[f64]) -> Vec<StepRecord> {
        let record = |(step, &tokens_per_second): (usize, &f64)| StepRecord {
            step,
            loss: 1.0,
            penalty: 0.0,
            terms: BTreeMap::new(),
            grad_norm: 1.0,
            lr: 1e-3,
            spike: None,
            broken_gradient: None,
            tokens_per_second,
        };
        rates.iter().enumerate().map(record).collect()
    }

    fn validations(points: &[(usize, f64)]) -> Vec<Validation> {
        points.iter().map(|&(step, loss)| Validation { step, loss }).collect()
    }

    /// 100 tokens per batch.
    const COST: Cost = Cost {
        wall_seconds: 9.0,
        step_ms: 500.0,
        tokens_per_second: 200.0,
        peak_memory_mib: None,
        peak_rss_mib: None,
        flops_per_token: None,
        training_flops: None,
        energy_joules: None,
        instructions: None,
        machine: None,
        earlier_machines: Vec::new(),
    };

    pub(crate) fn timeline(rates: &[f64], points: &[(usize, f64)]) -> Option<Timeline> {
        Timeline::new(&steps(rates), &validations(points), &COST)
    }

    #[test]
    fn time_is_that_of_the_steps_before() {
        // 100 tokens at 100, 50 and 200 tokens a second: 1, 2 and 0.5 seconds
        let line = timeline(&[100.0, 50.0, 200.0], &[(0, 6.0), (2, 4.0), (3, 3.0)]).unwrap();
        assert_eq!(line.points, [(0.0, 6.0), (3.0, 4.0), (3.5, 3.0)]);
        assert_eq!(line.seconds(), 3.5);
        for (seconds, loss) in
            [(0.0, Some(6.0)), (1.5, Some(5.0)), (3.25, Some(3.5)), (3.5, Some(3.0)), (3.6, None), (-1.0, None)]
        {
            assert_eq!(line.loss_at(seconds), loss, "after {seconds} s");
        }
        assert_eq!(line.loss_at(f64::NAN), None);
    }

    #[test]
    fn times_that_are_not_known_give_no_line() {
        let points = [(0, 6.0), (2, 4.0)];
        assert!(timeline(&[100.0, 100.0], &points).is_some());
        for rates in [&[100.0, 0.0][..], &[100.0, f64::NAN], &[100.0, -1.0], &[100.0, f64::INFINITY], &[100.0], &[100.0; 3]] {
            assert_eq!(timeline(rates, &points), None, "{rates:?}");
        }
        assert_eq!(timeline(&[100.0, 100.0], &[]), None);
        assert_eq!(timeline(&[100.0, 100.0], &[(2, 4.0), (2, 4.0)]), None);
    }
}
