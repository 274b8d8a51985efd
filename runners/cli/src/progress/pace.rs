//! An estimate of the time left.

use std::time::{Duration, Instant};

/// Timed steps that an estimate needs.
const FEWEST: usize = 3;

/// Steps made and left, over all trials of a run.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the first step was reported. What precedes it (starting a process, reading data and checkpoint, a first measurement)
    /// happens once and does not count.
    since: Option<Instant>,
    /// Steps made after that.
    made: usize,
    left: usize,
}

impl Pace {
    pub fn new(left: usize) -> Self {
        Self { since: None, made: 0, left }
    }

    /// Records steps that were made up to `now`.
    pub fn steps(&mut self, count: usize, now: Instant) {
        match self.since {
            Some(_) => self.made += count,
            None => self.since = Some(now),
        }
        self.left = self.left.saturating_sub(count);
    }

    /// Removes steps that need not be made: those of a trial that ended, or that resumes from a checkpoint.
    pub fn skip(&mut self, steps: usize) {
        self.left = self.left.saturating_sub(steps);
    }

    /// Time until all steps are made, at the mean pace so far, evaluations included; `None` before some steps were timed.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        let since = self.since.filter(|_| self.made >= FEWEST || self.left == 0)?;
        Some(now.saturating_duration_since(since).mul_f64(self.left as f64 / self.made.max(1) as f64))
    }
}

/// `3m 20s`
pub(crate) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s:02}s"),
        (h, m, _) => format!("{h}h {m:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_words() {
        assert_eq!([9, 200, 4_000].map(|s| words(Duration::from_secs(s))), ["9s", "3m 20s", "1h 06m"]);
    }

    #[test]
    fn what_is_left_shrinks_with_steps_and_with_trials_cut_short() {
        let mut pace = Pace::new(10);
        let now = Instant::now();
        assert!(pace.remaining(now).is_none());
        pace.steps(1, now);
        pace.skip(9);
        assert_eq!(pace.remaining(now), Some(Duration::ZERO));
    }

    #[test]
    fn the_first_estimate_after_a_resume_is_that_of_the_steps_made_since() {
        let planned = Instant::now();
        let after = |milliseconds| planned + Duration::from_millis(milliseconds);
        let mut pace = Pace::new(300);
        pace.skip(200); // of the earlier run
        pace.steps(1, after(4_000)); // a worker has started, read its data, and measured
        assert!(pace.remaining(after(4_000)).is_none(), "one step says nothing yet");
        for step in 1..=4 {
            pace.steps(1, after(4_000 + 50 * step));
        }
        assert_eq!(pace.remaining(after(4_200)), Some(Duration::from_millis(95 * 50))); // 95 steps of 50 ms
    }
}
