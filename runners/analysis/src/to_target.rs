//! What an arm takes until its validation loss is at most a target.

use super::arm::ArmRecords;
use super::kinds::is_timed_alike;
use super::over::{ends, over};
use super::run::Run;
use regatta_core::libm;
use regatta_results::{PairedRatio, ToTarget};
use regatta_statistics::Paired;

/// How many times its lower end the upper end of a ratio's interval may be. What is wider, as of two seeds among many comparisons,
/// tells nothing of a ratio: the interval is unknown then.
const MOST_OF_AN_INTERVAL: f64 = 1e4;

/// Steps, tokens and seconds of training until the validation loss is first at most a target: the `named` one, or of each seed the
/// final validation loss of the baseline, `reference`. Between two measurements it falls on a straight line.
///
/// Ratios are to the baseline's, paired by seed; their intervals are corrected for `comparisons`. Where a seed of either does not
/// reach the target there is no ratio: those that do would flatter the arm. The ratio of seconds has only pairs on one kind of
/// machine. None where nothing was measured.
pub(super) fn to_target(arm: &ArmRecords, reference: &ArmRecords, named: Option<f64>, comparisons: usize) -> Option<ToTarget> {
    let mut targets = Vec::new();
    let mut seeds: Vec<([Option<Reached>; 2], bool)> = Vec::new();
    for (seed, run) in &arm.runs {
        let other = reference.runs.get(seed);
        let Some(target) = named.or_else(|| Some(other?.validation.last()?.1)) else { continue };
        targets.push(target);
        let pair = [Some(run), other].map(|run| reached(run?, target));
        seeds.push((pair, is_timed_alike(arm, reference, *seed)));
    }
    let own: Vec<Reached> = seeds.iter().filter_map(|([own, _], _)| *own).collect();
    let all = |measure: fn(&Reached) -> Option<f64>| over(&own.iter().filter_map(measure).collect::<Vec<_>>());
    let reached_by_all = seeds.iter().all(|([own, other], _)| own.is_some() && other.is_some());
    let ratio = |measure: fn(&Reached) -> Option<f64>, is_time: bool| {
        let counted = seeds.iter().filter(|(_, is_alike)| reached_by_all && (*is_alike || !is_time));
        let logarithm = |([own, other], _): &([Option<Reached>; 2], bool)| {
            let ratio = measure(own.as_ref()?)? / measure(other.as_ref()?)?;
            Some(libm::log(ratio)).filter(|logarithm| logarithm.is_finite())
        };
        let logarithms = counted.map(logarithm).collect::<Option<Vec<f64>>>()?;
        let paired = Paired::of(&logarithms).filter(|_| arm.name != reference.name)?;
        let mut interval = ends(paired.interval(comparisons));
        (interval.low, interval.high) = (libm::exp(interval.low), libm::exp(interval.high));
        if interval.high / interval.low > MOST_OF_AN_INTERVAL || !interval.high.is_finite() {
            (interval.low, interval.high) = (f64::NAN, f64::NAN);
        }
        Some(PairedRatio { mean: libm::exp(paired.mean), corrected: interval, comparisons, pairs: paired.pairs })
    };
    Some(ToTarget {
        target: over(&targets)?.mean,
        of_baseline: named.is_none(),
        tried: seeds.len(),
        reached: own.len(),
        steps: all(|of| Some(of.steps)),
        tokens: all(|of| Some(of.tokens)),
        seconds: all(|of| of.seconds),
        steps_ratio: ratio(|of| Some(of.steps), false),
        seconds_ratio: ratio(|of| of.seconds, true),
    })
}

/// Where a trial first was at most at a target.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Reached {
    steps: f64,
    tokens: f64,
    /// None where the times of its steps are not known.
    seconds: Option<f64>,
}

fn reached(run: &Run, target: f64) -> Option<Reached> {
    let measured: Vec<(f64, f64)> = run.validation.iter().map(|&(step, loss)| (step as f64, loss)).collect();
    let steps = crossing(&measured, target)?;
    let seconds = run.timeline.as_ref().and_then(|timeline| crossing(timeline.points(), target));
    Some(Reached { steps, tokens: steps * run.batch_tokens, seconds })
}

/// Where the line through `points` (x, loss) first falls to `target`.
fn crossing(points: &[(f64, f64)], target: f64) -> Option<f64> {
    let at = points.iter().position(|&(_, loss)| loss <= target)?;
    let (x, loss) = points[at];
    let Some(&(before, higher)) = at.checked_sub(1).map(|before| &points[before]) else { return Some(x) };
    Some(before + (x - before) * (higher - target) / (higher - loss))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::timeline;

    /// Measured before step 0, after 2 and after 4 steps of 100 tokens, at `rate` tokens per second.
    fn arm(name: &str, rate: f64, losses: &[[f64; 3]]) -> ArmRecords {
        let run = |[first, middle, last]: [f64; 3]| {
            let validation = vec![(0, first), (2, middle), (4, last)];
            let timeline = timeline(&[rate; 4], &validation);
            Run { training: vec![], batch_tokens: 100.0, validation, timeline }
        };
        let runs = losses.iter().enumerate().map(|(seed, &losses)| (seed as u64, run(losses))).collect();
        ArmRecords { runs, ..ArmRecords::empty(name) }
    }

    #[test]
    fn a_line_between_measurements_is_crossed_once() {
        let points = [(0.0, 6.0), (10.0, 4.0), (20.0, 5.0), (30.0, 3.0)];
        let check = |target, expected| assert_eq!(crossing(&points, target), expected, "{target}");
        check(7.0, Some(0.0));
        check(6.0, Some(0.0));
        check(5.0, Some(5.0));
        check(4.0, Some(10.0));
        check(3.5, Some(27.5));
        check(2.9, None);
        assert_eq!(crossing(&[], 1.0), None);
    }

    #[test]
    fn the_default_target_is_the_baselines_final_loss_of_each_seed() {
        let baseline = arm("baseline", 100.0, &[[6.0, 5.0, 4.0], [6.0, 5.0, 4.2]]);
        // at half of the baseline's rate; down to 4 after 2 steps, and to 4.2 after 1.8
        let quick = arm("quick", 50.0, &[[6.0, 4.0, 3.0], [6.0, 4.0, 3.0]]);
        let found = to_target(&quick, &baseline, None, 1).unwrap();
        assert!((found.target - 4.1).abs() < 1e-12 && found.of_baseline, "{found:?}");
        assert_eq!((found.tried, found.reached), (2, 2));
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} where {expected} was expected");
        close(found.steps.unwrap().mean, 1.9);
        close(found.tokens.unwrap().mean, 190.0);
        close(found.seconds.unwrap().mean, 3.8);
        // ratios 2/4 and 1.8/4 in steps, twice as much in seconds; their geometric means
        close(found.steps_ratio.unwrap().mean, (0.5f64 * 0.45).sqrt());
        close(found.seconds_ratio.unwrap().mean, (0.9f64).sqrt());
        let own = to_target(&baseline, &baseline, None, 1).unwrap();
        close(own.steps.unwrap().mean, 4.0);
        assert!(own.steps_ratio.is_none());
    }

    #[test]
    fn an_interval_that_tells_nothing_is_unknown() {
        let baseline = arm("baseline", 100.0, &[[6.0, 5.0, 4.0], [6.0, 5.0, 4.2]]);
        let quick = arm("quick", 50.0, &[[6.0, 4.0, 3.0], [6.0, 4.0, 3.0]]);
        // of two seeds: ln 0.5 and ln 0.45 have the standard error 0.0527, and the quantile is 12.7 alone, 12732 of a thousand
        let of = |comparisons| to_target(&quick, &baseline, None, comparisons).unwrap().steps_ratio.unwrap();
        assert!(of(1).corrected.high < 1.0 && of(1).corrected.low > 0.2, "{:?}", of(1));
        assert!(of(1000).corrected.low.is_nan() && of(1000).corrected.high.is_nan() && of(1000).mean == of(1).mean);
    }

    #[test]
    fn no_ratio_where_a_seed_does_not_reach_the_target() {
        let baseline = arm("baseline", 100.0, &[[6.0, 5.0, 4.0], [6.0, 5.0, 4.2]]);
        let slow = arm("slow", 100.0, &[[6.0, 5.0, 4.4], [6.0, 4.0, 3.0]]);
        let found = to_target(&slow, &baseline, Some(4.3), 1).unwrap();
        assert_eq!((found.tried, found.reached, found.of_baseline), (2, 1, false));
        assert!(found.steps_ratio.is_none() && (found.steps.unwrap().mean - 1.7).abs() < 1e-12);
        let nobody = to_target(&slow, &baseline, Some(1.0), 1).unwrap();
        assert!(nobody.reached == 0 && nobody.steps.is_none());
        assert!(to_target(&ArmRecords::empty("nothing"), &baseline, None, 1).is_none());
    }
}
