//! This process as one of the runners of a study's folder.

use super::card::{self, Card, RUNNERS, file_of};
use super::claim::{self, Holder};
use super::others::{self, Others};
use super::process::Process;
use super::{Claim, Lease, TRIAL, TURN, scratch_of};
use crate::machine::host;
use crate::{RecordError, disk};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A runner shows that it lives this often.
const BEAT: Duration = Duration::from_secs(2);
/// A runner that lives has shown it within this time, unless it is busy beyond measure.
const ONE_BEAT: Duration = Duration::from_secs(3);
/// Time between two looks at who has the turn, at first and at most: a thousand runners may wait for it.
const LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// The session of a runner that only reports: nobody joins it.
pub const REPORT: &str = "report";

/// This process, as one of the runners of a study's folder, while it lives.
#[derive(Debug)]
pub struct Runner {
    out: PathBuf,
    card: Card,
    /// As it is in the folder.
    shown: Arc<Mutex<Card>>,
    end: Option<Sender<()>>,
    beats: Option<JoinHandle<()>>,
}

impl Runner {
    /// Joins the runners of the folder `out`, which must exist: in this session, or in that of the runners that live.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn join(out: &Path, session: Option<&str>) -> Result<Self, RecordError> {
        let (host, pid) = (host(), std::process::id());
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
        let id = format!("{name}-{pid}-{:x}", began.as_nanos() & 0xffff_ffff_ffff);
        sweep(out)?;
        let session = match session {
            Some(given) => given.to_owned(),
            None => living(out)?.map_or_else(|| id.clone(), |other| other.session),
        };
        let (started, process) = (began.as_secs(), Process::this());
        let card = Card { id, host, pid, session, started, study: None, job: job(), process };
        write(out, &card)?;
        let (end, ended) = channel();
        let shown = Arc::new(Mutex::new(card.clone()));
        let beats = std::thread::spawn({
            let (out, shown) = (out.to_owned(), Arc::clone(&shown));
            move || beat(&out, &shown, &ended)
        });
        Ok(Self { out: out.to_owned(), card, shown, end: Some(end), beats: Some(beats) })
    }

    /// Who it is.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Shows what it runs from now on: a hash of the study and of its trials' identities.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn show(&self, study: &str) -> Result<(), RecordError> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.study = Some(study.to_owned());
        write(&self.out, &shown)
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
        let mut look = LOOK;
        loop {
            match self.claim(&self.out.join(RUNNERS), TURN, others)? {
                Claim::Taken(turn) => return Ok(Some(turn)),
                Claim::Held(holder) if wait(&holder) => std::thread::sleep(look),
                Claim::Held(_) => return Ok(None),
            }
            look = look.mul_f64(1.05).min(LONGEST_LOOK);
        }
    }

    fn claim(&self, folder: &Path, name: &'static str, others: &mut Others) -> Result<Claim, RecordError> {
        let found = claim::highest(folder, name)?;
        let (mut attempt, mut lost) = (1, None);
        if let Some((last, holder)) = found {
            attempt = last + 1;
            let path = claim::file_of(folder, name, last);
            match holder {
                // its own is one that it could not give back
                Some(holder) if holder.released || holder.runner == self.card.id => {}
                Some(holder) if is_so(&path, others.is_gone(&holder.runner)) => {
                    tracing::warn!("{holder} ended without giving {} back; this run resumes from what it left", folder.display());
                    lost = Some(path);
                }
                Some(holder) => return Ok(Claim::Held(holder)),
                None if is_so(&path, others.is_abandoned(&path)) => {
                    tracing::warn!("{}: it names no runner, so nobody holds the folder", path.display());
                }
                None => return Ok(Claim::Held(unknown(last))),
            }
        }
        let Card { id, host, pid, .. } = &self.card;
        let holder = Holder { runner: id.clone(), host: host.clone(), pid: *pid, attempt, released: false };
        let scratch = scratch_of(folder, name, id);
        for folder in [folder, &self.out.join(RUNNERS)] {
            disk::create_folder(folder).map_err(|error| RecordError::new(folder, error))?;
        }
        if claim::create(folder, name, &holder, &scratch)? {
            if let Some(path) = lost {
                // A network file system may tell a frozen holder from a cache that there is no next file; its own it opens.
                claim::mark_lost(&path, &holder).map_err(|error| RecordError::new(&path, error))?;
            }
            return Ok(Claim::Taken(Lease::new(folder, name, holder, scratch)));
        }
        let winner = claim::highest(folder, name)?.and_then(|(_, holder)| holder);
        Ok(Claim::Held(winner.unwrap_or_else(|| unknown(attempt))))
    }

    /// A runner of the same folder, other than this one, that lives and is `wanted`. Where heartbeats are old by the clocks this
    /// takes up to half a minute, since clocks may differ, unless `stop` is set.
    ///
    /// # Errors
    /// When a runner's file cannot be read.
    pub fn living_other(
        &self,
        others: &mut Others,
        stop: impl Fn() -> bool,
        wanted: impl Fn(&Card) -> bool,
    ) -> Result<Option<Card>, RecordError> {
        let mut first: BTreeMap<String, SystemTime> = BTreeMap::new();
        while !stop() {
            let mut are_gone = true;
            for id in card::ids(&self.out)?.into_iter().filter(|id| *id != self.card.id) {
                let path = file_of(&self.out, &id);
                let Some((card, beat)) = card::read(&self.out, &id).map_err(|error| RecordError::new(&path, error))? else {
                    continue;
                };
                let card = card.unwrap_or_else(|| Card::unknown(&id));
                if !wanted(&card) || is_so(&path, others.is_gone(&id)) {
                    continue;
                }
                if card::is_recent(beat) || *first.entry(id).or_insert(beat) != beat {
                    return Ok(Some(card));
                }
                are_gone = false;
            }
            if are_gone {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        Ok(None)
    }
}

/// What cannot be read now may be the next time: nobody is taken for gone because of it.
fn is_so(path: &Path, looked: io::Result<bool>) -> bool {
    looked.unwrap_or_else(|error| {
        tracing::warn!("{}: {error}", path.display());
        false
    })
}

/// Removes what runners of this machine that ended have left.
fn sweep(out: &Path) -> Result<(), RecordError> {
    for id in card::ids(out)? {
        if let Ok(Some((Some(card), _))) = card::read(out, &id)
            && card.has_ended() == Some(true)
        {
            others::bury(out, &id);
        }
    }
    Ok(())
}

/// A runner that lives: its heartbeat is recent by this machine's clock, or changes while this looks.
fn living(out: &Path) -> Result<Option<Card>, RecordError> {
    let (begun, mut first) = (Instant::now(), BTreeMap::new());
    loop {
        let mut is_open = false;
        for id in card::ids(out)? {
            let Ok(Some((Some(card), beat))) = card::read(out, &id) else { continue };
            if card.session == REPORT {
                continue;
            }
            if card::is_recent(beat) || *first.entry(id).or_insert(beat) != beat {
                return Ok(Some(card));
            }
            is_open = true;
        }
        if !is_open || begun.elapsed() > ONE_BEAT {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// The holder that a file does not name yet: another runner is about to write it.
fn unknown(attempt: u64) -> Holder {
    Holder { runner: String::new(), host: "another machine".into(), pid: 0, attempt, released: false }
}

fn write(out: &Path, card: &Card) -> Result<(), RecordError> {
    let path = file_of(out, &card.id);
    let (failed, scratch) = (|error: io::Error| RecordError::new(&path, error), others::new_card_of(out, &card.id));
    let text = serde_json::to_vec(card).map_err(|error| failed(error.into()))?;
    let folder = out.join(RUNNERS);
    disk::create_folder(&folder).map_err(|error| RecordError::new(&folder, error))?;
    disk::write(&scratch, &text).and_then(|()| disk::rename(&scratch, &path)).map_err(failed)
}

/// Touches the runner's file every few seconds until the runner ends. A failure is logged, and the next beat tries again. A file that
/// was removed or changed is rewritten.
fn beat(out: &Path, shown: &Mutex<Card>, ended: &Receiver<()>) {
    while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
        let card = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let path = file_of(out, &card.id);
        let touched = match card::read(out, &card.id) {
            Ok(Some((Some(found), _))) if found == *card => disk::touch(&path),
            Ok(_) => {
                tracing::warn!("{}: removed or changed by others, and written again", path.display());
                write(out, &card).map_err(io::Error::other)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = touched {
            tracing::warn!("{}: {error}", path.display());
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
