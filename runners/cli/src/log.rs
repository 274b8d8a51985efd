//! Log lines on stderr. `RUST_LOG` filters them. While a live table is shown, lines are printed above it.

use clap::ValueEnum;
use indicatif::MultiProgress;
use std::io::{self, Write};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
    /// Warnings only, and only their text, for the parent process that logs them again.
    #[value(skip)]
    Bare,
}

static TABLE: OnceLock<MultiProgress> = OnceLock::new();

/// The live table, which lines must not overwrite.
pub(crate) fn table() -> &'static MultiProgress {
    TABLE.get_or_init(MultiProgress::new)
}

/// Starts logging. A second call changes nothing.
pub(crate) fn start(format: Format) {
    let usual = if format == Format::Bare { "warn" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(AboveTable);
    let _ = match format {
        Format::Text => lines.with_target(false).without_time().with_ansi(false).try_init(),
        Format::Json => lines.json().try_init(),
        Format::Bare => lines.with_level(false).with_target(false).without_time().with_ansi(false).try_init(),
    };
}

struct AboveTable;

impl<'a> MakeWriter<'a> for AboveTable {
    type Writer = AboveTable;

    fn make_writer(&'a self) -> Self::Writer {
        AboveTable
    }
}

impl Write for AboveTable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match TABLE.get() {
            Some(table) => table.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
