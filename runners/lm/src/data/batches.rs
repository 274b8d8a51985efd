//! Which windows are the batch of each step.

use super::permutation::Permutation;
use crate::spec::Order;
use regatta_core::Draw;

/// Windows of an epoch whose order is drawn at once: 8 MiB of indices.
const DRAWN: usize = 1 << 20;

/// The window index of each row of each batch: a pure function of (seed, step), so a resumed trial needs no state of it.
///
/// Row b of step s is entry `i = s·batch_size + b` of an endless list of windows. Sequential: window `i mod windows`. Shuffled:
/// epoch `i div windows` has a permutation of its own, drawn from the seed, and the window is its entry `i mod windows`.
/// The order of more than 2²⁰ windows is computed window by window, so it takes no memory. A batch may begin in one epoch and end in
/// the next; no window is seen more often than another by more than once.
#[derive(Debug, Clone)]
pub struct Batches {
    order: Order,
    seed: u64,
    windows: usize,
    batch_size: usize,
    /// The epoch drawn last and its permutation: only a cache.
    epoch: Option<(usize, Shuffled)>,
}

/// The order of an epoch's windows.
#[derive(Debug, Clone)]
enum Shuffled {
    Drawn(Vec<usize>),
    Computed(Permutation),
}

impl Shuffled {
    fn new(windows: usize, seed: u64, epoch: usize) -> Self {
        let draw = |kind| Draw::new(seed, "data order", epoch as u64, kind);
        match windows {
            ..=DRAWN => Self::Drawn(draw(0).permutation(windows)),
            _ => Self::Computed(Permutation::new(windows, &mut draw(1))),
        }
    }

    fn at(&self, place: usize) -> usize {
        match self {
            Self::Drawn(order) => order[place],
            Self::Computed(permutation) => permutation.at(place),
        }
    }
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
            Some((cached, order)) if *cached == epoch => order.at(place),
            _ => {
                let order = Shuffled::new(self.windows, self.seed, epoch);
                let window = order.at(place);
                self.epoch = Some((epoch, order));
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
    fn an_order_that_takes_no_memory_holds_each_window_once_too() {
        let (windows, rows) = (DRAWN + 1, 1024);
        let mut batches = Batches::new(Order::Shuffled, 5, windows, rows);
        let mut seen = vec![0u8; windows];
        for step in 0..windows.div_ceil(rows) {
            let epoch = windows - (step * rows).min(windows);
            batches.windows(step).into_iter().take(epoch).for_each(|window| seen[window] += 1);
        }
        assert!(seen.iter().all(|&times| times == 1));
        let memory = |shuffled: &Shuffled| matches!(shuffled, Shuffled::Drawn(_));
        assert!(memory(&Shuffled::new(DRAWN, 5, 0)) && !memory(&Shuffled::new(DRAWN + 1, 5, 0)));
        let later = 3 * windows / rows; // begins in the third epoch
        assert_eq!(Batches::new(Order::Shuffled, 5, windows, rows).windows(later), batches.windows(later));
        assert_ne!(Batches::new(Order::Shuffled, 6, windows, rows).windows(later), batches.windows(later));
        let huge = Batches::new(Order::Shuffled, 0, 1 << 45, 4).windows(1 << 40);
        assert!(huge.iter().all(|&window| window < 1 << 45));
    }

    #[test]
    fn a_batch_may_be_larger_than_the_data() {
        let mut windows = Batches::new(Order::Shuffled, 0, 2, 6).windows(1);
        windows.sort_unstable();
        assert_eq!(windows, [0, 0, 0, 1, 1, 1]);
    }
}
