//! The settings of trials, as columns of a table.

use regatta_export::Setting;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What a trial is trained with, by dotted names: `model.width`, `train.lr`, and of each listed plugin `dispersion.weight`.
///
/// A second term of the same plugin is called `dispersion.1`, as it is in `metrics.jsonl`. Lists and ramps become JSON text.
pub(super) fn of_trial(inputs: &Value) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    for section in ["model", "train"] {
        add(&mut settings, section, &inputs[section]);
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    for term in inputs["terms"].as_array().into_iter().flatten().filter_map(Value::as_object) {
        let listed = ["regularizer", "intervention"].iter().find_map(|kind| term.get(*kind));
        let (plugin, fields) = match listed {
            Some(Value::String(plugin)) => (plugin.as_str(), &Value::Null),
            Some(Value::Object(plugin)) if !plugin.is_empty() => plugin.iter().next().map_or(("", &Value::Null), |(n, f)| (n, f)),
            _ => continue, // a learning rate, which is among the settings of training
        };
        let count = counts.entry(plugin).or_default();
        let name = if *count == 0 { plugin.to_owned() } else { format!("{plugin}.{count}") };
        *count += 1;
        add(&mut settings, &name, fields);
        for (field, value) in term.iter().filter(|(field, _)| !["regularizer", "intervention"].contains(&field.as_str())) {
            match field.as_str() {
                "weight" => drop(settings.insert(format!("{name}.{field}"), setting(value))),
                _ => add(&mut settings, &format!("{name}.{field}"), value),
            }
        }
    }
    settings
}

fn add(settings: &mut BTreeMap<String, Setting>, name: &str, value: &Value) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| add(settings, &format!("{name}.{field}"), value)),
        Value::Null => {}
        value => drop(settings.insert(name.to_owned(), setting(value))),
    }
}

fn setting(value: &Value) -> Setting {
    match value {
        Value::Bool(flag) => Setting::Flag(*flag),
        Value::Number(number) => Setting::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Setting::Text(text.clone()),
        other => Setting::Text(other.to_string()),
    }
}

/// Keeps what tells trials apart: weights, and settings of which some trial has another value. One that is a number here and text
/// there, such as a weight beside a ramp, is text everywhere, as a column has one type.
pub(super) fn keep_what_differs(all: &mut [BTreeMap<String, Setting>]) {
    let mut values = BTreeMap::<String, Vec<&Setting>>::new();
    for (name, setting) in all.iter().flatten() {
        let known = values.entry(name.clone()).or_default();
        if !known.contains(&setting) {
            known.push(setting);
        }
    }
    let kept = |(name, known): &(&String, &Vec<&Setting>)| name.ends_with(".weight") || known.len() > 1;
    let names: BTreeSet<String> = values.iter().filter(kept).map(|(name, _)| name.clone()).collect();
    let is_mixed = |known: &Vec<&Setting>| known.windows(2).any(|pair| !same_type(pair[0], pair[1]));
    let mixed: BTreeSet<String> = values.iter().filter(|(_, known)| is_mixed(known)).map(|(name, _)| name.clone()).collect();
    for settings in all {
        settings.retain(|name, _| names.contains(name));
        for (_, setting) in settings.iter_mut().filter(|(name, _)| mixed.contains(*name)) {
            *setting = Setting::Text(words(setting));
        }
    }
}

fn same_type(one: &Setting, other: &Setting) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn words(setting: &Setting) -> String {
    match setting {
        Setting::Number(number) => number.to_string(),
        Setting::Text(text) => text.clone(),
        Setting::Flag(flag) => flag.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(text: &str) -> Setting {
        Setting::Text(text.into())
    }

    #[test]
    fn terms_are_named_after_their_plugins() {
        let settings = of_trial(&json!({
            "model": {"width": 16, "tied": true},
            "train": {"lr": 0.001, "optimizer": {"adamw": {"betas": [0.9, 0.95]}}},
            "terms": [
                {"regularizer": {"dispersion": {"temperature": 0.5}}, "weight": 0.1, "at": {"layers": "all"}},
                {"regularizer": {"dispersion": {"temperature": 1.0}}, "weight": {"from": 0.0, "to": 0.1, "steps": 9}},
                {"intervention": "noisy"},
                {"lr": 0.5},
            ],
            "seed": 3,
        }));
        let expected = [
            ("dispersion.1.temperature", Setting::Number(1.0)),
            ("dispersion.1.weight", text(r#"{"from":0.0,"to":0.1,"steps":9}"#)),
            ("dispersion.at.layers", text("all")),
            ("dispersion.temperature", Setting::Number(0.5)),
            ("dispersion.weight", Setting::Number(0.1)),
            ("model.tied", Setting::Flag(true)),
            ("model.width", Setting::Number(16.0)),
            ("train.lr", Setting::Number(0.001)),
            ("train.optimizer.adamw.betas", text("[0.9,0.95]")),
        ];
        assert_eq!(settings, expected.map(|(name, setting)| (name.to_owned(), setting)).into());
    }

    #[test]
    fn columns_are_weights_and_what_differs() {
        let trial = |width: f64, weight: Setting| {
            let settings = [("model.width", Setting::Number(width)), ("train.lr", Setting::Number(0.1)), ("a.weight", weight)];
            BTreeMap::from(settings.map(|(name, setting)| (name.to_owned(), setting)))
        };
        let mut same = [trial(16.0, Setting::Number(0.1)), trial(16.0, Setting::Number(0.1))];
        keep_what_differs(&mut same);
        assert_eq!(same[1], BTreeMap::from([("a.weight".to_owned(), Setting::Number(0.1))]));
        let mut other = [trial(16.0, Setting::Number(0.1)), trial(32.0, text("{}"))];
        keep_what_differs(&mut other);
        assert_eq!(other[0].keys().collect::<Vec<_>>(), ["a.weight", "model.width"]);
        assert_eq!((&other[0]["a.weight"], &other[1]["a.weight"]), (&text("0.1"), &text("{}")), "a column has one type");
    }
}
