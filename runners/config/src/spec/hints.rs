//! What may have been meant by a name that is not known.

use regatta_core::registry::{self, Kind};
use regatta_lm::spec::{AdamWSpec, At, EvaluateSpec, Home, ModelSpec, SyntheticSpec, TrainSpec};
use serde_json::{Value, json};

/// What was meant by `word` in place of one of `known`, as a sentence; `path` ends at the word.
///
/// First comes a known name that differs by one edit, then the same name in another section, then the nearest known name.
pub(super) fn meant(word: &str, known: &[String], path: &[String]) -> Option<String> {
    if let Some(hint) = moved(path).or_else(|| other_kind(word, known)) {
        return Some(hint);
    }
    let near = near(word, known);
    let slip = near.filter(|near| strsim::damerau_levenshtein(&plain(word), near) <= 1);
    let ask = |name: &str| format!("did you mean `{name}`?");
    slip.map(ask).or_else(|| elsewhere(word, path)).or(near.map(ask)).or_else(|| of_ones_own(known))
}

/// Where a plugin is expected that this program does not link.
fn of_ones_own(known: &[String]) -> Option<String> {
    let cards = registry::cards().unwrap_or_default();
    let of_plugins = !known.is_empty() && known.iter().all(|name| cards.contains_key(name.as_str()));
    of_plugins.then(|| "a plugin of your own is known to the program that links it: `cargo run -- run STUDY` in its crate".into())
}

/// Where a name of older versions went.
fn moved(path: &[String]) -> Option<String> {
    let is_of_adamw = matches!(path, [section, name] if section == "train" && ["betas", "weight_decay"].contains(&&**name));
    is_of_adamw.then(|| {
        let written = "optimizer: {adamw: {betas: [0.9, 0.95], weight_decay: 0.1}}";
        format!("`betas` and `weight_decay` are the optimizer's: write `{written}`")
    })
}

/// Where `word` is a plugin's name, or a field of an entry, and a plugin of the other kind is expected there.
fn other_kind(word: &str, known: &[String]) -> Option<String> {
    if known == ["intervention"] && ["weight", "at", "until"].contains(&word) {
        return Some(format!("an intervention has no `{word}`, it acts on training as a whole"));
    }
    let cards = registry::cards().unwrap_or_default();
    let card = cards.get(word)?;
    let kinds = known.iter().map(|name| cards.get(name.as_str()).map(|card| card.kind.word()));
    let others = !known.is_empty() && kinds.into_iter().all(|kind| kind.is_some_and(|kind| kind != card.kind.word()));
    others.then(|| match card.kind {
        Kind::Regularizer(_) => format!("`{word}` is a regularizer: write `regularizer: {word}`, and a weight"),
        Kind::Intervention(_) => format!("`{word}` is an intervention: write `intervention: {word}`, without a weight"),
    })
}

/// The known name nearest to `word`, whatever its case and dashes.
pub(super) fn near<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    registry::nearest(&plain(word), known.iter().map(String::as_str))
}

/// The known name nearest to what begins `parts`, the parts of a dotted path: names may hold dots.
pub(super) fn near_start<'a>(parts: &[&str], known: &'a [String]) -> Option<&'a str> {
    let starts = (1..=parts.len().min(8)).map(|count| parts[..count].join("."));
    let distance = |start: &str, near: &str| (strsim::damerau_levenshtein(&plain(start), near), std::cmp::Reverse(start.len()));
    let near = starts.filter_map(|start| near(&start, known).map(|near| (distance(&start, near), near)));
    near.min().map(|(_, near)| near)
}

/// The end of a message, where there is something `near`.
pub(super) fn did_you_mean(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

fn plain(word: &str) -> String {
    let short: String = word.chars().take(64).collect(); // the distance takes time quadratic in the length
    short.trim().to_lowercase().replace(['-', ' '], "_")
}

/// Where else `word` is a name.
fn elsewhere(word: &str, path: &[String]) -> Option<String> {
    let places: Vec<String> = match path.first().map(String::as_str) {
        Some("arms") => in_a_term(word, path),
        _ => {
            let sections = sections().into_iter().filter(|(_, names)| names.iter().any(|name| name == word));
            sections.map(|(section, _)| format!("`{section}.{word}`")).collect()
        }
    };
    (!places.is_empty()).then(|| format!("did you mean {}?", places.join(" or ")))
}

/// Names within a term, seen from outside the map that they belong to.
fn in_a_term(word: &str, path: &[String]) -> Vec<String> {
    let within = path.get(3).map_or("", String::as_str);
    if ["regularizer", "weight", "at", "until"].contains(&word) && path.len() > 4 && within != "intervention" {
        return vec![format!("`{word}` of the term, beside `{within}`")];
    }
    if within != "at" && names(json!(At::from(Home::DEFAULT))).iter().any(|name| name == word) {
        return vec![format!("`at.{word}`")];
    }
    let cards = registry::cards().unwrap_or_default().into_values();
    let with_field = cards.filter(|card| card.fields.iter().any(|field| field.name == word));
    with_field.map(|card| format!("`{}.{}.{word}`", card.kind.word(), card.name)).collect()
}

fn sections() -> Vec<(&'static str, Vec<String>)> {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let train = [names(json!(TrainSpec::default())), words(&["context", "tokens_per_parameter"])].concat();
    vec![
        ("model", words(&ModelSpec::FIELDS)),
        ("train", train),
        ("evaluate", names(json!(EvaluateSpec::default()))),
        ("data.synthetic", names(json!(SyntheticSpec::default()))),
        ("data.biographies", words(&["people", "exposures"])), // its other names are rarely meant elsewhere
        ("tune", words(&["metric"])),                          // its other names are more often meant for `train` or a term
        ("train.schedule.cosine", words(&["warmup", "final"])),
        ("train.schedule.wsd", words(&["decay"])),
        ("train.optimizer.adamw", names(json!(AdamWSpec::default()))),
        ("train.optimizer.muon", words(&["momentum", "nesterov"])), // its other names are more often meant for others
    ]
}

fn names(section: Value) -> Vec<String> {
    section.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, known: &[&str], expected: Option<&str>) {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        let known: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(meant(path.last().unwrap(), &known, &path).as_deref(), expected, "{path:?}");
    }

    #[test]
    fn a_slip_then_another_section_then_the_nearest() {
        check("seed", &["seeds", "arms"], Some("did you mean `seeds`?")); // data.synthetic has a `seed`, but this is one slip
        check("steps", &["seeds", "arms"], Some("did you mean `train.steps`?")); // two slips from `seeds`
        check("qestoin", &["question", "arms"], Some("did you mean `question`?"));
        check("context", &["seeds", "arms"], Some("did you mean `model.context` or `train.context`?"));
        check("arms.a.0.layers", &["regularizer", "weight", "at"], Some("did you mean `at.layers`?"));
        check("arms.a.0.at.weight", &["site", "layers"], Some("did you mean `weight` of the term, beside `at`?"));
        check("train.Weight-Decay", &["weight_decay"], Some("did you mean `weight_decay`?"));
        check("weight_decay", &["seeds", "arms"], Some("did you mean `train.optimizer.adamw.weight_decay`?"));
        check("banana", &["seeds", "arms"], None);
    }
}
