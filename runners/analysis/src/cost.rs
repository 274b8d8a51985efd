//! What a step of an arm takes beside one of the baseline, on one kind of machine.

use super::arm::ArmRecords;
use super::kinds::is_timed_alike;
use super::over::over;
use regatta_core::libm;
use regatta_results::{Interval, TimedPairs};

/// An arm's time per step over the baseline's.
pub(super) struct StepCost {
    /// Geometric mean over the pairs that count; none without any.
    pub ratio: Option<f64>,
    /// The smallest and largest ratio of a pair.
    pub range: Option<Interval>,
    pub pairs: TimedPairs,
}

/// Of `arm` and `reference`, paired by seed: only pairs whose two trials ran on one kind of machine count.
pub(super) fn step_cost(arm: &ArmRecords, reference: &ArmRecords) -> StepCost {
    let both =
        || arm.evaluations.iter().filter_map(|(seed, own)| Some((*seed, &own.cost, &reference.evaluations.get(seed)?.cost)));
    let alike = both().filter(|(seed, ..)| is_timed_alike(arm, reference, *seed));
    let ratios: Vec<f64> = alike.map(|(_, own, other)| own.step_ms / other.step_ms).collect();
    let logarithms: Vec<f64> = ratios.iter().copied().map(libm::log).collect();
    StepCost {
        ratio: over(&logarithms).map(|of| libm::exp(of.mean)),
        range: over(&ratios).map(|of| Interval { low: of.low, high: of.high }),
        pairs: TimedPairs { finished: both().count(), alike: ratios.len() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arm, machine, on};
    use regatta_core::simd::Level;

    /// Three seeds with these times per step; seed 2 on a machine of another kind where `elsewhere`.
    fn timed(name: &str, step_ms: [f64; 3], elsewhere: bool) -> ArmRecords {
        let mut arm = arm(name, &[Some(3.0); 3]);
        let (quick, slow) = (machine("a", "EPYC", 2, Level::Avx2), machine("b", "Xeon", 2, Level::Avx2));
        for (seed, ms) in step_ms.into_iter().enumerate() {
            on(&mut arm, seed as u64, if seed == 2 && elsewhere { &slow } else { &quick });
            arm.evaluations.get_mut(&(seed as u64)).unwrap().cost.step_ms = ms;
        }
        arm
    }

    #[test]
    fn only_pairs_on_one_kind_of_machine_count() {
        let baseline = timed("baseline", [10.0, 20.0, 10.0], false);
        // 20/10 and 10/20 on one kind: the geometric mean is 1; the third pair would be 100/10
        let mixed = step_cost(&timed("mixed", [20.0, 10.0, 100.0], true), &baseline);
        assert!((mixed.ratio.unwrap() - 1.0).abs() < 1e-12, "{:?}", mixed.ratio);
        assert_eq!((mixed.range, mixed.pairs), (Some(Interval { low: 0.5, high: 2.0 }), TimedPairs { finished: 3, alike: 2 }));
        // all three count where both third trials ran on the slow machine: 2, 1/2 and 2
        let slow = step_cost(&timed("mixed", [20.0, 10.0, 100.0], true), &timed("baseline", [10.0, 20.0, 50.0], true));
        assert!((slow.ratio.unwrap() - 2f64.cbrt()).abs() < 1e-12, "{:?}", slow.ratio);
        assert_eq!(slow.pairs.alike, 3);
    }

    #[test]
    fn no_pair_gives_no_ratio() {
        let baseline = timed("baseline", [10.0; 3], false);
        let mut lost = timed("lost", [10.0, 10.0, 30.0], true);
        lost.evaluations.retain(|seed, _| *seed == 2);
        let found = step_cost(&lost, &baseline);
        assert_eq!((found.ratio, found.range, found.pairs), (None, None, TimedPairs { finished: 1, alike: 0 }));
        assert!(found.pairs.why_no_ratio().is_some());
        let own = step_cost(&baseline, &baseline);
        assert_eq!((own.ratio, own.pairs), (Some(1.0), TimedPairs { finished: 3, alike: 3 }));
        assert_eq!(step_cost(&ArmRecords::empty("nothing"), &baseline).pairs, TimedPairs::default());
    }
}
