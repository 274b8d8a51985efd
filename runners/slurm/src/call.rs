//! Calls of Slurm's programs.

use crate::failure::SlurmError;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Seconds between tries while the controller does not answer: a minute in all, which a restart takes.
pub(crate) const WAITS: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// Slurm's programs, as they are found in `PATH`.
#[derive(Debug, Clone)]
pub struct Slurm {
    path: Option<OsString>,
    pause: fn(Duration),
}

impl Default for Slurm {
    /// Those in this process's `PATH`.
    fn default() -> Self {
        Self { path: std::env::var_os("PATH"), pause: std::thread::sleep }
    }
}

impl Slurm {
    /// The programs in these folders, and what stands for waiting.
    #[cfg(test)]
    pub(crate) fn of(path: OsString, pause: fn(Duration)) -> Self {
        Self { path: Some(path), pause }
    }

    /// Whether jobs can be submitted from this machine.
    ///
    /// # Errors
    /// When `sbatch` is in no folder of `PATH`.
    pub fn look(&self) -> Result<(), SlurmError> {
        let found = self.path.iter().flat_map(std::env::split_paths).any(|folder| folder.join("sbatch").is_file());
        found.then_some(()).ok_or(SlurmError::Missing { program: "sbatch".into() })
    }

    /// What a program prints; tried again while the controller does not answer.
    ///
    /// # Errors
    /// When the program is missing or fails.
    pub(crate) fn call<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Result<String, SlurmError> {
        let mut waits = WAITS.into_iter();
        loop {
            match self.once(program, arguments) {
                Err(error) if error.is_passing() => self.wait(waits.next(), error)?,
                done => return done,
            }
        }
    }

    /// Waits before another try; the error where there were enough.
    pub(crate) fn wait(&self, seconds: Option<u64>, error: SlurmError) -> Result<(), SlurmError> {
        let Some(seconds) = seconds else { return Err(error) };
        tracing::warn!("{error}; trying again in {seconds} s");
        (self.pause)(Duration::from_secs(seconds));
        Ok(())
    }

    /// What a program prints.
    ///
    /// # Errors
    /// When it is missing or fails.
    pub(crate) fn once<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Result<String, SlurmError> {
        let refused = |message: String| SlurmError::Refused { program: program.to_owned(), message };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let in_a_job = std::env::var_os("SLURM_JOB_ID").is_some();
        for (name, _) in std::env::vars_os().filter(|(name, _)| leaks(name, in_a_job)) {
            command.env_remove(name);
        }
        self.path.iter().for_each(|path| _ = command.env("PATH", path));
        let output = command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => SlurmError::Missing { program: program.to_owned() },
            _ => refused(error.to_string()),
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = stderr.lines().map(|line| said(line, program)).filter(|line| !line.is_empty()).collect();
        Err(refused(if lines.is_empty() { format!("it failed ({})", output.status) } else { lines.join("; ") }))
    }
}

/// A line of stderr without the program's name, which the message has in front.
fn said<'a>(line: &'a str, program: &str) -> &'a str {
    let line = line.trim();
    let line = line.strip_prefix(program).and_then(|line| line.strip_prefix(": ")).unwrap_or(line);
    line.strip_prefix("error: ").unwrap_or(line)
}

/// Whether a variable must not reach Slurm's programs. Variables of the job in which `submit` runs would be taken for requests of
/// the new one, and those that give a program other defaults change what it prints or have it ask. `SBATCH_*` outside a job is the
/// user's own.
fn leaks(name: &OsStr, in_a_job: bool) -> bool {
    let name = name.to_string_lossy();
    let kept = ["SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"];
    let always = ["SLURM_", "SQUEUE_", "SCANCEL_", "SCONTROL_"];
    // A task follows what its own job was given. What is in the script comes after these for sbatch, whoever set them.
    let of_the_script = ["ARRAY_INX", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE", "OUTPUT", "REQUEUE", "SIGNAL", "WAIT"];
    let own = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];
    let is_of_the_script = name.strip_prefix("SBATCH_").is_some_and(|name| of_the_script.contains(&name));
    own.contains(&&*name)
        || is_of_the_script
        || (always.iter().any(|prefix| name.starts_with(prefix)) && !kept.contains(&&*name))
        || (in_a_job && name.starts_with("SBATCH_"))
}

/// Whether `path` is named in a line of `squeue`'s output as the command of a job, and of which.
pub(crate) fn job_of_command<'a>(output: &'a str, path: &Path) -> Option<&'a str> {
    let mut lines = output.lines().filter_map(|line| line.trim().split_once('|'));
    lines.find(|(_, command)| Path::new(command) == path).map(|(job, _)| job)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::path::PathBuf;

    thread_local! {
        static WAITED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    }

    fn note(time: Duration) {
        WAITED.with_borrow_mut(|waited| waited.push(time.as_secs()));
    }

    /// What this thread has waited since it was last asked, in seconds.
    pub(crate) fn waited() -> Vec<u64> {
        WAITED.take()
    }

    /// A folder with programs that stand for Slurm's, each a shell script. `$HERE` is the folder.
    pub(crate) struct Fake {
        folder: tempfile::TempDir,
    }

    impl Fake {
        pub fn new(programs: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, body) in programs {
                // Written by another process: a test beside this one that starts a program would hold the file open for
                // writing until its program runs, and what is open for writing cannot be run.
                let script = format!("#!/bin/sh\nHERE={}\n{body}\n", folder.path().display());
                let write = r#"printf %s "$2" > "$1" && chmod 755 "$1""#;
                let status = Command::new("/bin/sh").args(["-c", write, "sh"]).arg(folder.path().join(name)).arg(script).status();
                assert!(status.unwrap().success());
            }
            Self { folder }
        }

        pub fn slurm(&self) -> Slurm {
            let path = std::env::join_paths([self.folder.path(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
            Slurm::of(path, note)
        }

        pub fn file(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        pub fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.file(name)).unwrap_or_default()
        }
    }

    #[test]
    fn a_controller_that_restarts_is_asked_again() {
        let body = "echo x >> $HERE/calls; if [ $(wc -l < $HERE/calls) -lt 4 ]; then \
                    echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1; fi; echo fine";
        let fake = Fake::new(&[("squeue", body)]);
        assert_eq!(fake.slurm().call("squeue", &["-h"]).unwrap(), "fine\n");
        assert_eq!(waited(), [1, 2, 4]);

        let fake = Fake::new(&[("squeue", "echo 'squeue: error: Socket timed out on send/recv operation' >&2; exit 1")]);
        let error = fake.slurm().call("squeue", &["-h"]).unwrap_err().to_string();
        assert_eq!((error.as_str(), waited()), ("squeue: Socket timed out on send/recv operation", vec![1, 2, 4, 8, 16, 32]));

        let fake = Fake::new(&[("squeue", "echo 'squeue: error: Invalid user: x' >&2; exit 1")]);
        assert_eq!(fake.slurm().call("squeue", &["-h"]).unwrap_err().to_string(), "squeue: Invalid user: x");
        assert!(waited().is_empty(), "another failure is not tried again");
    }

    #[test]
    fn a_missing_program_is_named() {
        let fake = Fake::new(&[]);
        let slurm = Slurm::of(fake.folder.path().as_os_str().to_owned(), note);
        assert!(slurm.look().unwrap_err().to_string().starts_with("sbatch: not found"));
        assert!(slurm.call("squeue", &["-h"]).unwrap_err().to_string().starts_with("squeue: not found"));
        assert!(Fake::new(&[("sbatch", "")]).slurm().look().is_ok());
    }

    #[test]
    fn variables_of_a_job_do_not_reach_another() {
        let check =
            |name: &str, in_a_job: bool, expected: bool| assert_eq!(leaks(OsStr::new(name), in_a_job), expected, "{name}");
        check("SLURM_CONF", true, false);
        check("SLURM_JOB_ID", true, true);
        check("SLURM_MEM_PER_CPU", false, true);
        check("SBATCH_ACCOUNT", false, false);
        check("SBATCH_MEM_BIND", true, true);
        check("SQUEUE_STATES", false, true);
        check("SCANCEL_INTERACTIVE", false, true);
        check("PATH", true, false);
    }
}
