//! `runners/<id>.json`: a runner of a study's folder, and its heartbeat, which is the file's time of modification.

use super::process::Process;
use crate::{RecordError, files::entries};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The folder of these files, and of the turns.
pub(super) const RUNNERS: &str = "runners";
/// A runner whose heartbeat is older, by the clocks, seems to be gone.
const FRESH: Duration = Duration::from_secs(30);

/// A runner of a study's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Names it among all runners of the folder.
    pub id: String,
    /// The machine's name.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Runners that work at the same time belong to one session: none of them trains again what failed under another.
    pub session: String,
    /// When it began, seconds since 1970 by its own clock.
    pub started: u64,
    /// A hash of the study that it runs and of the identities of its trials, once it has opened the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<String>,
    /// The job of a scheduler that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<Process>,
}

impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on {}", self.pid, self.host)?;
        self.job.as_ref().map_or(Ok(()), |job| write!(f, ", {job}"))
    }
}

/// A runner as a reader of the folder sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Present {
    /// Which.
    #[serde(flatten)]
    pub card: Card,
    /// Time since its last heartbeat, by the reader's clock.
    #[serde(skip)]
    pub silent: Duration,
}

impl Card {
    /// The runner of a file that cannot be understood: all that is known of it is its heartbeat.
    pub(super) fn unknown(id: &str) -> Self {
        let (host, session, study) = ("an unknown machine".to_owned(), String::new(), Some(String::new()));
        Self { id: id.to_owned(), host, pid: 0, session, started: 0, study, job: None, process: None }
    }

    /// Whether its process has ended; `None` where this machine cannot know.
    pub(super) fn has_ended(&self) -> Option<bool> {
        self.process.as_ref().and_then(Process::has_ended)
    }
}

/// Whether a heartbeat is recent by this machine's clock.
pub(super) fn is_recent(beat: SystemTime) -> bool {
    since(beat) < FRESH
}

/// The file of a runner.
pub(super) fn file_of(out: &Path, id: &str) -> PathBuf {
    out.join(RUNNERS).join(format!("{id}.json"))
}

/// A runner's card, and the time of its last heartbeat. The file is opened to learn that: a network file system then asks its
/// server, and answers from no cache.
pub(super) fn read(out: &Path, id: &str) -> io::Result<Option<(Option<Card>, SystemTime)>> {
    let path = file_of(out, id);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // of a user who lets nobody read it
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Some((None, path.metadata()?.modified()?))),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some((serde_json::from_slice(&bytes).ok(), file.metadata()?.modified()?)))
}

/// The ids of all runners that have a file.
pub(super) fn ids(out: &Path) -> Result<Vec<String>, RecordError> {
    let id = |path: &PathBuf| Some(path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned());
    let mut ids: Vec<String> = entries(&out.join(RUNNERS))?.iter().filter_map(id).collect();
    ids.sort();
    Ok(ids)
}

/// Time since then; a time in the future, after a clock was set back, counts as past.
fn since(then: SystemTime) -> Duration {
    SystemTime::now().duration_since(then).unwrap_or_else(|ahead| ahead.duration())
}

/// The runners of a study's folder that seem to live: their processes do, or, on other machines, their heartbeats are recent by
/// this machine's clock. That is good enough to be shown, and decides only whose manifest stands and who reports.
///
/// # Errors
/// When a file cannot be read.
pub fn present(out: &Path) -> Result<Vec<Present>, RecordError> {
    let mut present = Vec::new();
    for id in ids(out)? {
        let read = read(out, &id).map_err(|error| RecordError::new(&file_of(out, &id), error))?;
        let Some((Some(card), touched)) = read else { continue };
        let silent = since(touched);
        let lives = match card.has_ended() {
            Some(ended) => !ended,
            None => silent < FRESH,
        };
        if lives {
            present.push(Present { card, silent });
        }
    }
    present.sort_by(|a, b| (a.card.started, &a.card.id).cmp(&(b.card.started, &b.card.id)));
    Ok(present)
}
