//! Which windows are the batch of each step.

use crate::spec::Order;
use regatta_core::Draw;

/// The window index of each row of each batch: a pure function of (seed, step), so a resumed trial needs no state of it.
///
/// Row b of step s is entry `i = s·batch_size + b` of an endless list of windows. Sequential: window `i mod windows`. Shuffled:
/// epoch `i div windows` has a permutation of its own, drawn from the seed, and the window is its entry `i mod windows`.
/// A batch may therefore begin in one epoch and end in the next; no window is seen more often than another by more than once.
#[derive(Debug, Clone)]
pub struct Batches {
    order: Order,
    seed: u64,
    windows: usize,
    batch_size: usize,
    /// The epoch drawn last and its permutation: only a cache.
    epoch: Option<(usize, Vec<usize>)>,
}

impl Batches {
    /// Batches of `batch_size` rows out of `windows` windows; `seed` is the trial's.
    ///
    /// # Panics
    /// When `windows` is 0, which [`Corpus::check`](super::Corpus::check) rules out.
    pub fn new(order: Order, seed: u64, windows: usize, batch_size: usize) -> Self {
        assert!(windows > 0, "batches need at least one window");
        Self { order, seed, windows, batch_size, epoch: None }
    }

    /// The window of each row of step `step`, counted from 0.
    pub fn windows(&mut self, step: usize) -> Vec<usize> {
        (step * self.batch_size..(step + 1) * self.batch_size).map(|entry| self.window(entry)).collect()
    }

    fn window(&mut self, entry: usize) -> usize {
        let (epoch, place) = (entry / self.windows, entry % self.windows);
        if self.order == Order::Sequential {
            return place;
        }
        match &self.epoch {
            Some((cached, permutation)) if *cached == epoch => permutation[place],
            _ => {
                let permutation = Draw::new(self.seed, "data order", epoch as u64, 0).permutation(self.windows);
                let window = permutation[place];
                self.epoch = Some((epoch, permutation));
                window
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequential_rows_follow_each_other_and_start_again() {
        let mut batches = Batches::new(Order::Sequential, 0, 5, 2);
        let steps: Vec<_> = (0..4).map(|step| batches.windows(step)).collect();
        assert_eq!(steps, [[0, 1], [2, 3], [4, 0], [1, 2]]);
    }

    #[test]
    fn a_shuffled_epoch_holds_each_window_once_and_the_next_is_another() {
        let mut batches = Batches::new(Order::Shuffled, 3, 6, 4);
        let seen: Vec<_> = (0..3).flat_map(|step| batches.windows(step)).collect(); // 12 rows: two epochs
        let permutation = |epoch| Draw::new(3, "data order", epoch, 0).permutation(6);
        assert_eq!(seen[..6], permutation(0));
        assert_eq!(seen[6..], permutation(1));
        assert_ne!(seen[..6], seen[6..]);
    }

    #[test]
    fn a_step_does_not_depend_on_the_steps_before_it() {
        let mut walked = Batches::new(Order::Shuffled, 7, 10, 3);
        let steps: Vec<_> = (0..20).map(|step| walked.windows(step)).collect();
        for step in [19, 0, 7, 3] {
            assert_eq!(walked.windows(step), steps[step]);
            assert_eq!(Batches::new(Order::Shuffled, 7, 10, 3).windows(step), steps[step]);
        }
        assert_ne!(Batches::new(Order::Shuffled, 8, 10, 3).windows(0), steps[0]);
    }

    #[test]
    fn a_batch_may_be_larger_than_the_data() {
        let mut windows = Batches::new(Order::Shuffled, 0, 2, 6).windows(1);
        windows.sort_unstable();
        assert_eq!(windows, [0, 0, 0, 1, 1, 1]);
    }
}
