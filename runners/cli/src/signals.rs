//! Signals: the first makes the run save its state and stop after the current step; a second SIGINT ends it at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The signals received so far.
pub(crate) struct Signals {
    /// Whether the run should stop.
    pub stop: Arc<AtomicBool>,
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Starts to handle SIGINT, SIGTERM, SIGUSR1, and SIGHUP unless `nohup` has it ignored.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        let (stop, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&stop))?; // before the flag is set: acts on the second
        let ignored = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, SIGHUP));
        for signal in [SIGINT, SIGTERM, SIGUSR1].into_iter().chain((!ignored).then_some(SIGHUP)) {
            flag::register(signal, Arc::clone(&stop))?;
            flag::register_usize(signal, Arc::clone(&last), signal as usize)?;
        }
        Ok(Self { stop, last })
    }

    /// Whether a scheduler may have sent the last signal: a person at a terminal sends SIGINT.
    pub fn of_a_scheduler(&self) -> bool {
        self.last.load(Ordering::Relaxed) != SIGINT as usize
    }

    /// The exit status that a shell expects of a program that the signal ended, such as 130 or 143; 0 after SIGUSR1, by which a
    /// scheduler requests that the state be saved before it takes the machine.
    pub fn exit_code(&self) -> u8 {
        match self.last.load(Ordering::Relaxed) {
            signal if signal == SIGUSR1 as usize => 0,
            0 => 128 + SIGINT as u8,
            signal => 128 + signal as u8,
        }
    }
}

/// Whether the process of this `/proc/<pid>/status` ignores a signal: bit n - 1 of its mask stands for signal n.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_a_bit_of_the_mask() {
        assert!(ignores("Name:\tregatta\nSigIgn:\t0000000000001001\n", SIGHUP)); // 1 is SIGHUP, 13 SIGPIPE
        assert!(!ignores("SigIgn:\t0000000000001000\n", SIGHUP));
        assert!(!ignores("no mask", SIGHUP));
    }
}
