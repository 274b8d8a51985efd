//! Arms at equal training time: the loss of the slower arm when the faster one was done.

use super::arm::ArmRecords;
use super::kinds::is_timed_alike;
use regatta_statistics::{Paired, mean};

/// Validation losses of `arm` minus those of `reference`, over the seeds that both finished, each at the time in which the
/// quicker of the two trials was done; and the mean of those times, seconds. Only pairs on one kind of machine count.
pub(super) fn at_equal_time(arm: &ArmRecords, reference: &ArmRecords) -> Option<(Paired, f64)> {
    let (mut differences, mut times) = (Vec::new(), Vec::new());
    for (seed, run) in arm.runs.iter().filter(|(seed, _)| is_timed_alike(arm, reference, **seed)) {
        let timelines = run.timeline.as_ref().zip(reference.runs.get(seed).and_then(|run| run.timeline.as_ref()));
        let Some((own, other)) = timelines else { continue };
        let time = own.seconds().min(other.seconds());
        if let Some((own, other)) = own.loss_at(time).zip(other.loss_at(time)) {
            differences.push(own - other);
            times.push(time);
        }
    }
    Some((Paired::of(&differences)?, mean(&times)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Run;
    use crate::timeline::tests::timeline;

    #[test]
    fn the_dearer_arm_is_judged_by_what_it_had_reached() {
        // two steps: the baseline's take 2 s, the arm's 4 s. After 2 s the arm is half way from 6 down to its last loss
        let arm = |name: &str, rate: f64, last: [f64; 2]| {
            let run = |loss| Run {
                training: vec![],
                batch_tokens: 100.0,
                validation: vec![],
                timeline: timeline(&[rate; 2], &[(0, 6.0), (2, loss)]),
            };
            let runs = last.into_iter().enumerate().map(|(seed, loss)| (seed as u64, run(loss))).collect();
            ArmRecords { runs, ..ArmRecords::empty(name) }
        };
        let (baseline, slow) = (arm("baseline", 100.0, [4.0, 4.2]), arm("slow", 50.0, [3.0, 3.2]));
        let (paired, seconds) = at_equal_time(&slow, &baseline).unwrap();
        // (6 + 3)/2 - 4 = 0.5 and (6 + 3.2)/2 - 4.2 = 0.4: worse at equal time, though better by 1 at the end
        assert!((paired.mean - 0.45).abs() < 1e-12, "{paired:?}");
        assert_eq!((paired.pairs, seconds), (2, 2.0));
        let (mirrored, _) = at_equal_time(&baseline, &slow).unwrap();
        assert!((mirrored.mean + 0.45).abs() < 1e-12, "{mirrored:?}");
        assert_eq!(at_equal_time(&slow, &ArmRecords::empty("nothing")), None);
    }
}
