//! How long the rest will take.

use std::time::{Duration, Instant};

/// Steps made and left, over all trials of a run.
#[derive(Debug)]
pub(super) struct Pace {
    started: Instant,
    made: usize,
    left: usize,
}

impl Pace {
    pub fn new(left: usize) -> Self {
        Self { started: Instant::now(), made: 0, left }
    }

    /// Steps were made.
    pub fn steps(&mut self, count: usize) {
        self.made += count;
        self.left = self.left.saturating_sub(count);
    }

    /// There are steps that no longer have to be made: of a trial that ended, or that goes on from a checkpoint.
    pub fn skip(&mut self, steps: usize) {
        self.left = self.left.saturating_sub(steps);
    }

    /// Time until all steps are made, at the mean pace so far, evaluations included; `None` before the first step.
    pub fn remaining(&self) -> Option<Duration> {
        (self.made > 0).then(|| self.started.elapsed().mul_f64(self.left as f64 / self.made as f64))
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
        assert!(pace.remaining().is_none());
        pace.steps(1);
        pace.skip(9);
        assert_eq!(pace.remaining(), Some(Duration::ZERO));
    }
}
