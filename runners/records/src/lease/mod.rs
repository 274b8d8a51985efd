//! Who may write to what in a study's folder, which many runners share.
//!
//! ```text
//! runners/<id>.json            a runner, and its heartbeat
//!        /turn.<n>             who has the turn at what concerns the study as a whole
//! trials/<arm>/seed-<n>/lease.<n>   who trains the trial
//! ```
//!
//! A runner takes a trial, or the turn, by creating the file with the next number, which only one can ([`claim`]). It may do so
//! where there is no file, where the last holder gave the folder back, or where that holder is gone ([`others`]):
//!
//! - its file in `runners` is not there;
//! - it ran on this machine, whose system knows of no such process;
//! - its heartbeat has not changed for half a minute, measured by the runner that looks. No two clocks are compared.
//!
//! Everything that writes asks its [`Fence`] first, so a runner that was frozen and wakes up finds the file of the next attempt and
//! writes nothing there. No file is locked: network file systems may lack locks.

mod card;
mod claim;
mod fence;
mod others;
mod process;
mod runner;

#[cfg(test)]
pub(crate) mod tests;

pub use card::{Card, Present, present};
pub use claim::Holder;
pub use fence::Fence;
pub use others::Others;
pub use runner::{REPORT, Runner};

use crate::RecordError;
use std::path::{Path, PathBuf};

const TRIAL: &str = "lease";
const TURN: &str = "turn";

/// The outcome of an attempt to take a folder.
#[derive(Debug)]
pub enum Claim {
    /// It is this runner's.
    Taken(Lease),
    /// Another runner holds it.
    Held(Holder),
}

/// The right to write to a folder, while it lives.
#[derive(Debug)]
pub struct Lease {
    folder: PathBuf,
    name: &'static str,
    fence: Fence,
    scratch: PathBuf,
}

impl Lease {
    fn new(folder: &Path, name: &'static str, holder: Holder, scratch: PathBuf) -> Self {
        Self { folder: folder.to_owned(), name, fence: Fence::of(folder, name, holder), scratch }
    }

    /// To be asked before each write.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let given_back = match self.fence.lost() {
            Ok(Some(_)) => return, // it is another's
            Ok(None) => claim::release(&self.folder, self.name, self.fence.holder(), &self.scratch),
            Err(error) => Err(error),
        };
        if let Err(error) = given_back {
            tracing::warn!("{}: could not give it back: {error}", self.folder.display());
        }
    }
}

/// The runner that holds a trial's folder, alive or not; `None` where nobody does.
///
/// # Errors
/// When the folder cannot be read.
pub fn holder_of(trial: &Path) -> Result<Option<Holder>, RecordError> {
    Ok(claim::highest(trial, TRIAL)?.and_then(|(_, holder)| holder).filter(|holder| !holder.released))
}

/// Whether any runner ever had a turn in a folder.
pub(crate) fn had_turns(out: &Path) -> bool {
    claim::highest(&out.join(card::RUNNERS), TURN).is_ok_and(|found| found.is_some())
}

/// A file of one runner's own in a folder that it takes, where it writes what then gets another name.
fn scratch_of(folder: &Path, name: &str, id: &str) -> PathBuf {
    folder.join(format!("{name}.{id}.partial"))
}
