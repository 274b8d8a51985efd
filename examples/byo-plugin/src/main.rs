//! The verbs of Regatta with the plugins named here: `cargo run -- run study.yaml`.

use resultant as _; // the linker drops a crate that nothing names

#[cfg(feature = "builtin")]
use regatta_builtin as _;

// Regatta's own program allocates with mimalloc, which saves a few percent of time on small models. To do the same here, run
// `cargo add mimalloc` and uncomment these two lines; `Counted` makes the peak memory of a trial exact.
// #[global_allocator]
// static ALLOCATOR: regatta_cli::Counted<mimalloc::MiMalloc> = regatta_cli::Counted(mimalloc::MiMalloc);

fn main() -> std::process::ExitCode {
    regatta_cli::main()
}
