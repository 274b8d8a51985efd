//! Energy that the processors of this machine take, where Linux reports it: its powercap interface to RAPL, the running average
//! power limit of Intel's and AMD's processors. Documentation/power/powercap/powercap.rst of the kernel's source.
//!
//! Each package (socket) counts microjoules in `intel-rapl:<n>/energy_uj` from 0 to `max_energy_range_uj` and then from 0 again,
//! within half an hour at full load, so the counts are read often. Zones within a package (`intel-rapl:0:0`, cores or memory) are
//! part of it or are not reported by all machines, and are left out; so is all that is not the processor. The count is that of the
//! whole machine: each of the trials that run side by side records the energy of all. Where no package can be read (no such
//! interface, or readable by root alone, as since Linux 5.10), there is no number.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const POWERCAP: &str = "/sys/class/powercap";

/// How often the counters are read: far below the time in which one wraps around, and far above the time of a read.
const EVERY: Duration = Duration::from_secs(10);

/// Counts the energy of this machine's packages from its start on.
pub(crate) struct EnergyMeter {
    packages: Vec<Package>,
    microjoules: u64,
    /// Whether a counter could not be read, so that the sum is unknown.
    broken: bool,
    read: Instant,
}

struct Package {
    count: PathBuf,
    /// Where the counter wraps to 0.
    range: u64,
    last: u64,
}

impl EnergyMeter {
    /// Starts counting.
    pub fn start() -> Self {
        Self::of(Path::new(POWERCAP))
    }

    fn of(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let packages = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_package));
        let packages: Option<Vec<Package>> = packages.map(|entry| Package::of(&entry.path())).collect(); // all of them, or none
        Self { packages: packages.unwrap_or_default(), microjoules: 0, broken: false, read: Instant::now() }
    }

    /// Reads the counts if it is time.
    pub fn tick(&mut self) {
        if self.read.elapsed() >= EVERY {
            self.advance();
        }
    }

    /// Joules since the start; none where the machine does not report them.
    pub fn joules(&mut self) -> Option<f64> {
        self.advance();
        (!self.packages.is_empty() && !self.broken).then(|| self.microjoules as f64 / 1e6)
    }

    fn advance(&mut self) {
        self.read = Instant::now();
        for package in &mut self.packages {
            match number(&package.count) {
                Some(now) if now <= package.range => {
                    self.microjoules += taken(package.last, now, package.range);
                    package.last = now;
                }
                _ => self.broken = true,
            }
        }
    }
}

impl Package {
    fn of(zone: &Path) -> Option<Self> {
        let count = zone.join("energy_uj");
        Some(Self { range: number(&zone.join("max_energy_range_uj"))?, last: number(&count)?, count })
    }
}

/// `intel-rapl:0`, and not its part `intel-rapl:0:1`, nor `intel-rapl-mmio:0`, which counts the same package again.
fn is_package(name: &str) -> bool {
    name.strip_prefix("intel-rapl:").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Microjoules from one reading to the next; a counter that fell wrapped around once.
fn taken(last: u64, now: u64, range: u64) -> u64 {
    if now >= last { now - last } else { range.saturating_sub(last) + now }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder as the kernel's, with these zones: name and count.
    fn machine(zones: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (zone, count) in zones {
            std::fs::create_dir(folder.path().join(zone)).unwrap();
            std::fs::write(folder.path().join(zone).join("max_energy_range_uj"), "10000000\n").unwrap();
            set(&folder, zone, count);
        }
        folder
    }

    fn set(folder: &tempfile::TempDir, zone: &str, count: &str) {
        std::fs::write(folder.path().join(zone).join("energy_uj"), count).unwrap();
    }

    #[test]
    fn packages_add_up_and_their_parts_are_left_out() {
        let zones = ["intel-rapl", "intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl-mmio:0"];
        let folder = machine(&zones.map(|zone| (zone, "1000000\n")));
        let mut meter = EnergyMeter::of(folder.path());
        assert_eq!(meter.joules(), Some(0.0));
        zones.iter().for_each(|zone| set(&folder, zone, "3500000\n"));
        assert_eq!(meter.joules(), Some(5.0)); // 2.5 J of each package
    }

    #[test]
    fn a_count_goes_around() {
        let folder = machine(&[("intel-rapl:0", "9000000")]);
        let mut meter = EnergyMeter::of(folder.path());
        set(&folder, "intel-rapl:0", "500000");
        assert_eq!(meter.joules(), Some(1.5)); // 1 J up to 10 J, and half of one
        set(&folder, "intel-rapl:0", "700000");
        assert_eq!(meter.joules(), Some(1.7));
    }

    #[test]
    fn a_machine_that_reports_nothing_has_no_number() {
        assert_eq!(EnergyMeter::of(Path::new("/nowhere")).joules(), None);
        assert_eq!(EnergyMeter::of(machine(&[]).path()).joules(), None);
        assert_eq!(EnergyMeter::of(machine(&[("intel-rapl:0", "5"), ("intel-rapl:1", "no number")]).path()).joules(), None);
        let folder = machine(&[("intel-rapl:0", "5")]);
        let mut meter = EnergyMeter::of(folder.path());
        set(&folder, "intel-rapl:0", "denied");
        assert_eq!(meter.joules(), None);
        set(&folder, "intel-rapl:0", "10");
        assert_eq!(meter.joules(), None, "what was taken in between is not known");
    }

    #[test]
    fn it_is_read_when_it_is_time() {
        let folder = machine(&[("intel-rapl:0", "5")]);
        let mut meter = EnergyMeter::of(folder.path());
        set(&folder, "intel-rapl:0", "1000005");
        meter.tick();
        assert_eq!(meter.microjoules, 0, "it was read just now");
        meter.read -= EVERY;
        meter.tick();
        assert_eq!(meter.microjoules, 1_000_000);
    }
}
