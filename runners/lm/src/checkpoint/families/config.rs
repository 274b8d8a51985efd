//! `config.json`, read field by field. What cannot be used is refused with the field's name, what was expected and what was found.

use regatta_core::number::PositiveFloat;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Widths, contexts and vocabularies: so that no product of two of them overflows.
pub(super) const SIZE: RangeInclusive<usize> = 1..=1 << 24;
/// Blocks: a list of tensors is made for each.
pub(super) const LAYERS: RangeInclusive<usize> = 0..=4096;
/// Heads, and the dims of one.
pub(super) const HEADS: RangeInclusive<usize> = 1..=1 << 16;

/// The fields of `config.json`, or of a map in it. A field that is null is one that is not there.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Before a field's name in messages.
    path: String,
}

/// `expected X to be Y, found Z`, in one short line.
pub(super) fn expected(field: &str, expected: &str, found: &Value) -> String {
    let found: String = if found.is_null() { "none".into() } else { found.to_string().chars().take(80).collect() };
    format!("expected `{field}` to be {expected}, found {found}")
}

impl<'a> Fields<'a> {
    /// Those of a whole file.
    pub fn of(config: &'a Value) -> Result<Self, String> {
        let map = config.as_object().ok_or("expected a map of fields")?;
        Ok(Self { map, path: String::new() })
    }

    pub fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Whether the field is there, be it null.
    pub fn names(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    /// The message that refuses `field`.
    pub fn refuse(&self, field: &str, words: &str) -> String {
        expected(&format!("{}{field}", self.path), words, self.get(field).unwrap_or(&Value::Null))
    }

    /// A map within.
    pub fn within(&self, field: &str) -> Result<Option<Self>, String> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let map = value.as_object().ok_or_else(|| self.refuse(field, "a map of fields"))?;
        Ok(Some(Self { map, path: format!("{}{field}.", self.path) }))
    }

    /// The first field, if any, whose value is a map.
    pub fn nested(&self) -> Option<&'a str> {
        self.map.iter().find(|(_, value)| value.is_object()).map(|(field, _)| field.as_str())
    }

    pub fn size(&self, field: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
        self.optional_size(field, range.clone())?.ok_or_else(|| self.refuse(field, &whole(&range)))
    }

    pub fn optional_size(&self, field: &str, range: RangeInclusive<usize>) -> Result<Option<usize>, String> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let size = value.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|size| range.contains(size));
        size.map(Some).ok_or_else(|| self.refuse(field, &whole(&range)))
    }

    /// A number above 0, in float32 too.
    pub fn positive(&self, field: &str, default: Option<f64>) -> Result<f64, String> {
        let number = match self.get(field) {
            None => default,
            Some(value) => value.as_f64().filter(|number| PositiveFloat::try_from(*number).is_ok()),
        };
        number.ok_or_else(|| self.refuse(field, "a number above 0"))
    }

    pub fn truth(&self, field: &str, default: bool) -> Result<bool, String> {
        self.get(field).map_or(Some(default), Value::as_bool).ok_or_else(|| self.refuse(field, "true or false"))
    }

    /// A flag of which this program can compute one value alone.
    pub fn always(&self, field: &str, only: bool, default: bool) -> Result<(), String> {
        if self.truth(field, default)? == only { Ok(()) } else { Err(self.refuse(field, &only.to_string())) }
    }

    /// What one of the words that a field may be stands for.
    pub fn choice<T: Copy>(&self, field: &str, choices: &[(&str, T)], default: Option<&str>) -> Result<T, String> {
        let word = self.get(field).map_or(default, Value::as_str);
        let chosen = choices.iter().find(|(name, _)| Some(*name) == word).map(|(_, chosen)| *chosen);
        chosen.ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            self.refuse(field, &names.join(" or "))
        })
    }

    /// Weights that were rounded to fewer bits have other tensors than these.
    pub fn unquantised(&self) -> Result<(), String> {
        match self.get("quantization_config") {
            None => Ok(()),
            Some(_) => Err(self.refuse("quantization_config", "absent, with weights as floats")),
        }
    }
}

fn whole(range: &RangeInclusive<usize>) -> String {
    format!("a whole number from {} to {}", range.start(), range.end())
}

/// `part` as a divisor of `whole`.
pub(super) fn divisor(part: (&str, usize), whole: (&str, usize)) -> Result<(), String> {
    if whole.1.is_multiple_of(part.1) {
        return Ok(());
    }
    Err(format!("expected `{}` to be a divisor of `{}`, found {} and {}", part.0, whole.0, part.1, whole.1))
}
