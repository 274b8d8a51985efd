//! The same study with diagnoses, rounded weights and tasks.

use super::results;
use crate::{
    Arm, CurvePoint, Depths, FrequencyClass, Geometry, Interval, Layer, OverSeeds, PairedDifference, Results, Rounding,
    TaskResult, TextResult,
};

/// The study of [`results`], all of it measured.
pub fn measured() -> Results {
    let mut results = results();
    for (index, arm) in results.arms.iter_mut().enumerate() {
        *arm = Arm {
            geometry: Some(geometry(0.62 - 0.125 * index as f64)),
            roundings: roundings(index),
            tasks: vec![task("agreement", true), task("questions", false)],
            texts: vec![text(index)],
            ..arm.clone()
        };
    }
    results
}

/// Three layers whose cosines rise to `last`.
fn geometry(last: f64) -> Geometry {
    let measure = |name: &str, mean: f64| (name.to_owned(), Some(over(mean)));
    Geometry {
        start: Some(depths(0, [0.0, 0.05, 0.1])),
        end: depths(600, [0.1, 0.3, last]),
        last_cosine: [(0, 0.1), (300, 0.4), (600, last)].map(|(step, mean)| point(step, mean)).to_vec(),
        spectrum: (1..=16).map(|rank| 0.5f64.powi(rank)).collect(),
        measures: vec![
            measure("mean_cosine_diagnosed_last", last),
            measure("outlier_dims_last", 2.0),
            ("differential_entropy_last".to_owned(), None),
        ],
        by_frequency: (1..=10).map(|class| class.to_string()).chain(["never".to_owned()]).map(class).collect(),
    }
}

fn depths(step: u64, cosines: [f64; 3]) -> Depths {
    let bell = |mean: f64, bin: usize| (-((bin as f64 - 64.0 * (1.0 + mean)) / 10.0).powi(2)).exp() / 17.725;
    let layer = |mean: f64| Layer { cosine: over(mean), histogram: (0..128).map(|bin| bell(mean, bin)).collect() };
    Depths { step, layers: cosines.map(layer).to_vec() }
}

/// Three seeds a hundredth around a mean.
fn over(mean: f64) -> OverSeeds {
    OverSeeds { mean, sd: 0.01, low: mean - 0.01, high: mean + 0.01, count: 3 }
}

fn point(step: u64, mean: f64) -> CurvePoint {
    CurvePoint { step, mean, low: mean - 0.01, high: mean + 0.01 }
}

fn class(class: String) -> FrequencyClass {
    FrequencyClass { class, cosine: Some(over(0.3)), norm: Some(over(1.5)) }
}

fn roundings(arm: usize) -> Vec<Rounding> {
    let difference = PairedDifference { mean: -0.02, interval: Interval { low: -0.03, high: -0.01 }, pairs: 3 };
    let rounding = |(bits, granularity, mean): (&str, &str, f64)| Rounding {
        bits: bits.into(),
        granularity: granularity.into(),
        increase: over(mean - 0.02 * arm as f64),
        difference: (arm > 0).then_some(difference),
    };
    let all = [
        ("8", "channel", 0.0),
        ("8", "32", 0.0),
        ("ternary", "channel", 0.5),
        ("ternary", "32", 0.25),
        ("binary", "channel", 0.25),
    ];
    all.map(rounding).to_vec()
}

fn text(arm: usize) -> TextResult {
    let difference = PairedDifference { mean: -0.02, interval: Interval { low: -0.03, high: -0.01 }, pairs: 3 };
    let loss = over(4.0 - 0.02 * arm as f64);
    TextResult { text: "wiki".into(), loss, bits_per_byte: Some(over(2.0)), difference: (arm > 0).then_some(difference) }
}

fn task(task: &str, pairs: bool) -> TaskResult {
    TaskResult {
        task: task.into(),
        pairs,
        form: if pairs { "minimal pairs".into() } else { "multiple choice".into() },
        accuracy: over(0.75),
        standard_error: 0.04,
        normalised: Some(over(0.7)),
        normalised_standard_error: Some(0.05),
        chance: Some(if pairs { 0.5 } else { 0.25 }),
        items: 100,
        truncated: 3,
        judged: None,
    }
}

/// Numbers that cannot be drawn, and lists that are empty.
pub fn odd() -> Results {
    let mut results = measured();
    let odd = [f64::NAN, f64::INFINITY, 1e300, -1e300];
    for (arm, value) in results.arms.iter_mut().zip(odd) {
        let all = OverSeeds { mean: value, sd: value, low: value, high: value, count: 1 };
        let geometry = arm.geometry.get_or_insert_with(|| self::geometry(0.5));
        geometry.end.layers[0] = Layer { cosine: all, histogram: vec![value; 128] };
        geometry.end.layers[1].histogram.clear();
        geometry.spectrum = vec![value, 0.0];
        geometry.start = None;
        geometry.by_frequency.iter_mut().for_each(|class| class.cosine = Some(all));
        arm.roundings.iter_mut().for_each(|rounding| rounding.increase = all);
        arm.texts.iter_mut().for_each(|text| text.loss = all);
        arm.tasks.iter_mut().for_each(|task| task.accuracy = all);
        arm.cost_range = Some(Interval { low: value, high: value });
    }
    results
}
