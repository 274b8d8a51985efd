//! A run of TensorBoard's: one folder with one event file.

use crate::event::{When, file_version, scalars, session_start};
use crate::hparams::{Hyperparameters, Outcome};
use crate::record;
use crate::wire::Message;

const PREFIX: &str = "events.out.tfevents.";
const PROGRAM: &str = ".regatta.";

/// The curves of one run. A file of them is a function of these values alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    /// When the process that wrote the newest points began, seconds since 1970. One that resumes from a checkpoint begins later
    /// than the one before it.
    pub started: u64,
    /// What the HPARAMS tab shows; `None` keeps the run out of it.
    pub hyperparameters: Option<Hyperparameters>,
    /// The scalars, in the order of their steps.
    pub points: Vec<Point>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
}

/// The scalars of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Point {
    /// Updates made before.
    pub step: u64,
    /// Seconds since 1970.
    pub wall_time: f64,
    /// Tags and values. A tag is grouped with others that have the same word before its `/`.
    pub scalars: Vec<(String, f64)>,
}

/// Whether a file of this name was named by [`Run::file_name`].
pub fn is_event_file(name: &str) -> bool {
    let digits = |text: &str| text.len() >= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once(PROGRAM));
    numbers.is_some_and(|(started, events)| digits(started) && digits(events))
}

impl Run {
    /// The name of the run's file. With more points it is a new name, which sorts after the earlier ones.
    ///
    /// A running TensorBoard reads each file once, from beginning to end, and continues with files that sort after it. It would not
    /// read a file again that was replaced under the same name.
    pub fn file_name(&self) -> String {
        format!("{PREFIX}{:010}{PROGRAM}{:010}", self.started, self.points.len() + usize::from(self.outcome.is_some()))
    }

    /// The run's file: its version, the start of a session at step 0, the points, and how it ended.
    ///
    /// The start makes a reader drop all steps that it has from an earlier file of the same run, so that no step is shown twice,
    /// even where a resumed run repeated it.
    pub fn events(&self) -> Vec<u8> {
        let wall_time = self.points.first().map_or(self.started as f64, |first| first.wall_time);
        let begin = When { wall_time, step: 0 };
        let mut file = Vec::new();
        let mut push = |event: &Message| record::push(&mut file, event.as_bytes());
        push(&file_version(wall_time));
        push(&session_start(begin));
        if let Some(hyperparameters) = &self.hyperparameters {
            push(&hyperparameters.experiment(begin));
            push(&hyperparameters.start(begin));
        }
        for Point { step, wall_time, scalars: values } in &self.points {
            push(&scalars(When { step: *step, wall_time: *wall_time }, values));
        }
        if let Some(outcome) = self.outcome.filter(|_| self.hyperparameters.is_some()) {
            push(&outcome.end(When { wall_time: outcome.ended as f64, step: 0 }));
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Setting;
    use crate::decode::{Fields, events};

    /// Two steps from 100 s on, half a second apart.
    fn run() -> Run {
        let point = |step: u64, loss: f64| Point {
            step,
            wall_time: 100.0 + 0.5 * step as f64,
            scalars: vec![("train/loss".into(), loss), ("train/lr".into(), 0.001)],
        };
        Run { started: 100, points: vec![point(0, 5.5), point(1, f64::NAN)], ..Run::default() }
    }

    fn with_settings() -> Run {
        let settings = [("arm", Setting::Text("b".into())), ("lr", Setting::Number(0.0)), ("tied", Setting::Flag(false))];
        let settings = settings.map(|(name, setting)| (name.to_owned(), setting));
        let hyperparameters = Hyperparameters {
            group: "b".into(),
            settings: settings.clone().into(),
            columns: settings.into(),
            metrics: vec!["final/loss".into()],
        };
        Run { hyperparameters: Some(hyperparameters), outcome: Some(Outcome { is_success: true, ended: 107 }), ..run() }
    }

    #[test]
    fn a_file_has_its_version_a_start_and_an_event_for_each_step() {
        let events = events(&run().events());
        assert_eq!(events.len(), 4);
        assert_eq!((events[0].text(3).as_str(), events[0].double(1), events[0].has(5)), ("brain.Event:2", 100.0, false));
        assert_eq!((events[1].message(7).integer(1), events[1].integer(2)), (1, 0), "a session starts at step 0");
        let values = |event: &Fields| -> Vec<(String, f32)> {
            event.message(5).messages(1).iter().map(|value| (value.text(1), value.float(2))).collect()
        };
        assert_eq!((events[2].integer(2), events[2].double(1)), (0, 100.0));
        assert_eq!(values(&events[2]), [("train/loss".to_owned(), 5.5), ("train/lr".to_owned(), 0.001)]);
        assert_eq!((events[3].integer(2), events[3].double(1)), (1, 100.5));
        assert!(values(&events[3])[0].1.is_nan(), "a loss that is not a number is shown as one");
    }

    #[test]
    fn settings_columns_and_outcome_are_what_hparams_reads() {
        let events = events(&with_settings().events());
        assert_eq!(events.len(), 7);
        let plugin = |event: &Fields| {
            let value = event.message(5).message(1);
            assert_eq!(value.message(8).integer(1), 1, "a tensor of floats");
            assert_eq!(value.message(8).message(2).messages(2), [Fields::default()], "of one dimension of size 0");
            let data = value.message(9).message(1);
            assert_eq!(data.text(1), "hparams");
            (value.text(1), data.message(2))
        };
        let (tag, data) = plugin(&events[2]);
        assert_eq!(tag, "_hparams_/experiment");
        let columns = data.message(2).messages(4);
        let columns: Vec<(String, u64)> = columns.iter().map(|column| (column.text(1), column.integer(4))).collect();
        assert_eq!(columns, [("arm".to_owned(), 1), ("lr".to_owned(), 3), ("tied".to_owned(), 2)]);
        assert_eq!(data.message(2).messages(5)[0].message(1).text(2), "final/loss");

        let (tag, data) = plugin(&events[3]);
        assert_eq!(tag, "_hparams_/session_start_info");
        let start = data.message(3);
        let entries: Vec<(String, Fields)> = start.messages(1).iter().map(|entry| (entry.text(1), entry.message(2))).collect();
        assert_eq!((entries[0].0.as_str(), entries[0].1.text(3).as_str()), ("arm", "b"));
        assert_eq!((entries[1].1.has(2), entries[1].1.double(2)), (true, 0.0), "0 is a value, and written");
        assert_eq!((entries[2].1.has(4), entries[2].1.integer(4)), (true, 0), "false too");
        assert_eq!((start.text(4).as_str(), start.double(5)), ("b", 100.0));

        let (tag, data) = plugin(&events[6]);
        assert_eq!(tag, "_hparams_/session_end_info");
        assert_eq!((data.message(4).integer(1), data.message(4).double(2)), (1, 107.0));
    }

    #[test]
    fn a_run_that_goes_on_has_no_end_and_one_that_failed_says_so() {
        let running = Run { outcome: None, ..with_settings() };
        assert_eq!(events(&running.events()).len(), 6);
        let failed = Run { outcome: Some(Outcome { is_success: false, ended: 107 }), ..with_settings() };
        let last = events(&failed.events()).pop().unwrap();
        assert_eq!(last.message(5).message(1).message(9).message(1).message(2).message(4).integer(1), 2);
    }

    #[test]
    fn more_points_and_later_starts_sort_behind() {
        let more = Run { points: vec![Point::default(); 11], ..run() };
        let ended = Run { outcome: Some(Outcome { is_success: true, ended: 1 }), ..more.clone() };
        let resumed = Run { started: 101, ..run() };
        let names = [run(), more, ended, resumed].map(|run| run.file_name());
        assert_eq!(names[0], "events.out.tfevents.0000000100.regatta.0000000002");
        assert!(names.is_sorted() && names.iter().all(|name| is_event_file(name)), "{names:?}");
        for other in ["events.out.tfevents.1700000000.host.12.0", "events.out.tfevents.1.regatta.2", "results.csv"] {
            assert!(!is_event_file(other), "{other}");
        }
    }
}
