//! The verbs of Regatta. It links no regularizer: a program names its own and calls [`main`].
//!
//! ```ignore
//! use my_plugin as _;          // the linker drops a crate that nothing names
//! use regatta_builtin as _;
//!
//! fn main() -> std::process::ExitCode {
//!     regatta_cli::main()
//! }
//! ```

mod failure;
mod log;
mod memory;
mod progress;
mod signals;
mod threads;
mod tips;
mod verbs;

use clap::{Parser, Subcommand};
use failure::Failure;
use regatta_core::simd::{self, Level};
use std::process::ExitCode;
use std::sync::OnceLock;

/// Every allocation of the program goes through here: pages are kept, and the bytes held are counted.
#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;

/// Races anti-collapse regularizers for language models against each other.
#[derive(Debug, Parser)]
#[command(name = "regatta", version, long_version = long_version(), about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// How log lines are written.
    #[arg(long, global = true, value_enum, default_value = "text")]
    log: log::Format,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train what is not done yet, evaluate, and report
    Run(verbs::run::Arguments),
    /// Read a study, resolve it, print it and estimate its cost; train nothing
    Check(verbs::check::Arguments),
    /// List the plugins linked into this program: regularizers and interventions
    List(verbs::list::Arguments),
    /// Explain a plugin: formula, paper, fields and defaults
    Explain(verbs::explain::Arguments),
    /// Print the JSON Schema of studies, by which editors complete and check them, with the plugins linked into this program
    Schema(verbs::schema::Arguments),
    /// Make tables, plots and page from what is on disk
    Report(verbs::report::Arguments),
    /// Run trials for a run that asks for them on standard input
    #[command(hide = true)]
    Worker(verbs::worker::Arguments),
    /// Say what plugins compute, for a run that asks for it on standard input
    #[command(hide = true)]
    Probe,
    /// Say how a study stands: its trials, and who is running it
    Status(verbs::status::Arguments),
    /// Watch a study while it runs: its trials, their curves, and who is running it
    #[cfg(feature = "tui")]
    Watch(verbs::watch::Arguments),
    /// Print a study's arms as Markdown, CSV, LaTeX or JSON
    Results(verbs::results::Arguments),
    /// Score a checkpoint: tasks, held-out loss, and what rounding its weights leaves of it
    Evaluate(verbs::evaluate::Arguments),
    /// Measure how the points of a checkpoint lie: cosines, ranks, frequent and rare words, layer by layer
    Diagnose(verbs::diagnose::Arguments),
    /// Compare two arms of a study: every statistic of their paired difference
    Compare(verbs::compare::Arguments),
    /// Measure the speed of training, the cost of a penalty, or the rate of matrix products
    Bench(verbs::bench::Arguments),
}

/// The version, and the instructions that it runs here.
fn long_version() -> &'static str {
    let running = match simd::choose() {
        Ok(level) => level.to_string(),
        Err(error) => format!("none: {error}"),
    };
    let available: Vec<&str> = simd::available().into_iter().map(Level::name).collect();
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        format!(
            "{}\ninstructions: {running} (this machine has {}; {} chooses a lower level)",
            env!("CARGO_PKG_VERSION"),
            available.join(", "),
            simd::VARIABLE
        )
    })
}

/// The whole program: reads its arguments, does what they say, and returns 0 when all is done, 1 when a trial failed or
/// diverged, 2 when the input was refused.
pub fn main() -> ExitCode {
    memory::keep_pages();
    threads::share_one_pool();
    let level = simd::choose(); // before anything computes
    let arguments = Arguments::try_parse().unwrap_or_else(|error| tips::of(error).exit());
    log::start(if matches!(arguments.verb, Verb::Worker(_) | Verb::Probe) { log::Format::Bare } else { arguments.log });
    let ready = level.map_err(Failure::refused).and_then(|_| regatta_core::registry::cards().map_err(Failure::refused));
    let done = ready.and_then(|_| match arguments.verb {
        Verb::Run(arguments) => verbs::run::run(&arguments),
        Verb::Check(arguments) => verbs::check::check(&arguments),
        Verb::List(arguments) => verbs::list::list(&arguments),
        Verb::Explain(arguments) => verbs::explain::explain(&arguments),
        Verb::Schema(arguments) => verbs::schema::schema(&arguments),
        Verb::Report(arguments) => verbs::report::report(&arguments),
        Verb::Worker(arguments) => verbs::worker::worker(&arguments),
        Verb::Probe => verbs::probe::probe(),
        Verb::Status(arguments) => verbs::status::status(&arguments),
        #[cfg(feature = "tui")]
        Verb::Watch(arguments) => verbs::watch::watch(&arguments),
        Verb::Results(arguments) => verbs::results::results(&arguments),
        Verb::Evaluate(arguments) => verbs::evaluate::evaluate(&arguments),
        Verb::Diagnose(arguments) => verbs::diagnose::diagnose(&arguments),
        Verb::Compare(arguments) => verbs::compare::compare(&arguments),
        Verb::Bench(arguments) => verbs::bench::bench(&arguments),
    });
    match done {
        Ok(code) => code,
        Err(failure) => failure.exit(),
    }
}
