//! What is measured on a trained model, against numbers computed in float64 by an implementation of its own.

use crate::fixture;
use regatta_core::candle::{Device, safetensors};
use regatta_diagnostics::Geometry;
use serde_json::Value;

#[test]
fn golden_diagnostics() {
    let Some(folder) = fixture("diagnostics") else { return };
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let manifest: Value = serde_json::from_str(&text).expect("the manifest is JSON");
    let tensors = safetensors::load(folder.join("tensors.safetensors"), &Device::Cpu).expect("the tensors");
    let relative = manifest["tolerance"]["relative"].as_f64().expect("a tolerance");

    let cases = manifest["cases"].as_array().expect("cases");
    assert!(!cases.is_empty(), "the manifest has no cases");
    let mut largest = [0f64; 2];
    for case in cases {
        let name = case["points"].as_str().expect("the name of a cloud");
        let geometry = Geometry::of(&tensors[name]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let measures = [("mean_cosine", geometry.mean_cosine), ("effective_rank", geometry.effective_rank)];
        for ((measure, found), largest) in measures.into_iter().zip(&mut largest) {
            let expected = case["expected"][measure].as_f64().unwrap_or_else(|| panic!("{name} has no {measure}"));
            let difference = (found - expected).abs() / expected.abs();
            assert!(difference <= relative, "{name}: {measure} {found}, expected {expected}");
            *largest = largest.max(difference);
        }
    }
    println!(
        "{} clouds, largest relative difference: mean cosine {:.1e}, effective rank {:.1e}",
        cases.len(),
        largest[0],
        largest[1]
    );
}
