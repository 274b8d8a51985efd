//! The kind of machine that a trial ran on. Times are compared within a kind only, and some products have other bytes on another.

use super::arm::ArmRecords;
use regatta_core::simd::Level;
use regatta_records::{Cost, Machine};
use std::collections::BTreeSet;
use std::fmt;

/// What decides how fast a machine is, as far as records tell. The host's name is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind<'a> {
    processor: Option<&'a str>,
    threads: usize,
    instructions: Option<Level>,
    device: &'a str,
    recomputes: bool,
}

/// What decides the bytes of a trial on a machine: the device, and where factors are rounded to bfloat16 also the instruction that
/// multiplies them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rounding<'a> {
    device: &'a str,
    /// Levels without such an instruction agree, and count as the lowest.
    level: Option<Level>,
}

impl<'a> Kind<'a> {
    pub fn of(Machine { processor, threads, instructions, device, recomputes, .. }: &'a Machine) -> Self {
        let (processor, threads, instructions, recomputes) = (processor.as_deref(), *threads, *instructions, *recomputes);
        Self { processor, threads, instructions, device, recomputes }
    }

    fn rounding(self, bfloat16: bool) -> Rounding<'a> {
        let level = self.instructions.map(|level| if level.multiplies_bf16() { level } else { Level::Portable });
        Rounding { device: self.device, level: level.filter(|_| bfloat16) }
    }

    /// What computes, in words: `cpu at level avx2`.
    fn computing(self) -> String {
        let level = self.instructions.map_or(String::new(), |level| format!(" at level {level}"));
        format!("{}{level}", self.device)
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processor = self.processor.unwrap_or("a processor without a name");
        write!(f, "{processor} ({} thread{}", self.threads, if self.threads == 1 { "" } else { "s" })?;
        self.instructions.map_or(Ok(()), |level| write!(f, ", {level}"))?;
        if self.device != Machine::CPU {
            write!(f, ", {}", self.device)?;
        }
        f.write_str(if self.recomputes { ", activations recomputed)" } else { ")" })
    }
}

/// The kinds that a trial ran on, in order; several where it was resumed on another, none where no machine was recorded.
fn kinds(cost: &Cost) -> Vec<Kind<'_>> {
    let mut kinds: Vec<Kind<'_>> = cost.stretches().map(|(machine, _)| Kind::of(machine)).collect();
    kinds.dedup();
    kinds
}

/// The same in words.
pub(super) fn words(cost: &Cost) -> String {
    joined(kinds(cost).iter().map(Kind::to_string))
}

/// The devices and instructions that a trial ran with, in words.
pub(super) fn computing(cost: &Cost) -> String {
    let mut words: Vec<String> = kinds(cost).into_iter().map(Kind::computing).collect();
    words.dedup();
    joined(words.into_iter())
}

fn joined(words: impl Iterator<Item = String>) -> String {
    let words = words.collect::<Vec<_>>().join(" and then ");
    if words.is_empty() { "a machine that was not recorded".to_owned() } else { words }
}

/// Whether both have one and the same; where neither is known they count as the same.
fn one_and_the_same<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> bool {
    one.len() <= 1 && one == other
}

/// Whether the times of two trials can be compared: each ran on one kind of machine, and both on the same.
pub(super) fn is_alike(one: &Cost, other: &Cost) -> bool {
    let of = |cost| kinds(cost).into_iter().collect::<BTreeSet<_>>();
    one_and_the_same(&of(one), &of(other))
}

/// Whether the machines of two trials would have given both the same bytes, were they one trial.
pub(super) fn has_same_bytes(one: &Cost, other: &Cost, bfloat16: bool) -> bool {
    let of = |cost| kinds(cost).into_iter().map(|kind| kind.rounding(bfloat16)).collect::<BTreeSet<_>>();
    one_and_the_same(&of(one), &of(other))
}

/// Whether the times of both arms with a seed can be compared. An arm's times are comparable with themselves.
pub(super) fn is_timed_alike(arm: &ArmRecords, reference: &ArmRecords, seed: u64) -> bool {
    let costs = arm.evaluations.get(&seed).zip(reference.evaluations.get(&seed)).map(|(own, other)| (&own.cost, &other.cost));
    arm.name == reference.name || costs.is_none_or(|(own, other)| is_alike(own, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cost_on, machine};
    use regatta_records::Stretch;

    #[test]
    fn a_kind_is_processor_threads_and_instructions_and_not_a_host() {
        let alike = |one: &Machine, other: &Machine| is_alike(&cost_on(one), &cost_on(other));
        let own = machine("a", "EPYC", 2, Level::Avx2);
        assert!(alike(&own, &machine("b", "EPYC", 2, Level::Avx2)), "another host of the same kind");
        assert!(!alike(&own, &machine("a", "Xeon", 2, Level::Avx2)));
        assert!(!alike(&own, &machine("a", "EPYC", 1, Level::Avx2)));
        assert!(!alike(&own, &machine("a", "EPYC", 2, Level::Avx512)));
        assert!(!alike(&own, &Machine { device: "cuda:0".into(), ..own.clone() }));
        let recomputes = Machine { recomputes: true, ..own.clone() };
        assert!(!alike(&own, &recomputes) && has_same_bytes(&cost_on(&own), &cost_on(&recomputes), true), "times alone");
        assert_eq!(words(&cost_on(&recomputes)), "EPYC (2 threads, avx2, activations recomputed)");
        assert!(is_alike(&Cost::default(), &Cost::default()), "older folders");
        assert!(!is_alike(&Cost::default(), &cost_on(&own)));
        assert_eq!(words(&cost_on(&own)), "EPYC (2 threads, avx2)");
        let odd = Machine { processor: None, instructions: None, device: "cuda:0".into(), ..machine("a", "", 1, Level::Avx2) };
        assert_eq!(words(&cost_on(&odd)), "a processor without a name (1 thread, cuda:0)");
    }

    #[test]
    fn a_trial_of_two_kinds_is_timed_like_none() {
        let (own, twin) = (machine("a", "EPYC", 2, Level::Avx2), machine("b", "EPYC", 2, Level::Avx2));
        let other = machine("c", "Xeon", 2, Level::Avx2);
        let resumed = |from: &Machine| {
            let earlier_machines = vec![Stretch { machine: from.clone(), wall_seconds: 0.5 }];
            Cost { earlier_machines, ..cost_on(&own) }
        };
        assert!(is_alike(&resumed(&twin), &cost_on(&own)), "on another host of the same kind");
        assert!(!is_alike(&resumed(&other), &cost_on(&own)) && !is_alike(&resumed(&other), &resumed(&other)));
        assert_eq!(words(&resumed(&other)), "Xeon (2 threads, avx2) and then EPYC (2 threads, avx2)");
        assert_eq!(computing(&resumed(&other)), "cpu at level avx2");
    }

    #[test]
    fn bytes_depend_on_the_instruction_that_multiplies_bfloat16() {
        let check = |one: Level, other: Level, expected: bool| {
            let [one, other] = [one, other].map(|level| cost_on(&machine("a", "P", 2, level)));
            assert!(has_same_bytes(&one, &other, false), "float32 has the same bytes everywhere");
            assert_eq!(has_same_bytes(&one, &other, true), expected, "{} and {}", computing(&one), computing(&other));
        };
        check(Level::Portable, Level::Avx512, true);
        check(Level::Avx512, Level::Avx512Bf16, false);
        check(Level::Avx512Bf16, Level::Amx, false);
        check(Level::Amx, Level::Amx, true);
        let own = machine("a", "P", 2, Level::Avx2);
        let gpu = Machine { device: "cuda:0".into(), ..own.clone() };
        assert!(!has_same_bytes(&cost_on(&own), &cost_on(&gpu), false), "another device");
        assert!(has_same_bytes(&cost_on(&own), &cost_on(&machine("b", "Q", 8, Level::Avx2)), true), "threads change no bytes");
    }
}
