//! The `regatta` program: the verbs, the built-in plugins, and the allocator.

use mimalloc::MiMalloc;
use regatta_builtin as _; // the linker drops a crate that nothing names
use regatta_cli::Counted;

#[global_allocator]
static ALLOCATOR: Counted<MiMalloc> = Counted(MiMalloc);

fn main() -> std::process::ExitCode {
    keep_pages();
    regatta_cli::main()
}

/// Tells mimalloc to keep freed pages while the program runs: training asks for the same large buffers at every step, and each
/// page that went back to the system costs a fault.
fn keep_pages() {
    /// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets one option of mimalloc, which reads it when memory is freed.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}
