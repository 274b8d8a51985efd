//! The allocator: mimalloc, told to keep its pages, with a count of the bytes held.
//!
//! Training asks for the same large buffers at every step. Returned to the kernel and asked for again, each page costs a
//! fault; kept, it costs nothing.

use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// mimalloc, counted.
pub(crate) struct Counted;

fn grow(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    if held > PEAK.load(Relaxed) {
        PEAK.fetch_max(held, Relaxed);
    }
}

// SAFETY: every call goes to mimalloc unchanged; the counts are beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}

/// Never gives pages back to the system while the program runs.
pub(crate) fn keep_pages() {
    /// `mi_option_purge_delay` of mimalloc.h, which the bindings leave out.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets one option of mimalloc, which reads it when memory is freed.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) }
}

/// Starts a new count of the most bytes held at once.
pub(crate) fn restart_peak() {
    PEAK.store(HELD.load(Relaxed), Relaxed);
}

/// The most bytes held at once since [`restart_peak`].
pub(crate) fn peak() -> u64 {
    PEAK.load(Relaxed) as u64
}

/// Memory of the machine, bytes, where the system tells.
pub(crate) fn of_the_machine() -> Option<u64> {
    let report = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = report.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The most memory of this process that was resident at once, bytes, where the system tells.
pub(crate) fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The same in MiB.
pub(crate) fn peak_resident_mib() -> Option<f64> {
    peak_resident().map(|bytes| bytes as f64 / f64::from(1 << 20))
}
