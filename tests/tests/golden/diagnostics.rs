//! What is measured on a trained model, against numbers computed in float64 by an implementation of its own.

use crate::{fixture, statistics};
use regatta_core::candle::{Device, safetensors};
use regatta_diagnostics::{Anisotropy, Geometry, Points, kendall, spearman};
use serde_json::Value;
use std::num::NonZeroUsize;

/// Every measure of the manifest but the histogram, whose name says how many bins it has.
fn measures(found: &Anisotropy) -> [(&'static str, Option<f64>); 11] {
    [
        ("mean_cosine", found.mean_cosine),
        ("cosine_std", found.cosine_std),
        ("effective_rank", Some(found.effective_rank)),
        ("stable_rank", Some(found.stable_rank)),
        ("participation_ratio", found.participation_ratio),
        ("top_variance_share", found.top_variance_share),
        ("isoscore", found.isoscore),
        ("partition_isotropy", Some(found.partition_isotropy)),
        ("uniformity", found.uniformity),
        ("differential_entropy", found.differential_entropy),
        ("mean_norm", Some(found.mean_norm)),
    ]
}

#[test]
fn golden_diagnostics() {
    let Some(folder) = fixture("diagnostics") else { return };
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let manifest: Value = serde_json::from_str(&text).expect("the manifest is JSON");
    let tensors = safetensors::load(folder.join("tensors.safetensors"), &Device::Cpu).expect("the tensors");
    let relative = manifest["tolerance"]["relative"].as_f64().expect("a tolerance");

    let cases = manifest["cases"].as_array().expect("cases");
    assert!(!cases.is_empty(), "the manifest has no cases");
    let mut largest: Vec<(&str, f64)> = Vec::new();
    let mut wrong = Vec::new();
    for case in cases {
        let name = case["points"].as_str().expect("the name of a cloud");
        let expected = case["expected"].as_object().expect("measures");
        let (histogram, shares) = expected.iter().find(|(key, _)| key.starts_with("cosine_histogram_")).expect("a histogram");
        let bins: NonZeroUsize = histogram["cosine_histogram_".len()..].parse().expect("a number of bins");
        let points = Points::of(&tensors[name]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = Anisotropy::of(&points, bins).unwrap_or_else(|error| panic!("{name}: {error}"));
        let known = measures(&found);
        for key in expected.keys().filter(|key| *key != histogram) {
            assert!(known.iter().any(|(measure, _)| measure == key), "{name}: {key} is not measured");
        }
        for (measure, found) in known {
            // What the fixture does not give is not defined: that of a cloud which lies in fewer dims than it has.
            let Some(expected) = expected.get(measure).map(|value| value.as_f64().expect("a number")) else {
                assert_eq!((measure, found), ("differential_entropy", None), "{name}");
                continue;
            };
            let difference = found.map_or(f64::INFINITY, |found| (found - expected).abs() / expected.abs());
            if difference > relative {
                wrong.push(format!("{name}: {measure} {found:?}, expected {expected}"));
            }
            raise(&mut largest, measure, difference);
        }
        let shares: Vec<f64> = serde_json::from_value(shares.clone()).expect("shares");
        assert_eq!(found.cosine_histogram.len(), shares.len());
        let off = found.cosine_histogram.iter().zip(shares).map(|(found, expected)| (found - expected).abs());
        raise(&mut largest, "histogram (absolute)", off.fold(0.0, f64::max));

        let geometry = Geometry::of(&tensors[name]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let same = [Some(geometry.mean_cosine), Some(geometry.effective_rank)];
        let near =
            |(one, other): (Option<f64>, Option<f64>)| (one.unwrap() - other.unwrap()).abs() <= 1e-7 * other.unwrap().abs();
        assert!(same.into_iter().zip([known[0].1, known[2].1]).all(near), "{name}: {geometry:?}, {known:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let (_, histograms) = largest.iter().find(|(measure, _)| measure.starts_with("histogram")).expect("histograms");
    assert!(*histograms < 1e-12, "a histogram is off by {histograms}: a pair is in another bin");
    println!("{} clouds, largest relative differences:", cases.len());
    largest.iter().for_each(|(measure, difference)| println!("{measure} {difference:.1e}"));
}

fn raise<'a>(largest: &mut Vec<(&'a str, f64)>, measure: &'a str, difference: f64) {
    match largest.iter_mut().find(|(known, _)| *known == measure) {
        Some((_, most)) => *most = most.max(difference),
        None => largest.push((measure, difference)),
    }
}

#[test]
fn golden_rank_correlations() {
    let Some(fixture) = statistics::statistics() else { return };
    for case in statistics::cases(&fixture, "rank_correlation") {
        let (x, y) = (statistics::numbers(&case["x"]), statistics::numbers(&case["y"]));
        statistics::check("Spearman's ρ", spearman(&x, &y).expect("ranks"), statistics::number(&case["spearman"]));
        statistics::check("Kendall's τ", kendall(&x, &y).expect("ranks"), statistics::number(&case["kendall"]));
    }
}
