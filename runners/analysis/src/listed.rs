//! The terms of an arm by plugin and setting, each with whether it is the default; of a place, whether it is the home.

use super::terms::Terms;
use regatta_core::Plugin;
use regatta_core::registry::cards;
use regatta_lm::spec::{At, Home};
use regatta_results::{Setting, Term};
use serde_json::{Map, Value};

/// The terms as a plan records them, and the learning rate where it was tuned. Defaults are those of the plugins linked into
/// this program; of a plugin that is not linked, no setting counts as a default.
pub(super) fn listed(terms: &Terms, lr: Option<f64>) -> Vec<Term> {
    let tuned = lr.map(|lr| Setting { key: "lr".into(), value: format!("{lr} (tuned)"), is_default: false });
    let tuned = tuned.map(|setting| Term { plugin: String::new(), settings: vec![setting] });
    terms.written().filter_map(Value::as_object).map(term).chain(tuned).collect()
}

/// `{"regularizer": {"vicreg": {..}}, "weight": 0.1, "at": {..}}`: a plugin with its fields, then what the trainer adds.
fn term(entry: &Map<String, Value>) -> Term {
    let mut term = Term { plugin: String::new(), settings: Vec::new() };
    for (key, value) in entry {
        match (key.as_str(), value.as_object()) {
            ("regularizer" | "intervention", Some(plugin)) => {
                for (name, fields) in plugin {
                    let defaults = cards().ok().and_then(|cards| cards.get(name.as_str()).map(|card| card.defaults()));
                    term.plugin.clone_from(name);
                    add(&mut term.settings, "", fields, &Value::Object(defaults.unwrap_or_default()));
                }
            }
            ("at", Some(_)) => add(&mut term.settings, "at.", value, &home(entry).unwrap_or_default()),
            _ => term.settings.push(setting(key.clone(), value, value.is_null())),
        }
    }
    term
}

/// The place where a term's regularizer is at home, as it is written; where it is not linked, the usual one.
fn home(entry: &Map<String, Value>) -> serde_json::Result<Value> {
    let regularizer = entry.get("regularizer").and_then(|plugin| serde_json::from_value::<Plugin>(plugin.clone()).ok());
    serde_json::to_value(At::from(regularizer.map_or(Home::DEFAULT, |plugin| plugin.0.home())))
}

/// Each field of an object, compared with the field of `defaults`.
fn add(settings: &mut Vec<Setting>, prefix: &str, fields: &Value, defaults: &Value) {
    for (key, value) in fields.as_object().into_iter().flatten() {
        settings.push(setting(format!("{prefix}{key}"), value, defaults.get(key) == Some(value)));
    }
}

/// The value without the quotation marks of JSON.
fn setting(key: String, value: &Value, is_default: bool) -> Setting {
    let value = value.to_string().replace('"', "").replace(',', ", ").replace(':', ": ");
    Setting { key, value, is_default }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_compared_with_their_defaults() {
        let place = serde_json::to_value(At::from(Home::DEFAULT)).unwrap();
        let mut entry = json!({"regularizer": {"not_linked": {"gamma": 1.0}}, "weight": 0.1, "at": place});
        entry["at"]["points"] = json!("batch");
        let found = listed(&Terms::read(&json!([entry])).unwrap(), Some(0.01));
        assert_eq!(found[0].plugin, "not_linked");
        let changed: Vec<&str> = found[0].settings.iter().filter(|of| !of.is_default).map(|of| of.key.as_str()).collect();
        assert_eq!(changed, ["gamma", "weight", "at.points"]); // the plugin is not linked here: its defaults are not known
        assert_eq!((found[1].settings[0].key.as_str(), found[1].settings[0].value.as_str()), ("lr", "0.01 (tuned)"));
        assert!(listed(&Terms::default(), None).is_empty());
    }
}
