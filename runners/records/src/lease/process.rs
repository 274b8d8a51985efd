//! Whether a process still lives, as the system of its own machine knows it.

use serde::{Deserialize, Serialize};
#[cfg(any(test, not(target_os = "linux")))]
use std::process::Command;

/// A process, told from every other one that has its number on another machine, in another container or at another time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    /// This boot of the machine, and the name space of process numbers.
    machine: String,
    pid: u32,
    /// When it began, in the system's own words.
    began: String,
}

impl Process {
    /// This one; `None` where the system does not say enough to know it again.
    pub fn this() -> Option<Self> {
        let pid = std::process::id();
        Some(Self { machine: machine()?, pid, began: began(pid)? })
    }

    /// Whether it has ended; `None` from another machine, and where the system shows nobody the processes of others.
    pub fn has_ended(&self) -> Option<bool> {
        (machine()? == self.machine && shows_all()).then(|| began(self.pid).as_ref() != Some(&self.began))
    }
}

#[cfg(target_os = "linux")]
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let space = std::fs::read_link("/proc/self/ns/pid").ok()?;
    // start times count from another moment in a name space of times, and copies of a virtual machine boot once
    let times = std::fs::read_link("/proc/self/ns/time").map(|space| space.display().to_string()).unwrap_or_default();
    Some(format!("{} {} {} {times}", crate::machine::host(), boot.trim(), space.display()))
}

/// `/proc` may be mounted so that a user sees only the user's own processes.
#[cfg(target_os = "linux")]
fn shows_all() -> bool {
    std::path::Path::new("/proc/1/stat").exists()
}

#[cfg(not(target_os = "linux"))]
fn shows_all() -> bool {
    true
}

/// The start of a process in clock ticks since boot; `None` where there is none, or only its exit status is left.
#[cfg(target_os = "linux")]
fn began(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?; // a name may hold anything
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let (state, start) = (fields.first()?, fields.get(19)?);
    (!["Z", "X"].contains(state)).then(|| (*start).to_owned())
}

#[cfg(not(target_os = "linux"))]
fn machine() -> Option<String> {
    Some(crate::machine::host())
}

#[cfg(not(target_os = "linux"))]
fn began(pid: u32) -> Option<String> {
    let listed = Command::new("ps").args(["-o", "lstart=", "-p", &pid.to_string()]).output().ok()?;
    let began = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
    (!began.is_empty()).then_some(began)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_and_by_its_machine() {
        let me = Process::this().expect("this system tells when a process began");
        assert_eq!(me.has_ended(), Some(false));
        assert_eq!(Process { began: "1".into(), ..me.clone() }.has_ended(), Some(true), "its number was used again");
        assert_eq!(Process { machine: "another".into(), ..me.clone() }.has_ended(), None);
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let other = Process { pid: child.id(), began: began(child.id()).unwrap(), ..me };
        assert_eq!(other.has_ended(), Some(false));
        child.kill().unwrap();
        let patience = std::time::Instant::now();
        while other.has_ended() == Some(false) {
            assert!(patience.elapsed().as_secs() < 10, "a process that was killed, and that nobody has waited for, still lives");
        }
        child.wait().unwrap();
        assert_eq!(other.has_ended(), Some(true));
    }
}
