//! Which machines trained what, and which comparisons that touches.

use super::arm::ArmRecords;
use super::kinds::{Kind, computing, has_same_bytes, is_timed_alike, words};
use regatta_core::simd::Level;
use regatta_records::{Cost, Machine};
use std::collections::{BTreeMap, BTreeSet};

/// Most sentences about one fact, and most arms that one of them names; the rest is counted.
const MOST_SENTENCES: usize = 4;
const MOST_NAMED: usize = 6;

/// An arm and what it is compared with.
type Row<'a> = (&'a ArmRecords, &'a ArmRecords);

/// The machines that trained the trials of some arms, the one with the most hours first.
pub(super) struct Machines<'a> {
    listed: Vec<(&'a Machine, Worked)>,
}

/// What the two trials of a pair ran on, where it matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Between {
    /// In words, the arm's trial first.
    ran_on: [String; 2],
    /// In what way it matters.
    how: &'static str,
}

/// What a machine did.
#[derive(Debug, Clone, Copy, Default)]
struct Worked {
    trials: usize,
    seconds: f64,
}

impl<'a> Machines<'a> {
    pub fn of(arms: &[&'a ArmRecords]) -> Self {
        let mut listed: Vec<(&Machine, Worked)> = Vec::new();
        for cost in arms.iter().flat_map(|arm| arm.evaluations.values()).map(|evaluation| &evaluation.cost) {
            let mut counted = BTreeSet::new(); // a trial that came back to a machine is one trial of it
            for (machine, seconds) in cost.stretches() {
                let place = listed.iter().position(|(known, _)| *known == machine).unwrap_or_else(|| {
                    listed.push((machine, Worked::default()));
                    listed.len() - 1
                });
                listed[place].1.seconds += seconds;
                listed[place].1.trials += usize::from(counted.insert(place));
            }
        }
        listed.sort_by(|one, other| other.1.seconds.total_cmp(&one.1.seconds)); // stable: else in the order of their first trials
        Self { listed }
    }

    /// The place in the list of the machine on which a trial ended.
    pub fn place(&self, cost: &Cost) -> Option<usize> {
        let machine = cost.machine.as_ref()?;
        self.listed.iter().position(|(known, _)| *known == machine)
    }

    /// As rows of the results, with kinds counted from 1.
    pub fn rows(&self) -> Vec<regatta_results::Machine> {
        let mut kinds: Vec<Kind<'a>> = Vec::new();
        let mut row = |&(machine, worked): &(&'a Machine, Worked)| {
            let kind = Kind::of(machine);
            let place = kinds.iter().position(|known| *known == kind).unwrap_or(kinds.len());
            if place == kinds.len() {
                kinds.push(kind);
            }
            regatta_results::Machine {
                host: machine.host.clone(),
                processor: machine.processor.clone(),
                threads: machine.threads,
                instructions: machine.instructions.map(Level::name).map(str::to_owned),
                device: machine.device.clone() + if machine.recomputes { ", activations recomputed" } else { "" },
                kind: place + 1,
                trials: worked.trials,
                hours: worked.seconds / 3600.0,
            }
        };
        self.listed.iter().map(&mut row).collect()
    }
}

/// A sentence for each fact that mixed machines touch: pairs whose times cannot be compared, and pairs whose losses the machines
/// change, each by the kinds between which they lie.
pub(super) fn notes(rows: &[Row<'_>]) -> Vec<String> {
    let times = sentences(rows, times_between, "Time is not compared");
    times.into_iter().chain(sentences(rows, bytes_between, "Machines may account for part of the difference")).collect()
}

/// What `results.csv` says of the trial of `arm` with `seed`; none where its pair ran on one kind of machine.
pub(super) fn note_of_trial((arm, reference): Row<'_>, seed: u64) -> Option<String> {
    let name = &reference.name;
    let fact = |what: &str, Between { ran_on: [own, other], how }: Between| {
        format!("{what}: this trial ran on {own}, that of {name} with its seed on {other}{how}")
    };
    let times = times_between((arm, reference), seed).map(|between| fact("time is not compared", between));
    let losses =
        bytes_between((arm, reference), seed).map(|between| fact("machines may account for part of the difference", between));
    let facts: Vec<String> = times.into_iter().chain(losses).collect();
    (!facts.is_empty()).then(|| facts.join("; "))
}

fn costs<'a>((arm, reference): Row<'a>, seed: u64) -> Option<(&'a Cost, &'a Cost)> {
    let (own, other) = arm.evaluations.get(&seed).zip(reference.evaluations.get(&seed))?;
    (arm.name != reference.name).then_some((&own.cost, &other.cost))
}

/// The kinds between which the times of a pair would be compared, where they cannot be.
fn times_between((arm, reference): Row<'_>, seed: u64) -> Option<Between> {
    let (own, other) = costs((arm, reference), seed)?;
    (!is_timed_alike(arm, reference, seed)).then(|| Between { ran_on: [words(own), words(other)], how: "" })
}

/// What computed the two trials of a pair, where that changes bytes.
fn bytes_between((arm, reference): Row<'_>, seed: u64) -> Option<Between> {
    let (own, other) = costs((arm, reference), seed)?;
    let how = if has_same_bytes(own, other, false) {
        ", which round products of bfloat16 differently (train.precision: bf16)"
    } else {
        ", which round differently"
    };
    (!has_same_bytes(own, other, arm.rounds_factors)).then(|| Between { ran_on: [computing(own), computing(other)], how })
}

/// What is so, in a sentence for each two kinds that pairs lie between, those with the most pairs first.
fn sentences(rows: &[Row<'_>], between: impl Fn(Row<'_>, u64) -> Option<Between>, what: &str) -> Vec<String> {
    let mut found: BTreeMap<Between, Vec<String>> = BTreeMap::new();
    let mut pairs: BTreeMap<Between, usize> = BTreeMap::new();
    for &(arm, reference) in rows {
        let finished = arm.evaluations.keys().filter(|seed| costs((arm, reference), **seed).is_some());
        let mut of_arm: BTreeMap<Between, usize> = BTreeMap::new();
        for mut kinds in finished.clone().filter_map(|seed| between((arm, reference), *seed)) {
            kinds.ran_on.sort(); // whichever of the two the arm had
            *of_arm.entry(kinds).or_default() += 1;
        }
        let finished = finished.count();
        for (kinds, count) in of_arm {
            let seeds = if finished == 1 { "seed" } else { "seeds" };
            found.entry(kinds.clone()).or_default().push(format!("{} ({count} of {finished} {seeds})", arm.name));
            *pairs.entry(kinds).or_default() += count;
        }
    }
    let mut found: Vec<(Between, Vec<String>)> = found.into_iter().collect();
    found.sort_by_key(|(kinds, _)| std::cmp::Reverse(pairs[kinds]));
    let sentence = |(Between { ran_on: [one, other], how }, arms): &(Between, Vec<String>)| {
        let arms = named(arms);
        format!("{what} for {arms}: with those seeds, the two trials of a pair ran on {one} and on {other}{how}.")
    };
    let shown = found.iter().take(MOST_SENTENCES).map(sentence);
    let rest: usize = found.iter().skip(MOST_SENTENCES).map(|(kinds, _)| pairs[kinds]).sum();
    let rest =
        (rest > 0).then(|| format!("So it is for {rest} more pairs of trials on other machines, which results.csv names."));
    shown.chain(rest).collect()
}

/// `a (1 of 3 seeds) and b (3 of 3 seeds)`.
fn named(arms: &[String]) -> String {
    let mut named: Vec<String> = arms.iter().take(MOST_NAMED).cloned().collect();
    if arms.len() > MOST_NAMED {
        named.push(format!("{} more", arms.len() - MOST_NAMED));
    }
    match &named[..] {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => named.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arm, machine, on};
    use regatta_records::Stretch;

    fn epyc(level: Level) -> Machine {
        machine("a", "EPYC", 2, level)
    }

    fn xeon(level: Level) -> Machine {
        machine("b", "Xeon", 4, level)
    }

    /// An arm with three seeds, each trained on a machine.
    fn trained(name: &str, machines: [&Machine; 3]) -> ArmRecords {
        let mut arm = arm(name, &[Some(3.0); 3]);
        machines.iter().enumerate().for_each(|(seed, machine)| on(&mut arm, seed as u64, machine));
        arm
    }

    #[test]
    fn one_kind_of_machine_needs_no_words() {
        let (one, twin) = (epyc(Level::Avx2), machine("c", "EPYC", 2, Level::Avx2));
        let (baseline, other) = (trained("baseline", [&one; 3]), trained("other", [&one, &twin, &twin]));
        assert!(notes(&[(&baseline, &baseline), (&other, &baseline)]).is_empty());
        assert_eq!(note_of_trial((&other, &baseline), 1), None);
    }

    #[test]
    fn pairs_on_two_kinds_are_named_with_both() {
        let (quick, slow) = (epyc(Level::Avx2), xeon(Level::Avx512));
        let baseline = trained("baseline", [&quick, &slow, &quick]);
        let (a, b) = (trained("a", [&quick, &quick, &slow]), trained("b", [&quick, &slow, &slow]));
        let found = notes(&[(&baseline, &baseline), (&a, &baseline), (&b, &baseline)]);
        let expected = "Time is not compared for a (2 of 3 seeds) and b (1 of 3 seeds): with those seeds, the two trials of a pair \
                        ran on EPYC (2 threads, avx2) and on Xeon (4 threads, avx512).";
        assert_eq!(found, [expected], "float32 has the same bytes on both");
        assert_eq!(note_of_trial((&a, &baseline), 0), None);
        let of_trial = note_of_trial((&a, &baseline), 1).unwrap();
        let expected = "time is not compared: this trial ran on EPYC (2 threads, avx2), that of baseline with its seed on Xeon (4 \
                        threads, avx512)";
        assert_eq!(of_trial, expected);
        assert_eq!(note_of_trial((&baseline, &baseline), 1), None);
    }

    #[test]
    fn rounded_products_are_of_their_machine() {
        let (without, with) = (epyc(Level::Avx2), epyc(Level::Avx512Bf16));
        let rounded = |name: &str, machines| ArmRecords { rounds_factors: true, ..trained(name, machines) };
        let (baseline, odd) = (rounded("baseline", [&without; 3]), rounded("odd", [&with, &with, &without]));
        let found = notes(&[(&odd, &baseline)]);
        let expected = "Machines may account for part of the difference for odd (2 of 3 seeds): with those seeds, the two \
                        trials of a pair ran on cpu at level avx2 and on cpu at level avx512_bf16, which round products of bfloat16 \
                        differently (train.precision: bf16).";
        assert_eq!((found.len(), found[1].as_str()), (2, expected));
        let of_trial = note_of_trial((&odd, &baseline), 0).unwrap();
        let part = "; machines may account for part of the difference: this trial ran on cpu at level avx512_bf16, that of \
                    baseline with its seed on cpu at level avx2, which round products of bfloat16 differently";
        assert!(of_trial.contains(part), "{of_trial}");
        let gpu = Machine { device: "cuda:0".into(), ..without.clone() };
        let found = notes(&[(&trained("gpu", [&gpu; 3]), &trained("baseline", [&without; 3]))]);
        assert!(
            found[1].ends_with("ran on cpu at level avx2 and on cuda:0 at level avx2, which round differently."),
            "{}",
            found[1]
        );
    }

    #[test]
    fn many_arms_and_many_kinds_are_counted() {
        let slow = xeon(Level::Avx2);
        let quick: Vec<Machine> = (1..=6).map(|threads| machine("a", "EPYC", threads, Level::Avx2)).collect();
        let baseline = trained("baseline", [&slow; 3]);
        let mut arms: Vec<ArmRecords> = (0..8).map(|index| trained(&format!("arm-{index}"), [&quick[0], &slow, &slow])).collect();
        arms.extend(quick[1..].iter().map(|machine| trained("odd", [machine, &slow, &slow])));
        let rows: Vec<Row<'_>> = arms.iter().map(|arm| (arm, &baseline)).collect();
        let found = notes(&rows);
        assert_eq!(found.len(), MOST_SENTENCES + 1);
        assert!(found[0].contains("arm-5 (1 of 3 seeds) and 2 more: with") && !found[0].contains("arm-6"), "{}", found[0]);
        assert_eq!(found[4], "So it is for 2 more pairs of trials on other machines, which results.csv names.");
    }

    #[test]
    fn machines_are_listed_with_their_trials_and_hours() {
        let (quick, slow) = (epyc(Level::Avx2), xeon(Level::Avx512));
        let (mut baseline, mut other) = (trained("baseline", [&quick; 3]), trained("other", [&quick, &slow, &slow]));
        for arm in [&mut baseline, &mut other] {
            arm.evaluations.values_mut().for_each(|of| of.cost.wall_seconds = 3600.0);
        }
        // two of the four hours on the slow machine's trials were spent on a twin of the quick one
        let twin = machine("c", "EPYC", 2, Level::Avx2);
        let cost = &mut other.evaluations.get_mut(&2).unwrap().cost;
        (cost.wall_seconds, cost.earlier_machines) = (3.0 * 3600.0, vec![Stretch { machine: twin, wall_seconds: 7200.0 }]);
        let arms = [&baseline, &other];
        let machines = Machines::of(&arms);
        let found: Vec<_> = machines.rows().into_iter().map(|row| (row.host.unwrap(), row.kind, row.trials, row.hours)).collect();
        let row = |host: &str, kind, trials, hours| (host.to_owned(), kind, trials, hours);
        assert_eq!(found, [row("a", 1, 4, 4.0), row("b", 2, 2, 2.0), row("c", 1, 1, 2.0)]);
        let place = |arm: &ArmRecords, seed| machines.place(&arm.evaluations[&seed].cost);
        assert_eq!([place(&baseline, 0), place(&other, 1), place(&other, 2)], [Some(0), Some(1), Some(1)]);
    }
}
