//! Which trials each array is for, and how many tasks that takes.

use regatta_config::StudyFile;
use regatta_slurm::{Array, InQueue, Settings};
use regatta_study::Outlook;

/// What one array trains.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Among the constraints, from 0.
    index: usize,
    /// The kind of node that it is pinned to.
    pub constraint: Option<String>,
    /// Its seeds; all where there are none.
    pub seeds: Vec<u64>,
    /// Its trials that are missing.
    missing: usize,
}

impl Share {
    /// Tasks to submit: for its trials, less those that are in the queue already.
    pub fn tasks(&self, settings: &Settings, queued: &[(Array, InQueue)]) -> usize {
        let mine = |array: &Array| self.constraint.is_none() || array.constraint.is_none() || array.constraint == self.constraint;
        let there: usize = queued.iter().filter(|(array, _)| mine(array)).map(|(_, task)| task.tasks).sum();
        self.missing.div_ceil(settings.trials_per_task).saturating_sub(there)
    }

    /// The name of its batch script.
    pub fn script(&self) -> String {
        if self.index == 0 { "job.sh".into() } else { format!("job-{}.sh", self.index + 1) }
    }
}

/// Of the missing trials, those that can be trained at once: tasks for more would wait until tuning has ended.
fn ready(outlook: &Outlook, missing: usize) -> usize {
    missing.saturating_sub(outlook.after_tuning)
}

/// The missing trials as a whole, or by the kinds of node to which seeds are pinned. The division follows from the study's list of
/// seeds alone, so that a later submission divides them alike.
pub(super) fn shares(settings: &Settings, file: &StudyFile, outlook: &Outlook) -> Vec<Share> {
    if !settings.pinned {
        return vec![Share { index: 0, constraint: None, seeds: Vec::new(), missing: ready(outlook, outlook.missing()) }];
    }
    let (judged, kinds) = (&file.study.seeds, settings.constraint.len());
    let missing = |is: &dyn Fn(u64) -> bool| outlook.trials.iter().filter(|trial| !trial.settled && is(trial.seed)).count();
    let of_tuning_alone = missing(&|seed| !judged.contains(&seed)); // which every runner trains
    let share = |(index, constraint): (usize, &String)| {
        let seeds: Vec<u64> = judged.iter().copied().skip(index).step_by(kinds).collect();
        let missing = missing(&|seed| seeds.contains(&seed)) + of_tuning_alone.div_ceil(kinds);
        Share { index, constraint: Some(constraint.clone()), seeds, missing }
    };
    settings.constraint.iter().enumerate().map(share).filter(|share| !share.seeds.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_slurm::Stage;
    use regatta_study::Foreseen;

    fn study(seeds: &str) -> StudyFile {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.yaml");
        std::fs::write(&file, format!("seeds: {seeds}\narms: {{baseline: []}}\n")).unwrap();
        StudyFile::read(&file, &[]).unwrap()
    }

    fn foreseen(seed: u64, settled: bool) -> Foreseen {
        Foreseen { name: "a".into(), seed, identity: String::new(), inputs: serde_json::Value::Null, settled }
    }

    fn array(job: &str, constraint: Option<&str>) -> Array {
        let constraint = constraint.map(str::to_owned);
        Array { job: job.into(), cluster: None, tasks: 9, constraint, seeds: Vec::new() }
    }

    fn in_queue(job: &str, tasks: usize) -> InQueue {
        InQueue { job: job.into(), tasks, stage: Stage::Waiting, reason: String::new(), node: String::new() }
    }

    #[test]
    fn tasks_are_for_what_is_missing_less_what_is_in_the_queue() {
        let outlook = Outlook { settled: 5, resumed: 2, fresh: 5, ..Outlook::default() };
        let settings = Settings { trials_per_task: 3, ..Settings::default() };
        let shares = shares(&settings, &study("3"), &outlook);
        assert_eq!(shares, [Share { index: 0, constraint: None, seeds: vec![], missing: 7 }]);
        let there = |tasks| vec![(array("1", None), in_queue("1", tasks))];
        assert_eq!(shares[0].tasks(&settings, &[]), 3); // of 7 trials, 3 each
        assert_eq!((shares[0].tasks(&settings, &there(2)), shares[0].tasks(&settings, &there(4))), (1, 0));
    }

    #[test]
    fn seeds_are_divided_between_kinds_of_node_alike_each_time() {
        let pinned = Settings { pinned: true, constraint: vec!["old".into(), "new".into()], ..Settings::default() };
        let file = study("[10, 11, 12]");
        let trials = vec![foreseen(10, true), foreseen(11, false), foreseen(12, false), foreseen(12, false)];
        let outlook = Outlook { settled: 1, fresh: 3, trials, ..Outlook::default() };
        let found = shares(&pinned, &file, &outlook);
        let share =
            |index, constraint: &str, seeds, missing| Share { index, constraint: Some(constraint.into()), seeds, missing };
        assert_eq!(found, [share(0, "old", vec![10, 12], 2), share(1, "new", vec![11], 1)]);
        let there = vec![(array("1", Some("old")), in_queue("1", 1)), (array("2", Some("other")), in_queue("2", 5))];
        assert_eq!((found[0].tasks(&pinned, &there), found[1].tasks(&pinned, &there)), (1, 1));
        assert_eq!((found[0].script(), found[1].script()), ("job.sh".into(), "job-2.sh".into()));

        // tuning, with a seed of its own too, comes first; two variants with three seeds follow it and are not ready
        let outlook =
            Outlook { fresh: 2, after_tuning: 6, trials: vec![foreseen(99, false), foreseen(10, false)], ..Outlook::default() };
        let missing: Vec<(Vec<u64>, usize)> =
            shares(&pinned, &file, &outlook).into_iter().map(|share| (share.seeds, share.missing)).collect();
        assert_eq!(missing, [(vec![10, 12], 2), (vec![11], 1)]); // 1 + 1, and 1 of what every kind trains
        let one = study("1");
        assert_eq!(shares(&pinned, &one, &Outlook::default()).len(), 1, "no array without a seed");
    }
}
