//! Progress of a run: a live table on a terminal, plain lines elsewhere.

mod live;
mod pace;
mod plain;

#[cfg(feature = "tui")]
pub(crate) use pace::words;
use regatta_study::Watcher;
use std::io::IsTerminal;

/// The watcher for the kind of stderr.
pub(crate) fn watcher() -> Box<dyn Watcher> {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if std::io::stderr().is_terminal() && !dumb { Box::new(live::Live::default()) } else { Box::new(plain::Plain::default()) }
}
