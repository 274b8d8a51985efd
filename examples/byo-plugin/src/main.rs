//! Regatta's verbs, with the plugins named here and no others: `cargo run -- run study.yaml`.

use byo_plugin as _; // the linker drops a crate that nothing names
// use regatta_builtin as _; // and with this line those that come with Regatta race too

fn main() -> std::process::ExitCode {
    regatta_cli::main()
}
