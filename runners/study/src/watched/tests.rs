//! A folder that changes between looks.

use super::*;
use regatta_records::{Claim, Others, Runner};

const STUDY: &str = "name: tiny\nseeds: [0, 1]\ntrain: {steps: 10}\narms: {baseline: [], other: []}\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(study: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("study.yaml", study);
        folder.write("runners/turn.1", "");
        folder
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn status(&self, trial: &str, state: &str, more: &str) {
        let text = format!(r#"{{"state": "{state}", "identity": "x", "started": 1000, "attempt": 1, "records": {{}}{more}}}"#);
        self.write(&format!("trials/{trial}/status.json"), &text);
    }

    fn steps(&self, trial: &str, steps: std::ops::Range<usize>, loss: f64) {
        let line = |step: usize| {
            format!(r#"{{"step":{step},"loss":{loss},"penalty":0.5,"terms":{{}},"grad_norm":1,"lr":1,"tokens_per_second":1}}"#)
                + "\n"
        };
        self.write(&format!("trials/{trial}/metrics.jsonl"), &steps.map(line).collect::<String>());
    }

    fn open(&self) -> Watched {
        let mut watched = Watched::open(self.0.path()).unwrap();
        look(&mut watched);
        watched
    }
}

/// Looks 20 seconds after the trials began.
fn look(watched: &mut Watched) {
    while watched.refresh(UNIX_EPOCH + Duration::from_secs(1020), 1 << 20) {}
}

fn states(watched: &Watched) -> Vec<&'static str> {
    watched.standing().trials.iter().map(|trial| trial.state.word()).collect()
}

#[test]
fn a_study_is_followed_from_its_first_step_to_its_end() {
    let folder = Folder::new(STUDY);
    let mut watched = folder.open();
    assert_eq!((watched.name(), watched.phase()), ("tiny", Phase::Stopped));
    assert_eq!(states(&watched), ["pending"; 4]);
    assert_eq!(watched.progress(), Progress { made: 0, steps: 40, left: None, is_open: false });

    let runner = Runner::join(folder.0.path(), None).unwrap();
    let trial = folder.0.path().join("trials/baseline/seed-0");
    let Claim::Taken(lease) = runner.take(&trial, &mut Others::of(folder.0.path())).unwrap() else { panic!("it is free") };
    let mine = format!(r#", "runner": "{}""#, runner.card().id);
    folder.status("baseline/seed-0", "running", &mine);
    folder.steps("baseline/seed-0", 0..4, 3.0);
    while watched.refresh(UNIX_EPOCH + Duration::from_secs(1001), 1 << 20) {}
    assert_eq!((watched.time(0), watched.progress().left), (None, None), "a second after its start nothing is known");
    look(&mut watched);
    assert_eq!((watched.phase(), states(&watched)[0]), (Phase::Running, "running"));
    assert_eq!(watched.standing().runners.iter().map(|runner| &runner.card).collect::<Vec<_>>(), [runner.card()]);
    assert_eq!(watched.standing().trials[0].runner.as_ref(), Some(lease.fence().holder()));
    assert!(watched.standing().runners[0].silent < Duration::from_secs(60));
    assert_eq!(watched.time(0), Some(TrialTime::Left(Duration::from_secs(30)))); // 4 steps in 20 s, 6 to come
    assert_eq!(watched.progress().left, Some(Duration::from_secs(180))); // 36 to come
    assert_eq!((watched.loss(0), watched.loss(1)), (Some(3.0), None));

    folder.steps("baseline/seed-0", 0..10, 3.0);
    folder.status("baseline/seed-0", "done", r#", "ended": 1015"#);
    folder.status("other/seed-0", "failed", r#", "reason": "no luck", "ended": 1016"#);
    drop((lease, runner));
    look(&mut watched);
    assert_eq!(states(&watched), ["done", "failed", "pending", "pending"]);
    assert_eq!((watched.phase(), watched.standing().summary().as_str()), (Phase::Stopped, "1 done, 2 pending, 1 failed"));
    assert_eq!(watched.time(0), Some(TrialTime::Took(Duration::from_secs(15))));
    assert_eq!(watched.standing().trials[1].reason.as_deref(), Some("no luck"));
    assert_eq!(watched.progress(), Progress { made: 10, steps: 30, left: None, is_open: false });

    folder.status("baseline/seed-1", "done", "");
    folder.status("other/seed-1", "done", "");
    look(&mut watched);
    assert_eq!(watched.phase(), Phase::Done);
}

#[test]
fn curves_are_means_over_the_seeds_that_got_so_far() {
    let folder = Folder::new(STUDY);
    folder.steps("other/seed-0", 0..10, 2.0);
    folder.steps("other/seed-1", 0..4, 4.0);
    folder.write("trials/other/seed-0/validation.jsonl", "{\"step\":0,\"loss\":5.0}\n{\"step\":10,\"loss\":1.0}\n");
    folder.write("trials/other/seed-1/validation.jsonl", "{\"step\":0,\"loss\":7.0}\n{\"step\":");
    let watched = folder.open();
    assert_eq!(watched.variants().collect::<Vec<_>>(), ["baseline", "other"]);
    assert!(watched.curve(0, Measure::TrainingLoss).is_empty());
    let losses: Vec<f64> = watched.curve(1, Measure::TrainingLoss).into_iter().map(|(_, loss)| loss).collect();
    assert_eq!(losses, [[3.0; 4].as_slice(), &[2.0; 6]].concat());
    assert_eq!(watched.curve(1, Measure::ValidationLoss), [(0.0, 6.0), (10.0, 1.0)]);
    assert_eq!(watched.curve(1, Measure::Penalty)[0], (0.0, 0.5));
    assert!(watched.curve(1, Measure::MeanCosine).is_empty() && watched.curve(9, Measure::Penalty).is_empty());
}

#[test]
fn a_trial_that_is_redone_begins_again() {
    let folder = Folder::new(STUDY);
    folder.status("other/seed-0", "running", "");
    folder.steps("other/seed-0", 0..8, 2.0);
    let mut watched = folder.open();
    assert_eq!((states(&watched)[1], watched.standing().trials[1].made), ("cut off", 8));
    folder.steps("other/seed-0", 0..3, 7.0);
    look(&mut watched);
    assert_eq!(watched.standing().trials[1].made, 3);
    assert!(watched.curve(1, Measure::TrainingLoss).iter().all(|(_, loss)| *loss == 7.0));
    std::fs::remove_dir_all(folder.0.path().join("trials")).unwrap();
    look(&mut watched);
    assert_eq!((states(&watched), watched.progress().made), (vec!["pending"; 4], 0));
}

#[test]
fn what_cannot_be_read_is_said_and_read_when_it_can_be() {
    let folder = Folder::new(STUDY);
    folder.write("trials/baseline/seed-0/status.json", "{\"state\": \"tor");
    folder.write("trials/baseline/seed-0/metrics.jsonl", "\u{0}\u{1}garbage\n[]\n{\"step\":0}\n\n");
    std::fs::create_dir_all(folder.0.path().join("trials/other/seed-0/status.json")).unwrap();
    folder.write("trials/other/seed-1", "a file where a folder should be");
    folder.write("run.lock", "no lock");
    let mut watched = folder.open();
    assert_eq!(states(&watched), ["unreadable", "pending", "pending", "pending"]);
    assert!(watched.standing().trials[0].reason.as_ref().unwrap().contains("status.json"));
    assert_eq!((watched.phase(), watched.loss(0)), (Phase::Stopped, None));
    folder.status("baseline/seed-0", "done", r#", "ended": 1"#); // before it began
    look(&mut watched);
    assert_eq!((states(&watched)[0], watched.time(0)), ("done", None));

    folder.write("study.yaml", "arms: [");
    look(&mut watched);
    assert!(watched.fault().unwrap().contains("study.yaml"));
    assert_eq!(watched.standing().trials.len(), 4, "the trials stay as they were");
    folder.write("study.yaml", &STUDY.replace("[0, 1]", "[0, 1, 2]"));
    look(&mut watched);
    assert_eq!((watched.fault(), watched.standing().trials.len()), (None, 6));
    std::fs::remove_file(folder.0.path().join("study.yaml")).unwrap();
    look(&mut watched);
    assert!(watched.fault().unwrap().contains("expected the folder of a study"));
    assert!(Watched::open(folder.0.path()).is_err());
}

#[test]
fn tuning_trials_are_seen_as_they_begin_and_drawn_until_arms_are_judged() {
    let folder = Folder::new(&(STUDY.to_owned() + "tune: {weight: [0.1, 0.2]}\n"));
    let mut watched = folder.open();
    assert_eq!(watched.standing().trials.len(), 4);
    folder.status("other/tune/weight=0.1/seed-1000000", "done", "");
    folder.steps("other/tune/weight=0.1/seed-1000000", 0..2, 8.0);
    look(&mut watched);
    assert_eq!(watched.standing().trials[0].name, "other tuning weight=0.1");
    assert!(watched.progress().is_open);
    assert_eq!(watched.curve(1, Measure::TrainingLoss), [(0.0, 8.0), (1.0, 8.0)]);
    folder.status("other/seed-0", "done", "");
    folder.steps("other/seed-0", 0..1, 2.0);
    look(&mut watched);
    assert!(!watched.progress().is_open);
    assert_eq!(watched.curve(1, Measure::TrainingLoss), [(0.0, 2.0)]);
}

#[test]
fn a_small_budget_reads_everything_in_the_end() {
    let folder = Folder::new(STUDY);
    for trial in ["baseline/seed-0", "other/seed-0", "baseline/seed-1"] {
        folder.steps(trial, 0..5, 1.0);
    }
    let mut watched = Watched::open(folder.0.path()).unwrap();
    let looks = (1..).find(|_| !watched.refresh(UNIX_EPOCH, 1)).unwrap();
    assert_eq!((looks, watched.progress().made), (4, 15), "a trial a look");
}
