//! The verbs of Regatta, which trains the same small language model with each regularizer and seed and compares the results seed by
//! seed. This crate links no plugin and sets no allocator: a program names its own plugins and calls [`main`].
//!
//! ```ignore
//! use my_plugin as _;          // the linker drops a crate that nothing names
//! use regatta_builtin as _;
//!
//! fn main() -> std::process::ExitCode {
//!     regatta_cli::main()
//! }
//! ```
//!
//! A plugin is written with `regatta-core`; `regatta-builtin` links those that come with Regatta. `regatta new plugin NAME` writes
//! a plugin with such a program. What a program can rely on is [`main`] and [`Counted`]; what the verbs read and write is described
//! in Regatta's book.
//!
//! | feature | what it adds |
//! |---|---|
//! | `tui` (default) | the verb `watch`: a study live in the terminal |
//! | `parquet` | `results --format parquet` |
//! | `cuda` | `--device cuda`: NVIDIA GPUs; needs the CUDA toolkit |
//! | `metal` | `--device metal`: Apple GPUs; needs macOS |

mod failure;
mod log;
mod memory;
mod progress;
mod signals;
mod threads;
mod tips;
mod verbs;

pub use memory::Counted;

use clap::{CommandFactory, Parser, Subcommand};
use failure::Failure;
use regatta_core::simd::{self, Level};
use regatta_lm::Device;
use std::process::ExitCode;
use std::sync::OnceLock;

/// Races anti-collapse regularizers for language models against each other.
#[derive(Debug, Parser)]
#[command(name = "regatta", version, long_version = long_version(), arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Format of log lines
    #[arg(long, global = true, value_enum, default_value = "text")]
    log: log::Format,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train the trials that are not done yet, evaluate, and report
    Run(verbs::run::Arguments),
    /// Submit a study to a Slurm cluster: an array of runners that share the folder
    Submit(verbs::submit::Arguments),
    /// Withdraw what was submitted for a folder and is in the queue or running
    Cancel(verbs::cancel::Arguments),
    /// Read a study, print it with all defaults, and estimate its cost; train nothing
    Check(verbs::check::Arguments),
    /// Make the tokens of a study's text ahead of time, and say what is kept; train nothing
    Tokenize(verbs::tokenize::Arguments),
    /// List the plugins linked into this program: regularizers and interventions
    List(verbs::list::Arguments),
    /// Explain a plugin: formula, paper, fields and defaults
    Explain(verbs::explain::Arguments),
    /// Print the JSON Schema of studies, with the plugins linked into this program; editors use it to complete and check studies
    Schema(verbs::schema::Arguments),
    /// Write the table, plots and page from the results on disk
    Report(verbs::report::Arguments),
    /// Run trials for a run that sends requests on stdin
    #[command(hide = true)]
    Worker,
    /// Report what plugins compute, for a run that sends requests on stdin
    #[command(hide = true)]
    Probe,
    /// Show the state of a study: its trials, and who is running it
    Status(verbs::status::Arguments),
    /// Watch a study while it runs: its trials, their curves, and who is running it
    #[cfg(feature = "tui")]
    Watch(verbs::watch::Arguments),
    /// Print a study's arms as Markdown, CSV, LaTeX or JSON; as Parquet too, where that is built in
    Results(verbs::results::Arguments),
    /// Export a study's curves to the files of another program
    Export(verbs::export::Arguments),
    /// Score a checkpoint: tasks, held-out loss, and the loss with rounded weights
    Evaluate(verbs::evaluate::Arguments),
    /// Measure the geometry of a checkpoint: cosines, ranks, frequent and rare tokens, layer by layer
    Diagnose(verbs::diagnose::Arguments),
    /// Compare two arms of a study: every statistic of their paired difference
    Compare(verbs::compare::Arguments),
    /// Measure the speed of training, the cost of a penalty, or the rate of matrix products
    Bench(verbs::bench::Arguments),
    /// Create a plugin's crate or a study to start from
    New(verbs::new::Arguments),
    /// Print a script that completes this program's verbs, options, plugins and arms in a shell
    Completions(verbs::completions::Arguments),
    /// Print the manual page of the program or of a verb, or write all pages to a folder
    Man(verbs::man::Arguments),
    /// Print the arms of a study, one per line, for completions
    #[command(hide = true)]
    Arms(verbs::completions::ArmsArguments),
}

/// The program's command line, under the name that it was started by, since a program with other plugins has another name.
fn command() -> clap::Command {
    let started_as = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = started_as.as_deref().and_then(|path| path.file_stem()?.to_str()).unwrap_or("regatta").to_owned();
    Arguments::command().name(name.clone()).bin_name(name)
}

/// The version, the instruction set in use, and the devices that were built in.
fn long_version() -> &'static str {
    let running = match simd::choose() {
        Ok(level) => level.to_string(),
        Err(error) => format!("none: {error}"),
    };
    let available: Vec<&str> = simd::available().into_iter().map(Level::name).collect();
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        format!(
            "{}\ninstructions: {running} (this machine has {}; {} chooses another)\ndevices: {} (built in; --device chooses one)",
            env!("CARGO_PKG_VERSION"),
            available.join(", "),
            simd::VARIABLE,
            Device::built_in().join(", ")
        )
    })
}

/// The whole program: parses the arguments, runs the verb, and returns 0 on success, 1 when a trial failed or diverged, 2 when
/// the input was refused.
pub fn main() -> ExitCode {
    threads::follow_allocation();
    threads::share_one_pool();
    let level = simd::choose(); // before anything computes
    let arguments = Arguments::try_parse().unwrap_or_else(|error| tips::of(error).exit());
    log::start(if matches!(arguments.verb, Verb::Worker | Verb::Probe) { log::Format::Bare } else { arguments.log });
    let ready = level.map_err(Failure::refused).and_then(|_| threads::check().map_err(Failure::refused));
    let ready = ready.and_then(|_| regatta_core::registry::cards().map_err(Failure::refused));
    let done = ready.and_then(|_| match arguments.verb {
        Verb::Run(arguments) => verbs::run::run(&arguments),
        Verb::Submit(arguments) => verbs::submit::submit(&arguments),
        Verb::Cancel(arguments) => verbs::cancel::cancel(&arguments),
        Verb::Check(arguments) => verbs::check::check(&arguments),
        Verb::Tokenize(arguments) => verbs::tokenize::tokenize(&arguments),
        Verb::List(arguments) => verbs::list::list(&arguments),
        Verb::Explain(arguments) => verbs::explain::explain(&arguments),
        Verb::Schema(arguments) => verbs::schema::schema(&arguments),
        Verb::Report(arguments) => verbs::report::report(&arguments),
        Verb::Worker => verbs::worker::worker(),
        Verb::Probe => verbs::probe::probe(),
        Verb::Status(arguments) => verbs::status::status(&arguments),
        #[cfg(feature = "tui")]
        Verb::Watch(arguments) => verbs::watch::watch(&arguments),
        Verb::Results(arguments) => verbs::results::results(&arguments),
        Verb::Export(arguments) => verbs::export::export(&arguments),
        Verb::Evaluate(arguments) => verbs::evaluate::evaluate(&arguments),
        Verb::Diagnose(arguments) => verbs::diagnose::diagnose(&arguments),
        Verb::Compare(arguments) => verbs::compare::compare(&arguments),
        Verb::Bench(arguments) => verbs::bench::bench(&arguments),
        Verb::New(arguments) => verbs::new::new(&arguments),
        Verb::Completions(arguments) => verbs::completions::completions(&arguments),
        Verb::Man(arguments) => verbs::man::man(&arguments),
        Verb::Arms(arguments) => verbs::completions::arms(&arguments),
    });
    match done {
        Ok(code) => code,
        Err(failure) => failure.exit(),
    }
}
