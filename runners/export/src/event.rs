//! TensorBoard's messages `Event`, `Summary` and `SessionLog`, as far as curves need them.
//!
//! ```text
//! Event      1 wall_time: double   2 step: int64   3 file_version: string   5 summary: Summary   7 session_log: SessionLog
//! Summary    1 value: repeated { 1 tag: string   2 simple_value: float   8 tensor: TensorProto   9 metadata: SummaryMetadata }
//! SessionLog 1 status: START = 1
//! ```

use crate::wire::Message;

/// The second version of the format: readers look for `SessionLog` only in files that say so.
const FILE_VERSION: &str = "brain.Event:2";
const START: u64 = 1;

/// When something happened: seconds since 1970, and updates made before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct When {
    pub wall_time: f64,
    pub step: u64,
}

impl When {
    fn event(self) -> Message {
        Message::default().double(1, self.wall_time).integer(2, self.step)
    }
}

/// The first event of every file.
pub(crate) fn file_version(wall_time: f64) -> Message {
    When { wall_time, step: 0 }.event().text(3, FILE_VERSION)
}

/// Makes a reader that has this run from another file drop all steps from this one on.
pub(crate) fn session_start(when: When) -> Message {
    when.event().message(7, &Message::default().integer(1, START))
}

/// All scalars of one step. TensorBoard keeps float32.
pub(crate) fn scalars(when: When, scalars: &[(String, f64)]) -> Message {
    let value = |(tag, value): &(String, f64)| Message::default().text(1, tag).chosen_float(2, *value as f32);
    when.event().message(5, &scalars.iter().map(value).fold(Message::default(), |summary, value| summary.message(1, &value)))
}

/// The content of a TensorBoard plugin, under its tag.
pub(crate) fn of_plugin(when: When, tag: &str, plugin: &str, content: &Message) -> Message {
    const FLOAT: u64 = 1;
    let plugin_data = Message::default().text(1, plugin).message(2, content);
    let no_numbers = Message::default().message(2, &Message::default()); // one dimension of size 0
    let tensor = Message::default().integer(1, FLOAT).message(2, &no_numbers);
    let metadata = Message::default().message(1, &plugin_data);
    let value = Message::default().text(1, tag).message(8, &tensor).message(9, &metadata);
    when.event().message(5, &Message::default().message(1, &value))
}
