//! An arm's accuracy on tasks against the baseline's, item by item.

use super::{Crossed, Interval, McNemar, Paired, mean};

/// A difference in accuracy, arm - baseline: above 0 the arm is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TaskDifference {
    /// Of several seeds on one task: seeds and items are samples.
    OfSeedsAndItems(Crossed),
    /// Of several seeds, averaged over tasks: seeds and tasks are samples.
    OfSeedsAndTasks(Crossed),
    /// Of one seed on one task: a statement on two models.
    OfItems(McNemar),
    /// Of one seed, averaged over tasks, which are a sample: a statement on two models.
    OfTasks(Paired),
}

impl TaskDifference {
    /// The difference on one task. `outcomes` has a row for each seed and a number for each item, the same items in every row: 1
    /// where the arm alone is right, -1 where the baseline alone is, 0 where both are or neither is. `None` without a seed or an
    /// item, and of rows that differ in length.
    pub fn of(outcomes: &[Vec<f64>]) -> Option<Self> {
        match outcomes {
            [] => None,
            [one] => (!one.is_empty()).then(|| Self::OfItems(McNemar::of(one))),
            several => Crossed::of(several, 1.0 / several[0].len() as f64).map(Self::OfSeedsAndItems),
        }
    }

    /// The mean over tasks of the differences in accuracy, each task with the same weight however many items it has.
    ///
    /// Items of one task share what is special about it, so the tasks are what is sampled ([`Crossed`] with a column for each task,
    /// or Student's t over tasks where there is one seed): the spread of their differences holds that of their items. `tasks` has
    /// the outcomes of each task, with the same seeds. `None` below two tasks, and where [`Self::of`] is none.
    pub fn average(tasks: &[Vec<Vec<f64>>]) -> Option<Self> {
        let seeds = tasks.first()?.len();
        if seeds == 0 || tasks.iter().any(|task| task.len() != seeds || task.iter().any(Vec::is_empty)) {
            return None;
        }
        let row = |seed: usize| tasks.iter().map(|task| mean(&task[seed])).collect::<Option<Vec<f64>>>();
        let table = (0..seeds).map(row).collect::<Option<Vec<_>>>()?;
        if let [one] = &table[..] {
            return Paired::of(one).map(Self::OfTasks);
        }
        let steps: f64 = tasks.iter().map(|task| (task[0].len() as f64).powi(-2)).sum();
        Crossed::of(&table, steps.sqrt() / tasks.len() as f64).map(Self::OfSeedsAndTasks)
    }

    /// Mean over seeds of the difference in accuracy.
    pub fn mean(&self) -> f64 {
        match self {
            Self::OfSeedsAndItems(crossed) | Self::OfSeedsAndTasks(crossed) => crossed.mean,
            Self::OfItems(mcnemar) => mcnemar.mean(),
            Self::OfTasks(paired) => paired.mean,
        }
    }

    /// Two-sided p, of this comparison alone.
    pub fn p(&self) -> f64 {
        match self {
            Self::OfSeedsAndItems(crossed) | Self::OfSeedsAndTasks(crossed) => crossed.p,
            Self::OfItems(mcnemar) => mcnemar.p(),
            Self::OfTasks(paired) => paired.p,
        }
    }

    /// The interval at level `1 - 0.05 / comparisons`: what a verdict is read from. It ends at -1 and 1, beyond which a difference of
    /// two fractions cannot lie: two seeds and many comparisons give a t interval many times as wide, which says no more.
    pub fn interval(&self, comparisons: usize) -> Interval {
        let Interval { low, high } = match self {
            Self::OfSeedsAndItems(crossed) | Self::OfSeedsAndTasks(crossed) => crossed.interval(comparisons),
            Self::OfItems(mcnemar) => mcnemar.interval(comparisons),
            Self::OfTasks(paired) => paired.interval(comparisons),
        };
        Interval { low: low.clamp(-1.0, 1.0), high: high.clamp(-1.0, 1.0) }
    }

    /// The size of difference that the interval would have told from 0 four times in five; none of McNemar's test, where no spread was
    /// seen, and where no difference of two fractions is so large.
    pub fn detectable(&self, comparisons: usize) -> Option<f64> {
        let size = match self {
            Self::OfSeedsAndItems(crossed) | Self::OfSeedsAndTasks(crossed) => Some(crossed.detectable(comparisons)),
            Self::OfItems(_) => None,
            Self::OfTasks(paired) => Some(paired.detectable(comparisons)),
        };
        size.filter(|size| *size <= 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn the_number_of_seeds_chooses_the_test() {
        let one = vec![1.0, -1.0, 1.0, 0.0];
        let found = TaskDifference::of(std::slice::from_ref(&one)).unwrap();
        assert_eq!(found, TaskDifference::OfItems(McNemar { wins: 2, losses: 1, items: 4 }));
        check(found.mean(), 0.25);
        check(found.p(), 1.0); // 2 P(W ≥ 2) = 2·(3 + 1)/8
        assert_eq!(found.detectable(1), None);
        let several = TaskDifference::of(&[one.clone(), vec![0.0, 0.0, 1.0, 0.0]]).unwrap();
        assert!(
            matches!(several, TaskDifference::OfSeedsAndItems(of) if of.seeds == 2 && of.mean == 0.25 && of.detectable(1) > 1.0)
        );
        assert_eq!(several.detectable(1), None, "no difference in accuracy is so large");
        assert!(TaskDifference::of(&[]).is_none() && TaskDifference::of(&[vec![]]).is_none());
        assert!(TaskDifference::of(&[one, vec![0.0]]).is_none());
    }

    #[test]
    fn a_difference_of_fractions_ends_at_one() {
        // two seeds: t with one degree of freedom, of 119 comparisons with a quantile of tan(π (1/2 - 0.05/238)) = 1515
        let seeds = [vec![1.0, -1.0, 0.0, 0.0], vec![0.0, 0.0, 1.0, -1.0]];
        let found = TaskDifference::of(&seeds).unwrap();
        let TaskDifference::OfSeedsAndItems(crossed) = found else { panic!("{found:?}") };
        assert!(crossed.interval(119).high > 1.0 && crossed.detectable(119) > 1.0, "{crossed:?}");
        assert_eq!(found.interval(119), Interval { low: -1.0, high: 1.0 });
        assert_eq!(found.detectable(119), None);
    }

    #[test]
    fn tasks_count_alike_however_many_items_they_have() {
        // differences 1/2 of two items and 0 of four: their mean 1/4, and t over two tasks: s = sqrt(1/8), e = 1/4, t = 1
        let one = [vec![vec![1.0, 0.0]], vec![vec![1.0, 0.0, -1.0, 0.0]]];
        let found = TaskDifference::average(&one).unwrap();
        check(found.mean(), 0.25);
        check(found.p(), 0.5); // one degree: 1 - 2·arctan(1)/π
        let two = [vec![vec![1.0, 0.0], vec![0.0, 0.0]], vec![vec![1.0, 0.0, -1.0, 0.0], vec![1.0, 1.0, 0.0, 0.0]]];
        let TaskDifference::OfSeedsAndTasks(found) = TaskDifference::average(&two).unwrap() else { panic!("{two:?}") };
        // rows 1/2 0 and 0 1/2: both seeds have 1/4, so the variance of their means is a step's, (1/4 + 1/16)/4 / 12, over two
        check(found.mean, 0.25);
        check(found.of_seeds, 5.0 / 64.0 / 24.0);
        check(found.of_items, 0.0);
        assert!(TaskDifference::average(&one[..1]).is_none() && TaskDifference::average(&[]).is_none());
        assert!(TaskDifference::average(&[one[0].clone(), two[1].clone()]).is_none(), "not the same seeds");
    }
}
