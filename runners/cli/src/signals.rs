//! Signals: the first asks the run to stop after the step it is at, a second SIGINT ends it at once.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What was asked for so far.
pub(crate) struct Signals {
    /// Whether the run should stop.
    pub stop: Arc<AtomicBool>,
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Listens to SIGINT and SIGTERM.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        let (stop, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&stop))?; // before the flag is set: acts on the second
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&stop))?;
            flag::register_usize(signal, Arc::clone(&last), signal as usize)?;
        }
        Ok(Self { stop, last })
    }

    /// The exit status that a shell expects of a program that the signal ended: 130 or 143.
    pub fn exit_code(&self) -> u8 {
        128 + self.last.load(Ordering::Relaxed).max(SIGINT as usize) as u8
    }
}
