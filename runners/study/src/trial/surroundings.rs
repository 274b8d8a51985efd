//! What a trial gets from the worker that runs it.

use crate::event::Event;
use crate::identity::Identity;
use crate::memory::MemoryMeter;
use crate::options::Every;
use regatta_lm::tasks::Tasks;
use regatta_records::{Holder, TrialFolder};
use std::sync::atomic::AtomicBool;

/// What a trial needs besides its [`Trial`](regatta_lm::training::Trial).
pub(crate) struct Surroundings<'a> {
    /// Arm and seed, for messages.
    pub name: &'a str,
    pub folder: &'a TrialFolder,
    pub tasks: &'a Tasks,
    pub identity: &'a Identity,
    /// The runner that it is trained for, and its session.
    pub holder: &'a Holder,
    pub session: &'a str,
    pub every: Every,
    pub stop: &'a AtomicBool,
    pub memory: Option<MemoryMeter>,
    pub emit: &'a mut dyn FnMut(Event),
}
