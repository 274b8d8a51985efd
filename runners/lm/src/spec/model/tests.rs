use super::*;
use serde_json::{Value, json};

fn read(fields: Value) -> Result<Decoder, String> {
    match serde_json::from_value(fields) {
        Ok(ModelSpec::Fresh(fresh)) => Ok(fresh.decoder),
        Ok(ModelSpec::Init(_)) => Err("init".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn refused(fields: Value, part: &str) {
    let message = read(fields).unwrap_err();
    assert!(message.contains(part), "{message}");
}

#[test]
fn a_family_says_what_is_not_named() {
    for family in Family::ALL {
        let fields = json!({ "family": family });
        assert_eq!(read(fields).unwrap(), family.defaults());
    }
    let found = read(json!({"family": "llama", "width": 96, "heads": 6, "kv_heads": 2, "norm": "layer_norm"})).unwrap();
    assert_eq!((found.head_dim, found.mlp_width, found.norm), (16, 256, NormKind::LayerNorm));
    let found = read(json!({"width": 100, "heads": 3, "head_dim": 16, "mlp": "swiglu"})).unwrap();
    assert_eq!((found.query_width(), found.mlp_width), (48, 272)); // 8/3 of 100, up to a multiple of 16
    let rotary = |positions: Value| read(json!({"family": "gpt_neox", "positions": positions})).unwrap().positions;
    assert_eq!(rotary(json!("rotary")), Family::GptNeox.defaults().positions);
    let half = Rotary { theta: 5.0, fraction: 0.25, scaling: None };
    assert_eq!(rotary(json!({"rotary": {"theta": 5}})), Positions::Rotary(half));
    assert_eq!(rotary(json!("learned")), Positions::Learned);
}

#[test]
fn every_field_is_written_and_read_again() {
    let scaling = json!({"factor": 8.0, "low_frequency": 1.0, "high_frequency": 4.0, "original_context": 64});
    let whole = json!({
        "family": "qwen3", "layers": 2, "width": 48, "heads": 6, "kv_heads": 2, "head_dim": 16, "context": 32, "mlp_width": 40,
        "norm": "layer_norm", "norm_epsilon": 0.001, "norm_placement": "after",
        "positions": {"rotary": {"theta": 500.0, "fraction": 0.5, "scaling": scaling}},
        "mlp": "gelu", "qk_norm": "all_heads", "biases": ["qkv", "mlp"], "tied": false, "parallel": true, "logit_cap": 30.0,
        "bias_std": 0.01,
    });
    let spec: ModelSpec = serde_json::from_value(whole.clone()).unwrap();
    let written = serde_json::to_value(&spec).unwrap();
    assert_eq!(written, whole);
    let names: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(names, ModelSpec::FIELDS[..19]);
    let words = |fields: Value| serde_json::to_value(serde_json::from_value::<ModelSpec>(fields).unwrap()).unwrap();
    let plain = words(json!({}));
    assert_eq!(
        [&plain["positions"], &plain["qk_norm"], &plain["biases"], &plain["logit_cap"]],
        [&json!("learned"), &json!(false), &json!(true), &json!("none")]
    );
    assert_eq!(words(json!({"qk_norm": true, "biases": []}))["qk_norm"], true);
    assert_eq!(words(json!({"biases": []}))["biases"], false);
    assert_eq!(words(json!({"init": "x"})), json!({"init": "x"}));
}

#[test]
fn what_follows_a_field_is_a_field() {
    for field in ModelSpec::FIELDS {
        for follower in ModelSpec::follow(field) {
            assert!(ModelSpec::FIELDS.contains(follower) && *follower != field);
        }
    }
    let of_family = ModelSpec::follow("family");
    assert_eq!((of_family.first(), of_family.last()), (Some(&"mlp_width"), Some(&"logit_cap")));
}

#[test]
fn what_does_not_fit_is_refused() {
    refused(json!({"heads": 3}), "expected `heads` to divide `width`, found 3 heads and width 128");
    refused(json!({"heads": 4, "kv_heads": 3}), "expected `kv_heads` to divide `heads`, found 3 of keys and values and 4 heads");
    refused(json!({"family": "llama", "head_dim": 7}), "an even number of a head's dims, at least 2, found 7: `fraction` 1");
    refused(json!({"positions": {"rotary": {"fraction": 0.01}}}), "found 0: `fraction` 0.01 of `head_dim` 32");
    refused(json!({"positions": {"rotary": {"fraction": 1.5}}}), "above 0 and up to 1, found 1.5");
    refused(json!({"positions": {"rotary": {"theta": 0}}}), "above 0, found 0");
    refused(json!({"positions": "rotray"}), "unknown variant `rotray`");
    let scaling = json!({"factor": 8.0, "low_frequency": 4.0, "high_frequency": 4.0, "original_context": 64});
    refused(json!({"positions": {"rotary": {"scaling": scaling}}}), "expected `high_frequency` above `low_frequency`");
    refused(json!({"family": "llama", "bias_std": 0.1}), "expected no `bias_std` where no linear map has a bias");
    refused(json!({"init": "x", "tied": true}), "expected `init` alone");
    refused(json!({"qk_norm": "all"}), "expected false, true or `all_heads`");
    refused(json!({"biases": ["qkv", "qkv"]}), "expected each name once, found `qkv` twice");
    refused(json!({"biases": ["q"]}), "unknown variant `q`");
    refused(json!({"logit_cap": 0}), "above 0");
}
