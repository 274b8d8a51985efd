//! Spikes: losses far above those before them.

use std::collections::VecDeque;

/// Losses that a loss is compared with.
const WINDOW: usize = 50;
/// Below so many losses nothing is a spike.
const FEWEST: usize = 20;
/// A loss is a spike beyond so many standard deviations above the mean.
const FAR: f64 = 6.0;

/// The last losses of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Spikes {
    losses: VecDeque<f64>,
}

impl Spikes {
    /// Returns how many standard deviations (n - 1) `loss` lies above the mean of the last 50, where that is more than 6; then adds
    /// it to them. After fewer than 20 losses, or equal ones, nothing is a spike.
    pub fn judge(&mut self, loss: f64) -> Option<f64> {
        let score = self.score(loss).filter(|score| *score > FAR);
        self.losses.push_back(loss);
        if self.losses.len() > WINDOW {
            self.losses.pop_front();
        }
        score
    }

    fn score(&self, loss: f64) -> Option<f64> {
        let count = self.losses.len() as f64;
        let mean = self.losses.iter().sum::<f64>() / count;
        let variance = self.losses.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (self.losses.len() >= FEWEST && variance > 0.0).then(|| (loss - mean) / variance.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 and 3 by turns: mean 2, and a variance of 20/19 from 20 of them.
    fn after(count: usize) -> Spikes {
        let mut spikes = Spikes::default();
        assert!((0..count).all(|step| spikes.judge([1.0, 3.0][step % 2]).is_none()));
        spikes
    }

    #[test]
    fn a_loss_ten_times_as_high_is_a_spike_and_one_a_little_higher_is_not() {
        let score = after(20).judge(20.0).unwrap();
        assert!((score - 18.0 / (20.0f64 / 19.0).sqrt()).abs() < 1e-12, "{score}");
        assert_eq!(after(20).judge(8.1), None); // 5.9 deviations
        assert_eq!(after(20).judge(-20.0), None, "a low loss is not a spike");
    }

    #[test]
    fn nothing_is_a_spike_after_few_or_equal_losses() {
        assert_eq!(after(19).judge(20.0), None);
        let mut equal = Spikes::default();
        assert!((0..60).all(|_| equal.judge(2.0).is_none()) && equal.judge(20.0).is_none());
    }

    #[test]
    fn only_the_last_count() {
        let mut spikes = after(20);
        for step in 0..50 {
            let _ = spikes.judge(100.0 + f64::from(step % 2));
        }
        assert_eq!(spikes.judge(101.0), None);
        assert!(spikes.judge(110.0).is_some());
    }
}
