//! Memory: of this process as its program counts it, and of another one as the system reports it.

/// How the program counts the memory that it holds; the allocator is the program's own.
#[derive(Debug, Clone, Copy)]
pub struct MemoryMeter {
    /// Starts a new count of the most memory held at once.
    pub restart: fn(),
    /// The most memory held at once since then, bytes.
    pub peak: fn() -> u64,
    /// The peak resident memory of the process since it began, bytes, where the system reports it.
    pub peak_resident: fn() -> Option<u64>,
}

/// Resident memory of a process, bytes, where the system reports it.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
