//! `model:`: every option of a decoder can be named, is spelled out, and can vary.

use super::vary::written_again;
use super::{Desk, check};
use crate::Variant;
use crate::spec::StudyFile;
use regatta_lm::model::{Decoder, Family, Mlp, NormKind, Positions, QkNorm};
use regatta_lm::spec::ModelSpec;

fn file(model: &str, vary: &str) -> StudyFile {
    let text = format!("model: {{{model}}}\nvary: {{{vary}}}\narms: {{a: []}}");
    StudyFile::read(&Desk::with(text).study, &[]).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn decoder(variant: &Variant) -> &Decoder {
    match &variant.study.model {
        ModelSpec::Fresh(fresh) => &fresh.decoder,
        ModelSpec::Init(_) => panic!("a model with fresh weights was expected"),
    }
}

#[test]
fn every_default_is_spelled_out() {
    for family in ["gpt2", "llama", "qwen2", "qwen3", "gpt_neox", "olmo2"] {
        let written = Desk::with(format!("model: {{family: {family}}}\narms: {{a: []}}")).read(&[]).unwrap().to_yaml();
        for field in ModelSpec::FIELDS.iter().filter(|field| **field != "init") {
            assert!(written.lines().any(|line| line.starts_with(&format!("  {field}:"))), "{field}: {written}");
        }
        assert_eq!(Desk::with(&written).read(&[]).unwrap().to_yaml(), written);
    }
}

#[test]
fn every_option_can_vary() {
    let axes = [
        "model.family: [gpt2, llama, qwen2, qwen3, gpt_neox, olmo2]",
        "model.layers: [0, 3]",
        "model.width: [64, 256]",
        "model.heads: [2, 8]",
        "model.kv_heads: [1, 2, 4]",
        "model.head_dim: [8, 16]",
        "model.context: [16, 32]",
        "model.mlp_width: [100, 200]",
        "model.norm: [layer_norm, rms_norm]",
        "model.norm_epsilon: [1.0e-5, 1.0e-6]",
        "model.norm_placement: [before, after]",
        "model.positions: [learned, rotary, {rotary: {fraction: 0.5}}]",
        "model.positions.rotary.theta: [100, 10000]",
        "model.positions.rotary.scaling: [null, {factor: 2, low_frequency: 1, high_frequency: 4, original_context: 8}]",
        "model.mlp: [gelu_tanh, gelu, swiglu]",
        "model.qk_norm: [false, true, all_heads]",
        "model.biases: [true, false, [qkv, mlp]]",
        "model.tied: [true, false]",
        "model.parallel: [true, false]",
        "model.logit_cap: [none, 30]",
        "model.bias_std: [0, 0.02]",
    ];
    for axis in axes {
        for base in ["", "family: gpt_neox", "family: gpt2, positions: {rotary: {theta: 100}}"] {
            let file = file(base, axis);
            assert!(file.variants().len() > 1, "{axis}");
            written_again(&file);
        }
    }
    let file = file("", "model.tied: [true, false], model.norm: [layer_norm, rms_norm]");
    let found: Vec<(bool, NormKind)> =
        file.variants().iter().map(|variant| (decoder(variant).tied, decoder(variant).norm)).collect();
    let (layer, rms) = (NormKind::LayerNorm, NormKind::RmsNorm);
    assert_eq!(found, [(true, layer), (true, rms), (false, layer), (false, rms)]);
    assert_eq!(file.variants()[3].label(), "tied=false,norm=rms_norm");
}

#[test]
fn what_is_not_named_follows_what_varies() {
    let families = file("width: 64, norm: layer_norm", "model.family: [gpt2, llama, qwen3]");
    written_again(&families);
    let found: Vec<&Decoder> = families.variants().iter().map(decoder).collect();
    assert!(found.iter().all(|decoder| decoder.norm == NormKind::LayerNorm && decoder.width == 64));
    assert_eq!([found[0].mlp, found[1].mlp], [Mlp::GeluTanh, Mlp::Swiglu]);
    assert_eq!([found[0].mlp_width, found[1].mlp_width], [256, 176]);
    assert_eq!([found[1].qk_norm, found[2].qk_norm], [QkNorm::None, QkNorm::PerHead]);
    assert_eq!([found[0].positions == Positions::Learned, found[2].positions == Positions::Learned], [true, false]);
    let written = families.study.to_yaml();
    assert!(written.contains("  norm: layer_norm") && !written.contains("tied:") && written.contains("  layers: 4"), "{written}");

    let partly = file("positions: {rotary: {theta: 500}}", "model.family: [llama, gpt_neox]");
    written_again(&partly);
    let fractions = partly.variants().iter().map(|variant| match decoder(variant).positions {
        Positions::Rotary(rotary) => (rotary.theta, rotary.fraction),
        Positions::Learned => (0.0, 0.0),
    });
    assert_eq!(fractions.collect::<Vec<_>>(), [(500.0, 1.0), (500.0, 0.25)]);

    let heads = file("", "model.heads: [2, 8]");
    written_again(&heads);
    let found: Vec<(usize, usize)> = heads.variants().iter().map(decoder).map(|it| (it.kv_heads, it.head_dim)).collect();
    assert_eq!(found, [(2, 64), (8, 16)]);
    let mlps: Vec<usize> =
        file("", "model.mlp: [gelu, swiglu]").variants().iter().map(|variant| decoder(variant).mlp_width).collect();
    assert_eq!(mlps, [512, 352]);
    assert_eq!(decoder(&file("family: llama", "model.width: [64]").variants()[0]).family, Family::Llama);
}

#[test]
fn what_does_not_fit_is_refused_where_it_is() {
    let refused = |model: &str, start: &str, part: &str| check(format!("model: {{{model}}}\narms: {{a: []}}"), start, part);
    refused("kv_head: 2", "x.yaml:1:9: model.kv_head: ", "did you mean `kv_heads`?");
    refused("family: lama", "x.yaml:1:17: model.family: ", "did you mean `llama`?");
    refused("norm: rmsnorm", "x.yaml:1:15: model.norm: ", "did you mean `rms_norm`?");
    refused("qk_norm: all", "x.yaml:1:18: model.qk_norm: ", "expected false, true or `all_heads`");
    refused("biases: [qkb]", "x.yaml:1:18: model.biases.0: ", "did you mean `qkv`?");
    refused("biases: 3", "x.yaml:1:17: model.biases: ", "true, false or a list of `qkv`");
    refused("logit_cap: nne", "x.yaml:1:20: model.logit_cap: ", "did you mean `none`?");
    refused("positions: {rotary: {thta: 1}}", "x.yaml:1:", "did you mean `theta`?");
    refused("positions: {rotary: {fraction: 2}}", "x.yaml:1:", "expected a number above 0 and up to 1, found 2");
    refused("kv_heads: 3", "x.yaml:1:8: model: ", "expected `kv_heads` to divide `heads`");
    refused(
        "biases: false, bias_std: 0.1",
        "x.yaml:1:8: model: ",
        "expected no `bias_std` where no linear map has a bias, found 0.1",
    );
    check("rms_norm: 1\narms: {a: []}", "x.yaml:1:1: ", "unknown name `rms_norm`");
    check("norm: rms_norm\narms: {a: []}", "x.yaml:1:1: ", "did you mean `model.norm`?");
}

#[test]
fn the_largest_model_is_counted_at_once() {
    let started = std::time::Instant::now();
    let largest = "layers: 1000, width: 65536, heads: 4096, head_dim: 4096, mlp_width: 1048576, context: 1048576";
    for family in ["gpt2", "llama", "olmo2"] {
        let text = format!("model: {{family: {family}, {largest}}}\narms: {{a: []}}");
        check(text, "x.yaml:1:8: model: ", "at most 2147483648 parameters, found ");
    }
    assert!(started.elapsed().as_millis() < 500, "{:?}", started.elapsed());
}
