//! Studies with tasks whose truth is known: how often a verdict on tasks is wrong where no arm differs, and how often right where
//! one does.
//!
//! Whether a model has an item right is the sign of a sum of normal effects, in standard deviations of what is special to one
//! model and item: the task's level, the item's difficulty and the seed's luck, which both arms share; the arm's luck with the
//! seed, over all tasks and on each; and what the arm makes of the item in every seed. Both arms draw the last three from the
//! same distributions, so they are equally good.

use super::{Crossed, Interval, TaskDifference, Verdict, verdict};
use regatta_core::Draw;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Studies of each shape. The counts that agree with 5% lie from 37 to 63 (two standard deviations).
const STUDIES: usize = 1_000;
/// Four standard deviations above 5%: no shape may be called different as often.
const MOST: usize = 77;

/// A study with tasks.
#[derive(Debug, Clone, Copy)]
struct Shape {
    seeds: usize,
    tasks: usize,
    items: usize,
    /// Mean level of the items: 0 gives an accuracy of 0.5, 3.4 one of about 0.95.
    level: f64,
    /// Standard deviation of an arm's luck with a seed, over all tasks and once more on each: 0.1 moves an accuracy near 0.5 by 2
    /// points each, 3 together.
    luck: f64,
    /// Standard deviation of what an arm makes of an item whatever the seed.
    taste: f64,
    /// By how much the arm is truly better.
    effect: f64,
}

const PLAIN: Shape = Shape { seeds: 3, tasks: 1, items: 200, level: 0.0, luck: 0.1, taste: 0.0, effect: 0.0 };
const NEAR_95: f64 = 3.4;

/// Difference in outcome of each task, seed and item.
fn study(shape: Shape, index: usize) -> Vec<Vec<Vec<f64>>> {
    let mut draw = Draw::new(0, "simulation of tasks", index as u64, shape.seeds as u64);
    let overall: Vec<[f64; 3]> = (0..shape.seeds).map(|_| [0; 3].map(|_| shape.luck * draw.normal())).collect();
    let task = |draw: &mut Draw| {
        let items: Vec<[f64; 3]> = (0..shape.items)
            .map(|_| [shape.level + 1.8 * draw.normal(), shape.taste * draw.normal(), shape.taste * draw.normal()])
            .collect();
        let seed = |draw: &mut Draw, [shared, arm, baseline]: [f64; 3]| {
            let [arm, baseline] = [arm, baseline].map(|of_all| of_all + shape.luck * draw.normal());
            let item = |[level, of_arm, of_baseline]: &[f64; 3]| {
                let arm = level + shared + arm + of_arm + shape.effect + draw.normal() > 0.0;
                let baseline = level + shared + baseline + of_baseline + draw.normal() > 0.0;
                f64::from(i8::from(arm) - i8::from(baseline))
            };
            items.iter().map(item).collect::<Vec<f64>>()
        };
        overall.iter().map(|luck| seed(draw, *luck)).collect::<Vec<_>>()
    };
    (0..shape.tasks).map(|_| task(&mut draw)).collect()
}

/// The verdict's own reading of a study: the average where there are several tasks.
fn judged(tasks: &[Vec<Vec<f64>>]) -> Option<Interval> {
    let found = if tasks.len() > 1 { TaskDifference::average(tasks) } else { TaskDifference::of(&tasks[0]) };
    Some(found?.interval(1))
}

/// Of [`STUDIES`] studies, how many call the arm different by an interval.
fn called(shape: Shape, interval: impl Fn(&[Vec<Vec<f64>>]) -> Option<Interval>) -> usize {
    let differs = |index: &usize| matches!(verdict(interval(&study(shape, *index))), Verdict::Better | Verdict::Worse);
    let count = (0..STUDIES).filter(differs).count();
    println!("{count} of {STUDIES}: {shape:?}");
    count
}

/// At least so many, and not more than chance.
fn check(shape: Shape, least: usize) {
    let count = called(shape, judged);
    assert!((least..=MOST).contains(&count), "{count} of {STUDIES}: {shape:?}");
}

/// Of three seeds or more on one task near 5%; below it where there is little but chance on items to judge by, and of two seeds.
#[test]
fn with_several_seeds_identical_arms_are_called_different_one_time_in_twenty_at_most() {
    for seeds in [2, 3, 5] {
        for (tasks, items) in [(1, 400), (10, 40)] {
            let least = if seeds > 2 { 20 } else { 0 };
            for (level, luck) in [0.0, NEAR_95].into_iter().flat_map(|level| [0.0, 0.1, 0.4].map(|luck| (level, luck))) {
                check(Shape { seeds, tasks, items, level, luck, ..PLAIN }, least);
            }
            check(Shape { seeds, tasks, items, taste: 0.7, ..PLAIN }, 0);
        }
    }
}

/// With few items or few tasks the intervals are too wide rather than too narrow.
#[test]
fn few_items_and_few_tasks_do_not_make_verdicts() {
    for seeds in [3, 10] {
        for (tasks, items) in [(1, 5), (1, 20), (3, 100)] {
            check(Shape { seeds, tasks, items, ..PLAIN }, 0);
            check(Shape { seeds, tasks, items, taste: 2.0, ..PLAIN }, 0);
        }
    }
}

/// McNemar's test keeps its level for what it claims: two models without luck of their own, on a sample of items.
#[test]
fn with_one_seed_two_models_that_are_as_good_are_called_different_one_time_in_twenty_at_most() {
    for (tasks, items, level) in [(1, 400, 0.0), (1, 400, NEAR_95), (1, 100, 0.0), (10, 40, 0.0), (10, 40, NEAR_95)] {
        check(Shape { seeds: 1, tasks, items, level, luck: 0.0, ..PLAIN }, 5);
    }
}

/// Why one seed judges two models and not two arms: with luck of 3 points of accuracy, the same test calls arms different that are
/// not.
#[test]
fn one_seed_cannot_judge_an_arm() {
    let count = called(Shape { seeds: 1, items: 1_000, ..PLAIN }, judged);
    assert!(count > 2 * MOST, "{count}");
}

/// Why seeds are a factor of their own: clustered by items alone, as where one model is evaluated, the seeds' luck is taken for a
/// difference.
#[test]
fn clustered_by_items_alone_identical_arms_differ() {
    let by_items = |tasks: &[Vec<Vec<f64>>]| {
        let turned: Vec<Vec<f64>> = (0..tasks[0][0].len()).map(|item| tasks[0].iter().map(|row| row[item]).collect()).collect();
        let found = Crossed::of(&turned, 0.0)?;
        let half = 1.96 * found.of_seeds.sqrt();
        Some(Interval { low: found.mean - half, high: found.mean + half })
    };
    let count = called(Shape { items: 1_000, ..PLAIN }, by_items);
    assert!(count > 3 * MOST, "{count}");
}

/// Why the degrees of freedom are not Satterthwaite's: with few seeds a variance that came out small by luck also gets many of them.
#[test]
fn by_satterthwaites_degrees_of_few_seeds_identical_arms_differ() {
    let mut counts = [0, 0];
    for (shape, count) in [(2, 0.0), (3, NEAR_95)]
        .map(|(seeds, level)| Shape { seeds, items: 100, level, luck: 0.0, ..PLAIN })
        .iter()
        .zip(&mut counts)
    {
        *count = called(*shape, |tasks| satterthwaite(&tasks[0]));
    }
    assert!(counts.iter().all(|count| *count > MOST), "{counts:?}");
}

/// The interval by `MS_s + MS_i - MS_e` and Satterthwaite's degrees of freedom ("An approximate distribution of estimates of variance
/// components", Biometrics Bulletin 2, 1946); one point where the variance is not above 0.
fn satterthwaite(table: &[Vec<f64>]) -> Option<Interval> {
    let (rows, columns) = (table.len() as f64, table[0].len() as f64);
    let row_means: Vec<f64> = table.iter().map(|row| row.iter().sum::<f64>() / columns).collect();
    let column_means: Vec<f64> = (0..table[0].len()).map(|i| table.iter().map(|row| row[i]).sum::<f64>() / rows).collect();
    let mean = row_means.iter().sum::<f64>() / rows;
    let squares = |means: &[f64]| means.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    let all: f64 = table.iter().map(|row| squares(row)).sum();
    let (of_rows, of_columns) = (columns * squares(&row_means), rows * squares(&column_means));
    let freedoms = [rows - 1.0, columns - 1.0, (rows - 1.0) * (columns - 1.0)];
    let [seeds, items, rest] = [of_rows / freedoms[0], of_columns / freedoms[1], (all - of_rows - of_columns) / freedoms[2]];
    let variance = seeds + items - rest;
    if variance <= 0.0 {
        return Some(Interval { low: mean, high: mean });
    }
    let freedom = variance.powi(2) / [seeds, items, rest].iter().zip(freedoms).map(|(part, own)| part.powi(2) / own).sum::<f64>();
    let quantile = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.975);
    let half = quantile * (variance / (rows * columns)).sqrt();
    Some(Interval { low: mean - half, high: mean + half })
}

/// 0.3 of a standard deviation is about 6 points of accuracy near 0.5.
#[test]
fn an_arm_that_is_better_by_six_points_is_found() {
    for (seeds, tasks, items, least) in [(3, 1, 1_000, 250), (5, 1, 1_000, 600), (5, 10, 100, 780)] {
        let count = called(Shape { seeds, tasks, items, effect: 0.3, ..PLAIN }, judged);
        assert!(count >= least, "{count}");
    }
}

/// A difference of the size that is called detectable is found about four times in five, where the seeds' luck is what counts.
#[test]
fn the_detectable_difference_is_found_four_times_in_five() {
    let shape = Shape { seeds: 5, items: 400, luck: 0.4, ..PLAIN };
    let crossed = |index| match TaskDifference::of(&study(shape, index)[0]) {
        Some(TaskDifference::OfSeedsAndItems(found)) => found,
        other => panic!("{other:?}"),
    };
    let studies: Vec<Crossed> = (0..STUDIES).map(crossed).collect();
    let root = |squares: f64| (squares / STUDIES as f64).sqrt();
    let error = root(studies.iter().map(|of| of.standard_error.powi(2)).sum());
    let shift = error * studies[0].detectable(1) / studies[0].standard_error;
    let found = studies.iter().filter(|of| of.interval(1).low + shift > 0.0).count();
    println!("a shift of {shift:.4} is found in {found} of {STUDIES}");
    assert!((750..=850).contains(&found), "{found}");
    assert!((root(studies.iter().map(|of| of.mean.powi(2)).sum()) / error - 1.0).abs() < 0.1, "the standard error is right");
}
