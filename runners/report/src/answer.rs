//! The answer of a study in one sentence, and the cautions that belong to it.

use crate::further;
use crate::text::{counted, listed, shortened};
use crate::verdict::split;
use crate::{Arm, Results, Verdict};

/// Most names in a sentence; it counts the rest.
const MOST_NAMES: usize = 8;

/// The study's answer in one sentence: which arms were better, which worse, and which did not differ detectably.
pub fn answer(results: &Results) -> String {
    if results.arms.is_empty() {
        return "The study names no arms, so there is nothing to compare.".to_owned();
    }
    if results.arms.iter().all(|arm| arm.done == 0) {
        return "No trial has finished, so there is nothing to compare.".to_owned();
    }
    if results.arms.iter().all(|arm| arm.verdict == Verdict::Baseline) {
        return "Only the baseline was trained, so there is nothing to compare.".to_owned();
    }
    let named = |verdict| {
        let arms: Vec<&Arm> = results.arms.iter().filter(|arm| arm.verdict == verdict).collect();
        if results.has_many_rows() {
            names_by_arm(results, &arms)
        } else {
            names(arms.iter().map(|arm| shortened(&arm.name, 60)).collect())
        }
    };
    let (better, worse) = (named(Verdict::Better), named(Verdict::Worse));
    let reference = results.reference();
    let mut clauses = Vec::new();
    if let Some((names, verb)) = &better {
        clauses.push(format!("{names} {verb} better than {reference}"));
    }
    if let Some((names, verb)) = &worse {
        clauses
            .push(format!("{names} {verb} worse{}", if better.is_some() { String::new() } else { format!(" than {reference}") }));
    }
    if let Some((names, _)) = named(Verdict::NoDifference) {
        clauses.push(format!("no difference from {reference} was detected for {names}"));
    }
    if let Some((names, _)) = named(Verdict::Unknown) {
        clauses.push(format!("there are too few paired trials to judge {names}"));
    }
    format!("By {} loss, {}.", split(results).0, clauses.join("; "))
}

/// The arms' names with the verb that goes with them; none for no arms.
fn names(mut names: Vec<String>) -> Option<(String, &'static str)> {
    let count = names.len();
    if count > MOST_NAMES {
        names.truncate(MOST_NAMES);
        names.push(counted(count - MOST_NAMES, "other"));
    }
    (count > 0).then(|| (listed(&names), if count == 1 { "was" } else { "were" }))
}

/// The same for many rows of a sweep: `dispersion (at 12 of 12 points)`.
fn names_by_arm(results: &Results, rows: &[&Arm]) -> Option<(String, &'static str)> {
    let mut arms: Vec<&str> = Vec::new();
    for row in rows {
        if !arms.contains(&row.arm.as_str()) {
            arms.push(&row.arm);
        }
    }
    let count = |arm: &str, rows: &mut dyn Iterator<Item = &Arm>| rows.filter(|row| row.arm == arm).count();
    let name = |arm: &&str| {
        let (some, all) = (count(arm, &mut rows.iter().copied()), count(arm, &mut results.arms.iter()));
        format!("{} (at {some} of {})", shortened(arm, 60), counted(all, "point"))
    };
    names(arms.iter().map(name).collect())
}

/// What a reader should know before the numbers, a sentence each.
pub fn cautions(results: &Results) -> Vec<String> {
    let mut cautions = Vec::new();
    if let (split, Some(remark)) = split(results) {
        cautions.push(format!("Losses are on the {split} split: {remark}."));
    }
    let seeds = results.seeds.len();
    if (1..5).contains(&seeds) && results.arms.len() > 1 {
        cautions.push(match seeds {
            1 => "One seed gives no interval: nothing here separates an effect from chance.".to_owned(),
            _ => format!("{seeds} seeds are few: the intervals are wide and rough. Five or more make a firmer answer."),
        });
    }
    let lost: usize = results.arms.iter().map(|arm| arm.failures.len()).sum();
    if lost > 0 {
        let planned: usize = results.arms.iter().map(|arm| arm.planned).sum();
        cautions.push(format!(
            "{lost} of {} did not finish; the numbers of those arms are of the seeds that did.",
            counted(planned.max(lost), "trial")
        ));
    }
    cautions.extend(further::cautions(results));
    cautions.extend(of_machines(results));
    cautions
}

/// What mixed machines leave out, and what they do to the numbers that are not compared.
fn of_machines(results: &Results) -> Vec<String> {
    let named = |is: &dyn Fn(&Arm) -> bool| {
        names(results.arms.iter().filter(|arm| is(arm)).map(|arm| shortened(&arm.name, 60)).collect()).map(|(names, _)| names)
    };
    let no_ratio = named(&|arm| arm.timed_pairs.why_no_ratio().is_some());
    let no_ratio = no_ratio.map(|arms| {
        format!(
            "There is no cost ratio and no difference at equal time for {arms}: no seed has both trials on one kind of machine."
        )
    });
    let only_one = |arm: &Arm| arm.timed_pairs.alike == 1 && arm.timed_pairs.finished > 1;
    let untimed = named(&only_one).map(|arms| {
        format!("There is no difference at equal time for {arms}: only one seed has both trials on one kind of machine.")
    });
    let mixed = results.has_mixed_machines().then(|| {
        "Trials ran on several kinds of machine: times per step, tokens per second, memory, energy and seconds to a target are \
         each arm's own means. Only the ratios compare arms on one kind of machine."
            .to_owned()
    });
    no_ratio.into_iter().chain(untimed).chain(mixed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_answer_names_every_arm() {
        let expected = "By test loss, dispersion was better than baseline; vicreg was worse; \
                        no difference from baseline was detected for infonce.";
        assert_eq!(answer(&sample::results()), expected);
    }

    #[test]
    fn many_rows_are_counted_by_their_arms() {
        let mut results = sample::sweep();
        results.arms = (0..4).flat_map(|_| results.arms.clone()).collect(); // sixteen rows
        results.arms[1].verdict = Verdict::NoDifference;
        let expected = "By test loss, dispersion (at 7 of 8 points) was better than baseline at the same point; \
                        no difference from baseline at the same point was detected for dispersion (at 1 of 8 points).";
        assert_eq!(answer(&results), expected);
    }

    #[test]
    fn what_weakens_the_answer_is_said() {
        let mut results = sample::results();
        results.held_out = "validation (the study names no test data)".into();
        let cautions = cautions(&results);
        assert_eq!(cautions[0], "Losses are on the validation split: the study names no test data.");
        assert!(cautions[1].starts_with("3 seeds are few"), "{cautions:?}");
        assert!(cautions[2].starts_with("1 of 12 trials did not finish"), "{cautions:?}");
        assert!(answer(&results).starts_with("By validation loss, "));
    }

    #[test]
    fn what_mixed_machines_leave_out_is_said() {
        assert!(of_machines(&sample::results()).is_empty());
        let found = of_machines(&sample::mixed());
        let no_ratio = "There is no cost ratio and no difference at equal time for infonce: no seed has both trials on one kind of \
                        machine.";
        assert_eq!((found.len(), found[0].as_str()), (2, no_ratio));
        assert!(found[1].starts_with("Trials ran on several kinds of machine: times per step,"), "{}", found[1]);
        let mut one = sample::mixed();
        one.arms[1].timed_pairs.alike = 1;
        let untimed =
            "There is no difference at equal time for dispersion: only one seed has both trials on one kind of machine.";
        assert_eq!(of_machines(&one)[1], untimed);
    }

    #[test]
    fn edges_end_in_a_sentence() {
        for (what, results) in sample::edges() {
            let answer = answer(&results);
            assert!(answer.ends_with('.') && answer.len() < 700, "{what}: {answer}");
        }
    }
}
