//! Detection and selection of instruction sets.

use crate::nearest;
use serde::{Deserialize, Serialize};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__cpuid;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// The environment variable that selects another level of the machine's than [`choose`] would.
pub const VARIABLE: &str = "REGATTA_INSTRUCTIONS";

/// Instruction sets. Each includes all sets before it.
///
/// Results in float32 and float64 have the same bytes at every level. Products of bfloat16 factors depend on the level:
///
/// | level | sum of products of bfloat16 |
/// |---|---|
/// | `portable`, `avx2`, `avx512` | the same bytes: fused multiply-adds in float32, term by term |
/// | `avx512_bf16` | two terms at a time, as `VDPBF16PS` adds them; denormals are zeros |
/// | `amx` | 32 terms at a time, as `TDPBF16PS` adds them; denormals are zeros |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    /// Plain Rust, on any processor; slow on processors without fused multiply-add.
    Portable = 1,
    /// AVX2 and FMA: x86-64 since 2013 (Haswell) and 2015 (Excavator).
    Avx2,
    /// AVX-512 F, BW, CD, DQ and VL: since Skylake-X and Zen 4.
    Avx512,
    /// AVX-512 with products of bfloat16: Cooper Lake, Sapphire Rapids, Zen 4.
    Avx512Bf16,
    /// AMX with products of bfloat16 tiles: Sapphire Rapids, on Linux. It counts as missing if the kernel does not permit tiles, or
    /// if a test product differs from the instruction's definition.
    Amx,
}

impl Level {
    /// All levels, lowest first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Amx];

    /// The name that [`VARIABLE`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512_bf16",
            Self::Amx => "amx",
        }
    }

    /// Whether this level has an instruction that multiplies bfloat16. Lower levels multiply the rounded factors in float32.
    pub fn multiplies_bf16(self) -> bool {
        self >= Self::Avx512Bf16
    }

    /// Whether the processor and the operating system support this level.
    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        macro_rules! all {
            ($($feature:tt),+) => { $(is_x86_feature_detected!($feature))&&+ };
        }
        match self {
            Self::Portable => true,
            Self::Avx2 => all!("avx2", "fma"),
            Self::Avx512 => Self::Avx2.is_available() && all!("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
            Self::Avx512Bf16 => Self::Avx512.is_available() && all!("avx512bf16"),
            Self::Amx => Self::Avx512Bf16.is_available() && super::amx::is_available(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_available(self) -> bool {
        self == Self::Portable
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a level cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// No level has this name.
    #[error("{VARIABLE}: expected one of {}, found `{found}`{}", names(&Level::ALL), suggestion(found))]
    Unknown {
        /// The name in the environment variable.
        found: String,
    },
    /// This machine lacks the level's instructions.
    #[error("{VARIABLE}: this machine has no `{level}` instructions; it has {}", names(&available()))]
    Missing {
        /// The level in the environment variable.
        level: Level,
    },
}

fn names(levels: &[Level]) -> String {
    levels.iter().map(|level| format!("`{level}`")).collect::<Vec<_>>().join(", ")
}

fn suggestion(found: &str) -> String {
    let near = nearest(found, Level::ALL.map(Level::name));
    near.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The levels that this machine has, lowest first.
pub fn available() -> Vec<Level> {
    Level::ALL.into_iter().filter(|level| level.is_available()).collect()
}

/// The level at which kernels run; 0 until it is selected.
static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The level at which kernels run.
///
/// # Panics
/// When [`VARIABLE`] holds a value that [`choose`] refuses. A program calls [`choose`] first to report the error.
#[inline]
pub fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Portable,
        2 => Level::Avx2,
        3 => Level::Avx512,
        4 => Level::Avx512Bf16,
        5 => Level::Amx,
        _ => choose_or_panic(),
    }
}

#[cold]
fn choose_or_panic() -> Level {
    choose().unwrap_or_else(|error| panic!("{error}"))
}

/// Selects the level that [`VARIABLE`] names or, if it is unset or empty, this machine's highest, except for `avx512_bf16` where its
/// instruction is slower than products in float32: `avx512` then.
///
/// # Errors
/// When there is no such level, or the machine lacks its instructions.
pub fn choose() -> Result<Level, LevelError> {
    let level = match std::env::var_os(VARIABLE) {
        Some(name) if !name.is_empty() => parse(&name.to_string_lossy())?,
        _ => preferred(&available(), is_bf16_slow()),
    };
    LEVEL.store(level as u8, Ordering::Relaxed);
    Ok(level)
}

/// The last of `available`, the lowest first, without `avx512_bf16` as the last if it is slow.
fn preferred(available: &[Level], bf16_is_slow: bool) -> Level {
    match available {
        [.., before, Level::Avx512Bf16] if bf16_is_slow => *before,
        [.., highest] => *highest,
        [] => Level::Portable,
    }
}

/// Whether a product of bfloat16 by `VDPBF16PS` takes longer than one in float32.
///
/// On a Sapphire Rapids the instruction starts once in two cycles: 170 GFLOP/s on two cores, where float32 reaches 345. Its
/// successors multiply bfloat16 in the same unit, meant to be replaced by AMX, which virtual machines often hide. Cooper Lake, which
/// introduced the instruction for training and has no AMX, and AMD's processors are faster with it.
#[cfg(target_arch = "x86_64")]
fn is_bf16_slow() -> bool {
    let vendor = __cpuid(0);
    let is_intel = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel";
    is_intel && !is_cooper_lake(__cpuid(1).eax)
}

#[cfg(not(target_arch = "x86_64"))]
fn is_bf16_slow() -> bool {
    false
}

/// Whether an Intel processor of this signature (CPUID 1, EAX) that has `VDPBF16PS` is a Cooper Lake, which shares family 6, model 85
/// with two generations before it that lack the instruction.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
fn is_cooper_lake(signature: u32) -> bool {
    let (family, model) = (signature >> 8 & 0xf, signature >> 12 & 0xf0 | signature >> 4 & 0xf);
    (family, model) == (6, 85)
}

fn parse(name: &str) -> Result<Level, LevelError> {
    let named = Level::ALL.into_iter().find(|level| level.name() == name);
    let level = named.ok_or_else(|| LevelError::Unknown { found: name.to_string() })?;
    if level.is_available() { Ok(level) } else { Err(LevelError::Missing { level }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_parsed_and_others_refused() {
        assert_eq!(parse("portable"), Ok(Level::Portable));
        let message = |name: &str| parse(name).unwrap_err().to_string();
        assert!(message("avx521").ends_with("found `avx521`; did you mean `avx512`?"), "{}", message("avx521"));
        assert!(message("neon9000").ends_with("found `neon9000`"), "{}", message("neon9000"));
        assert_eq!(
            LevelError::Missing { level: Level::Amx }.to_string().split(';').next(),
            Some("REGATTA_INSTRUCTIONS: this machine has no `amx` instructions")
        );
    }

    #[test]
    fn the_highest_level_is_preferred_unless_it_is_slow() {
        let all = Level::ALL;
        for slow in [false, true] {
            assert_eq!(preferred(&all, slow), Level::Amx, "faster than both");
            assert_eq!(preferred(&all[..3], slow), Level::Avx512);
            assert_eq!(preferred(&all[..1], slow), Level::Portable);
        }
        assert_eq!(preferred(&all[..4], false), Level::Avx512Bf16);
        assert_eq!(preferred(&all[..4], true), Level::Avx512);
    }

    /// The signatures of a Cooper Lake (family 6, model 85, stepping 11), a Sapphire Rapids (model 143, stepping 8) and a Zen 4 (family
    /// 25, model 17).
    #[test]
    fn a_cooper_lake_is_known_by_its_signature() {
        assert_eq!([0x0005_065b, 0x0008_06f8, 0x00a1_0f11].map(is_cooper_lake), [true, false, false]);
    }

    #[test]
    fn levels_have_the_numbers_that_level_reads() {
        let numbers = Level::ALL.map(|level| level as u8);
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert!(available().contains(&level()) && available().is_sorted());
    }
}
