//! `manifest.json`: the program, machine and data that the results come from.

use regatta_core::simd::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Program, machine, model and data of a study's results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name and version of the program.
    pub program: String,
    /// Regularizers that the arms name, and the versions of their crates.
    pub regularizers: BTreeMap<String, String>,
    /// Interventions that the arms name, and the versions of their crates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub interventions: BTreeMap<String, String>,
    /// Operating system and processor family.
    pub platform: String,
    /// The processor's name, where the system reports it.
    pub processor: Option<String>,
    /// The instruction set that kernels used on the machine that began the last run; each trial's is in its `evaluation.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Level>,
    /// Threads that shared the arithmetic.
    pub threads: usize,
    /// What computed, where it was not the kernels on the CPU: `candle`, or a GPU with its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The model.
    pub model: ModelFacts,
    /// The data.
    pub data: DataFacts,
    /// Trials that were kept although another version trained them, and what differs: `dispersion, seed 0: program: ...`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mismatches: Vec<String>,
}

/// The model that every arm trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelFacts {
    /// Family, options that are not the family's, and sizes, in words; none in a manifest from before there were families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Blocks.
    pub layers: usize,
    /// Dims of the residual stream.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Tokens of a training sequence.
    pub context: usize,
    /// Vocabulary size.
    pub vocab_size: usize,
    /// Trainable parameters.
    pub parameters: usize,
}

/// The tokens that every arm saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Where they come from, in words.
    pub source: String,
    /// Tokens of the train split.
    pub train_tokens: usize,
    /// Tokens of the validation split.
    pub validation_tokens: usize,
    /// Tokens of the test split; `None` where the validation split is used instead.
    pub test_tokens: Option<usize>,
    /// BLAKE3 of all token ids.
    pub fingerprint: String,
}

impl Manifest {
    /// Name and version of this program.
    pub fn this_program() -> String {
        concat!("regatta ", env!("CARGO_PKG_VERSION")).to_owned()
    }

    /// Operating system and processor family of this machine.
    pub fn this_platform() -> String {
        format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)
    }

    /// The name of this machine's processor, where `/proc/cpuinfo` has one.
    pub fn this_processor() -> Option<String> {
        processor(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
    }
}

/// The name in the text of `/proc/cpuinfo`. That of an ARM processor has numbers only: implementer, part, variant and revision.
fn processor(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let of_arm = || {
        let [implementer, part, variant, revision] =
            ["CPU implementer", "CPU part", "CPU variant", "CPU revision"].map(|name| field(name).unwrap_or("?"));
        field("CPU part").map(|_| format!("ARM {implementer} {part} {variant}.{revision}"))
    };
    field("model name").map(str::to_owned).or_else(of_arm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_its_name_or_its_numbers() {
        let x86 = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9R14\nmodel\t\t: 17\n";
        assert_eq!(processor(x86).as_deref(), Some("AMD EPYC 9R14"));
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: 0xd40\nCPU revision\t: 1\n";
        assert_eq!(processor(arm).as_deref(), Some("ARM 0x41 0xd40 0x1.1"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
