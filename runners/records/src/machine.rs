//! The machine that trained a trial.

use super::Manifest;
use regatta_core::simd::{self, Level};
use serde::{Deserialize, Serialize};

/// A machine as one worker process uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The host's name. None in folders from before machines were recorded.
    pub host: Option<String>,
    /// The processor's name, where the system reports it.
    pub processor: Option<String>,
    /// Threads that shared the worker's arithmetic.
    pub threads: usize,
    /// The instruction set that kernels used: in float32 it changes no bytes of a trial.
    pub instructions: Option<Level>,
    /// What computed, in the words of `Compute::words`: `cpu`, `candle`, or a GPU with its name. Times are compared on one device
    /// only.
    pub device: String,
    /// Whether the backward pass recomputed activations, which takes longer and changes no number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recomputes: bool,
}

/// A part of a trial: what one machine trained before the trial went on elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// The machine.
    #[serde(flatten)]
    pub machine: Machine,
    /// Seconds that the trial spent there, as far as checkpoints kept them.
    pub wall_seconds: f64,
}

impl Machine {
    /// The device of the kernels.
    pub const CPU: &str = "cpu";

    /// This machine, of which this process uses `threads` and `device`.
    pub fn this(threads: usize, device: String, recomputes: bool) -> Self {
        let (host, processor, instructions) = (Some(host()), Manifest::this_processor(), Some(simd::level()));
        Self { host, processor, threads, instructions, device, recomputes }
    }
}

impl Manifest {
    /// The machine of trials that recorded none: the one that began the last run.
    pub fn machine(&self) -> Machine {
        let Self { processor, threads, instructions, device, .. } = self;
        let device = device.clone().unwrap_or_else(|| Machine::CPU.to_owned());
        Machine {
            host: None,
            processor: processor.clone(),
            threads: *threads,
            instructions: *instructions,
            device,
            recomputes: false,
        }
    }
}

/// Adds `seconds` on `machine` to the parts of a trial. Parts on one machine that follow each other are one part.
pub fn went_on(mut parts: Vec<Stretch>, machine: &Machine, seconds: f64) -> Vec<Stretch> {
    match parts.last_mut() {
        Some(last) if last.machine == *machine => last.wall_seconds += seconds,
        _ => parts.push(Stretch { machine: machine.clone(), wall_seconds: seconds }),
    }
    parts
}

/// The name of this machine.
pub(crate) fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    named.map_or_else(|| "an unnamed host".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(host: &str, threads: usize) -> Machine {
        Machine {
            host: Some(host.into()),
            processor: Some("P".into()),
            threads,
            instructions: Some(Level::Avx2),
            device: "cpu".into(),
            recomputes: false,
        }
    }

    #[test]
    fn a_trial_that_goes_on_where_it_was_has_one_part() {
        let (one, other) = (machine("a", 2), machine("b", 2));
        let parts = went_on(went_on(vec![], &one, 3.0), &one, 4.0);
        assert_eq!(parts, [Stretch { machine: one.clone(), wall_seconds: 7.0 }]);
        let back = went_on(went_on(parts, &other, 1.5), &one, 2.0);
        let seconds: Vec<(Option<&str>, f64)> =
            back.iter().map(|part| (part.machine.host.as_deref(), part.wall_seconds)).collect();
        assert_eq!(seconds, [(Some("a"), 7.0), (Some("b"), 1.5), (Some("a"), 2.0)]);
        assert_eq!(went_on(vec![Stretch { machine: one, wall_seconds: 1.0 }], &machine("a", 1), 1.0).len(), 2, "fewer threads");
    }

    #[test]
    fn a_machine_is_written_in_words() {
        let text = serde_json::to_string(&Stretch { machine: machine("node-7", 4), wall_seconds: 1.5 }).unwrap();
        let expected = r#"{"host":"node-7","processor":"P","threads":4,"instructions":"avx2","device":"cpu","wall_seconds":1.5}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Stretch>(&text).unwrap().machine, machine("node-7", 4));
    }

    #[test]
    fn this_machine_has_a_name() {
        let this = Machine::this(3, "candle".into(), false);
        assert_eq!((this.threads, this.device.as_str(), this.instructions), (3, "candle", Some(simd::level())));
        assert!(this.host.is_some_and(|host| !host.is_empty() && host.trim() == host));
    }
}
