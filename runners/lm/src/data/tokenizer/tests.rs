use super::*;
use tempfile::TempDir;

const TEXT: &str = "low low low low lower lower newest newest\n\n  the café's 12 naïve 日本語 \r\n\ttabs\u{a0}and\u{0} nul 🦀\n";

fn decoded(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    match &tokenizer.kind {
        Kind::Bytes => String::from_utf8(ids.iter().map(|&id| id as u8).collect()).unwrap(),
        Kind::Bpe(inner) | Kind::File(inner, _) => inner.decode(ids, false).unwrap(),
    }
}

fn saved(tokenizer: &Tokenizer) -> String {
    let folder = TempDir::new().unwrap();
    tokenizer.save(folder.path()).unwrap();
    std::fs::read_to_string(folder.path().join("tokenizer.json")).unwrap()
}

fn read(json: &str) -> Result<Tokenizer, DataError> {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), json).unwrap();
    Tokenizer::file(&folder.path().join("tokenizer.json"))
}

#[test]
fn merges_by_hand() {
    // "ab" three times is the commonest pair, then "ab" + "c" twice; in the alphabet (by letter, from "!") a is 64, b 65, c 66
    let tokenizer = Tokenizer::bpe("abc\nabc\nab", 258).unwrap();
    assert_eq!(tokenizer.vocab_size(), 258);
    assert_eq!(tokenizer.encode("abcab").unwrap(), [257, 256]);
    assert_eq!(tokenizer.encode("cba").unwrap(), [66, 65, 64]);
}

#[test]
fn a_short_text_yields_what_it_can() {
    assert_eq!(Tokenizer::bpe("abc", 1000).unwrap().vocab_size(), 258); // two merges and no more
    assert_eq!(Tokenizer::bpe("", 1000).unwrap().vocab_size(), 256);
}

#[test]
fn text_comes_back() {
    for tokenizer in [Tokenizer::bytes(), Tokenizer::bpe(TEXT, 300).unwrap(), Tokenizer::bpe("abc", 300).unwrap()] {
        let ids = tokenizer.encode(TEXT).unwrap();
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        assert_eq!(decoded(&tokenizer, &ids), TEXT);
        assert!(tokenizer.encode("").unwrap().is_empty());
    }
    assert_eq!(Tokenizer::bytes().encode("é\n").unwrap(), [0xc3, 0xa9, 10]);
}

#[test]
fn the_same_text_gives_the_same_tokenizer_and_its_file_the_same_tokens() {
    let json = saved(&Tokenizer::bpe(TEXT, 300).unwrap());
    for _ in 0..10 {
        assert_eq!(saved(&Tokenizer::bpe(TEXT, 300).unwrap()), json); // hash maps are keyed afresh each time
    }
    let (trained, read) = (Tokenizer::bpe(TEXT, 300).unwrap(), read(&json).unwrap());
    assert_eq!(trained.vocab_size(), read.vocab_size());
    assert_eq!(trained.encode(TEXT).unwrap(), read.encode(TEXT).unwrap());
}

#[test]
fn the_file_of_bytes_gives_byte_values() {
    let read = read(&saved(&Tokenizer::bytes())).unwrap();
    assert_eq!(read.vocab_size(), 256);
    assert_eq!(read.encode(TEXT).unwrap(), Tokenizer::bytes().encode(TEXT).unwrap());
    assert_eq!([letter(b'a'), letter(b' '), letter(b'\n'), letter(0xad)], ['a', 'Ġ', 'Ċ', 'Ń']);
}

#[test]
fn pieces_do_not_change_the_tokens() {
    // Line breaks of every kind, one piece after the other, against the same text as a whole.
    let text: String =
        (0..20_000).map(|i| ["word", " next", "\n", "\n\n", " \n", "\n  x", "\r\n", "it's"][i * i % 89 % 8]).collect();
    assert!(pieces(&text).len() > 3);
    assert_eq!(pieces(&text).concat(), text);
    let tokenizer = Tokenizer::bpe(&text, 280).unwrap();
    let Kind::Bpe(inner) = &tokenizer.kind else { panic!() };
    assert_eq!(tokenizer.encode(&text).unwrap(), inner.encode_fast(text.as_str(), false).unwrap().get_ids());
}

#[test]
fn a_file_neither_truncates_nor_pads_nor_drops() {
    let mut json: serde_json::Value = serde_json::from_str(&saved(&Tokenizer::bpe(TEXT, 300).unwrap())).unwrap();
    let whole = read(&json.to_string()).unwrap().encode(TEXT).unwrap();
    json["truncation"] = serde_json::json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = serde_json::json!({"strategy": {"Fixed": 999}, "direction": "Right", "pad_to_multiple_of": null,
                                         "pad_id": 0, "pad_type_id": 0, "pad_token": "!"});
    json["model"]["dropout"] = 0.5.into();
    assert_eq!(read(&json.to_string()).unwrap().encode(TEXT).unwrap(), whole);
}

#[test]
fn what_unknown_tokens_and_normalisers_lose_by_hand() {
    let word_level = |normalizer: &str| {
        read(&format!(
            r#"{{"version": "1.0", "added_tokens": [{{"id": 0, "content": "[UNK]", "special": true, "single_word": false,
                 "lstrip": false, "rstrip": false, "normalized": false}}], "normalizer": {normalizer},
                "pre_tokenizer": {{"type": "Whitespace"}},
                "model": {{"type": "WordLevel", "vocab": {{"[UNK]": 0, "one": 1, "two": 2}}, "unk_token": "[UNK]"}}}}"#
        ))
        .unwrap()
    };
    let lost = |tokenizer: &Tokenizer, text: &str| tokenizer.lost(text, &tokenizer.encode(text).unwrap()).unwrap().fraction();
    let plain = word_level("null");
    assert_eq!(lost(&plain, "one two one"), None);
    assert_eq!(lost(&plain, "one  two one"), Some(1.0 / 12.0), "a space of two");
    assert_eq!(lost(&plain, "one два two"), Some(4.0 / 11.0), "a word of three letters that is not known, and a space");
    assert_eq!(lost(&word_level(r#"{"type": "Lowercase"}"#), "One two"), Some(1.0 / 7.0), "a capital");
    let bytes = read(&saved(&Tokenizer::bpe(TEXT, 300).unwrap())).unwrap();
    assert_eq!(lost(&bytes, TEXT), None);
}

#[test]
fn files_that_are_no_tokenizer_are_refused_without_a_panic() {
    let check = |json: &str, expected: &str| {
        let found = read(json).unwrap_err().to_string();
        assert!(
            found.contains("tokenizer.json: expected a tokenizer.json of Hugging Face: ") && found.contains(expected),
            "{found}"
        );
    };
    check("not json", "expected");
    check("{}", "");
    check(&"[".repeat(100_000), "recursion limit");
    let model = |model: &str| format!(r#"{{"version": "1.0", "added_tokens": [], "model": {model}}}"#);
    check(&model(r#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]}"#), r#"needs the token "ab""#);
    check(&model(r#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "c"]]}"#), r#"needs the token "c""#);
    let prefixed =
        r#"{"type": "BPE", "vocab": {"aaa": 0, "b": 1, "aaab": 2}, "merges": ["aaa b"], "continuing_subword_prefix": "%%"}"#;
    check(&model(prefixed), r#"expected "b" to start with "%%""#);
    check(&model(r#"{"type": "BPE", "vocab": {"a": 0}, "merges": ["a"]}"#), "expected a merge of two tokens");
}

/// A tokenizer file of someone else, with one change to its JSON.
fn changed(text: &str, change: impl Fn(&mut serde_json::Value)) -> Tokenizer {
    let mut json: serde_json::Value = serde_json::from_str(&saved(&Tokenizer::bpe(text, 300).unwrap())).unwrap();
    json["added_tokens"] = serde_json::json!([{"id": 300, "content": "<|endoftext|>", "special": true, "single_word": false,
                                               "lstrip": false, "rstrip": false, "normalized": false}]);
    change(&mut json);
    read(&json.to_string()).unwrap()
}

#[test]
fn a_file_by_the_pattern_is_cut_and_its_tokens_are_those_of_the_whole() {
    let parts =
        ["word", " next", "\n", "\n\n", " \n", "\n  x", "\r\n", "it's", "<|endoftext|>", "\u{a0}é日本 ", "\u{2028}", "12 34"];
    let text: String = (0..30_000).map(|i| parts[i * i % 97 % 12]).collect();
    assert!(pieces(&text).len() > 5);
    let tokenizer = changed(&text, |_| {});
    assert!(tokenizer.by_pattern);
    let Kind::File(inner, _) = &tokenizer.kind else { panic!() };
    let whole = inner.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
    assert!(whole.contains(&300), "the added token is in the text");
    assert_eq!(tokenizer.encode(&text).unwrap(), whole);
    assert_eq!(inner.decode(&whole, false).unwrap(), text, "nothing is lost, so nobody need look");
}

#[test]
fn a_file_that_does_more_than_split_by_the_pattern_sees_the_whole_text() {
    let check = |what: &str, change: &dyn Fn(&mut serde_json::Value)| {
        assert!(!changed(TEXT, change).by_pattern, "{what}");
    };
    check("a normalizer", &|json| json["normalizer"] = serde_json::json!({"type": "NFC"}));
    check("a space in front", &|json| json["pre_tokenizer"]["add_prefix_space"] = true.into());
    check("no pattern", &|json| json["pre_tokenizer"]["use_regex"] = false.into());
    check("no decoder", &|json| json["decoder"] = serde_json::Value::Null);
    check("an added token that takes white space", &|json| json["added_tokens"][0]["rstrip"] = true.into());
    check("an added token with white space", &|json| json["added_tokens"][0]["content"] = "a\nb".into());
    check("a marked end", &|json| json["model"]["end_of_word_suffix"] = "</w>".into());
}
