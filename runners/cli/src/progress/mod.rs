//! What a run looks like while it runs: a live table on a terminal, plain lines elsewhere.

mod live;
mod pace;
mod plain;

#[cfg(feature = "tui")]
pub(crate) use pace::words;
use regatta_study::Watcher;
use std::io::IsTerminal;

/// The watcher that fits where stderr goes.
pub(crate) fn watcher() -> Box<dyn Watcher> {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if std::io::stderr().is_terminal() && !dumb { Box::new(live::Live::default()) } else { Box::new(plain::Plain::default()) }
}
