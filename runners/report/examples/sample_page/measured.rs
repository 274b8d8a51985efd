//! The same study with diagnoses, rounded weights and tasks.

use regatta_report::{
    Arm, CurvePoint, Depths, FrequencyClass, Geometry, Interval, Layer, OverSeeds, PairedDifference, Results, Rounding,
    TaskResult,
};

/// Layers above the embedding.
const LAYERS: usize = 6;
/// Bits, and what rounding to them costs the baseline.
const BITS: [(&str, f64); 7] =
    [("8", 0.0002), ("6", 0.001), ("4", 0.012), ("3", 0.061), ("2", 0.42), ("ternary", 0.55), ("binary", 0.71)];

/// `results`, all of it measured.
pub fn measured(mut results: Results) -> Results {
    results.arms = results.arms.into_iter().enumerate().map(|(index, arm)| of_arm(index, arm)).collect();
    results
}

fn of_arm(index: usize, arm: Arm) -> Arm {
    let last = arm.mean_cosine_by_layer.last().copied().unwrap_or(0.5);
    let robust = 1.0 - 0.12 * index as f64;
    let all = BITS
        .iter()
        .flat_map(|&(bits, cost)| [("channel", 1.0), ("32", 0.7)].map(|(granularity, share)| (bits, granularity, cost * share)));
    let rounding = |(bits, granularity, cost): (&str, &str, f64)| Rounding {
        bits: bits.into(),
        granularity: granularity.into(),
        increase: over(cost * robust, cost * 0.06 + 0.0004),
        difference: (index > 0).then(|| {
            let mean = cost * (robust - 1.0);
            PairedDifference { mean, interval: Interval { low: mean * 1.8, high: mean * 0.2 }, pairs: 3 }
        }),
    };
    let task = |(task, pairs, base): (&str, bool, f64)| TaskResult {
        task: task.into(),
        pairs,
        form: if pairs { "minimal pairs".into() } else { "multiple choice".into() },
        accuracy: over(base + 0.013 * index as f64, 0.011),
        standard_error: 0.0154,
        normalised: Some(over(base + 0.01 * index as f64, 0.012)),
        normalised_standard_error: Some(0.0156),
        chance: Some(if pairs { 0.5 } else { 0.25 }),
        items: 1000,
        truncated: 0,
        judged: None,
    };
    Arm {
        geometry: Some(geometry(last)),
        roundings: all.map(rounding).collect(),
        tasks: [("transitive", true, 0.561), ("anaphor_agreement", true, 0.612), ("questions", false, 0.262)].map(task).to_vec(),
        ..arm
    }
}

/// Three seeds around a mean.
fn over(mean: f64, sd: f64) -> OverSeeds {
    OverSeeds { mean, sd, low: mean - sd, high: mean + sd, count: 3 }
}

fn geometry(last: f64) -> Geometry {
    let point = |step: u64| {
        let mean = 0.11 + (last - 0.11) * (1.0 - (-(step as f64) / 150.0).exp());
        CurvePoint { step, mean, low: mean - 0.02, high: mean + 0.02 }
    };
    let steep = 0.5 + 1.4 * last;
    let shares: Vec<f64> = (1..=64).map(|rank| f64::from(rank).powf(-steep)).collect();
    let sum: f64 = shares.iter().sum();
    let rank = 64.0 * (1.0 - last) + 4.0;
    let measures = [
        ("mean_cosine_within_last", last + 0.04, 0.011),
        ("mean_cosine_diagnosed_last", last, 0.012),
        ("cosine_std_last", 0.18, 0.004),
        ("effective_rank_diagnosed_last", rank, 0.8),
        ("stable_rank_last", rank / 9.0, 0.09),
        ("participation_ratio_last", rank / 2.0, 0.6),
        ("top_variance_share_last", 0.4 * last + 0.03, 0.009),
        ("isoscore_last", (rank / 2.0 - 1.0) / 63.0, 0.008),
        ("partition_isotropy_last", 1.0 - last, 0.02),
        ("uniformity_last", -3.6 + 2.0 * last, 0.05),
        ("differential_entropy_last", 41.0 - 30.0 * last, 1.1),
        ("mean_norm_last", 11.4 + last, 0.2),
        ("outlier_dims_last", (last * 4.0).round(), 0.58),
        ("cosine_spearman", 0.93, 0.05),
        ("cosine_kendall", 0.81, 0.08),
    ];
    let class = |index: usize| FrequencyClass {
        class: if index < 10 { (index + 1).to_string() } else { "never".into() },
        cosine: Some(over(last * (0.1 + 0.07 * index as f64), 0.01)),
        norm: Some(over(1.6 - 0.09 * index as f64 + 0.2 * last, 0.02)),
    };
    Geometry {
        start: Some(depths(0, 0.02, 0.11)),
        end: depths(600, 0.05, last),
        last_cosine: (0..=600).step_by(100).map(point).collect(),
        spectrum: shares.into_iter().map(|share| share / sum).collect(),
        measures: measures.map(|(name, mean, sd)| (name.into(), Some(over(mean, sd)))).to_vec(),
        by_frequency: (0..11).map(class).collect(),
    }
}

/// Cosines that rise from the embedding to the last layer, spread as a bell that narrows towards 1.
fn depths(step: u64, first: f64, last: f64) -> Depths {
    let layer = |index: usize| {
        let mean = first + (last - first) * (index as f64 / LAYERS as f64).powf(1.3);
        let width = 0.22 * (1.0 - mean * mean).sqrt();
        let bell = |bin: usize| (-(((bin as f64 + 0.5) / 64.0 - 1.0 - mean) / width).powi(2) / 2.0).exp();
        let sum: f64 = (0..128).map(bell).sum();
        Layer { cosine: over(mean, 0.012), histogram: (0..128).map(|bin| bell(bin) / sum).collect() }
    };
    Depths { step, layers: (0..=LAYERS).map(layer).collect() }
}
