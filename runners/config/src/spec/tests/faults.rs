//! Slips, bombs and noise.

use super::{Desk, WHOLE, check, check_changed};
use crate::Refusal;
use proptest::prelude::*;
use std::time::{Duration, Instant};

/// 51 slips in names; each is refused where it stands, and what was meant is named.
#[test]
fn slips_are_recognised() {
    let slips = "\
        question:>questoin: seeds:>sedes: model:>modle: tokenizer:>tokeniser: data:>dta: train:>trian: evaluate:>evalute: arms:>arm: \
        family:>famliy: layers:>layer: width:>widht: heads:>haeds: mlp_width:>mlp-width: bpe:>bep: vocab_size:>vocabsize: \
        synthetic:>sythetic: zipf:>zpif: classes:>clases: topics:>topic: topic_length:>topiclength: copy:>cpoy: \
        train_tokens:>train_token: validation_tokens:>validaton_tokens: order:>oder: shuffled>shufled steps:>stesp: \
        batch_size:>batchsize: schedule:>schedul: cosine:>cosin: warmup:>warm_up: final:>finale: betas:>beta: \
        weight_decay:>weightdecay: grad_clip:>gradclip: none>nnone dropout:>droput: every:>evry: max_windows:>max_window: \
        regularizer:>regulariser: weight:>wieght: dispersion>dispersoin infonce:>infoNCE: t:>tt: at:>att: site:>stie: points:>point: \
        scale:>Scale: max_points:>maxpoints: hidden_states>hidden_state early_half>early_haf gpt2>gpt";
    let mut unclear = Vec::new();
    for slip in slips.split_whitespace() {
        let (name, slipped) = slip.split_once('>').unwrap();
        let at = (WHOLE.match_indices(name)).find(|(at, _)| !WHOLE[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        let (at, _) = at.unwrap_or_else(|| panic!("{name}"));
        let text = format!("{}{slipped}{}", &WHOLE[..at], &WHOLE[at + name.len()..]);
        let (line, column) =
            (WHOLE[..at].lines().count().max(1), at - WHOLE[..at].rfind('\n').map_or(0, |newline| newline + 1) + 1);
        let line = if column == 1 && at > 0 { line + 1 } else { line };
        let message = Desk::with(text).refusal(&[]);
        assert!(message.starts_with(&format!("x.yaml:{line}:{column}: ")), "{slip}: {message}");
        if !message.contains(&format!("did you mean `{}`?", name.trim_end_matches(':'))) {
            unclear.push(format!("{slip}: {message}"));
        }
    }
    assert!(unclear.is_empty(), "{unclear:#?}");
}

#[test]
fn names_of_other_sections_are_recognised() {
    check("lr: 1\narms: {a: []}", "x.yaml:1:1: lr: unknown name `lr`, ", "did you mean `train.lr`?");
    check("modle:\narms: {a: []}", "x.yaml:1:1: modle: ", "did you mean `model`?"); // nothing behind a name is no way in
    check("tokenizer: {file: }\narms: {a: []}", "x.yaml:1:19: tokenizer.file: ", "expected a path, found nothing");
    check_changed("seeds:", "steps: 3\nseeds:", "x.yaml:3:1: steps: ", "did you mean `train.steps`?");
    check_changed("      weight: 0.1", "      weight: 0.1\n      layers: last", "x.yaml:25:7: ", "did you mean `at.layers`?");
    check_changed("{t: 2}", "{temperature: 2}", "x.yaml:25:31: ", "did you mean `regularizer.dispersion.temperature`?");
    check_changed(
        "{infonce: {t: 2}}",
        "banana",
        "x.yaml:25:20: arms.spread-0.1.1.regularizer: ",
        "expected one of `dispersion`, `infonce`, `vicreg`",
    );
}

/// Refuses within 50 ms, the best of three: the machine may be busy.
fn at_once(refuse: impl Fn() -> Refusal) -> Refusal {
    let timed = || {
        let started = Instant::now();
        (refuse(), started.elapsed())
    };
    let (refusal, took) = (0..3).map(|_| timed()).min_by_key(|(_, took)| *took).unwrap();
    assert!(took < Duration::from_millis(50), "{took:?}: {refusal}");
    refusal
}

#[test]
fn bombs_are_refused_at_once() {
    let aliases: String =
        ('b'..='j').zip('a'..).map(|(to, from)| format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", "))).collect();
    let long = format!("a: &a {}\narms: [{}]", "x".repeat(50_000), ["*a"; 1000].join(", "));
    let bombs = [
        "[".repeat(80_000),
        "{a: ".repeat(20_000),
        "- ".repeat(40_000),
        format!("arms: {}", "[".repeat(80_000)),
        format!("a: &a [1]\n{aliases}"),
        "a: &a [*a, *a]".to_owned(),
        "a: b \"\n".repeat(3) + "c: " + &"[".repeat(80_000),
        " ".repeat(2_000_000),
        long,
    ];
    for bomb in bombs {
        let desk = Desk::with(&bomb);
        at_once(|| desk.read(&[]).unwrap_err());
    }
    let (desk, set) = (Desk::with("arms: {a: []}"), format!("arms={}", "[".repeat(80_000)));
    let refusal = at_once(|| desk.read(&[&set]).unwrap_err());
    assert!(refusal.message.contains("at most 64 deep"), "{refusal}");
}

proptest! {
    #[test]
    fn no_bytes_end_in_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Desk::with(bytes).read(&[]);
    }

    #[test]
    fn no_damage_ends_in_a_panic(cuts in proptest::collection::vec((0..WHOLE.len(), 0..40usize, "[-\\[\\]{}:?,'\"#|>&*!%@a0. \n]{0,4}"), 1..6)) {
        let mut text = WHOLE.to_owned();
        for (at, length, put) in cuts {
            let at = at.min(text.len());
            text.replace_range(at..(at + length).min(text.len()), &put);
        }
        let damaged = Desk::with(&text);
        if let Ok(study) = damaged.read(&[]) {
            prop_assert_eq!(Desk::with(study.to_yaml()).read(&[]).unwrap(), study);
        }
    }
}
