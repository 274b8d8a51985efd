//! Whatever is read from outside, no bytes end in a panic: 10,000 cases each. More: `PROPTEST_CASES=1000000 cargo test --release
//! --workspace --test noise`, and `fuzz/`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use regatta_tests as read;
use std::time::{Duration, Instant};

fn never_panics(strategy: impl Strategy<Value = Vec<u8>>, reads: fn(&[u8])) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(10_000);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = TestRunner::new_with_rng(config, random).run(&strategy, |bytes| {
        let started = Instant::now();
        reads(&bytes);
        prop_assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        Ok(())
    });
    run.unwrap();
}

/// Bytes of these parts by turns, right and wrong.
fn of_parts(parts: &'static str, most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(parts, 0..most).prop_map(|parts| parts.concat().into_bytes()),
        vec(any::<u8>(), 0..200),
        (vec(parts, 0..most), vec(any::<u8>(), 0..9)).prop_map(|(parts, more)| [parts.concat().into_bytes(), more].concat()),
    ]
}

#[test]
fn studies() {
    let parts = "(arms|baseline|train|model|vary|tune|extends|data|name|steps|weight|regularizer|dispersion|: |:|\\[\\]|\\{|\\}|\\[|\\]|, |\n|\n  |\n    |- |1|0\\.5|1e400|-1|none|~|&a|\\*a|!!int|'|\"|#|\\||>|%|---\n|\\PC)";
    never_panics(of_parts(parts, 40), read::study);
}

#[test]
fn overrides() {
    let parts = "(train|arms|spread|vary|tune|\\.|\\.|=|0|lr|weight|\\[|\\]|\\{|\\}|: |,|1e-3|~|\\*|\\PC)";
    never_panics(of_parts(parts, 12), read::set);
}

#[test]
fn metrics() {
    let parts = "(\\{\"step\":0,\"loss\":1.5,\"penalty\":\"NaN\",\"terms\":\\{\\},\"grad_norm\":1,\"lr\":0.1,\"tokens_per_second\":5\\}\n|\n|\\{|\\}|\"step\":|1e999|null|\"inf\"|\\[\\[\\[|\\PC)";
    never_panics(of_parts(parts, 8), read::metrics);
}

#[test]
fn checkpoints() {
    let parts = "(\\{\"schema\":1,\"identity\":\"identity\",\"attempt\":1,\"steps\":1,\"files\":\\{|\"model.safetensors\":|\"\\.\\./x\":|\\{\"bytes\":|\"blake3\":\"\"|9|18446744073709551615|,|\\}|\\}\\}|\u{8}\0\0\0\0\0\0\0|\\PC)";
    let header = (
        any::<u64>(),
        "(\\{\"wte.weight\":\\{\"dtype\":\"F32\",\"shape\":\\[5,4\\],\"data_offsets\":\\[0,80\\]\\}\\}|\\PC{0,40})",
    );
    let header = header.prop_map(|(length, text)| [&length.to_le_bytes()[..], text.as_bytes()].concat());
    never_panics(prop_oneof![of_parts(parts, 12), header], read::checkpoint);
}

#[test]
fn configs() {
    let fields = "(\"model_type\":|\"(gpt2|llama|qwen2|qwen3|gpt_neox|olmo2|regatta)\",|\"vocab_size\":|\"(hidden_size|n_embd|width)\":|\"(num_attention_heads|n_head|heads)\":|\"(num_hidden_layers|n_layer|layers)\":|\"(max_position_embeddings|n_positions|context)\":|\"intermediate_size\":|\"head_dim\":|\"rope_scaling\":\\{|\"rope_type\":\"llama3\",|\"factor\":|\"rotary_pct\":|\"positions\":|null,|16,|4,|2,|0\\.5,|-1,|1e999,|16777216,|18446744073709551616,|true,|\\}|\\[|\\PC)";
    let whole = of_parts(fields, 30).prop_map(|bytes| [b"{", &bytes[..], b"\"end\":0}"].concat());
    never_panics(prop_oneof![whole, of_parts(fields, 12)], read::config);
}

#[test]
fn weights() {
    let header = (
        any::<u64>(),
        "(\\{\"wte.weight\":\\{\"dtype\":\"(F32|BF16|U8|F4)\",\"shape\":\\[5,4\\],\"data_offsets\":\\[0,80\\]\\}\\}|\\PC{0,40})",
    );
    let header = header.prop_map(|(length, text)| {
        let length = if length % 2 == 0 { text.len() as u64 } else { length };
        [&length.to_le_bytes()[..], text.as_bytes(), &[0; 80]].concat()
    });
    let operations: Vec<&[u8]> = vec![
        b"\x80\x02",
        b"}",
        b"X\x0a\0\0\0wte.weight",
        b"X\x07\0\0\0storage",
        b"X\x01\0\0\x000",
        b"ctorch\nFloatStorage\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ccollections\nOrderedDict\n",
        b"cos\nsystem\n",
        b"(",
        b"K\x05K\x04\x86",
        b"K\x04K\x01\x86",
        b"J\xff\xff\xff\xff",
        b"\x8a\x08\0\0\0\0\0\0\0\x80",
        b"K\0",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"Q",
        b")",
        b"R",
        b"q\0",
        b"h\0",
        b"s",
        b"u",
        b"b",
        b"a",
        b"e",
        b"N",
        b".",
    ];
    let pickle = (vec(proptest::sample::select(operations), 0..60), vec(any::<u8>(), 0..4));
    let pickle = pickle.prop_map(|(operations, more)| [operations.concat(), more].concat());
    let index = of_parts(
        "(\\{\"weight_map\":\\{|\"wte.weight\":|\"model.safetensors\"|\"\\.\\./x.safetensors\"|\"config.json\"|,|\\}|\\}\\}|1|\\PC)",
        8,
    );
    never_panics(prop_oneof![header, pickle, index, vec(any::<u8>(), 0..200)], read::weights);
}

#[test]
fn token_files() {
    let small = vec(0u16..310, 0..400).prop_map(|tokens| tokens.iter().flat_map(|token| token.to_le_bytes()).collect());
    never_panics(prop_oneof![small, vec(any::<u8>(), 0..400)], read::tokens);
}

#[test]
fn an_override_with_a_line_break_is_refused_in_one_line() {
    read::set(b"spread.vary=\n)"); // spread is not a section, so the error is about the whole override
}

/// Found by fuzzing: a name of two lines, given twice.
#[test]
fn a_name_with_a_line_break_is_refused_in_one_line() {
    read::study(br#"{"a\nb": 1, "a\nb": 2}"#);
    read::set(br#"train={"a\nb": 1, "a\nb": 2}"#);
}
