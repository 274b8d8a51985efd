//! Messages of TensorBoard's HPARAMS tab: which settings a run had, which runs are repetitions of each other, how one ended.
//!
//! ```text
//! HParamsPluginData 1 version = 0   2 experiment   3 session_start_info   4 session_end_info
//! Experiment        4 hparam_infos: repeated { 1 name   4 type }   5 metric_infos: repeated { 1 name: { 2 tag } }
//! SessionStartInfo  1 hparams: map<string, Value>   4 group_name   5 start_time_secs
//! SessionEndInfo    1 status   2 end_time_secs
//! Value             2 number_value: double   3 string_value: string   4 bool_value: bool
//! ```

use crate::event::{When, of_plugin};
use crate::wire::Message;
use std::collections::BTreeMap;

const PLUGIN: &str = "hparams";

/// The value of one setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

/// What HPARAMS shows of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hyperparameters {
    /// Runs of one group are repetitions: HPARAMS shows one row for them, with the mean of each metric. They must have the same
    /// settings.
    pub group: String,
    /// The run's own settings.
    pub settings: BTreeMap<String, Setting>,
    /// Settings of all runs, which are the columns. Only the type of a value counts.
    pub columns: BTreeMap<String, Setting>,
    /// Tags of the scalars that are also columns.
    pub metrics: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Whether it was trained and measured to its end.
    pub is_success: bool,
    /// When, in seconds since 1970.
    pub ended: u64,
}

impl Setting {
    /// TensorBoard's `DataType`.
    fn data_type(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Flag(_) => 2,
            Self::Number(_) => 3,
        }
    }

    /// `google.protobuf.Value`.
    fn value(&self) -> Message {
        match self {
            Self::Number(number) => Message::default().chosen_double(2, *number),
            Self::Text(text) => Message::default().chosen_text(3, text),
            Self::Flag(flag) => Message::default().chosen_flag(4, *flag),
        }
    }
}

impl Hyperparameters {
    /// The columns of the table. Every run has them: a reader uses the first that it finds.
    pub(crate) fn experiment(&self, when: When) -> Message {
        let column = |(name, setting): (&String, &Setting)| Message::default().text(1, name).integer(4, setting.data_type());
        let metric = |tag: &String| Message::default().message(1, &Message::default().text(2, tag));
        let experiment = self.columns.iter().map(column).fold(Message::default(), |all, column| all.message(4, &column));
        let experiment = self.metrics.iter().map(metric).fold(experiment, |all, metric| all.message(5, &metric));
        of_plugin(when, "_hparams_/experiment", PLUGIN, &Message::default().message(2, &experiment))
    }

    /// The run's settings.
    pub(crate) fn start(&self, when: When) -> Message {
        let entry = |(name, setting): (&String, &Setting)| Message::default().text(1, name).message(2, &setting.value());
        let settings = self.settings.iter().map(entry).fold(Message::default(), |all, entry| all.message(1, &entry));
        let info = settings.text(4, &self.group).double(5, when.wall_time);
        of_plugin(when, "_hparams_/session_start_info", PLUGIN, &Message::default().message(3, &info))
    }
}

impl Outcome {
    pub(crate) fn end(self, when: When) -> Message {
        const SUCCESS: u64 = 1;
        const FAILURE: u64 = 2;
        let info = Message::default().integer(1, if self.is_success { SUCCESS } else { FAILURE }).double(2, self.ended as f64);
        of_plugin(when, "_hparams_/session_end_info", PLUGIN, &Message::default().message(4, &info))
    }
}
