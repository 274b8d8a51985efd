//! `schedule:` of `train:`, how the learning rate moves over the steps.

use regatta_core::forms::Forms;
use regatta_core::number::NonNegative;
use regatta_core::{forms, libm};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// How the learning rate moves over the steps, from 0 to the last. All but `constant` rise first, and are 1 at step `warmup`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The same at every step.
    Constant,
    /// Linear up to lr, then half a cosine down to `final` times lr at the last step.
    Cosine {
        /// Linear rise: steps, or a fraction of all steps where written as a number below 1.
        #[serde(default = "warmup")]
        warmup: Span,
        /// Fraction of lr left at the last step.
        #[serde(default = "last", rename = "final")]
        last: NonNegative,
    },
    /// Linear up to lr, then linear down to `final` times lr at the last step.
    Linear {
        /// Linear rise: steps, or a fraction of all steps where written as a number below 1.
        #[serde(default = "warmup")]
        warmup: Span,
        /// Fraction of lr left at the last step.
        #[serde(default = "last", rename = "final")]
        last: NonNegative,
    },
    /// Warmup, stable, decay: linear up to lr, lr itself, and over the last `decay` steps linear down to `final` times lr at the
    /// last (Hu et al. 2024, MiniCPM, arXiv:2404.06395; Hägele et al. 2024, arXiv:2405.18392).
    Wsd {
        /// Linear rise: steps, or a fraction of all steps where written as a number below 1.
        #[serde(default = "warmup")]
        warmup: Span,
        /// Linear fall: steps, or a fraction of all steps where written as a number below 1.
        #[serde(default = "decay")]
        decay: Span,
        /// Fraction of lr left at the last step.
        #[serde(default = "last", rename = "final")]
        last: NonNegative,
    },
}

/// A stretch of a run: steps, a whole number; or their share of all steps, written as a fraction below 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Span {
    /// A number of steps.
    Steps(u64),
    /// This share of all steps, to the nearest step.
    Share(f64),
}

fn warmup() -> Span {
    Span::Steps(30)
}

/// As in Hägele et al. 2024.
fn decay() -> Span {
    Span::Share(0.2)
}

fn last() -> NonNegative {
    NonNegative::new(0.1)
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine { warmup: warmup(), last: last() }
    }
}

impl Schedule {
    /// Factor of the peak learning rate at `step` (from 0) of `steps`.
    ///
    /// ```text
    /// step < warmup   (step + 1)/(warmup + 1)
    /// cosine          final + (1 - final)(1 + cos(π (step - warmup)/(steps - 1 - warmup)))/2
    /// linear          1 - (1 - final)(step - warmup)/(steps - 1 - warmup)
    /// wsd             1 - (1 - final) max(0, step - (steps - 1 - decay))/decay
    /// ```
    pub fn factor(&self, step: usize, steps: usize) -> f64 {
        let last_step = steps as f64 - 1.0;
        let progress = |warmup: u64| {
            let (done, whole) = (step as f64 - warmup as f64, last_step - warmup as f64);
            if whole > 0.0 { done / whole } else { 1.0 }
        };
        let warmup = self.warmup(steps);
        match *self {
            Self::Constant => 1.0,
            _ if (step as u64) < warmup => (step + 1) as f64 / (warmup + 1) as f64,
            Self::Cosine { last, .. } => {
                last.get() + (1.0 - last.get()) * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress(warmup)))
            }
            Self::Linear { last, .. } => 1.0 - (1.0 - last.get()) * progress(warmup),
            Self::Wsd { decay, last, .. } => {
                let decay = decay.steps(steps) as f64;
                let fallen = (step as f64 - (last_step - decay)).max(0.0);
                1.0 - (1.0 - last.get()) * if decay > 0.0 { fallen / decay } else { 0.0 }
            }
        }
    }

    /// Steps of its rise, of a run of `steps`.
    pub fn warmup(&self, steps: usize) -> u64 {
        match self {
            Self::Constant => 0,
            Self::Cosine { warmup, .. } | Self::Linear { warmup, .. } | Self::Wsd { warmup, .. } => warmup.steps(steps),
        }
    }

    /// Steps of its rise and of its fall, where both have a length of their own.
    pub fn rise_and_fall(&self, steps: usize) -> Option<(u64, u64)> {
        match self {
            Self::Wsd { warmup, decay, .. } => Some((warmup.steps(steps), decay.steps(steps))),
            _ => None,
        }
    }
}

impl Span {
    /// The steps, of a run of `all`.
    pub fn steps(self, all: usize) -> u64 {
        match self {
            Self::Steps(steps) => steps,
            Self::Share(share) => (share * all as f64).round() as u64,
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Steps(steps) => serializer.serialize_u64(steps),
            Self::Share(share) => serializer.serialize_f64(share),
        }
    }
}

forms! {
    Span => Forms::expecting("a whole number of steps, 0 or above, or a fraction of all steps below 1")
        .whole(0..=u64::MAX, Self::Steps)
        .fraction(Self::Share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: &str, steps: usize, expected: &[(usize, f64)]) {
        let schedule: Schedule = serde_json::from_str(schedule).unwrap();
        for &(step, factor) in expected {
            let found = schedule.factor(step, steps);
            assert!((found - factor).abs() < 1e-12, "{schedule:?}, step {step}: {found}");
        }
    }

    #[test]
    fn all_rise_then_fall_to_the_final_share() {
        let rise = [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0)];
        for warmup in ["3", "0.3"] {
            let check = |name: &str, more: &str, fall: &[(usize, f64)]| {
                let schedule = format!(r#"{{"{name}": {{"warmup": {warmup}, "final": 0.1{more}}}}}"#);
                check(&schedule, 10, &[&rise[..], fall].concat());
            };
            check("cosine", "", &[(6, 0.55), (9, 0.1)]); // step 6 is half way down: 0.1 + 0.9 / 2
            check("linear", "", &[(5, 0.7), (6, 0.55), (9, 0.1)]); // 1 - 0.9 / 3
            for decay in ["4", "0.4"] {
                let more = format!(r#", "decay": {decay}"#);
                check("wsd", &more, &[(5, 1.0), (6, 0.775), (7, 0.55), (9, 0.1)]); // 1 - 0.9 / 4
            }
        }
    }

    #[test]
    fn a_study_shorter_than_its_warmup_is_legal() {
        for schedule in [Schedule::default(), Schedule::Linear { warmup: warmup(), last: last() }] {
            assert!((0..5).all(|step| schedule.factor(step, 5) > 0.0));
        }
        let sudden = Schedule::Wsd { warmup: Span::Steps(0), decay: Span::Steps(0), last: last() };
        assert!((0..5).all(|step| sudden.factor(step, 5) == 1.0));
    }

    #[test]
    fn spans_are_steps_or_shares() {
        let span = |text: &str| serde_json::from_str::<Span>(text).ok();
        assert_eq!([span("30"), span("0.1"), span("0.0")], [Span::Steps(30), Span::Share(0.1), Span::Share(0.0)].map(Some));
        assert_eq!([span("30.5"), span("1.0"), span("-1"), span("\"all\"")], [None; 4]);
        assert_eq!(Span::Share(0.25).steps(10), 3, "2.5, rounded away from 0");
        assert_eq!(serde_json::to_string(&[Span::Steps(30), Span::Share(0.1)]).unwrap(), "[30,0.1]");
    }
}
