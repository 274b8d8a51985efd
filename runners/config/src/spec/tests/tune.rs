//! Tuning: the same number of trials for every arm, and what is chosen from them.

use super::{Desk, check};
use crate::{Candidate, Study, Winner};

const ARMS: &str = "\
seeds: 2
arms:
  baseline: []
  zero: [{regularizer: dispersion, weight: 0}]
  two: [{regularizer: dispersion, weight: 1}, {regularizer: infonce, weight: {from: 1, to: 4, steps: 5}}]
";

fn tuned(tune: &str) -> Study {
    let desk = Desk::with(format!("{ARMS}tune: {tune}"));
    let study = desk.read(&[]).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(Desk::with(study.to_yaml()).read(&[]).unwrap(), study);
    study
}

/// Weight, learning rate, seeds.
type Expected<'a> = (Option<f64>, Option<f64>, &'a [u64]);

fn check_candidates(tune: &str, expected: [&[Expected<'_>]; 3]) {
    let study = tuned(tune);
    let budget = study.tune.as_ref().unwrap().trials();
    for (arm, expected) in study.arms.iter().zip(expected) {
        let found = study.candidates(arm);
        let found: Vec<_> = found.iter().map(|(candidate, seeds)| (candidate.weight, candidate.lr, &seeds[..])).collect();
        assert_eq!(found, expected, "{}", arm.name);
        assert_eq!(found.iter().map(|(_, _, seeds)| seeds.len()).sum::<usize>(), budget);
    }
}

#[test]
fn every_arm_has_the_same_budget() {
    let m = 1_000_000;
    let (two, four): (&[u64], &[u64]) = (&[m, m + 1], &[m, m + 1, m + 2, m + 3]);
    let rates: &[_] = &[(None, Some(0.1), four), (None, Some(0.2), four)];
    let both: &[_] =
        &[(Some(1.0), Some(0.1), two), (Some(1.0), Some(0.2), two), (Some(5.0), Some(0.1), two), (Some(5.0), Some(0.2), two)];
    check_candidates("{weight: [1, 5], lr: [0.1, 0.2], seeds: 2}", [rates, rates, both]);
    let (alone, weights): (&[_], &[_]) = (&[(None, None, two)], &[(Some(1.0), None, &two[..1]), (Some(5.0), None, &two[..1])]);
    check_candidates("{weight: [1, 5], metric: validation_loss}", [alone, alone, weights]);
    // The seeds that follow are fresh too: 8 is listed, and 9 was the highest.
    let listed: &[_] = &[(None, None, &[9, 8, 10, 11][..])];
    let weights: &[_] = &[(Some(1.0), None, &[9, 8][..]), (Some(5.0), None, &[9, 8][..])];
    check_candidates("{weight: [1, 5], seeds: [9, 8]}", [listed, listed, weights]);
    assert!(Desk::with(ARMS).read(&[]).unwrap().candidates(&tuned("{lr: [1]}").arms[0]).is_empty());
}

#[test]
fn seeds_that_follow_are_not_those_of_the_study() {
    let study = Desk::with(format!("{ARMS}tune: {{weight: [1, 2, 3], seeds: [5]}}")).read(&["seeds=[6, 8]"]).unwrap();
    assert_eq!(study.candidates(&study.arms[0])[0].1, [5, 7, 9]);
    let last = Desk::with(format!("{ARMS}tune: {{weight: [1, 2, 3], seeds: [{}]}}", u64::MAX)).read(&[]).unwrap();
    assert_eq!(last.candidates(&last.arms[0])[0].1, [u64::MAX, 2, 3]);
}

#[test]
fn a_candidate_replaces_rate_and_weights() {
    let study = tuned("{weight: [2], lr: [0.5]}");
    let with = study.with(2, &Candidate { weight: Some(2.0), lr: Some(0.5) });
    let weights = |study: &Study, step| study.arms[2].terms.iter().map(|term| term.weight.at(step)).collect::<Vec<_>>();
    assert_eq!((with.train.lr.get(), weights(&with, 0), weights(&with, 9)), (0.5, vec![2.0, 0.5], vec![2.0, 2.0]));
    assert_eq!(study.with(1, &Candidate { weight: Some(2.0), lr: None }), study); // a weight of 0 stays
    assert_eq!(study.with(0, &Candidate::default()), study);
    let down =
        Desk::with(format!("{ARMS}tune: {{weight: [2]}}")).read(&["arms.two.1.weight={from: 3, to: 0, steps: 2}"]).unwrap();
    let down = down.with(2, &Candidate { weight: Some(-6.0), lr: None });
    assert_eq!([0, 1, 2].map(|step| down.arms[2].terms[1].weight.at(step)), [-6.0, -3.0, 0.0]);
    let steep = Desk::with(ARMS).read(&["arms.two.1.weight={from: 1.0e+308, to: 1.0e-308, steps: 2}"]).unwrap();
    assert_eq!(steep.with(2, &Candidate { weight: Some(1.0), lr: None }).arms[2].terms[1].weight.at(0), f64::MAX);
}

#[test]
fn the_lowest_finite_mean_wins() {
    let grid = |values: &[(f64, f64)]| -> Vec<Candidate> {
        values.iter().map(|&(weight, lr)| Candidate { weight: Some(weight), lr: Some(lr) }).collect()
    };
    let product = grid(&[(1.0, 0.1), (1.0, 0.2), (2.0, 0.1), (2.0, 0.2), (3.0, 0.1), (3.0, 0.2)]);
    let check = |candidates: &[Candidate], means: &[Option<f64>], expected: Option<(usize, bool, bool)>| {
        let found = Winner::of(candidates, means);
        assert_eq!(found.map(|winner| (winner.index, winner.weight_at_edge, winner.lr_at_edge)), expected, "{means:?}");
    };
    let (nan, infinite) = (Some(f64::NAN), Some(f64::INFINITY));
    check(&product, &[Some(3.0), Some(2.0), Some(1.5), Some(1.0), Some(1.0), None], Some((3, false, true)));
    check(&product, &[nan, Some(2.0), None, infinite, Some(-f64::INFINITY), Some(2.5)], Some((1, true, true)));
    check(&product, &[nan, None, None, infinite, None, nan], None);
    check(&product[..1], &[Some(1.0)], Some((0, false, false))); // one value has no edge
    check(&grid(&[(2.0, 0.1), (1.0, 0.1), (3.0, 0.1)]), &[Some(1.0), Some(2.0), Some(2.0)], Some((0, false, false)));
    check(&[Candidate::default()], &[Some(1.0)], Some((0, false, false)));
    check(&[], &[], None);
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let refused = |tune: &str, start: &str, part: &str| check(format!("{ARMS}tune: {tune}"), &format!("x.yaml:6:{start}"), part);
    refused("{}", "7: tune: ", "expected `weight`, `lr` or both, found neither");
    refused("3", "7: tune: ", "expected a map of fields, found 3");
    refused("{lr: []}", "12: tune.lr: ", "expected at least one value, found none");
    refused("{lr: [1, 1.0]}", "12: tune.lr: ", "expected each value once, found 1 twice");
    refused("{lr: 1}", "12: tune.lr: ", "expected a list, found 1");
    refused("{lr: [0]}", "13: tune.lr.0: ", "expected a finite number above 0, found 0");
    refused("{lr: [1], seeds: 0}", "24: tune.seeds: ", "a count of seeds from 1 to 10000");
    refused(
        "{lr: [1], seeds: [1]}",
        "24: tune.seeds: ",
        "found 1 in its `seeds`: an arm is not compared on the seeds that it was tuned on",
    );
    refused("{lr: [1, 2], seeds: 5001}", "7: tune: ", "expected at most 10000 tuning trials per arm, found 10002");
    refused("{lr: [1], metric: loss}", "25: tune.metric: ", "unknown name `loss`, expected `validation_loss`");
    refused("{lr: [1]}\nvary: {train.lr: [1, 2]}", "12: tune.lr: ", "found that `vary` has `train.lr`: tune it or vary it");
    for path in ["arms.*.0.weight", "arms.two.1.weight.to", "arms.two.0", "arms.two"] {
        refused(&format!("{{weight: [1]}}\nvary: {{{path}: [3]}}"), "16: tune.weight: ", &format!("has `{path}`"));
    }
    let apart = Desk::with(format!("{ARMS}tune: {{lr: [1]}}\nvary: {{arms.two.0.weight: [3]}}"));
    assert!(apart.read(&[]).is_ok());
}
