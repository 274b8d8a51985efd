//! What a run sends to a worker, a JSON value per line: its setup, then one trial after the other. What the worker sends back is
//! [`Event`](crate::event::Event).

use crate::options::Every;
use crate::plan::TrialKey;
use regatta_core::Fingerprint;
use regatta_records::Holder;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;

/// A request to a worker.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Sent once, first.
    Setup(Setup),
    /// Run this trial.
    Trial(Task),
}

/// The study that a worker runs trials of, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The study's file. Paths are `OsString`s, since a path need not be UTF-8.
    pub study: OsString,
    pub overrides: Vec<String>,
    /// The folder for results.
    pub out: OsString,
    /// The runner that the worker writes for.
    pub holder: Holder,
    /// How often a trial saves a checkpoint.
    pub every: Every,
}

/// A trial to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub key: TrialKey,
    /// What it is, in case the study's files have changed since the plan was made.
    pub identity: String,
    /// What its plugins compute, as measured when the plan was made. A worker never measures it: a plugin would be called there
    /// otherwise than in a trial by itself.
    pub fingerprints: Vec<Option<Fingerprint>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[cfg(unix)]
    #[test]
    fn a_setup_arrives_as_it_was_sent_whatever_its_paths() {
        use std::os::unix::ffi::OsStringExt;
        let holder = Holder { host: "here".into(), pid: 7, attempt: 3, released: false };
        for every in [Every::Time(Duration::from_millis(1500)), Every::Steps(200)] {
            let setup = Setup {
                study: OsString::from_vec(b"a \xff\n.yaml".to_vec()),
                overrides: vec!["train.lr=0.1".into(), "name='\n'".into()],
                out: "runs/x".into(),
                holder: holder.clone(),
                every,
            };
            let line = serde_json::to_string(&Request::Setup(setup.clone())).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), Request::Setup(setup));
        }
    }
}
