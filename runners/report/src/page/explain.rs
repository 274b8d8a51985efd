//! "How to read this": what each number means, and what it does not.

use crate::number::brief;
use crate::text::counted;
use crate::verdict::split;
use crate::{Arm, Results, UNIT, Verdict};
use minijinja::context;
use minijinja::value::Value;

/// A term and its explanation; none where the study does not need it.
type Explanation = Option<(&'static str, String)>;

/// Terms and their explanations, those that this study needs.
pub fn explanations(results: &Results) -> Vec<Value> {
    let all = comparison(results).into_iter().chain(design(results)).chain(measures(results)).flatten();
    all.map(|(term, text)| context! { term, text }).collect()
}

fn when(needed: bool, term: &'static str, text: &str) -> Explanation {
    needed.then(|| (term, text.to_owned()))
}

/// What several kinds of machine do to a comparison.
const MIXED: &str = "Trials ran on machines that differ in processor, threads or instructions, which makes some faster than \
                     others. Ratios of time and the difference at equal time use only seeds whose two trials, the arm's and the \
                     baseline's, ran on one kind. Losses are compared for all seeds, since float32 has the same bytes on every \
                     processor. Products of bfloat16 may not: a sentence at the top names those pairs.";

/// How arms are compared.
fn comparison(results: &Results) -> Vec<Explanation> {
    let (held_out, _) = split(results);
    let baseline = results.reference();
    let loss = format!(
        "Cross-entropy on the {held_out} split, in {UNIT}, after training; lower is better. It does not include the arm's penalty. \
         Mean ± standard deviation over seeds."
    );
    let paired = format!(
        "All arms of a seed start from the same weights and see the same batches, so each arm is compared with {baseline} seed by \
         seed, and the differences are averaged. What the seeds share cancels: a difference can be clear although the spreads of \
         the two arms overlap."
    );
    let interval = "Student's t interval of the mean paired difference. An arm is called better or worse when its interval, \
                    corrected for the number of arms, excludes 0.";
    let none_detected =
        "Not the same as no difference: the verdict says how large a difference these seeds would probably have detected.";
    vec![
        Some(("Held-out loss", loss)),
        Some(("Paired difference", paired)),
        when(true, "95% interval", interval),
        when(true, "No difference detected", none_detected),
        Some(("What varies", what_varies(results))),
    ]
}

/// What the design of this study does to its verdicts: sweeps, tuning, several arms, few seeds.
fn design(results: &Results) -> Vec<Explanation> {
    let sweep = "Each arm was trained at every point of the sweep, and is compared with the baseline at its own point. Points are not \
                 tested against each other: the best of them was picked by the seeds that measured it.";
    let tuning = "Each arm had the same number of tuning trials, and was judged with the settings that did best on validation data, by \
                  seeds that took no part in the choice. That is fair within the lists that were tried. It says nothing about values \
                  beyond them or about settings that were not tuned.";
    let equal_time = "Arms make the same number of steps, and more expensive ones take longer. Here each pair of trials is compared at \
                      the time when the faster one was done, on the validation loss, interpolated linearly between its measurements.";
    let timed = results.arms.iter().any(|arm| arm.difference.is_some_and(|of| of.equal_time.is_some()));
    vec![
        when(results.is_sweep(), "Points of a sweep", sweep),
        when(!results.tuning.is_empty(), "Tuning", tuning),
        several_arms(results),
        when(timed, "At equal time", equal_time),
        when(results.has_mixed_machines(), "Kinds of machine", MIXED),
        few_seeds(results.seeds.len()),
    ]
}

fn several_arms(results: &Results) -> Explanation {
    let compared = results.arms.iter().filter(|arm| !matches!(arm.verdict, Verdict::Baseline | Verdict::Unknown)).count();
    let text = format!(
        "Of {compared} arms that do nothing, about {} would look better or worse by chance at 95% each. The corrected intervals are \
         wider, so that all of them contain their true differences with a probability of 95% (Bonferroni), and p, Holm, is adjusted \
         for the same reason.",
        brief(compared as f64 * 0.05, 2)
    );
    (compared > 1).then_some(("Several arms", text))
}

fn few_seeds(seeds: usize) -> Explanation {
    let text = format!(
        "With {} a standard deviation is a rough estimate, and the interval relies on differences that are close to normal. Read a \
         verdict as a first look; five seeds or more make it firm.",
        counted(seeds, "seed")
    );
    (1..5).contains(&seeds).then_some(("Few seeds", text))
}

/// What the columns measure.
fn measures(results: &Results) -> Vec<Explanation> {
    let any = |is: fn(&Arm) -> bool| results.arms.iter().any(is);
    let excess = "Held-out loss minus the best possible loss, which is known exactly for synthetic data: 0 would be perfect.";
    let bits = "The loss per byte of text, which can be compared between tokenizers.";
    let condensation = "Mean cosine: how far hidden states point in the same direction; 1 means that all have condensed into one. \
                        Effective rank: how many directions they fill. The table shows the last layer. Neither is a goal in itself.";
    let heatmaps = "Every pair of tokens within a held-out sequence has a cosine: the heatmaps show their distribution at each layer. A \
                    regularizer is made to move them, so a change is not a success by itself: the verdict is on the loss.";
    let cost = format!(
        "Milliseconds per training step, penalty included, and their ratio to those of {} on the same kind of machine, paired by \
         seed.",
        results.reference()
    );
    vec![
        when(any(|arm| arm.excess_loss.is_some()), "Excess loss", excess),
        when(any(|arm| arm.bits_per_byte.is_some()), "Bits per byte", bits),
        when(any(|arm| !arm.mean_cosine_by_layer.is_empty()), "Condensation", condensation),
        when(any(|arm| arm.geometry.is_some()), "Heatmaps", heatmaps),
        tasks(results),
        Some(("Cost", cost)),
    ]
}

/// How the verdicts on tasks come about.
fn tasks(results: &Results) -> Explanation {
    let average = || results.arms.iter().filter_map(|arm| arm.task_average.as_ref());
    let judged =
        average().find_map(|of| of.judged).or_else(|| results.arms.iter().flat_map(|arm| &arm.tasks).find_map(|of| of.judged))?;
    let by_item = "Each item of a task counts 1 where the arm alone has it right, −1 where the baseline alone has, and 0 otherwise; their \
                   mean is the difference in accuracy. ";
    let sample = if judged.test.is_of_two_models() {
        "There is one seed, so the verdict is on two trained models and not on the arms. On one task it is McNemar's exact test on the \
         items that only one of them has right; the luck of the seed can be larger than what it finds. "
    } else {
        "Seeds and items are both samples: the standard error has the spread of the seeds' means, and what the spread of the items' \
         means adds to it; the interval is Student's t with one degree of freedom less than there are seeds. "
    };
    let several = average().any(|of| of.tasks > 1);
    let clustered = "Items of a task share what is special about it, so the average over tasks counts each task once, and tasks take the \
                     place of items. ";
    let corrected = if several {
        "Intervals are corrected for all tasks of all arms, that of the average for the arms; of many tasks, the average has more power than any of them."
    } else {
        "The interval is corrected for the number of arms, as that of the loss."
    };
    Some(("Tasks", [by_item, sample, if several { clustered } else { "" }, corrected].concat()))
}

fn what_varies(results: &Results) -> String {
    let only = if results.is_sweep() { "Within a point of the sweep only the seed" } else { "Only the seed" };
    format!(
        "{only}: initial weights and the order of data. Other models, data, training lengths or penalty weights may give another \
         answer."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn chance_and_few_seeds_are_explained() {
        let text: String = explanations(&sample::results()).iter().map(|one| one.get_attr("text").unwrap().to_string()).collect();
        assert!(text.contains("Of 3 arms that do nothing, about 0.15 would look better or worse by chance"), "{text}");
        assert!(text.contains("With 3 seeds a standard deviation is a rough estimate"), "{text}");
        assert!(text.contains("Only the seed: initial") && !text.contains("best possible loss"), "{text}");
        assert_eq!(explanations(&sample::sweep()).len(), explanations(&sample::results()).len() + 1); // few seeds, sweep, tuning
    }
}
