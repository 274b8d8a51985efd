//! Two arms: the verdict in words, and every figure, a line each.

use crate::answer::cautions;
use crate::figures::FIGURES;
use crate::further::task_words;
use crate::number::{brief, decimals_for, fixed, signed};
use crate::text::{one_line, shortened};
use crate::verdict::{VerdictWords, difference_decimals, split};
use crate::{Arm, Results, UNIT, Verdict};

/// The comparison of the arms in `results`, each against its baseline: in a comparison of two there is one such arm.
pub fn comparison(results: &Results) -> String {
    let reference = results.arms.iter().find(|arm| arm.verdict == Verdict::Baseline);
    let mut text = String::new();
    for arm in results.arms.iter().filter(|arm| arm.verdict != Verdict::Baseline) {
        let (name, other) = (one_line(&arm.name), one_line(&results.baseline));
        text += &format!("{name} against {other}: {}.\n\n", arm.verdict.words(arm));
        let lines = lines(arm, reference);
        let widest = lines.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        for (label, value) in lines {
            text += &format!("  {label:widest$}  {value}\n");
        }
        for failure in [Some(arm), reference].into_iter().flatten().flat_map(|arm| arm.failures.iter().map(move |of| (arm, of))) {
            text += &format!("  {}: {}\n", shortened(&failure.0.name, 40), one_line(failure.1));
        }
        let (held_out, _) = split(results);
        text += &format!(
            "\nLoss: {held_out}, {UNIT}, mean ± standard deviation over seeds. Difference: {name} minus {other}, paired by seed; below \
             0 is better.\nThe verdict is read from the corrected interval alone.\n"
        );
    }
    for line in cautions(results).iter().chain(&results.notes) {
        text += &(one_line(line) + "\n");
    }
    text
}

/// Label and value of each known figure.
fn lines(arm: &Arm, reference: Option<&Arm>) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let arms: Vec<&Arm> = reference.into_iter().chain([arm]).collect();
    let loss_decimals = decimals_for(arms.iter().filter_map(|arm| arm.loss.map(|loss| loss.sd)));
    for arm in arms {
        let Some(loss) = arm.loss else { continue };
        let sd = if loss.sd.is_finite() { format!(" ± {}", fixed(loss.sd, loss_decimals)) } else { String::new() };
        let name = shortened(&arm.name, 32);
        lines.push((format!("Loss, {name}"), fixed(loss.mean, loss_decimals) + &sd));
        lines.push((format!("Interquartile mean, {name}"), fixed(loss.interquartile_mean, loss_decimals)));
    }
    if let Some(difference) = &arm.difference {
        let decimals = difference_decimals([difference]);
        lines.push(("Difference".to_owned(), signed(difference.mean, decimals)));
        lines.push(("Comparisons".to_owned(), difference.comparisons.to_string()));
        let known = FIGURES.iter().filter_map(|figure| Some((figure.title.to_owned(), (figure.text)(difference, decimals)?)));
        lines.extend(known);
        if let Some(time) = difference.equal_time {
            lines.push(("Equal time, seconds".to_owned(), brief(time.seconds, 3)));
        }
    }
    if let Some(judged) = arm.task_average.as_ref().and_then(|of| of.judged) {
        lines.push(("Accuracy on tasks".to_owned(), task_words(&judged)));
    }
    let pairs = arm.timed_pairs.fewer().map(|pairs| format!(" ({pairs})")).unwrap_or_default();
    let cost = arm.cost_ratio.map(|cost| fixed(cost, 2) + "x" + &pairs);
    if let Some(cost) = cost.or_else(|| arm.timed_pairs.why_no_ratio().map(str::to_owned)) {
        let over = reference.map(|arm| format!(" over {}", shortened(&arm.name, 32))).unwrap_or_default();
        lines.push((format!("Time per step{over}"), cost));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn the_verdict_then_every_figure() {
        let arms = vec![
            sample::arm("baseline", Verdict::Baseline, None),
            sample::arm("dispersion", Verdict::Better, Some([-0.031, -0.050, -0.012])),
        ];
        let text = comparison(&Results { arms, ..sample::results() });
        assert!(
            text.starts_with("dispersion against baseline: better: 0.031 nats lower (95% interval 0.012 to 0.050,"),
            "{text}"
        );
        for line in [
            "  Loss, dispersion                3.469 ± 0.012\n",
            "  Difference                      -0.031\n",
            "  95% interval, corrected         -0.050 to -0.012\n",
            "  p, Wilcoxon                     0.25\n",
            "  At equal time                   -0.021 (-0.040 to -0.002)\n",
            "3 seeds are few",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn costs_say_on_how_many_pairs_they_rest() {
        let text = comparison(&sample::mixed());
        for line in [
            "  Time per step over baseline     1.10x (2 of 3 pairs)\n",
            "  Time per step over baseline   no seed has both trials on one kind of machine\n",
            "  Time per step over baseline   1.10x\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn edges_do_not_panic_and_names_cannot_steer_the_terminal() {
        for (what, mut results) in sample::edges() {
            results.notes = vec!["two\nlines\u{1b}[31m".into()];
            results.arms.iter_mut().for_each(|arm| arm.name += "\u{1b}[31m");
            let text = comparison(&results);
            assert!(!text.contains('\u{1b}'), "{what}: {text}");
        }
    }
}
