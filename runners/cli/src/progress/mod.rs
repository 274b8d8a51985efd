//! Progress of a run: a live table on a terminal, plain lines elsewhere.

mod live;
mod pace;
mod plain;
mod tokens;

#[cfg(feature = "tui")]
pub(crate) use pace::words;
use regatta_study::Watcher;
use std::io::IsTerminal;
pub(crate) use tokens::{Tokens, Used, grouped, megabytes};

/// The watcher for the kind of stderr.
pub(crate) fn watcher() -> Box<dyn Watcher> {
    if is_live() { Box::new(live::Live::default()) } else { Box::new(plain::Plain::default()) }
}

/// Whether stderr can show a line that changes.
fn is_live() -> bool {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    std::io::stderr().is_terminal() && !dumb
}
