//! Which other runners are gone. Nobody's clock is compared with anybody else's: a heartbeat that has not changed for half a minute,
//! as measured here, has stopped.

use super::card::{self, Card, RUNNERS, file_of};
use crate::{RecordError, disk};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A heartbeat that does not change for this long has stopped.
const SILENCE: Duration = Duration::from_secs(30);
/// Time between two looks counts as silence up to this much: the process that looks may have been suspended itself.
const LONGEST_GAP: Duration = Duration::from_secs(3);

/// A runner that was just seen is not looked at again for so long.
const AGAIN: Duration = Duration::from_millis(200);

/// What was seen of the other runners of a folder.
#[derive(Debug)]
pub struct Others {
    out: PathBuf,
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    beat: SystemTime,
    looked: Instant,
    silent: Duration,
    /// Whether it showed, since this runner began to look, that it lives.
    has_shown: bool,
}

impl Others {
    /// Nothing yet.
    pub fn of(out: &Path) -> Self {
        Self { out: out.to_owned(), seen: HashMap::new() }
    }

    /// Whether a runner is gone: it has no file, its process on this machine has ended, or its heartbeat has stopped, which takes
    /// many looks to know. A runner that is gone loses its file.
    ///
    /// # Errors
    /// When its file cannot be read, so that nobody can tell.
    pub fn is_gone(&mut self, id: &str) -> io::Result<bool> {
        if self.seen.get(id).is_some_and(|seen| seen.looked.elapsed() < AGAIN) {
            return Ok(false); // whoever looks for a free trial asks about the same runner for each that it holds
        }
        let Some((card, beat)) = card::read(&self.out, id)? else { return Ok(true) };
        let process = card.as_ref().and_then(Card::has_ended);
        let ended = process == Some(true);
        if !ended && !self.is_silent(id, beat, Instant::now()) {
            if let Some(seen) = self.seen.get_mut(id) {
                seen.has_shown |= process == Some(false);
            }
            return Ok(false);
        }
        if !ended {
            tracing::warn!("{}: no heartbeat for {} s", file_of(&self.out, id).display(), SILENCE.as_secs());
        }
        bury(&self.out, id);
        self.seen.remove(id);
        Ok(true)
    }

    /// Whether a runner has shown that it is alive since this one began to look: its heartbeat has changed, or its process exists.
    /// Before that, it may be alive or gone.
    pub fn has_shown(&self, id: &str) -> bool {
        self.seen.get(id).is_some_and(|seen| seen.has_shown)
    }

    /// Looks at every runner, so that those that are gone are known when somebody asks, and leave no file.
    ///
    /// # Errors
    /// When the folder of runners cannot be listed.
    pub fn look(&mut self, me: &str) -> Result<(), RecordError> {
        for id in card::ids(&self.out)?.into_iter().filter(|id| id != me) {
            let path = file_of(&self.out, &id);
            self.is_gone(&id).map_err(|error| RecordError::new(&path, error))?;
        }
        Ok(())
    }

    /// Whether a file that names no runner is nobody's: it has not changed for as long as a heartbeat may pause.
    pub(super) fn is_abandoned(&mut self, file: &Path) -> io::Result<bool> {
        let written = std::fs::metadata(file)?.modified()?;
        Ok(self.is_silent(&file.to_string_lossy(), written, Instant::now()))
    }

    fn is_silent(&mut self, id: &str, beat: SystemTime, now: Instant) -> bool {
        let is_known = self.seen.contains_key(id);
        let fresh = Seen { beat, looked: now, silent: Duration::ZERO, has_shown: is_known };
        let Some(seen) = self.seen.get_mut(id).filter(|seen| seen.beat == beat) else {
            self.seen.insert(id.to_owned(), fresh);
            return false;
        };
        seen.silent += now.saturating_duration_since(seen.looked).min(LONGEST_GAP);
        seen.looked = now;
        seen.silent >= SILENCE
    }
}

/// Where a runner writes its file before that gets its name.
pub(super) fn new_card_of(out: &Path, id: &str) -> PathBuf {
    out.join(RUNNERS).join(format!("{id}.card"))
}

/// Removes what a runner that is gone left in the folder of runners.
pub(super) fn bury(out: &Path, id: &str) {
    for path in [file_of(out, id), new_card_of(out, id), super::scratch_of(&out.join(RUNNERS), super::TURN, id)] {
        match disk::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!("{}: {error}", path.display()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten looks a second apart are not enough; thirty are; a suspended observer's long gap counts three seconds.
    #[test]
    fn a_heartbeat_that_does_not_change_for_half_a_minute_of_looking_has_stopped() {
        let mut others = Others::of(Path::new("nowhere"));
        let (beat, start) = (SystemTime::UNIX_EPOCH, Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!((0..30).all(|second| !others.is_silent("a", beat, at(second))));
        assert!(others.is_silent("a", beat, at(30)));
        assert!(!others.is_silent("a", beat + Duration::from_secs(1), at(31)), "it beat again");
        assert!(!others.is_silent("a", beat, at(32)), "and its clock was set back: a change all the same");
        assert!(!others.is_silent("a", beat, at(10_000)), "this process was suspended, and perhaps the other one with it");
        assert!((1..9).all(|look| !others.is_silent("a", beat, at(10_000 + 60 * look))));
        assert!(others.is_silent("a", beat, at(11_000)));
        assert!(!others.is_silent("b", beat, at(11_000)), "each has a heartbeat of its own");
    }

    #[test]
    fn a_runner_without_a_file_is_gone() {
        let out = tempfile::tempdir().unwrap();
        assert!(Others::of(out.path()).is_gone("a").unwrap());
    }
}
