//! A child process that is sent requests on its stdin and answers on its stdout, a JSON value per line.

use crate::memory::resident;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// A longer line is cut into several.
const LONGEST_LINE: u64 = 1 << 20;

/// What a process writes.
#[derive(Debug, PartialEq)]
pub(crate) enum Output<M> {
    /// A line of its stdout that holds a message.
    Message(M),
    /// Any other line: of its stderr, or printed by a plugin.
    Text(String),
    /// Both streams ended.
    Ended,
}

/// A running process. It sees the end of its stdin when this value is dropped.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Process {
    /// Starts `command` and calls `hear`, from threads of their own, with all that the process writes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<M: DeserializeOwned>(
        mut command: Command,
        hear: impl Fn(Output<M>) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else { unreachable!("both are piped") };
        let hear_errors = hear.clone();
        let listening = std::thread::spawn(move || each_line(stderr, |line| hear_errors(Output::Text(line))));
        std::thread::spawn(move || {
            each_line(stdout, |line| hear(serde_json::from_str(&line).map_or(Output::Text(line), Output::Message)));
            drop(listening.join()); // a panic of that thread is its own message
            hear(Output::Ended);
        });
        Ok(Self { stdin: child.stdin.take(), child })
    }

    /// Sends a request. A process that is gone takes none, which is heard as [`Output::Ended`].
    ///
    /// # Errors
    /// When the request cannot be written as JSON.
    pub fn send(&mut self, request: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(request)?;
        if let Some(stdin) = &mut self.stdin
            && writeln!(stdin, "{line}").and_then(|()| stdin.flush()).is_err()
        {
            self.stdin = None;
        }
        Ok(())
    }

    /// Whether requests can be sent.
    pub fn is_open(&self) -> bool {
        self.stdin.is_some()
    }

    /// Ends its stdin: no more requests.
    pub fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When the system does not know it.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.close();
        self.child.wait()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Err(error) = self.child.kill() {
            tracing::debug!("process {}: {error}", self.child.id()); // it is gone already
        }
    }

    /// What is wrong where it holds more than `most` bytes, and what a trial may hold.
    pub fn excess(&self, most: Option<u64>) -> Option<String> {
        let (most, held) = (most?, resident(self.child.id())?);
        (held > most).then(|| format!("it held {} MiB, more than the {} MiB that a trial may", held >> 20, most >> 20))
    }
}

/// Calls `take` with each line that is not empty. Bytes that are not UTF-8 are replaced: a plugin may print anything.
fn each_line(stream: impl Read, mut take: impl FnMut(String)) {
    let (mut stream, mut line) = (BufReader::new(stream), Vec::new());
    loop {
        line.clear();
        match stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\n', '\r']);
                if !text.is_empty() {
                    take(text.to_owned());
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    fn shell(script: &str) -> (Process, Receiver<Output<u32>>) {
        let (sender, heard) = channel();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (Process::start(command, move |output| drop(sender.send(output))).unwrap(), heard)
    }

    fn text(line: &str) -> Output<u32> {
        Output::Text(line.to_owned())
    }

    /// Reading stopped at the first byte that was not UTF-8: the messages after it were lost, and who waited for them waited for
    /// a process that was blocked on a full pipe.
    #[test]
    fn bytes_that_are_not_utf8_hide_no_message() {
        let (mut process, heard) = shell(r"printf '\377\n1\n\nplugin\n2\n'; read line; echo $line");
        process.send(&3).unwrap();
        let heard: Vec<_> = heard.iter().collect();
        assert_eq!(
            heard,
            [text("\u{fffd}"), Output::Message(1), text("plugin"), Output::Message(2), Output::Message(3), Output::Ended]
        );
        assert!(process.wait().unwrap().success());
    }

    #[test]
    fn stderr_is_heard_to_its_end() {
        let (mut process, heard) = shell(r"printf 'a\377\nlast' >&2; exit 3");
        let heard: Vec<_> = heard.iter().collect();
        assert_eq!(heard, [text("a\u{fffd}"), text("last"), Output::Ended]);
        assert_eq!(process.wait().unwrap().code(), Some(3));
    }

    #[test]
    fn a_process_that_is_gone_takes_no_requests() {
        let (mut process, heard) = shell("exit 0");
        assert_eq!(heard.recv().unwrap(), Output::Ended);
        (0..2).for_each(|request| process.send(&request).unwrap());
        assert!(!process.is_open());
    }

    #[test]
    fn memory_is_judged_by_what_the_system_reports() {
        let (mut process, _heard) = shell("read line");
        assert_eq!((process.excess(None), process.excess(Some(u64::MAX))), (None, None));
        if resident(process.child.id()).is_some() {
            assert!(process.excess(Some(0)).unwrap().ends_with("more than the 0 MiB that a trial may"));
        }
        process.kill();
        assert!(!process.wait().unwrap().success());
    }
}
