//! What a model is trained on: the kernels of this program, or candle on one of its devices.
//!
//! | word | what computes | cargo feature |
//! |---|---|---|
//! | `cpu` | loops on slices, `regatta-kernels` | |
//! | `candle` | candle's operations, on the CPU | |
//! | `cuda`, `cuda:N` | candle's operations, on an NVIDIA GPU; `cuda` is `cuda:0` | `cuda` |
//! | `metal` | candle's operations, on Apple's GPU | `metal` |

use serde::{Deserialize, Serialize};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::str::FromStr;

/// A device by its word, whether or not it was built in and is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The CPU, by the kernels.
    #[default]
    Cpu,
    /// The CPU, by candle.
    Candle,
    /// The NVIDIA GPU of this index among those that the driver shows to the process.
    Cuda(usize),
    /// Apple's GPU.
    Metal,
}

/// A device that is open.
#[derive(Debug, Clone)]
pub enum Compute {
    /// The engine of kernels, on the CPU.
    Kernels,
    /// The engine of candle's operations.
    Candle(candle_core::Device),
}

/// Why there is no such device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// It is not a device's word.
    #[error(
        "expected cpu, candle, cuda, cuda:N (N a GPU's index, from 0) or metal, found `{found}`{}",
        .near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    )]
    Unknown {
        /// What was written.
        found: String,
        /// The nearest word.
        near: Option<&'static str>,
    },
    /// The program was built without it.
    #[error(
        "{device}: this program was built without {name}: cargo install --path runners/app --features {feature}, which needs {needs}"
    )]
    NotBuilt {
        /// Which.
        device: Device,
        /// As people call it.
        name: &'static str,
        /// The cargo feature.
        feature: &'static str,
        /// What its build needs.
        needs: &'static str,
    },
    /// It is not there, or cannot be used.
    #[error("{device}: {reason}")]
    Absent {
        /// Which.
        device: Device,
        /// Why, with what is there.
        reason: String,
    },
}

/// What a feature adds.
struct Feature {
    name: &'static str,
    feature: &'static str,
    needs: &'static str,
    is_built_in: bool,
}

const CUDA: Feature = Feature { name: "CUDA", feature: "cuda", needs: "the CUDA toolkit", is_built_in: cfg!(feature = "cuda") };
const METAL: Feature = Feature { name: "Metal", feature: "metal", needs: "macOS", is_built_in: cfg!(feature = "metal") };

/// The words without an index.
const WORDS: [&str; 4] = ["cpu", "candle", "cuda", "metal"];

impl Device {
    /// Opens it: with CUDA, a context on the GPU, which takes memory there until the last copy of the result is dropped.
    ///
    /// # Errors
    /// When it was not built in, is not there, or cannot be used.
    pub fn open(self) -> Result<Compute, DeviceError> {
        self.check_built_in()?;
        match self {
            Self::Cpu => Ok(Compute::Kernels),
            Self::Candle => Ok(Compute::Candle(candle_core::Device::Cpu)),
            Self::Cuda(index) => self.candle(|| candle_core::Device::new_cuda(index), cuda_devices),
            Self::Metal => self.candle(|| candle_core::Device::new_metal(0), || None),
        }
    }

    /// Refuses a device that was not built in, without a look at whether it is there.
    ///
    /// # Errors
    /// Where the program was built without it.
    pub fn check_built_in(self) -> Result<(), DeviceError> {
        let Feature { name, feature, needs, is_built_in } = match self {
            Self::Cpu | Self::Candle => return Ok(()),
            Self::Cuda(_) => CUDA,
            Self::Metal => METAL,
        };
        if is_built_in { Ok(()) } else { Err(DeviceError::NotBuilt { device: self, name, feature, needs }) }
    }

    /// The words of the devices that were built in.
    pub fn built_in() -> Vec<&'static str> {
        let all = WORDS.into_iter().zip([true, true, CUDA.is_built_in, METAL.is_built_in]);
        all.filter_map(|(word, is_built_in)| is_built_in.then_some(word)).collect()
    }

    /// The engine that trains on it: a part of a trial's identity.
    pub fn engine(self) -> &'static str {
        if self == Self::Cpu { "kernels" } else { "candle" }
    }

    /// The kind of device, whichever engine and index: a part of a trial's identity.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cpu | Self::Candle => "cpu",
            Self::Cuda(_) => "cuda",
            Self::Metal => "metal",
        }
    }

    /// What `open` returns, or the error that the device is absent, where `count` are there.
    fn candle(
        self,
        open: impl FnOnce() -> candle_core::Result<candle_core::Device>,
        count: impl FnOnce() -> Option<usize>,
    ) -> Result<Compute, DeviceError> {
        let opened = unless_panicked(open).and_then(|opened| opened.map_err(|error| error.to_string()));
        opened.map(Compute::Candle).map_err(|error| self.absent(&error, unless_panicked(count).ok().flatten()))
    }

    /// It could not be opened for candle's `error`, where the driver shows `count` devices of its kind.
    fn absent(self, error: &str, count: Option<usize>) -> DeviceError {
        let reason = match (self, count) {
            (Self::Cuda(index), Some(count)) if (1..=index).contains(&count) => {
                let there =
                    if count == 1 { "one CUDA device, cuda:0".into() } else { format!("{count} CUDA devices, from cuda:0") };
                format!("this machine shows {there}; CUDA_VISIBLE_DEVICES chooses which are shown")
            }
            (Self::Cuda(_), None | Some(0)) if error.contains("STUB_LIBRARY") => {
                "no CUDA driver: the libcuda that was loaded is the toolkit's stub, which is for linking only; install NVIDIA's driver, \
                 and take the folder `stubs` out of LD_LIBRARY_PATH"
                    .into()
            }
            (Self::Cuda(_), None | Some(0)) => {
                let where_to_look = "`nvidia-smi` lists what the driver has, and CUDA_VISIBLE_DEVICES can hide it";
                format!("no CUDA device was found ({}): {where_to_look}", in_one_line(error))
            }
            (Self::Metal, _) => format!("no Metal device could be opened ({})", in_one_line(error)),
            _ => format!("the device is there, and could not be opened: {}", in_one_line(error)),
        };
        DeviceError::Absent { device: self, reason }
    }
}

impl Compute {
    /// Waits until the device has done what it was given: operations on a GPU go on after the call that asked for them.
    ///
    /// # Errors
    /// Where the device fails, with what it says.
    pub fn wait(&self) -> Result<(), String> {
        match self {
            Self::Kernels => Ok(()),
            Self::Candle(device) => device.synchronize().map_err(|error| in_one_line(&error.to_string())),
        }
    }

    /// The device in words, for records: the kind, and the name where candle tells it. GPUs of one model have the same words.
    pub fn words(&self) -> String {
        match self {
            Self::Kernels => Device::Cpu.to_string(),
            Self::Candle(candle_core::Device::Cpu) => Device::Candle.to_string(),
            Self::Candle(candle_core::Device::Metal(_)) => Device::Metal.to_string(),
            Self::Candle(device @ candle_core::Device::Cuda(_)) => {
                cuda_name(device).map_or_else(|| "cuda".to_owned(), |name| format!("cuda: {name}"))
            }
        }
    }
}

impl Compute {
    /// Bytes that are free on it now; `None` where nothing tells.
    pub fn free_memory(&self) -> Option<u128> {
        match self {
            Self::Kernels => None,
            Self::Candle(candle_core::Device::Cpu) => free_memory_of_the_machine(),
            Self::Candle(candle_core::Device::Cuda(_)) => free_memory_of_the_gpu(),
            Self::Candle(candle_core::Device::Metal(_)) => None,
        }
    }

    /// Whether it is candle's CPU.
    pub fn is_candle_on_cpu(&self) -> bool {
        matches!(self, Self::Candle(candle_core::Device::Cpu))
    }
}

/// What the system could give to a program without swapping.
fn free_memory_of_the_machine() -> Option<u128> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u128 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// On the GPU whose context is current: that of the device that was opened last.
#[cfg(feature = "cuda")]
fn free_memory_of_the_gpu() -> Option<u128> {
    candle_core::cuda_backend::cudarc::driver::result::mem_get_info().ok().map(|(free, _)| free as u128)
}

#[cfg(not(feature = "cuda"))]
fn free_memory_of_the_gpu() -> Option<u128> {
    None
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Candle => f.write_str("candle"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let index = text.strip_prefix("cuda:").filter(|index| index.bytes().all(|byte| byte.is_ascii_digit()));
        match (text, index.and_then(|index| index.parse().ok())) {
            ("cpu", _) => Ok(Self::Cpu),
            ("candle", _) => Ok(Self::Candle),
            ("cuda", _) => Ok(Self::Cuda(0)),
            ("metal", _) => Ok(Self::Metal),
            (_, Some(index)) => Ok(Self::Cuda(index)),
            _ => Err(DeviceError::Unknown { found: text.to_owned(), near: nearest(text) }),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// The word that was meant: a misspelled one, or what other programs call it.
fn nearest(text: &str) -> Option<&'static str> {
    let plain = text.to_lowercase();
    let plain = plain.split(':').next().unwrap_or_default();
    match plain {
        "gpu" | "nvidia" => return Some("cuda"),
        "mps" | "apple" => return Some("metal"),
        "kernels" => return Some("cpu"),
        _ => {}
    }
    let distance = |word: &&str| strsim::damerau_levenshtein(plain, word);
    WORDS.into_iter().min_by_key(distance).filter(|word| distance(word) <= word.len() / 2)
}

/// What `open` returns. The libraries of a device panic where their own driver is missing; that is a reason like any other, and the
/// panic's message is not printed.
fn unless_panicked<T>(open: impl FnOnce() -> T) -> Result<T, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let opened = panic::catch_unwind(AssertUnwindSafe(open));
    panic::set_hook(hook);
    opened.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "its library panicked".into())
    })
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many GPUs the driver shows to this process.
#[cfg(feature = "cuda")]
fn cuda_devices() -> Option<usize> {
    candle_core::cuda_backend::cudarc::driver::CudaContext::device_count().ok()?.try_into().ok()
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> Option<usize> {
    None
}

/// What the driver calls a GPU, such as `NVIDIA H200`.
#[cfg(feature = "cuda")]
fn cuda_name(device: &candle_core::Device) -> Option<String> {
    device.as_cuda_device().ok()?.cuda_stream().context().name().ok()
}

#[cfg(not(feature = "cuda"))]
fn cuda_name(_: &candle_core::Device) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_written() {
        let check = |text: &str, device: Device, written: &str| {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), written);
            assert_eq!(serde_json::to_string(&device).unwrap(), format!("\"{written}\""));
            assert_eq!(serde_json::from_str::<Device>(&format!("\"{text}\"")).unwrap(), device);
        };
        check("cpu", Device::Cpu, "cpu");
        check("candle", Device::Candle, "candle");
        check("cuda", Device::Cuda(0), "cuda:0");
        check("cuda:0", Device::Cuda(0), "cuda:0");
        check("cuda:12", Device::Cuda(12), "cuda:12");
        check("metal", Device::Metal, "metal");
        assert_eq!(Device::default(), Device::Cpu);
    }

    #[test]
    fn a_wrong_word_is_refused_with_the_nearest() {
        let check = |text: &str, near: Option<&str>| {
            let expected = "expected cpu, candle, cuda, cuda:N (N a GPU's index, from 0) or metal, found";
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            assert_eq!(text.parse::<Device>().unwrap_err().to_string(), format!("{expected} `{text}`{near}"));
        };
        check("cdua", Some("cuda"));
        check("CUDA", Some("cuda"));
        check("cuda:", Some("cuda"));
        check("cuda:-1", Some("cuda"));
        check("cuda:+1", Some("cuda"));
        check("cuda:one", Some("cuda"));
        check("cuda:99999999999999999999999", Some("cuda"));
        check("gpu", Some("cuda")); // nearer to cpu by its letters
        check("gpu:1", Some("cuda"));
        check("mps", Some("metal"));
        check("candel", Some("candle"));
        check("cpu:0", Some("cpu"));
        check("", None);
        check("tpu-v4-pod", None);
    }

    #[test]
    fn engine_and_kind_do_not_tell_indices_apart() {
        let found = [Device::Cpu, Device::Candle, Device::Cuda(0), Device::Cuda(3), Device::Metal]
            .map(|device| (device.engine(), device.kind()));
        assert_eq!(found, [("kernels", "cpu"), ("candle", "cpu"), ("candle", "cuda"), ("candle", "cuda"), ("candle", "metal")]);
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert!(matches!(Device::Cpu.open(), Ok(Compute::Kernels)));
        assert!(matches!(Device::Candle.open(), Ok(Compute::Candle(candle_core::Device::Cpu))));
        let words = [Device::Cpu, Device::Candle].map(|device| device.open().unwrap().words());
        assert_eq!(words, ["cpu", "candle"]);
        assert_eq!(Device::built_in()[..2], ["cpu", "candle"]);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_that_was_not_built_in_is_refused_with_what_to_do() {
        let expected = "cuda:1: this program was built without CUDA: cargo install --path runners/app --features cuda, \
                        which needs the CUDA toolkit";
        assert_eq!(Device::Cuda(1).open().unwrap_err().to_string(), expected);
        assert!(!Device::built_in().contains(&"cuda"));
    }

    #[cfg(not(feature = "metal"))]
    #[test]
    fn metal_that_was_not_built_in_is_refused_with_what_to_do() {
        let expected =
            "metal: this program was built without Metal: cargo install --path runners/app --features metal, which needs macOS";
        assert_eq!(Device::Metal.open().unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_device_that_is_not_there_is_refused_with_what_is() {
        let check = |device: Device, count: Option<usize>, expected: &str| {
            assert_eq!(device.absent("DriverError(CUDA_ERROR,\n  \"no\")", count).to_string(), expected);
        };
        let choose = "CUDA_VISIBLE_DEVICES chooses which are shown";
        check(Device::Cuda(2), Some(2), &format!("cuda:2: this machine shows 2 CUDA devices, from cuda:0; {choose}"));
        check(Device::Cuda(1), Some(1), &format!("cuda:1: this machine shows one CUDA device, cuda:0; {choose}"));
        let none = "cuda:0: no CUDA device was found (DriverError(CUDA_ERROR, \"no\")): `nvidia-smi` lists what the driver has, and \
                    CUDA_VISIBLE_DEVICES can hide it";
        check(Device::Cuda(0), Some(0), none);
        check(Device::Cuda(0), None, none);
        let stub =
            Device::Cuda(0).absent("DriverError(CUDA_ERROR_STUB_LIBRARY, \"CUDA driver is a stub library\")", None).to_string();
        assert!(stub.starts_with("cuda:0: no CUDA driver: the libcuda that was loaded is the toolkit's stub"), "{stub}");
        let busy = "cuda:0: the device is there, and could not be opened: DriverError(CUDA_ERROR, \"no\")";
        check(Device::Cuda(0), Some(1), busy);
    }

    #[test]
    fn a_driver_that_panics_is_absent() {
        let panics = || -> candle_core::Result<candle_core::Device> { panic!("Unable to dynamically load libcuda") };
        let error = Device::Cuda(0).candle(panics, || panic!("again")).unwrap_err().to_string();
        assert!(error.starts_with("cuda:0: no CUDA device was found (Unable to dynamically load libcuda): "), "{error}");
    }
}
