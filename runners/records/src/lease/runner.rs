//! This process as one of the runners of a study's folder.

use super::card::{self, Card, RUNNERS, file_of};
use super::claim::{self, Holder};
use super::others::{self, Others};
use super::process::Process;
use super::{Claim, Lease, TRIAL, TURN, host, scratch_of};
use crate::{RecordError, disk};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A runner shows that it lives this often.
const BEAT: Duration = Duration::from_secs(2);
/// Time between two looks at who has the turn.
const LOOK: Duration = Duration::from_millis(50);

/// This process, as one of the runners of a study's folder, while it lives.
#[derive(Debug)]
pub struct Runner {
    out: PathBuf,
    card: Card,
    end: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Runner {
    /// Joins the runners of the folder `out`, which must exist: in this session, or in that of the runners that seem to live.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn join(out: &Path, session: Option<&str>) -> Result<Self, RecordError> {
        let folder = out.join(RUNNERS);
        disk::create_folder(&folder).map_err(|error| RecordError::new(&folder, error))?;
        let (host, pid) = (host(), std::process::id());
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
        let id = format!("{name}-{pid}-{:x}", began.as_nanos() & 0xffff_ffff_ffff);
        let theirs = card::present(out)?.into_iter().map(|other| other.card.session).next();
        let session = session.map(str::to_owned).or(theirs).unwrap_or_else(|| id.clone());
        let card = Card { id, host, pid, session, job: job(), started: began.as_secs(), process: Process::this() };
        write(out, &card)?;
        let (end, ended) = channel();
        let beats = std::thread::spawn({
            let (out, card) = (out.to_owned(), card.clone());
            move || beat(&out, &card, &ended)
        });
        Ok(Self { out: out.to_owned(), card, end: Some(end), beats: Some(beats) })
    }

    /// Who it is.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Takes a trial's folder, or tells who holds it. One whose holder is gone is taken over.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn take(&self, trial: &Path, others: &mut Others) -> Result<Claim, RecordError> {
        self.claim(trial, TRIAL, others)
    }

    /// Waits for this runner's turn at what concerns the study as a whole; `None` where `wait`, which is called with whoever has
    /// it meanwhile, no longer wants to.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn turn(&self, others: &mut Others, mut wait: impl FnMut(&Holder) -> bool) -> Result<Option<Lease>, RecordError> {
        loop {
            match self.claim(&self.out.join(RUNNERS), TURN, others)? {
                Claim::Taken(turn) => return Ok(Some(turn)),
                Claim::Held(holder) if wait(&holder) => std::thread::sleep(LOOK),
                Claim::Held(_) => return Ok(None),
            }
        }
    }

    fn claim(&self, folder: &Path, name: &'static str, others: &mut Others) -> Result<Claim, RecordError> {
        let found = claim::highest(folder, name)?;
        let mut attempt = 1;
        if let Some((last, holder)) = found {
            attempt = last + 1;
            let path = claim::file_of(folder, name, last);
            let gone = |others: &mut Others, id: &str| others.is_gone(id).map_err(|error| RecordError::new(&path, error));
            match holder {
                Some(holder) if holder.released => {}
                Some(holder) if gone(others, &holder.runner)? => {
                    tracing::warn!("{holder} ended without giving {} back; this run resumes from what it left", folder.display());
                }
                Some(holder) => return Ok(Claim::Held(holder)),
                None if others.is_abandoned(&path).map_err(|error| RecordError::new(&path, error))? => {
                    tracing::warn!("{}: it names no runner, so nobody holds the folder", path.display());
                }
                None => return Ok(Claim::Held(unknown(last))),
            }
        }
        let Card { id, host, pid, .. } = &self.card;
        let holder = Holder { runner: id.clone(), host: host.clone(), pid: *pid, attempt, released: false };
        let scratch = scratch_of(&self.out, id);
        disk::create_folder(folder).map_err(|error| RecordError::new(folder, error))?;
        if claim::create(folder, name, &holder, &scratch)? {
            return Ok(Claim::Taken(Lease::new(folder, name, holder, scratch)));
        }
        let winner = claim::highest(folder, name)?.and_then(|(_, holder)| holder);
        Ok(Claim::Held(winner.unwrap_or_else(|| unknown(attempt))))
    }

    /// A runner of the same folder, other than this one, that lives. Where a heartbeat is old by the clocks this takes half a
    /// minute, since clocks may differ.
    ///
    /// # Errors
    /// When a runner's file cannot be read.
    pub fn living_other(&self, others: &mut Others) -> Result<Option<Card>, RecordError> {
        let mine = |id: &String| *id == self.card.id;
        if let Some(other) = card::present(&self.out)?.into_iter().find(|other| !mine(&other.card.id) && other.is_recent()) {
            return Ok(Some(other.card));
        }
        for id in card::ids(&self.out)?.into_iter().filter(|id| !mine(id)) {
            let failed = |error: io::Error| RecordError::new(&file_of(&self.out, &id), error);
            let first = card::read(&self.out, &id).map_err(failed)?;
            while !others.is_gone(&id).map_err(failed)? {
                match (card::read(&self.out, &id).map_err(failed)?, &first) {
                    (Some((Some(card), beat)), Some((_, before))) if beat != *before => return Ok(Some(card)),
                    _ => std::thread::sleep(Duration::from_millis(200)),
                }
            }
        }
        Ok(None)
    }
}

/// The holder that a file does not name yet: another runner is about to write it.
fn unknown(attempt: u64) -> Holder {
    Holder { runner: String::new(), host: "another machine".into(), pid: 0, attempt, released: false }
}

fn write(out: &Path, card: &Card) -> Result<(), RecordError> {
    let path = file_of(out, &card.id);
    let (failed, scratch) = (|error: io::Error| RecordError::new(&path, error), scratch_of(out, &card.id));
    let text = serde_json::to_vec(card).map_err(|error| failed(error.into()))?;
    disk::write(&scratch, &text).and_then(|()| disk::rename(&scratch, &path)).map_err(failed)
}

/// Touches the runner's file every few seconds until it ends. One that cannot be touched once may be the next time; one that is not
/// there was removed by a runner that took this one for gone, and is written again.
fn beat(out: &Path, card: &Card, ended: &Receiver<()>) {
    let path = file_of(out, &card.id);
    while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        match disk::touch(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!("{}: removed, as if this runner were gone", path.display());
                if let Err(error) = write(out, card) {
                    tracing::warn!("{error}");
                }
            }
            Err(error) => tracing::warn!("{}: {error}", path.display()),
            Ok(()) => {}
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.end.take());
        self.beats.take().into_iter().for_each(|beats| drop(beats.join()));
        others::bury(&self.out, &self.card.id);
    }
}

/// The job of a scheduler that this process runs in.
fn job() -> Option<String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("SLURM_ARRAY_JOB_ID"), variable("SLURM_ARRAY_TASK_ID"), variable("SLURM_JOB_ID")) {
        (Some(array), Some(task), _) => Some(format!("Slurm job {array}_{task}")),
        (_, _, Some(job)) => Some(format!("Slurm job {job}")),
        _ => None,
    }
}
