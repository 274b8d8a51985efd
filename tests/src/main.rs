//! The program under test: the verbs, the built-in regularizers, one that misbehaves on demand, and one whose formula changes.

use regatta_builtin as _;
use regatta_core::number::Count;
use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, regularizer, typetag};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

mod disk;

fn main() -> std::process::ExitCode {
    disk::fail_as_told();
    regatta_cli::main()
}

/// What a misbehaving regularizer does.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    Panic,
    Nan,
    Infinity,
    Fail,
    WrongShape,
    Sleep,
    /// Never returns.
    Hang,
    /// Asks for memory until there is no more.
    Eat,
    /// Sends its own process SIGINT, each time after so many calls.
    Interrupt,
    /// Ends its process as a fault in foreign code would.
    Abort,
    /// Prints bytes that are no text, and lines without an end, from a thread of its own.
    Print,
}

regularizer! {
    name: "misbehaving",
    summary: "does what a regularizer must not do",
    paper: "none: for tests",
    formula: "none",
    expects: "any points",
    /// A regularizer that goes wrong after some calls.
    struct Misbehaving {
        /// What it does.
        how: How = How::Panic,
        /// Calls that go well before.
        after: Count<0, 1_000_000> = Count::new(0),
    }
}

#[typetag::serde(name = "misbehaving")]
impl Regularizer for Misbehaving {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let fine = cloud.points().sqr()?.mean_all()?;
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        if calls < self.after.get() {
            return Ok(fine);
        }
        match self.how {
            How::Panic => panic!("this regularizer panics on purpose"),
            How::Nan => Ok((fine * f64::NAN)?),
            How::Infinity => Ok((fine * f64::INFINITY)?),
            How::Fail => Ok(cloud.points().reshape((1, 2, 3, 4, 5))?),
            How::WrongShape => Ok(cloud.points().clone()),
            How::Interrupt => {
                if calls == self.after.get() {
                    let _ = std::process::Command::new("kill").args(["-INT", &std::process::id().to_string()]).status();
                }
                Ok(fine)
            }
            How::Abort => std::process::abort(),
            How::Print => {
                let print = || {
                    for stream in [&mut std::io::stdout() as &mut dyn Write, &mut std::io::stderr()] {
                        stream.write_all(&[[0xff; 100].as_slice(), b"\n"].concat().repeat(200)).expect("a stream");
                        stream.write_all(b"the beginning of a line").expect("a stream");
                    }
                };
                std::thread::spawn(print).join().expect("a thread that prints");
                Ok(fine)
            }
            How::Hang => loop {
                std::thread::sleep(std::time::Duration::from_secs(1));
            },
            How::Eat => {
                let mut eaten: Vec<Vec<u8>> = Vec::new();
                loop {
                    eaten.push(vec![1; 16 << 20]);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
            How::Sleep => {
                // Of a cloud that a step has: what is only measured, on smaller ones, costs a test no time.
                if cloud.count() < 16 {
                    return Ok(fine);
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
                Ok(fine)
            }
        }
    }
}

regularizer! {
    name: "changing",
    summary: "computes what the environment says",
    paper: "none: for tests",
    formula: "REGATTA_FORMULA mean(z^2)",
    expects: "any points",
    /// A regularizer whose formula changes while its version stays, as when its author edits it.
    struct Changing {}
}

#[typetag::serde(name = "changing")]
impl Regularizer for Changing {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let factor = std::env::var("REGATTA_FORMULA").map_or(1.0, |factor| factor.parse().expect("a number"));
        Ok((cloud.points().sqr()?.mean_all()? * factor)?)
    }
}
