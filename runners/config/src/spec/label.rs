//! The name of a point: that of a folder on any file system, and of a row in a table.

use super::vary::Assignment;
use regatta_core::forms::canonical;
use serde_json::Value;

/// Bytes that a label may have.
const MAX_BYTES: usize = 200;
/// Hexadecimal digits of a hash.
const DIGITS: usize = 12;

/// The label of `point`, among the `paths` that vary: `lr=0.0003,width=64`.
///
/// A path is shortened to the last parts that no other has. Where the label does not say the whole point (a letter that a file
/// system may not keep, a list, too many bytes) a hash of the point ends it, so that two points never share one.
pub(super) fn label(point: &[Assignment], paths: &[&str]) -> String {
    let mut whole = true;
    let mut written = |text: &str, plain: bool| {
        let kept: String = text.chars().map(|c| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' }).collect();
        whole &= plain && kept == text && !text.ends_with('.');
        kept
    };
    let parts: Vec<String> = point
        .iter()
        .map(|Assignment { path, value }| {
            let name = short(path, paths);
            let name = written(&name.replace('*', "all"), !name.contains('*'));
            let value = match value {
                Value::String(word) => written(word.rsplit(['/', '\\']).next().unwrap_or_default(), is_plain(word)),
                Value::Number(_) | Value::Bool(_) => written(&value.to_string(), true),
                other => written(other.to_string().trim_matches(['[', ']', '{', '}']), false),
            };
            format!("{name}={value}")
        })
        .collect();
    let label = parts.join(",");
    if whole && label.len() <= MAX_BYTES {
        return label;
    }
    let all: Vec<String> = point.iter().map(|set| format!("{}={}", set.path, canonical(&set.value))).collect();
    let hash = blake3::hash(all.join("\n").as_bytes()).to_hex();
    format!("{}-{}", &label[..label.len().min(MAX_BYTES - DIGITS - 1)], &hash[..DIGITS])
}

/// The last parts of `path` that no other of `paths` ends with.
fn short<'a>(path: &'a str, paths: &[&str]) -> &'a str {
    let ends_with = |other: &str, end: &str| other == end || other.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'));
    let ends = path.rmatch_indices('.').map(|(dot, _)| &path[dot + 1..]);
    ends.into_iter()
        .filter(|end| end.parse::<usize>().is_err()) // an index says little by itself
        .find(|end| !paths.iter().any(|other| *other != path && ends_with(other, end)))
        .unwrap_or(path)
}

/// A word that is read back as it is, on a file system that does not keep case too, and is not taken for a number.
fn is_plain(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && !word.contains(|c: char| c.is_ascii_uppercase())
        && !["true", "false", "null"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(point: &[(&str, Value)], paths: &[&str], expected: &str) {
        let point: Vec<Assignment> =
            point.iter().map(|(path, value)| Assignment { path: (*path).into(), value: value.clone() }).collect();
        let paths: Vec<&str> = point.iter().map(|set| set.path.as_str()).chain(paths.iter().copied()).collect();
        let found = label(&point, &paths);
        assert!(found.len() <= MAX_BYTES, "{found}");
        match expected.strip_suffix('#') {
            Some(start) => {
                let hash = found.strip_prefix(start).unwrap_or_else(|| panic!("{found}"));
                assert!(hash.len() == DIGITS + 1 && hash[1..].chars().all(|c| c.is_ascii_hexdigit()), "{found}");
            }
            None => assert_eq!(found, expected),
        }
    }

    #[test]
    fn paths_are_as_short_as_they_can_be() {
        check(&[("train.lr", json!(3e-4)), ("model.width", json!(64))], &[], "lr=0.0003,width=64");
        check(&[("train.context", json!(8))], &["model.context"], "train.context=8");
        check(&[("arms.a.0.weight", json!(-0.5))], &["arms.a.1.weight"], "0.weight=-0.5");
        check(&[("arms.a.0.weight", json!(1))], &["arms.b.0.weight"], "a.0.weight=1");
        check(&[("train.optimizer.adamw.betas.0", json!(0.5))], &[], "betas.0=0.5");
        check(&[("train.grad_clip", json!("none"))], &["weight"], "grad_clip=none");
        check(&[("model", json!("a"))], &[], "model=a");
        check(&[], &["train.lr"], "");
    }

    #[test]
    fn what_a_name_cannot_hold_has_a_hash() {
        check(&[("data.text.file", json!("/home/a b/c.txt"))], &[], "file=c.txt#");
        check(&[("train.x", json!("A"))], &[], "x=A#");
        check(&[("train.x", json!("1"))], &[], "x=1#");
        check(&[("train.x", json!("a."))], &[], "x=a.#");
        check(&[("arms.a.0.at.layers", json!([1, 2]))], &[], "layers=1-2#");
        check(&[("arms.*.0.weight", json!(1))], &["arms.a.0.weight"], "all.0.weight=1#");
        let long = "x".repeat(300);
        check(&[("train.x", json!(long))], &[], &format!("x={}#", &long[..MAX_BYTES - DIGITS - 3]));
    }
}
