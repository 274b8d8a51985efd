//! The list of an arm, read without its plugins.

use regatta_lm::spec::Weight;
use serde::Deserialize;
use serde_json::Value;

/// Terms, interventions and a learning rate, in the order written.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    known: Known,
    /// All of it, the plugin's settings included.
    written: Value,
}

/// What every version writes in the same way, whichever plugin an entry is of.
#[derive(Debug, Clone, Deserialize)]
struct Known {
    /// Of a term; interventions and learning rates have none.
    #[serde(default)]
    weight: Option<Weight>,
    #[serde(default)]
    lr: Option<f64>,
}

impl Terms {
    /// Reads the list.
    pub fn read(list: &Value) -> Result<Self, String> {
        let list = list.as_array().ok_or_else(|| format!("expected a list of terms, found {}", in_one_line(list)))?;
        let entry = |written: &Value| match Known::deserialize(written) {
            Ok(known) => Ok(Entry { known, written: written.clone() }),
            Err(error) => Err(format!("expected a term with a `weight`, found {}: {error}", in_one_line(written))),
        };
        Ok(Self { entries: list.iter().map(entry).collect::<Result<_, _>>()? })
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The weight of each entry; `None` of one that is not a term. Reads no plugin, which the program may not have linked.
    pub fn weights(&self) -> Vec<Option<Weight>> {
        self.entries.iter().map(|entry| entry.known.weight).collect()
    }

    /// Each entry as it was written, the plugin's settings included.
    pub fn written(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|entry| &entry.written)
    }

    /// The learning rate that takes the place of the study's.
    pub fn lr(&self) -> Option<f64> {
        self.entries.iter().find_map(|entry| entry.known.lr)
    }

    /// The list as a reader would write it in one line of YAML.
    pub fn in_one_line(&self) -> String {
        self.entries.iter().map(|entry| in_one_line(&entry.written)).collect::<Vec<_>>().join("; ")
    }
}

/// A value as a reader would write it in one line of YAML.
pub(super) fn in_one_line(value: &Value) -> String {
    value.to_string().replace('"', "").replace(',', ", ").replace(':', ": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_of_plugins_stay_as_written() {
        let terms = Terms::read(&json!([{"regularizer": {"gone": {"x": [1, 2.0]}}, "weight": 0.5}, {"lr": 0.001}])).unwrap();
        assert_eq!(terms.in_one_line(), "{regularizer: {gone: {x: [1, 2.0]}}, weight: 0.5}; {lr: 0.001}");
        assert_eq!(terms.lr(), Some(0.001));
    }

    #[test]
    fn what_is_not_a_list_of_terms_is_refused() {
        assert_eq!(Terms::read(&Value::Null).unwrap_err(), "expected a list of terms, found null");
        let error = Terms::read(&json!([{"regularizer": "vicreg", "weight": "much"}])).unwrap_err();
        assert!(error.starts_with("expected a term with a `weight`, found {regularizer: vicreg, weight: much}: "), "{error}");
    }
}
