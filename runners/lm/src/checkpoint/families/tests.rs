use super::*;
use crate::model::{Biases, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary, RotaryScaling, Sizes};
use serde_json::json;

/// A small model of each family, whose sizes are all different.
fn small(family: Family) -> Decoder {
    let sizes = Sizes { layers: 3, width: 64, heads: 4, context: 32, mlp_width: 40 };
    Decoder::new(family, sizes, 11)
}

/// What is said of the family's `config.json` with `change` merged into it; a null takes a field out.
fn read(family: Family, change: Value) -> Result<Decoder, String> {
    let mut config = family.write(&small(family)).unwrap();
    for (field, value) in change.as_object().unwrap() {
        config[field] = value.clone();
    }
    Decoder::from_config(&config).map(|(decoder, _)| decoder)
}

fn refused(family: Family, change: Value, expected: &str) {
    let message = read(family, change.clone()).expect_err(&change.to_string());
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_family_says_what_it_is_and_reads_it_again() {
    for family in Family::ALL {
        let decoder = small(family);
        assert_eq!((decoder.stored_as(), decoder.kind()), (Some(family), family.title().to_owned()));
        let (read, names) = Decoder::from_config(&decoder.layout().config).unwrap();
        assert_eq!(read, decoder);
        let stored: usize = names.stored(&decoder).iter().map(|stored| stored.shape.iter().product::<usize>()).sum();
        assert_eq!(stored, decoder.parameters(), "{family:?}");
    }
}

#[test]
fn what_a_family_cannot_say_another_says_or_regatta() {
    let rotary = Positions::Rotary(Rotary { fraction: 0.5, ..Rotary::default() });
    let stored = |decoder: Decoder| {
        let (read, names) = Decoder::from_config(&decoder.layout().config).unwrap();
        assert_eq!(Decoder { family: decoder.family, ..read }, decoder);
        assert!(names.stored(&decoder).iter().all(|stored| !stored.name.is_empty()));
        decoder.stored_as()
    };
    let (gpt2, llama) = (small(Family::Gpt2), small(Family::Llama));
    assert_eq!(stored(Decoder { tied: false, mlp: Mlp::Gelu, ..gpt2.clone() }), Some(Family::Gpt2));
    assert_eq!(stored(Decoder { positions: rotary, ..gpt2.clone() }), Some(Family::GptNeox));
    assert_eq!(stored(Decoder { kv_heads: 2, head_dim: 24, biases: Biases::ALL, ..llama.clone() }), Some(Family::Llama));
    assert_eq!(stored(Decoder { qk_norm: QkNorm::PerHead, ..llama.clone() }), Some(Family::Qwen3));
    assert_eq!(stored(Decoder { biases: Biases { qkv: true, ..Biases::NONE }, ..llama.clone() }), Some(Family::Qwen2));
    let own = Decoder { norm: NormKind::RmsNorm, ..gpt2 };
    assert_eq!(own.kind(), "GPT-2 with norm rms_norm");
    assert_eq!(own.words(), "GPT-2 with norm rms_norm, 3 blocks of width 64, 4 heads");
    assert_eq!(stored(own), None);
    let scaling = RotaryScaling { factor: 2.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 8 };
    let positions = Positions::Rotary(Rotary { theta: 5e5, fraction: 0.5, scaling: Some(scaling) });
    for own in [
        Decoder { logit_cap: Some(30.0), ..llama.clone() },
        Decoder { norm_placement: NormPlacement::After, ..llama.clone() },
        Decoder { positions, qk_norm: QkNorm::AllHeads, biases: Biases { mlp: true, ..Biases::NONE }, ..llama.clone() },
        Decoder { parallel: true, kv_heads: 2, ..llama },
    ] {
        assert_eq!(stored(own), None);
    }
    let heads = Decoder { head_dim: 24, kv_heads: 2, ..small(Family::Llama) };
    assert_eq!(heads.words(), "Llama, 3 blocks of width 64, 4 heads of 24 dims on 2 of keys and values");
}

#[test]
fn gpt2_names_the_field_at_fault() {
    let refused = |change: Value, expected: &str| refused(Family::Gpt2, change, expected);
    refused(json!({"model_type": "bert"}), "expected `model_type` to be `gpt2` or `llama` or `qwen2`");
    refused(json!({"model_type": null}), "found none");
    refused(json!({"n_embd": 0}), "expected `n_embd` to be a whole number from 1 to 16777216, found 0");
    refused(json!({"n_embd": "48"}), "found \"48\"");
    refused(json!({"n_embd": -48}), "found -48");
    refused(json!({"n_head": 5}), "expected `n_head` to be a divisor of `n_embd`, found 5 and 64");
    refused(json!({"n_layer": null}), "expected `n_layer` to be a whole number from 0 to 4096, found none");
    refused(json!({"n_layer": 5000}), "`n_layer`");
    refused(json!({"activation_function": "relu"}), "expected `activation_function` to be `gelu_new` or `gelu`");
    refused(json!({"scale_attn_weights": false}), "expected `scale_attn_weights` to be true, found false");
    refused(json!({"scale_attn_by_inverse_layer_idx": true}), "expected `scale_attn_by_inverse_layer_idx` to be false");
    refused(json!({"add_cross_attention": true}), "`add_cross_attention`");
    refused(json!({"layer_norm_epsilon": 0}), "expected `layer_norm_epsilon` to be a number above 0, found 0");
    refused(json!({"tie_word_embeddings": "yes"}), "expected `tie_word_embeddings` to be true or false");
    refused(json!({"quantization_config": {"bits": 4}}), "expected `quantization_config` to be absent");
    refused(json!({"n_embd": 1 << 24, "n_inner": null}), "`n_embd`");
    assert_eq!(read(Family::Gpt2, json!({"n_inner": null})).unwrap().mlp_width, 256);
    assert!(Decoder::from_config(&json!([])).is_err());
}

#[test]
fn llama_names_the_field_at_fault() {
    let refused = |change: Value, expected: &str| refused(Family::Llama, change, expected);
    refused(json!({"hidden_size": null}), "`hidden_size`");
    refused(
        json!({"num_key_value_heads": 3}),
        "expected `num_key_value_heads` to be a divisor of `num_attention_heads`, found 3",
    );
    refused(json!({"num_attention_heads": 5, "num_key_value_heads": null, "head_dim": null}), "a divisor of `hidden_size`");
    refused(json!({"head_dim": 7}), "expected `head_dim` to be even, for rotary positions, found 7");
    refused(json!({"hidden_act": "gelu"}), "expected `hidden_act` to be `silu` or `swish`, found \"gelu\"");
    refused(json!({"attention_bias": 1}), "expected `attention_bias` to be true or false, found 1");
    refused(
        json!({"rope_scaling": {"rope_type": "yarn", "factor": 2}}),
        "expected `rope_scaling.rope_type` to be `default` or `llama3`",
    );
    refused(json!({"rope_scaling": {"type": "linear", "factor": 2}}), "`rope_scaling.type`");
    refused(
        json!({"rope_scaling": {"rope_type": "llama3"}}),
        "expected `rope_scaling.factor` to be a number above 0, found none",
    );
    let scaling = json!({"rope_type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 4});
    refused(json!({"rope_scaling": scaling}), "expected `rope_scaling.high_freq_factor` to be above `low_freq_factor`, found 4");
    refused(json!({"rope_parameters": {"full_attention": {"rope_theta": 1}}}), "`rope_parameters` to be one set of fields");
    refused(json!({"rope_theta": null, "rope_parameters": {"rope_theta": -1}}), "`rope_parameters.rope_theta`");
    refused(json!({"partial_rotary_factor": 0.5}), "expected `partial_rotary_factor` to be 1, found 0.5");
    refused(json!({"rope_scaling": 3}), "expected `rope_scaling` to be a map of fields");
    refused(json!({"intermediate_size": 1e9}), "`intermediate_size`");

    let rotary = |change: Value| match read(Family::Llama, change).unwrap().positions {
        Positions::Rotary(rotary) => rotary,
        Positions::Learned => unreachable!(),
    };
    assert_eq!(rotary(json!({"rope_theta": null})).theta, 10_000.0);
    assert_eq!(rotary(json!({"rope_theta": 7, "rope_parameters": {"rope_theta": 5}})).theta, 5.0); // as transformers has it
    let scaling = json!({"rope_type": "llama3", "factor": 2, "low_freq_factor": 1, "high_freq_factor": 4});
    assert_eq!(rotary(json!({"rope_scaling": scaling})).scaling.unwrap().original_context, 32); // the model's
}

#[test]
fn qwen_names_the_field_at_fault() {
    let window = json!({"use_sliding_window": true, "sliding_window": 16, "max_window_layers": 1});
    refused(Family::Qwen2, window.clone(), "expected `sliding_window` to be null, or no less than `max_position_embeddings`");
    let full = json!({"use_sliding_window": true, "sliding_window": 32, "max_window_layers": 1});
    assert!(read(Family::Qwen2, full).is_ok());
    let none = json!({"use_sliding_window": true, "sliding_window": 16, "max_window_layers": 3});
    assert!(read(Family::Qwen3, none).is_ok(), "of no layer");
    refused(Family::Qwen3, json!({"layer_types": ["full_attention", "linear_attention"]}), "`layer_types`");
    let types = json!({"layer_types": ["full_attention", "sliding_attention"], "use_sliding_window": true, "sliding_window": 16});
    refused(Family::Qwen3, types, "`sliding_window`");
    assert_eq!(read(Family::Qwen3, json!({"head_dim": null})).unwrap().head_dim, 128);
    assert_eq!(read(Family::Qwen2, json!({"num_key_value_heads": null})).unwrap().kv_heads, 4);
    let mut config = Family::Qwen2.write(&small(Family::Qwen2)).unwrap();
    config.as_object_mut().unwrap().shift_remove("num_key_value_heads");
    assert!(Decoder::from_config(&config).unwrap_err().contains("found 32 and 4"), "transformers' own");
}

#[test]
fn gpt_neox_and_olmo2_name_the_field_at_fault() {
    let neox = |change: Value, expected: &str| refused(Family::GptNeox, change, expected);
    neox(
        json!({"rotary_pct": 0.2}),
        "expected `rotary_pct` to be a fraction that rotates an even number of a head's dims, found 0.2 of 16",
    );
    neox(json!({"rotary_pct": 1.5}), "expected `rotary_pct` to be at most 1, found 1.5");
    neox(json!({"hidden_act": "silu"}), "`hidden_act`");
    neox(json!({"num_attention_heads": 5}), "a divisor of `hidden_size`");
    neox(json!({"use_parallel_residual": 3}), "`use_parallel_residual`");
    assert!(!read(Family::GptNeox, json!({"use_parallel_residual": false})).unwrap().parallel);
    refused(Family::Olmo2, json!({"rms_norm_eps": "x"}), "expected `rms_norm_eps` to be a number above 0");
    assert_eq!(read(Family::Olmo2, json!({"rms_norm_eps": null})).unwrap().norm_epsilon, 1e-5);
}

#[test]
fn regattas_own_names_the_field_at_fault() {
    let own = Decoder { logit_cap: Some(30.0), ..small(Family::Llama) }.layout().config;
    assert_eq!((&own["model_type"], &own["logit_cap"], own.get("bias_std")), (&json!("regatta"), &json!(30.0), None));
    let refused = |field: &str, value: Value, expected: &str| {
        let mut config = own.clone();
        config[field] = value;
        let message = Decoder::from_config(&config).unwrap_err();
        assert!(message.contains(expected), "{message}");
    };
    refused("vocab_size", json!(0), "`vocab_size`");
    refused("norm", json!("batch_norm"), "expected `norm` to be as in a study's `model`, found \"batch_norm\"");
    refused("layers", json!(1_000_000), "`layers`");
    refused("speed", json!(1), "`speed`");
    refused("init", json!("x"), "`init`");
    refused("kv_heads", json!(3), "`kv_heads` to divide `heads`");
}
