//! Exit with a message.

use regatta_config::Refusal;
use regatta_lm::DeviceError;
use regatta_slurm::SlurmError;
use regatta_study::RunError;
use std::fmt::Display;
use std::process::ExitCode;

/// A message and an exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
    quiet: bool,
}

impl Failure {
    /// The input cannot be used: status 2.
    pub fn refused(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 2, quiet: false }
    }

    /// Something went wrong later: status 1.
    pub fn failed(message: impl Display) -> Self {
        Self { message: message.to_string(), code: 1, quiet: false }
    }

    /// Prints the message to stderr, and returns the status.
    pub fn exit(self) -> ExitCode {
        if !self.quiet {
            eprintln!("error: {}", self.message);
        }
        ExitCode::from(self.code)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::refused(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Record(_) => Self::failed(error),
            RunError::Refused(_)
            | RunError::Device(_)
            | RunError::OtherStudy { .. }
            | RunError::Kept { .. }
            | RunError::Folder(_)
            | RunError::Held { .. } => Self::refused(error),
        }
    }
}

impl From<SlurmError> for Failure {
    fn from(error: SlurmError) -> Self {
        match error {
            SlurmError::Missing { .. } => Self::refused(error),
            SlurmError::Refused { .. } => Self::failed(error),
        }
    }
}

impl From<std::io::Error> for Failure {
    /// A closed pipe (`regatta list | head`) ends the program silently.
    fn from(error: std::io::Error) -> Self {
        let quiet = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self { message: error.to_string(), code: u8::from(!quiet), quiet }
    }
}

/// Writes to stdout; unlike `println!` it does not panic when the reader is gone.
pub(crate) fn say(text: impl Display) -> std::io::Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(of_stdout)
}

/// Writes bytes to stdout as they are.
pub(crate) fn say_bytes(bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(of_stdout)
}

/// The same error, which says what could not be written: the system's message does not.
fn of_stdout(error: std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("could not write to stdout: {error}"))
}
