//! "How to read this": what each number means, and what it does not.

use crate::number::brief;
use crate::text::counted;
use crate::verdict::split;
use crate::{Results, UNIT, Verdict};
use minijinja::context;
use minijinja::value::Value;

/// Terms and their explanations, those that this study needs.
pub fn explanations(results: &Results) -> Vec<Value> {
    let (held_out, _) = split(results);
    let baseline = results.reference();
    let compared = results.arms.iter().filter(|arm| !matches!(arm.verdict, Verdict::Baseline | Verdict::Unknown)).count();
    let mut explanations = vec![
        (
            "Held-out loss",
            format!(
                "Cross-entropy on the {held_out} split, in {UNIT}, after training; lower is better. The penalty of an arm is not part \
                 of it. Mean ± standard deviation over seeds."
            ),
        ),
        (
            "Paired difference",
            format!(
                "All arms of a seed start from the same weights and see the same batches, so each arm is compared with {baseline} \
                 seed by seed, and the differences are averaged. What the seeds share cancels, which is why a difference can be \
                 clear although the spreads of both arms overlap."
            ),
        ),
        (
            "95% interval",
            "Student's t interval of the mean paired difference. An arm is called better or worse when its interval, corrected for the \
             number of arms, leaves out 0."
                .to_owned(),
        ),
        ("No difference detected", "Not the same as no difference: the verdict says how large a difference these seeds could have detected.".to_owned()),
        ("What varies", what_varies(results)),
    ];
    if results.is_sweep() {
        let text = "Each arm was trained at every point of the sweep, and is compared with the baseline at its own point. Points are \
                    not tested against each other: the best of them was picked by the seeds that measured it.";
        explanations.push(("Points of a sweep", text.to_owned()));
    }
    if !results.tuning.is_empty() {
        let text = "Each arm had the same number of tuning trials, and was judged with what did best on validation data, by seeds \
                    that took no part in the choice. That is fair within the lists that were tried, and says nothing of values \
                    beyond them or of settings that were not tuned.";
        explanations.push(("Tuning", text.to_owned()));
    }
    if compared > 1 {
        explanations.push((
            "Several arms",
            format!(
                "Of {compared} arms that do nothing, luck alone would have about {} of them look better or worse at 95% each. The \
                 corrected intervals are wider, so that all of them hold their true differences with a chance of 95% (Bonferroni), \
                 and p, Holm, is adjusted for the same reason.",
                brief(compared as f64 * 0.05, 2)
            ),
        ));
    }
    if results.arms.iter().any(|arm| arm.difference.is_some_and(|of| of.equal_time.is_some())) {
        let text = "Arms make the same number of steps, and dearer ones take longer. Here each pair of trials is compared at the \
                    time in which the quicker one was done, on the validation loss, between whose measurements the curve is taken \
                    as straight. Times are of this machine.";
        explanations.push(("At equal time", text.to_owned()));
    }
    let seeds = results.seeds.len();
    if (1..5).contains(&seeds) {
        let text = format!(
            "With {} a standard deviation is a rough estimate, and the interval leans on the differences being close to normal. \
             Read a verdict as a first look; five seeds or more make it firm.",
            counted(seeds, "seed")
        );
        explanations.push(("Few seeds", text));
    }
    if results.arms.iter().any(|arm| arm.excess_loss.is_some()) {
        let text = "Held-out loss minus the best possible loss, which is known exactly for synthetic data: 0 would be perfect.";
        explanations.push(("Excess loss", text.to_owned()));
    }
    if results.arms.iter().any(|arm| arm.bits_per_byte.is_some()) {
        explanations
            .push(("Bits per byte", "The loss spread over the bytes of the text: comparable between tokenizers.".to_owned()));
    }
    if results.arms.iter().any(|arm| !arm.mean_cosine_by_layer.is_empty()) {
        let text = "Mean cosine: how far hidden states point the same way; 1 means that all have condensed into one direction. \
                    Effective rank: how many directions they fill. The table gives the last layer. Neither is a goal in itself.";
        explanations.push(("Condensation", text.to_owned()));
    }
    if results.arms.iter().any(|arm| arm.geometry.is_some()) {
        let text = "Of the tokens of held-out sequences, every pair within one sequence has a cosine: the heatmaps show how these are \
                    spread at each layer. A regularizer is made to move them, so that they move is no success by itself: the verdict \
                    is on the loss.";
        explanations.push(("Heatmaps", text.to_owned()));
    }
    explanations.push((
        "Cost",
        format!("Milliseconds per training step, penalty included, and their ratio to those of {baseline} on the same machine."),
    ));
    explanations.into_iter().map(|(term, text)| context! { term, text }).collect()
}

fn what_varies(results: &Results) -> String {
    let only = if results.is_sweep() { "Within a point of the sweep only the seed" } else { "Only the seed" };
    format!(
        "{only}: initial weights and the order of data. Other models, data, lengths of training or weights of a penalty may give \
         another answer."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn chance_and_few_seeds_are_explained() {
        let text: String = explanations(&sample::results()).iter().map(|one| one.get_attr("text").unwrap().to_string()).collect();
        assert!(text.contains("Of 3 arms that do nothing, luck alone would have about 0.15 of them"), "{text}");
        assert!(text.contains("With 3 seeds a standard deviation is a rough estimate"), "{text}");
        assert!(text.contains("Only the seed: initial") && !text.contains("best possible loss"), "{text}");
        assert_eq!(explanations(&sample::sweep()).len(), explanations(&sample::results()).len() + 1); // few seeds, sweep, tuning
    }
}
