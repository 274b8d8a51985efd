//! Studies whose truth is known: how often a verdict is wrong where no arm differs, and how often right where one does.
//!
//! A loss is the seed's own luck, which all arms share, plus the trial's noise: both normal. The bands hold the count of
//! 1,000 studies with a chance of 95%, `N p ± 1.96 √(N p (1 - p))`: 50 ± 13.5 at 5% and 800 ± 24.8 at 80%. Where many counts are
//! taken, one in twenty would lie outside by luck: there it is 20,000 studies each and four standard deviations, which is still
//! less than half of that width as a fraction.

use super::power::detectable_shift;
use super::{ALPHA, Interval, Paired, Verdict, bootstrap_interval, power_law, verdict};
use regatta_core::Draw;
use statrs::distribution::{ContinuousCDF, StudentsT};
use std::ops::RangeInclusive;

/// Standard deviation of a trial's noise; that of the seed's luck is five times as large.
const NOISE: f64 = 0.01;

/// The differences of each arm of one study from its baseline, seed by seed; the first arm is truly off by `effect`.
fn study(draw: &mut Draw, seeds: usize, arms: usize, effect: f64) -> Vec<Vec<f64>> {
    let mut differences = vec![Vec::new(); arms];
    for _ in 0..seeds {
        let luck = 3.2 + 5.0 * NOISE * draw.normal();
        let baseline = luck + NOISE * draw.normal();
        for (arm, differences) in differences.iter_mut().enumerate() {
            let shift = if arm == 0 { effect } else { 0.0 };
            differences.push(luck + shift + NOISE * draw.normal() - baseline);
        }
    }
    differences
}

/// Of so many studies, how many call some arm better or worse.
fn called(studies: usize, seeds: usize, arms: usize, effect: f64, interval: impl Fn(&[f64]) -> Option<Interval>) -> usize {
    let differs = |differences: &Vec<f64>| matches!(verdict(interval(differences)), Verdict::Better | Verdict::Worse);
    let one = |index: usize| study(&mut Draw::new(0, "simulation", index as u64, seeds as u64), seeds, arms, effect);
    (0..studies).filter(|&index| one(index).iter().any(differs)).count()
}

/// The few studies that a reader can picture, then many of fewer, as many and more seeds.
const RUNS: [(usize, usize); 4] = [(1_000, 5), (20_000, 3), (20_000, 5), (20_000, 8)];

/// The counts, of so many studies, that agree with a chance of `chance`.
fn band(studies: usize, chance: f64) -> RangeInclusive<usize> {
    let deviations = if studies == 1_000 { 1.96 } else { 4.0 };
    let (expected, half) = (studies as f64 * chance, deviations * (studies as f64 * chance * (1.0 - chance)).sqrt());
    (expected - half).ceil() as usize..=(expected + half).floor() as usize
}

fn corrected(comparisons: usize) -> impl Fn(&[f64]) -> Option<Interval> {
    move |differences| Paired::of(differences).map(|paired| paired.interval(comparisons))
}

/// The effect that `seeds` seeds find four times in five; a difference of two trials has √2 times the noise of one.
fn detectable(seeds: usize, comparisons: usize) -> f64 {
    let student = StudentsT::new(0.0, 1.0, seeds as f64 - 1.0).unwrap();
    let quantile = student.inverse_cdf(1.0 - ALPHA / comparisons as f64 / 2.0);
    detectable_shift(seeds - 1, quantile) * NOISE * (2.0 / seeds as f64).sqrt()
}

#[test]
fn bands_by_hand() {
    assert_eq!((band(1_000, 0.05), band(1_000, 0.8)), (37..=63, 776..=824));
    assert_eq!(band(20_000, 0.05), 877..=1123); // 1000 ± 4·30.8
}

#[test]
fn of_identical_arms_one_in_twenty_is_called_different() {
    for (studies, seeds) in RUNS {
        let count = called(studies, seeds, 1, 0.0, corrected(1));
        println!("{seeds} seeds, one arm: {count} of {studies}");
        assert!(band(studies, 0.05).contains(&count), "{seeds} seeds: {count} of {studies}");
    }
}

#[test]
fn of_four_identical_arms_none_is_called_different_nineteen_times_in_twenty() {
    for (studies, seeds) in RUNS {
        let kept = called(studies, seeds, 4, 0.0, corrected(4));
        let alone = called(studies, seeds, 4, 0.0, corrected(1));
        println!("{seeds} seeds, four arms: {kept} of {studies}, and {alone} without the correction");
        let most = *band(studies, 0.05).end();
        assert!(kept <= most, "{seeds} seeds: {kept} of {studies}");
        assert!(alone > 2 * most, "{seeds} seeds: the correction changes little: {alone} of {studies}");
    }
}

#[test]
fn an_effect_of_the_detectable_size_is_found_four_times_in_five() {
    for (studies, seeds) in RUNS {
        for comparisons in [1, 4] {
            let count = called(studies, seeds, 1, detectable(seeds, comparisons), corrected(comparisons));
            println!("{seeds} seeds, {comparisons} comparisons: found in {count} of {studies}");
            assert!(band(studies, 0.8).contains(&count), "{seeds} seeds, {comparisons} comparisons: {count} of {studies}");
        }
    }
}

/// Why no verdict is read from the bootstrap: with few seeds it is wrong far more often than its level allows.
#[test]
fn bootstrap_intervals_of_few_seeds_are_too_short() {
    let count = called(1_000, 5, 1, 0.0, bootstrap_interval);
    println!("5 seeds, bootstrap: {count} of 1000");
    assert!(count > 2 * band(1_000, 0.05).end(), "{count}");
}

/// Of so many sweeps over sizes that follow a law, luck and noise on the logarithms of their losses.
#[test]
fn an_exponent_lies_outside_its_interval_one_time_in_twenty() {
    const EXPONENT: f64 = 0.05;
    for (sizes, seeds) in [(2, 5), (3, 3), (6, 3)] {
        let outside = |index: &u64| {
            let mut draw = Draw::new(0, "simulation", *index, sizes);
            let luck: Vec<f64> = (0..seeds).map(|_| 5.0 * NOISE * draw.normal()).collect();
            let model = |size: u64| {
                let x = 10.0 + size as f64;
                let losses = luck.iter().map(|luck| (1.6 - EXPONENT * x + luck + NOISE * draw.normal()).exp());
                (x.exp(), losses.collect::<Vec<f64>>())
            };
            let interval = power_law(&(0..sizes).map(model).collect::<Vec<_>>()).and_then(|law| law.interval).unwrap();
            !(interval.low..=interval.high).contains(&EXPONENT)
        };
        let count = (0..20_000).filter(outside).count();
        println!("{sizes} sizes, {seeds} seeds: outside in {count} of 20000");
        assert!(band(20_000, 0.05).contains(&count), "{sizes} sizes, {seeds} seeds: {count} of 20000");
    }
}
