//! Objectives on logits against numbers in float64: the cross-entropy, with and without a cap, and the z-loss. A gradient is that of
//! the logits before the cap.

use crate::fixture;
use regatta_builtin as _;
use regatta_core::candle::{DType, Device, safetensors};
use regatta_core::{Action, Intervention, Plugin, Tensor};
use regatta_kernels::model::{Gradient, cap, cap_backward, cross_entropy, cross_entropy_and_normalizers};
use serde_json::Value;

fn float32(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()).and_then(|t| t.to_vec1()).expect("numbers")
}

/// Value and gradient of the mean over tokens. logits (b·t, v)
fn objective(case: &Value, logits: &[f32], targets: &[u32]) -> (f64, Vec<f32>) {
    let (tokens, mut gradient) = (targets.len(), logits.to_vec());
    let (mut losses, scale) = (vec![0.0; tokens], 1.0 / tokens as f32);
    let mean = |numbers: &[f32]| numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / tokens as f64;
    let of_cross_entropy = case["objective"] == "cross_entropy" || case["objective"]["cross_entropy"].is_object();
    if of_cross_entropy {
        let limit = case["objective"]["cross_entropy"]["logit_cap"].as_f64().map(|limit| limit as f32);
        limit.into_iter().for_each(|limit| cap(&mut gradient, limit));
        let capped = gradient.clone();
        cross_entropy(&mut gradient, targets, &mut losses, Gradient::Times(scale));
        limit.into_iter().for_each(|limit| cap_backward(&capped, limit, &mut gradient));
        return (mean(&losses), gradient);
    }
    let plugin: Plugin<dyn Intervention> = serde_json::from_value(case["objective"].clone()).expect("an intervention");
    let Some(Action::LogNormalizer { weight }) = plugin.0.action() else { panic!("{}: no place in the loss", case["objective"]) };
    let mut normalizers = vec![0.0; tokens];
    cross_entropy_and_normalizers(&mut gradient, targets, &mut losses, &mut normalizers, scale, weight as f32);
    let mut of_loss = logits.to_vec();
    cross_entropy(&mut of_loss, targets, &mut losses, Gradient::Times(scale));
    assert!((mean(&losses) - case["cross_entropy"].as_f64().unwrap()).abs() < 1e-5 * mean(&losses));
    gradient.iter_mut().zip(of_loss).for_each(|(both, of_loss)| *both -= of_loss);
    let squares: Vec<f32> = normalizers.iter().map(|z| z * z).collect();
    (weight * mean(&squares), gradient)
}

#[test]
fn objectives_on_logits_agree_with_float64() {
    let Some(folder) = fixture("further/objectives") else { return };
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
    let tensors = safetensors::load(folder.join("tensors.safetensors"), &Device::Cpu).unwrap();
    let cases = manifest["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let named = |key: &str| &tensors[case[key].as_str().unwrap()];
        let (logits, targets) = (float32(named("logits")), float32(named("targets")));
        let targets: Vec<u32> = targets.into_iter().map(|target| target as u32).collect();
        let (value, gradient) = objective(case, &logits, &targets);
        let expected = case["loss"].as_f64().unwrap();
        assert!((value - expected).abs() < 1e-5 * expected, "{case}: found {value}");
        let expected = float32(named("grad"));
        let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
        // A z-loss is found as the difference of two gradients of which it may be a small part: float32 leaves 1e-7 of either.
        let off = gradient.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).fold(0f32, f32::max);
        assert!(off < 1e-4 * largest + 2e-8, "{case}: the gradient is off by {off} of {largest}");
    }
}
