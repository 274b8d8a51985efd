//! How often a task of a submission was put into the queue again, and what was made in between.

use crate::{RecordError, trials_below};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How far the trials of a folder are: more settled trials, or as many and more steps in their checkpoints, is further.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Made {
    /// Trials that need no further run.
    pub settled: usize,
    /// Steps in the checkpoints of the others.
    pub steps: usize,
}

/// How often a task was requeued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requeues {
    /// In all.
    pub count: usize,
    /// The last ones, in a row, before which nothing was made.
    pub without_progress: usize,
    /// How far the study was at the last.
    pub made: Made,
}

impl Made {
    /// Of the trials in a study's folder.
    ///
    /// # Errors
    /// When a folder cannot be listed or a status cannot be read.
    pub fn of(out: &Path) -> Result<Self, RecordError> {
        let mut made = Self::default();
        for trial in trials_below(&out.join("trials"))? {
            if trial.status()?.is_some_and(|status| status.state.is_settled()) {
                made.settled += 1;
            } else {
                made.steps += trial.resumable_steps()?.unwrap_or(0);
            }
        }
        Ok(made)
    }
}

impl Requeues {
    /// After one more, with the study as far as `made`.
    pub fn next(self, made: Made) -> Self {
        let without_progress = if made > self.made { 0 } else { self.without_progress + 1 };
        Self { count: self.count + 1, without_progress, made }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Submission;

    #[test]
    fn requeues_without_progress_are_counted_in_a_row() {
        let made = |settled, steps| Made { settled, steps };
        let first = Requeues::default().next(made(0, 5));
        assert_eq!(first, Requeues { count: 1, without_progress: 0, made: made(0, 5) });
        let third = first.next(made(0, 5)).next(made(0, 5));
        assert_eq!((third.count, third.without_progress), (3, 2));
        assert_eq!(third.next(made(1, 0)).without_progress, 0, "a finished trial has no checkpoints left");
        let out = tempfile::tempdir().unwrap();
        let submission = Submission::create(out.path()).unwrap();
        submission.set_requeues("12_3", third).unwrap();
        assert_eq!((submission.requeues("12_3").unwrap(), submission.requeues("12_4").unwrap()), (third, Requeues::default()));
    }
}
