//! The `regatta` program: the verbs, and the built-in regularizers.

use regatta_builtin as _; // the linker drops a crate that nothing names

fn main() -> std::process::ExitCode {
    regatta_cli::main()
}
