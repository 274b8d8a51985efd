//! Losses of every regularizer over 100 steps, against those that are committed: what is meant to change nothing changes nothing.

use crate::{Study, tiny};
use serde_json::{Value, json};
use std::path::Path;

pub(crate) const KINDS: [(&str, &str); 17] = [
    ("angular_spread", "dispersion"),
    ("l2_repel", "{dispersion: {variant: l2_repel}}"),
    ("decorrelation", "{dispersion: {variant: decorrelation}}"),
    ("orthogonalization", "{dispersion: {variant: orthogonalization}}"),
    ("perplexity_entropy", "{dispersion: {variant: perplexity_entropy}}"),
    ("wang_isola", "infonce"),
    ("negatives", "{infonce: {form: negatives}}"),
    ("vicreg", "vicreg"),
    ("sigreg", "sigreg"),
    ("frobenius", "whitening"),
    ("gaussian_kl", "{whitening: {form: gaussian_kl}}"),
    ("zca_distance", "{whitening: {form: zca_distance}}"),
    ("cosreg", "cosreg"),
    ("koleo", "koleo"),
    ("coding_rate", "coding_rate"),
    ("von_neumann_entropy", "von_neumann_entropy"),
    ("istar", "istar"),
];

/// Those that compare two views, which dropout makes.
pub(crate) const KINDS_OF_VIEWS: [(&str, &str); 5] = [
    ("barlow_twins", "barlow_twins"),
    ("contrastive", "{infonce: {form: contrastive}}"),
    ("align_uniform", "{infonce: {form: align_uniform}}"),
    ("vicreg_invariance", "{vicreg: {invariance: 25}}"),
    ("w_mse", "{whitening: {form: w_mse}}"),
];

/// Those that are no penalty.
pub(crate) const INTERVENTIONS: [(&str, &str); 8] = [
    ("noisy_embedding", "noisy_embedding"),
    ("active_forgetting", "{active_forgetting: {every: 40}}"),
    ("ternary_weights", "quantised_weights"),
    ("binary_weights", "{quantised_weights: {bits: binary, granularity: channel}}"),
    ("byol", "byol"),
    ("z_loss", "{z_loss: {weight: 0.001}}"),
    ("centred_output", "centred_output"),
    ("gradient_gating", "{gradient_gating: {alpha: 0.5, memory: 30}}"),
];

/// 100 steps of a baseline and an arm of each kind, trained with `more` settings on a device.
fn trained(kinds: &[(&str, &str)], more: &str, device: &str) -> Study {
    let arm = |(name, kind): &(&str, &str)| {
        format!(
            "  {name}: [{{regularizer: {kind}, weight: 0.05, at: {{site: hidden_states, scale: layer_norm, points: batch, max_points: 256}}}}]\n"
        )
    };
    hundred_steps(&kinds.iter().map(arm).collect::<String>(), more, device)
}

fn hundred_steps(arms: &str, more: &str, device: &str) -> Study {
    let yaml = tiny(arms);
    let yaml = yaml.replace("seeds: [0, 1]", "seeds: [0]").replace("steps: 8", &format!("steps: 100{more}"));
    let study = Study::new(&yaml);
    study.run("out", &["--jobs", "2", "--device", device], 0);
    study
}

/// To rewrite the file, after a change that is meant to change losses:
/// `REGATTA_WRITE_LOSSES=1 cargo test --workspace --test end_to_end -- losses`.
#[test]
fn stored_losses_are_met() {
    let found = losses("cpu");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/losses.json");
    if std::env::var_os("REGATTA_WRITE_LOSSES").is_some() {
        let stored = json!({"about": "cross-entropy of 100 steps of each arm, nats per token; the same on every processor", "losses": found});
        std::fs::write(&path, serde_json::to_string_pretty(&stored).unwrap() + "\n").unwrap();
    }
    compare(&found, 0.0);
}

/// The other engine, over the same 100 steps.
#[test]
fn stored_losses_are_nearly_met_on_a_device() {
    compare(&losses(&crate::test_device()), 1e-4);
}

/// Each arm's losses, trained on a device.
fn losses(device: &str) -> serde_json::Map<String, Value> {
    let study = trained(&KINDS, "", device);
    let with_views = trained(&KINDS_OF_VIEWS, ", dropout: 0.1", device);
    let arms: String = INTERVENTIONS.iter().map(|(name, kind)| format!("  {name}: [{{intervention: {kind}}}]\n")).collect();
    let with_interventions = hundred_steps(&arms, "", device);
    let of = |study: &Study, name: &str| -> Vec<Value> {
        study.metrics("out", name, 0).iter().map(|line| line["loss"].clone()).collect()
    };
    let losses = |study: &Study, arm: &str, name: &str| (name.to_owned(), Value::Array(of(study, arm)));
    let mut found = serde_json::Map::from_iter([losses(&study, "baseline", "baseline")]);
    found.extend(KINDS.map(|(name, _)| losses(&study, name, name)));
    found.extend([losses(&with_views, "baseline", "baseline_dropout")]);
    found.extend(KINDS_OF_VIEWS.map(|(name, _)| losses(&with_views, name, name)));
    found.extend(INTERVENTIONS.map(|(name, _)| losses(&with_interventions, name, name)));
    assert_eq!(of(&with_interventions, "baseline"), of(&study, "baseline"));
    found
}

/// Expects the stored losses, within a tolerance in nats.
fn compare(found: &serde_json::Map<String, Value>, tolerance: f64) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/losses.json");
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, found) in found {
        let expected = stored["losses"][name].as_array().unwrap_or_else(|| panic!("no stored losses of {name}"));
        assert_eq!(expected.len(), 100, "{name}");
        let mut largest = 0f64;
        for (step, (found, expected)) in found.as_array().unwrap().iter().zip(expected).enumerate() {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            largest = largest.max((found - expected).abs());
            assert!(largest <= tolerance, "{name}, step {step}: found {found}, stored {expected}");
        }
        if tolerance > 0.0 {
            println!("{name}: at most {largest:.1e} nats off");
        }
    }
}
