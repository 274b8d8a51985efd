//! How the fields of a plugin are read: each at most once, and none without an effect.

use serde::Serialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The fields of a plugin as they are named in a study. [`regularizer!`](crate::regularizer) implements it.
pub trait Fields: Default {
    /// All names, in order.
    const NAMES: &'static [&'static str];

    /// Reads the value of `key`; `false` where no field has this name.
    ///
    /// # Errors
    /// When the value does not fit, or the field was named before.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;

    /// Takes `word` as the value of the field that chooses a variant; `false` where it is none, or one was chosen before.
    fn choose(&mut self, word: &str) -> bool;
}

/// Reads `{field: value}`, or `{variant: {field: value}}`.
///
/// # Errors
/// At an unknown field, at one that is named twice, and at a value that does not fit.
pub fn named_fields<'de, D: Deserializer<'de>, F: Fields>(deserializer: D) -> Result<F, D::Error> {
    let mut fields = F::default();
    Named { fields: &mut fields, may_choose: true }.deserialize(deserializer)?;
    Ok(fields)
}

struct Named<'a, F> {
    fields: &'a mut F,
    may_choose: bool,
}

impl<'de, F: Fields> DeserializeSeed<'de> for Named<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fields> Visitor<'de> for Named<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if self.fields.read(&key, &mut map)? {
                continue;
            }
            if !(self.may_choose && self.fields.choose(&key)) {
                return Err(A::Error::unknown_field(&key, F::NAMES));
            }
            map.next_value_seed(Named { fields: &mut *self.fields, may_choose: false })?;
        }
        Ok(())
    }
}

/// The value that is written as `word`, of a type whose values are words.
pub fn value_of_word<T: DeserializeOwned>(word: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<serde::de::value::Error>::new(word)).ok()
}

/// A plugin's fields as it writes them.
///
/// # Panics
/// When it cannot be written, which the conformance kit rules out.
pub fn fields_of(plugin: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(plugin).expect("a plugin can be written") {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The fields that make a variant another than the default; of the default, those that the others differ in.
pub(super) fn choosing(variants: &[Map<String, Value>], index: usize) -> Map<String, Value> {
    let differ = |other: &Map<String, Value>, key: &str| match (variants[0].get(key), other.get(key)) {
        (Some(own), Some(value)) => own != value,
        _ => false,
    };
    let chooses = |key: &str| match index {
        0 => variants.iter().any(|other| differ(other, key)),
        _ => differ(&variants[index], key),
    };
    variants[index].iter().filter(|(key, _)| chooses(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// What makes a variant another than the default, in words: `variant: l2_repel`; of the default, that in which the others differ.
pub(super) fn variant_words(variants: &[Map<String, Value>], index: usize) -> String {
    let chosen = choosing(variants, index);
    let words: Vec<String> = chosen.iter().map(|(key, value)| format!("{key}: {}", value.to_string().replace('"', ""))).collect();
    words.join(", ")
}

/// Refuses a field that was `given` although it has no effect: two arms that differ in it would be the same arm. `used` says which
/// have one; `of_variants` gives each variant's fields and the same of it.
///
/// # Errors
/// With the first such field, the variants that it belongs to, and the fields that this one has.
pub fn all_are_used<E: Error>(
    given: &[(&str, bool)],
    used: &[(&'static str, bool)],
    of_variants: impl FnOnce() -> Vec<(Map<String, Value>, Vec<(&'static str, bool)>)>,
) -> Result<(), E> {
    let idle = given.iter().zip(used).find(|((_, given), (_, used))| *given && !used);
    let Some(((field, _), _)) = idle else { return Ok(()) };
    let of_variants = of_variants();
    let written: Vec<Map<String, Value>> = of_variants.iter().map(|(fields, _)| fields.clone()).collect();
    let belongs = of_variants.iter().enumerate().filter(|(_, (_, used))| used.contains(&(*field, true)));
    let belongs: Vec<String> =
        belongs.map(|(index, _)| variant_words(&written, index)).filter(|words| !words.is_empty()).collect();
    let belongs = if belongs.is_empty() { String::new() } else { format!("; it belongs to `{}`", belongs.join("`, `")) };
    let has: Vec<&str> = used.iter().filter(|(_, used)| *used).map(|(name, _)| *name).collect();
    Err(E::custom(format!("{IDLE}{field}` has no effect here{belongs}; what has one: `{}`", has.join("`, `"))))
}

/// How a message about a field without effect begins.
pub const IDLE: &str = "the field `";
