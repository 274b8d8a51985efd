//! How much memory the program holds. The allocator is the program's choice: wrapped in [`Counted`], it counts every byte; with
//! any other, the resident set that Linux reports is used.

use regatta_study::MemoryMeter;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The largest resident set before the system's own count was last reset, bytes.
static RESIDENT_BEFORE: AtomicU64 = AtomicU64::new(0);

/// An allocator that counts the bytes it has handed out, so that a trial's peak memory is exact to the byte.
///
/// ```
/// use std::alloc::System;
///
/// #[global_allocator]
/// static ALLOCATOR: regatta_cli::Counted<System> = regatta_cli::Counted(System);
/// # assert!(std::hint::black_box(vec![1u8; 10]).len() == 10);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted<A>(pub A);

fn grow(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    if held > PEAK.load(Relaxed) {
        PEAK.fetch_max(held, Relaxed);
    }
}

// SAFETY: every call goes to the wrapped allocator unchanged; the counts are beside it.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}

/// What measures a trial's memory: the counting allocator where the program has one, else the resident set; `None` where neither
/// is known.
pub(crate) fn meter() -> Option<MemoryMeter> {
    if is_counted() {
        Some(MemoryMeter { restart: restart_counted, peak: counted, peak_resident })
    } else {
        let resident = || resident_since_restart().unwrap_or(0);
        resident_since_restart().map(|_| MemoryMeter { restart: restart_resident, peak: resident, peak_resident })
    }
}

/// A program whose allocator counts holds something at any time.
fn is_counted() -> bool {
    HELD.load(Relaxed) > 0
}

fn restart_counted() {
    PEAK.store(HELD.load(Relaxed), Relaxed);
}

fn counted() -> u64 {
    PEAK.load(Relaxed) as u64
}

/// Resets the system's peak of the resident set. Where the system refuses, the peak is that of the whole process.
fn restart_resident() {
    RESIDENT_BEFORE.fetch_max(resident_since_restart().unwrap_or(0), Relaxed);
    let _ = std::fs::write("/proc/self/clear_refs", "5"); // see proc(5)
}

fn resident_since_restart() -> Option<u64> {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// The largest resident set of this process so far, bytes; `None` where the system does not report it.
pub(crate) fn peak_resident() -> Option<u64> {
    resident_since_restart().map(|bytes| bytes.max(RESIDENT_BEFORE.load(Relaxed)))
}

/// The same in MiB.
pub(crate) fn peak_resident_mib() -> Option<f64> {
    peak_resident().map(mib)
}

/// The resident set now, MiB; `None` where the system does not report it.
pub(crate) fn resident_mib() -> Option<f64> {
    kibibytes("/proc/self/status", "VmRSS:").map(mib)
}

/// Memory of the machine, bytes; `None` where the system does not report it.
pub(crate) fn of_the_machine() -> Option<u64> {
    kibibytes("/proc/meminfo", "MemTotal:")
}

/// Bytes of the line `name` of a file of /proc, which counts in units of 1024.
fn kibibytes(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;
    use std::hint::black_box;

    const BLOCK: usize = 64 << 20;

    #[test]
    fn a_counted_allocator_counts_what_is_held_and_its_peak() {
        let allocator = Counted(System);
        let layout = Layout::from_size_align(1000, 8).unwrap();
        restart_counted();
        let before = counted();
        // SAFETY: a block is used with the layout that it was allocated with, and freed once.
        unsafe {
            let block = allocator.alloc(layout);
            assert_eq!(counted() - before, 1000);
            let block = allocator.realloc(block, layout, 3000); // both stand while the first is copied
            assert_eq!(counted() - before, 4000);
            allocator.dealloc(block, Layout::from_size_align(3000, 8).unwrap());
        }
        assert_eq!(counted() - before, 4000, "a peak stays after the memory is freed");
        restart_counted();
        assert_eq!(counted(), before);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_one_the_resident_set_is_measured_trial_by_trial() {
        let before = resident_since_restart().unwrap();
        drop(black_box(vec![1u8; BLOCK]));
        let first = resident_since_restart().unwrap();
        assert!(first >= before.max(BLOCK as u64), "{first} bytes, {before} before");
        restart_resident();
        if std::fs::write("/proc/self/clear_refs", "5").is_ok() {
            let second = resident_since_restart().unwrap();
            assert!(second + BLOCK as u64 / 2 < first, "{second} bytes after the restart, {first} before it");
        }
        assert!(peak_resident().unwrap() >= first, "the peak of the process outlives the restart");
    }
}
