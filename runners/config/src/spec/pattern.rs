//! What a path of `vary` stands for: the fields of a study that it writes.

use super::refusal::in_one_line;
use super::{hints, path};
use serde_json::Value;

/// The fields that `dotted` writes, each as keys and indices down to it; `whole` is the study with every default spelled out.
///
/// `*` stands for every arm, or every item of a list, that has the rest of the path. A path without it may name what is not
/// there yet: whether it belongs there, the types say.
///
/// # Errors
/// When it is no path, when what it names may not vary, or when no arm has it, in words.
pub(super) fn fields(whole: &Value, dotted: &str) -> Result<Vec<Vec<String>>, String> {
    let parts: Vec<&str> = dotted.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) || parts.len() > path::MAX_STEPS {
        return Err("expected a dotted path, as in `train.lr` or `arms.*.0.weight`".into());
    }
    fixed(&parts)?;
    if parts[0] != "arms" && !parts.contains(&"*") {
        return Ok(vec![path::split(whole, dotted)]);
    }
    let mut search = Search { parts: &parts, steps: Vec::new(), found: Vec::new(), stuck: None };
    search.follow(whole, 0);
    if !search.found.is_empty() {
        return Ok(search.found);
    }
    match search.stuck {
        // Below an arm that is there, the types know what is missing.
        Some(stuck) if !parts.contains(&"*") && stuck.at > 1 => Ok(vec![path::split(whole, dotted)]),
        Some(stuck) => Err(stuck.message(&parts)),
        None => Err("expected a path that an arm of the study has, found none".into()),
    }
}

/// What is the same at every point, and why.
fn fixed(parts: &[&str]) -> Result<(), String> {
    let why = match parts {
        ["name" | "question", ..] => "it says which study this is",
        ["seeds", ..] => "every point has the same seeds, or differences could not be paired",
        ["evaluate", ..] => "what is measured the same way can be compared",
        ["vary" | "tune" | "extends", ..] => "it says how the study is made",
        ["arms"] | ["arms", "*"] => {
            return Err("expected a path within an arm, as in `arms.*.0.weight`: every point compares the same arms".into());
        }
        ["*", ..] => return Err("expected a section before `*`, which stands for every arm or every item of a list".into()),
        _ => return Ok(()),
    };
    Err(format!("expected a field that may vary, found `{}`: {why}", parts[0]))
}

struct Search<'a> {
    parts: &'a [&'a str],
    steps: Vec<String>,
    found: Vec<Vec<String>>,
    stuck: Option<Stuck>,
}

/// Where the longest way that leads nowhere ends.
struct Stuck {
    /// How many parts of the path were followed.
    at: usize,
    /// Names that are there.
    known: Vec<String>,
    /// Items that are there, in a list.
    items: Option<usize>,
}

impl Search<'_> {
    fn follow(&mut self, here: &Value, at: usize) {
        let Some(&part) = self.parts.get(at) else {
            self.found.push(self.steps.clone());
            return;
        };
        match here {
            Value::Object(map) if part == "*" && self.steps == ["arms"] => {
                map.iter().for_each(|(name, value)| self.step(name.clone(), value, at + 1));
            }
            Value::Object(map) if part != "*" => {
                let count = path::longest_key(map, &self.parts[at..]);
                let key = self.parts[at..at + count].join(".");
                match map.get(&key) {
                    Some(value) => self.step(key, value, at + count),
                    None => self.stop(at, map.keys().cloned().collect(), None),
                }
            }
            Value::Array(list) if part == "*" && !list.is_empty() => {
                list.iter().enumerate().for_each(|(index, value)| self.step(index.to_string(), value, at + 1));
            }
            Value::Array(list) => match part.parse::<usize>().ok().and_then(|index| list.get(index)) {
                Some(value) => self.step(part.to_owned(), value, at + 1),
                None => self.stop(at, Vec::new(), Some(list.len())),
            },
            _ => self.stop(at, Vec::new(), None),
        }
    }

    fn step(&mut self, step: String, value: &Value, at: usize) {
        self.steps.push(step);
        self.follow(value, at);
        self.steps.pop();
    }

    fn stop(&mut self, at: usize, known: Vec<String>, items: Option<usize>) {
        match &mut self.stuck {
            Some(stuck) if stuck.at > at => {}
            Some(stuck) if stuck.at == at => {
                stuck.known.extend(known);
                stuck.items = stuck.items.max(items);
            }
            stuck => *stuck = Some(Stuck { at, known, items }),
        }
    }
}

impl Stuck {
    fn message(&self, parts: &[&str]) -> String {
        let (word, before) = (in_one_line(parts[self.at]), in_one_line(&parts[..self.at].join(".")));
        if word == "*" && self.items.is_none() {
            return format!("expected `*` for an arm or for the items of a list, found it in `{before}`");
        }
        if let (Some(items), true) = (self.items, self.known.is_empty()) {
            return match items {
                0 => format!("expected a path that an arm of the study has, found `{before}` an empty list"),
                _ => format!("expected an index from 0 to {} in `{before}`, found `{word}`", items - 1),
            };
        }
        let rest = &parts[self.at..];
        let hint = hints::did_you_mean(hints::near_start(rest, &self.known));
        format!("expected a path that an arm of the study has, found no `{word}` in `{before}`{hint}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(path: &str, expected: Result<&[&str], &str>) {
        let whole = json!({
            "train": {"lr": 1, "optimizer": {"adamw": {"betas": [0.9, 0.95]}}},
            "arms": {
                "baseline": [],
                "a.5": [{"regularizer": {"spread": {"scale": 1}}, "weight": 1}, {"regularizer": {"cone": {}}, "weight": 2}],
                "b": [{"regularizer": {"cone": {}}, "weight": {"from": 0, "to": 1, "steps": 3}}],
            },
        });
        match (fields(&whole, path), expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.iter().map(|steps| steps.join("/")).collect::<Vec<_>>(), expected, "{path}");
            }
            (Err(found), Err(part)) => assert!(found.contains(part), "{path}: {found}"),
            (found, expected) => panic!("{path}: {found:?} where {expected:?} was expected"),
        }
    }

    #[test]
    fn a_star_stands_for_what_has_the_rest() {
        check("train.lr", Ok(&["train/lr"]));
        check("train.steps", Ok(&["train/steps"])); // not spelled out here; the types know
        check("arms.*.0.weight", Ok(&["arms/a.5/0/weight", "arms/b/0/weight"]));
        check("arms.*.*.weight", Ok(&["arms/a.5/0/weight", "arms/a.5/1/weight", "arms/b/0/weight"]));
        check("arms.*.0.weight.to", Ok(&["arms/b/0/weight/to"]));
        check("arms.*.*.regularizer.spread.scale", Ok(&["arms/a.5/0/regularizer/spread/scale"]));
        check("arms.a.5.1", Ok(&["arms/a.5/1"]));
        check("train.optimizer.adamw.betas.*", Ok(&["train/optimizer/adamw/betas/0", "train/optimizer/adamw/betas/1"]));
        check("arms.b.0.wieght", Ok(&["arms/b/0/wieght"])); // refused where the study is typed, with the names of a term
    }

    #[test]
    fn what_nothing_has_is_refused() {
        check("arms.*.0.wieght", Err("found no `wieght` in `arms.*.0`; did you mean `weight`?"));
        check("arms.*.2.weight", Err("expected an index from 0 to 1 in `arms.*`, found `2`"));
        check("arms.a.6.0.weight", Err("found no `a` in `arms`; did you mean `a.5`?"));
        check("arms.*.0.regularizer.spred.scale", Err("did you mean `spread`?"));
        check("arms.baseline.*.weight", Err("found `arms.baseline` an empty list"));
        check("train.*", Err("expected `*` for an arm or for the items of a list, found it in `train`"));
        check("*.lr", Err("expected a section before `*`"));
        check("train..lr", Err("expected a dotted path"));
        check("", Err("expected a dotted path"));
    }

    #[test]
    fn what_makes_points_comparable_does_not_vary() {
        for path in ["name", "question", "seeds", "seeds.0", "evaluate.every", "vary", "tune.lr", "extends"] {
            check(path, Err("expected a field that may vary, found `"));
        }
        check("arms", Err("expected a path within an arm"));
        check("arms.*", Err("expected a path within an arm"));
    }
}
