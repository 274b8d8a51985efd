//! What a run sends to a worker, a JSON value per line: its setup, then one trial after the other. What the worker sends back is
//! [`Event`](crate::event::Event).
//!
//! A request holds all that was resolved when the plan was made. A worker reads no study, expands no sweep, trains no tokenizer and
//! measures no plugin; it reads the data, tasks and weights of the trials that it runs.

use crate::options::Every;
use regatta_core::Fingerprint;
use regatta_lm::Device;
use regatta_lm::data::Recipe;
use regatta_records::Holder;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ffi::OsString;

/// A request to a worker. `T` is the trial as one side has it: [`Resolved`](crate::resolved::Resolved) or
/// [`Received`](crate::resolved::Received).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Request<'a, T> {
    /// Sent once, first.
    Setup(Setup),
    /// Run this trial.
    Trial(Box<Order<'a, T>>),
}

/// For whom and where a worker runs trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The folder for results. Paths are `OsString`s, since a path need not be UTF-8.
    pub out: OsString,
    /// The session of the runner that the worker writes for.
    pub session: String,
    /// How often a trial saves a checkpoint.
    pub every: Every,
    /// What it trains on, from its first trial to its last.
    pub device: Device,
    /// Whether its trials recompute activations, so that all that train at once fit on the device. The run decides it, once for
    /// all: a worker cannot know what the others are about to take, and times of trials that did otherwise are not compared.
    pub recompute: bool,
}

/// A trial to run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order<'a, T> {
    /// The arm and its point, for messages.
    pub name: String,
    /// The trial's folder.
    pub folder: OsString,
    /// The runner that may write there.
    pub holder: Holder,
    /// The hash of all that its results depend on: the worker computes it again from what it received and read, in case the data
    /// have changed since the plan was made.
    pub identity: String,
    /// What its plugins compute, as measured when the plan was made. A worker never measures it: a plugin would be called there
    /// otherwise than in a trial by itself.
    pub fingerprints: Vec<Option<Fingerprint>>,
    pub trial: T,
    /// How to get its data.
    pub data: Cow<'a, Recipe>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[cfg(unix)]
    #[test]
    fn a_setup_arrives_as_it_was_sent_whatever_its_paths() {
        use std::os::unix::ffi::OsStringExt;
        for every in [Every::Time(Duration::from_millis(1500)), Every::Steps(200)] {
            let out = OsString::from_vec(b"a \xff\n".to_vec());
            let setup = Setup { out, session: "one".into(), every, device: Device::Cuda(1), recompute: true };
            let line = serde_json::to_string(&Request::<()>::Setup(setup.clone())).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Request<'_, ()>>(&line).unwrap(), Request::Setup(setup));
        }
    }
}
