//! The differences between two trials, from the inputs that their identities hash.

use regatta_lm::Device;
use serde_json::Value;

/// Which inputs differ from those of another trial: `train.lr: 0.001, was 0.01`. Of files whose contents changed, `sources` names
/// those that an input is read from.
pub(super) fn differences(now: &Value, was: &Value, sources: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    let (mut found, formulas) = (Vec::new(), [FINGERPRINTS]);
    let [named_now, named_was] = [now, was].map(|inputs| with_device(without(inputs, &formulas)));
    differ(&mut found, String::new(), &named_now, &named_was);
    let words = found.into_iter().map(|(path, now, was)| {
        if !are_other_contents(&now, &was) {
            return format!("{path}: {now}, was {was}");
        }
        let contents = match &sources(&path)[..] {
            [] => "other contents".to_owned(),
            [file] => format!("other contents of {file}"),
            files => format!("other contents of one of {}", files.join(", ")),
        };
        format!("{path}: {contents} than it was trained with")
    });
    words.chain(other_formulas(now, was)).collect()
}

/// Whether two trials differ in the contents of their files alone.
pub(super) fn differ_in_contents(now: &Value, was: &Value) -> bool {
    let mut found = Vec::new();
    differ(&mut found, String::new(), now, was);
    !found.is_empty() && found.iter().all(|(_, now, was)| are_other_contents(now, was))
}

/// Whether two values that differ are the same but for hashes of contents, which tell a reader nothing.
fn are_other_contents(now: &Value, was: &Value) -> bool {
    fn without_hashes(value: &Value) -> Value {
        match value {
            Value::String(text) if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => "#".into(),
            Value::Array(list) => list.iter().map(without_hashes).collect(),
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), without_hashes(value))).collect(),
            other => other.clone(),
        }
    }
    now != was && without_hashes(now) == without_hashes(was)
}

/// The code or the device that differs, where two trials have the same settings.
pub(super) fn differing_code(now: &Value, was: &Value) -> Option<Code> {
    let same = |keys: &[&str]| without(now, keys) == without(was, keys);
    if !was.is_object() || now == was {
        None
    } else if same(&[FINGERPRINTS]) {
        Some(Code::Formulas)
    } else if same(&[FINGERPRINTS, "program", "versions"]) {
        Some(Code::Versions)
    } else {
        same(&[FINGERPRINTS, "program", "versions", ENGINE, DEVICE]).then_some(Code::Device)
    }
}

/// What differs between two trials of the same settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Versions of the program or of plugins.
    Versions,
    /// What plugins compute.
    Formulas,
    /// The engine or the kind of device that trained them; versions and formulas may differ too.
    Device,
}

impl Code {
    /// The word in messages.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Formulas => "formulas",
            Self::Device => "devices",
        }
    }
}

/// The input that holds what each listed plugin computes.
pub(crate) const FINGERPRINTS: &str = "fingerprints";

/// The inputs that hold the engine and the kind of device, where they are not those of `cpu`.
pub(super) const ENGINE: &str = "engine";
pub(super) const DEVICE: &str = "device";

/// The same inputs with engine and device named, also where they are those that go without saying.
fn with_device(mut inputs: Value) -> Value {
    if let Some(inputs) = inputs.as_object_mut() {
        for (key, usual) in [(ENGINE, Device::default().engine()), (DEVICE, Device::default().kind())] {
            inputs.entry(key).or_insert_with(|| usual.into());
        }
    }
    inputs
}

fn without(inputs: &Value, keys: &[&str]) -> Value {
    let mut inputs = inputs.clone();
    if let Some(inputs) = inputs.as_object_mut() {
        inputs.retain(|key, _| !keys.contains(&key.as_str()));
    }
    inputs
}

/// In words, of plugins that are listed alike in both and compute something else.
fn other_formulas(now: &Value, was: &Value) -> Vec<String> {
    let mut words = Vec::new();
    for (place, listed) in now["terms"].as_array().into_iter().flatten().enumerate() {
        let of = |inputs: &Value, key: &str| inputs[key][place].clone();
        let Some((kind, plugin)) = ["regularizer", "intervention"].iter().find_map(|&kind| Some((kind, listed.get(kind)?)))
        else {
            continue;
        };
        let name = plugin.as_object().and_then(|plugin| plugin.keys().next()).map_or("", String::as_str);
        let (mine, theirs) = (of(now, FINGERPRINTS), of(was, FINGERPRINTS));
        if mine == theirs || was["terms"][place].get(kind) != Some(plugin) {
            continue;
        }
        let version = of(now, "versions");
        let under = if version == of(was, "versions") { format!(" under the same version, {version}") } else { String::new() };
        words.push(match (mine.is_null(), theirs.is_null()) {
            (false, false) => format!("{kind} `{name}` computes something else than it did{under}"),
            (true, _) => format!("whether {kind} `{name}` computes what it did cannot be told: it could not be measured now"),
            (_, true) => format!("whether {kind} `{name}` computes what it did cannot be told: it was not measured then"),
        });
    }
    words.dedup();
    words
}

fn differ(found: &mut Vec<(String, Value, Value)>, path: String, now: &Value, was: &Value) {
    match (now, was) {
        (Value::Object(now), Value::Object(was)) => {
            let keys: std::collections::BTreeSet<&String> = now.keys().chain(was.keys()).collect();
            let dot = if path.is_empty() { "" } else { "." };
            for key in keys {
                let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                differ(found, format!("{path}{dot}{key}"), &value(now), &value(was));
            }
        }
        _ if now == was => {}
        _ => found.push((path, now.clone(), was.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn differences(now: &Value, was: &Value) -> Vec<String> {
        super::differences(now, was, &|_| Vec::new())
    }

    #[test]
    fn differences_are_named_by_their_paths() {
        let now = json!({"train": {"lr": 0.1, "steps": 3}, "terms": [1]});
        let other = json!({"train": {"lr": 0.2, "steps": 3}, "terms": [1], "seed": 1});
        assert_eq!(differences(&now, &other), ["seed: null, was 1", "train.lr: 0.1, was 0.2"]);
        assert!(differences(&now, &now).is_empty());
    }

    #[test]
    fn of_other_contents_the_file_is_named_and_no_hash() {
        let [one, other] = ["5", "e"].map(|digit| digit.repeat(64));
        let inputs = |hash: &str, lr: f64| json!({"tokens": hash, "evaluate": {"minimal_pairs": [{"task": "agreement", "items": hash}]}, "train": {"lr": lr}});
        let sources = |input: &str| if input == "tokens" { vec!["a.txt".to_owned()] } else { vec!["b".into(), "c".into()] };
        let (now, was) = (inputs(&one, 0.1), inputs(&other, 0.1));
        assert_eq!(
            super::differences(&now, &was, &sources),
            [
                "evaluate.minimal_pairs: other contents of one of b, c than it was trained with",
                "tokens: other contents of a.txt than it was trained with",
            ]
        );
        let nowhere = differences(&now, &was);
        assert_eq!(nowhere[1], "tokens: other contents than it was trained with");
        assert!(differ_in_contents(&now, &was) && !differ_in_contents(&now, &now));
        assert!(!differ_in_contents(&now, &inputs(&other, 0.2)), "a setting differs too");
        assert!(!differ_in_contents(&json!({"tokens": one}), &json!({"tokens": "none"})));
    }

    #[test]
    fn other_versions_are_told_from_other_settings() {
        let now = json!({"program": "2", "versions": ["1"], "seed": 0});
        let code = |other: Value| differing_code(&now, &other);
        assert_eq!(code(json!({"program": "1", "versions": ["1"], "seed": 0})), Some(Code::Versions));
        assert_eq!(code(json!({"program": "2", "versions": ["1"], "seed": 0, "fingerprints": []})), Some(Code::Formulas));
        assert_eq!(code(json!({"program": "1", "versions": ["1"], "seed": 1})), None);
        assert_eq!((code(now.clone()), code(json!(null))), (None, None));
    }

    #[test]
    fn another_device_is_named_and_told_from_other_settings() {
        let on =
            |engine: &str, device: &str, seed: u64| json!({"program": "2", "seed": seed, "engine": engine, "device": device});
        let (cpu, candle, cuda) = (json!({"program": "2", "seed": 0}), on("candle", "cpu", 0), on("candle", "cuda", 0));
        let engine = r#"engine: "candle", was "kernels""#;
        assert_eq!(differences(&candle, &cpu), [engine]);
        assert_eq!(differences(&cuda, &cpu), [r#"device: "cuda", was "cpu""#, engine]);
        assert_eq!(differences(&cpu, &cuda), [r#"device: "cpu", was "cuda""#, r#"engine: "kernels", was "candle""#]);
        assert_eq!(differences(&cuda, &candle), [r#"device: "cuda", was "cpu""#]);
        assert!(differences(&cpu, &cpu).is_empty() && differences(&cuda, &cuda).is_empty());
        assert_eq!(differing_code(&cuda, &cpu), Some(Code::Device));
        assert_eq!(
            differing_code(&cpu, &json!({"program": "1", "seed": 0, "engine": "candle", "device": "cuda"})),
            Some(Code::Device)
        );
        assert_eq!(differing_code(&cuda, &on("candle", "cuda", 1)), None, "another seed");
        assert_eq!(differing_code(&cuda, &json!({"program": "2", "seed": 1})), None, "another device and seed");
    }

    #[test]
    fn another_formula_is_said_of_the_plugin_that_has_it() {
        let inputs = |temperature: f64, versions: Value, fingerprints: Value| {
            let terms = json!([{"regularizer": {"a": {"t": 1}}}, {"regularizer": {"b": {"t": temperature}}}]);
            json!({"terms": terms, "versions": versions, "fingerprints": fingerprints})
        };
        let now = inputs(0.5, json!(["1", "2"]), json!(["x", "y"]));
        let words = |temperature, versions, fingerprints| differences(&now, &inputs(temperature, versions, fingerprints));
        let other = "regularizer `b` computes something else than it did";
        assert_eq!(words(0.5, json!(["1", "2"]), json!(["x", "z"])), [format!("{other} under the same version, \"2\"")]);
        assert_eq!(words(0.5, json!(["1", "1"]), json!(["x", "z"]))[1], other);
        let unknown = "whether regularizer `b` computes what it did cannot be told: it was not measured then";
        assert_eq!(words(0.5, json!(["1", "2"]), json!(["x", null])), [unknown]);
        assert_eq!(words(0.7, json!(["1", "2"]), json!(["x", "z"])).len(), 1, "another field is why it computes something else");
        let missing = words(0.5, json!(["1", "2"]), json!(null));
        assert!(missing[0].contains("`a`") && missing[1] == unknown && missing.len() == 2, "{missing:?}");
    }
}
