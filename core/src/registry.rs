//! The regularizers linked into this program.
//!
//! `typetag` can read a regularizer by name but not list the names, so each plugin also submits a [`Card`]. The linker drops
//! a crate that nothing names: a program says `use my_plugin as _;`.

use crate::Regularizer;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What users read of a regularizer before they choose it. [`regularizer!`](crate::regularizer) submits one.
#[derive(Debug)]
pub struct Card {
    /// The word in YAML; equal to the typetag name.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Authors, title, arXiv number, equations.
    pub paper: &'static str,
    /// The penalty in plain text.
    pub formula: &'static str,
    /// The cloud that it is made for, in plain text: which points, of what scale, and where a study says so.
    pub expects: &'static str,
    /// The fields in order.
    pub fields: &'static [Field],
    /// The default first, then one of each other variant or form.
    pub variants: fn() -> Vec<Box<dyn Regularizer>>,
    /// Version of the crate that holds it.
    pub version: &'static str,
}

/// A field of a regularizer's config.
#[derive(Debug)]
pub struct Field {
    /// The key in YAML.
    pub name: &'static str,
    /// Its documentation, a line or more.
    pub doc: &'static [&'static str],
}

inventory::collect!(Card);

impl Card {
    /// The regularizer with every field at its default.
    pub fn default_regularizer(&self) -> Box<dyn Regularizer> {
        (self.variants)().swap_remove(0)
    }

    /// The defaults, by field, as they are written.
    ///
    /// # Panics
    /// When the regularizer cannot be written, which the conformance kit rules out.
    pub fn defaults(&self) -> serde_json::Map<String, serde_json::Value> {
        let written = serde_json::to_value(self.default_regularizer()).expect("a regularizer can be written");
        written[self.name].as_object().cloned().unwrap_or_default()
    }
}

/// The cards of all linked regularizers, by name.
///
/// # Errors
/// When two linked crates use the same name: whichever was meant, a study must not find the other.
pub fn cards() -> std::result::Result<BTreeMap<&'static str, &'static Card>, DuplicateName> {
    index(inventory::iter::<Card>())
}

/// Two linked crates register the same name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("two linked crates register a regularizer named `{0}`: rename one, or link one")]
pub struct DuplicateName(pub &'static str);

fn index<'a>(cards: impl IntoIterator<Item = &'a Card>) -> std::result::Result<BTreeMap<&'static str, &'a Card>, DuplicateName> {
    let mut known = BTreeMap::new();
    for card in cards {
        if known.insert(card.name, card).is_some() {
            return Err(DuplicateName(card.name));
        }
    }
    Ok(known)
}

/// The known name nearest to `word`, when it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 3)
        .min()
        .map(|(_, name)| name)
}

/// A regularizer as a study names it: a bare name takes the defaults (`dispersion`), a name with fields changes some
/// (`{dispersion: {temperature: 0.5}}`). Written back with every field spelled out.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Plugin(pub Box<dyn Regularizer>);

impl Plugin {
    /// The word in YAML.
    pub fn name(&self) -> &'static str {
        self.0.typetag_name()
    }
}

impl<'de> Deserialize<'de> for Plugin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrMap).map(Plugin)
    }
}

struct NameOrMap;

impl<'de> Visitor<'de> for NameOrMap {
    type Value = Box<dyn Regularizer>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a regularizer, or one name with its fields")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> std::result::Result<Self::Value, E> {
        let no_fields = MapDeserializer::new(std::iter::empty::<(&str, u8)>());
        Box::<dyn Regularizer>::deserialize(MapDeserializer::new(std::iter::once((name, no_fields))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let regularizer = Box::<dyn Regularizer>::deserialize(MapAccessDeserializer::new(&mut map))?;
        match map.next_key::<String>()? {
            None => Ok(regularizer),
            Some(second) => {
                Err(A::Error::custom(format!("expected one regularizer, found `{second}` beside it: give it a term of its own")))
            }
        }
    }
}

/// Declares a regularizer: its struct, its defaults, and its card in the registry.
///
/// ```
/// use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, number::Positive, regularizer, typetag};
///
/// regularizer! {
///     name: "spread",
///     summary: "reciprocal of the mean squared norm",
///     paper: "none: an example",
///     formula: "scale / mean(z^2)",
///     expects: "any points, at the scale that is to grow",
///     /// Reciprocal of the mean square.
///     pub struct Spread {
///         /// Factor in front.
///         pub scale: Positive = Positive::new(1.0),
///     }
/// }
///
/// #[typetag::serde(name = "spread")]
/// impl Regularizer for Spread {
///     fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
///         let square = cloud.points().sqr()?.mean((1, 2))?;                  // (g)
///         Ok((square.recip()? * self.scale.get())?.mean_all()?)
///     }
/// }
/// # let cards = regatta_core::registry::cards().unwrap();
/// # assert_eq!(cards["spread"].fields[0].name, "scale");
/// # assert_eq!(cards["spread"].defaults()["scale"], 1.0);
/// ```
///
/// `variants: [expr, ...]`, after `expects`, lists one instance of each other variant or form: the conformance kit checks
/// them all.
#[macro_export]
macro_rules! regularizer {
    // Two arms: after an optional `variants` the parser could not tell it from the struct's visibility.
    (
        name: $name:literal,
        summary: $summary:literal,
        paper: $paper:literal,
        formula: $formula:literal,
        expects: $expects:literal,
        variants: [$($variant:expr),* $(,)?],
        $(#[$outer:meta])*
        $visibility:vis struct $type:ident {
            $($(#[doc = $doc:literal])+ $field_visibility:vis $field:ident: $field_type:ty = $default:expr,)*
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "regatta_core::serde", deny_unknown_fields, default)]
        $visibility struct $type {
            $($(#[doc = $doc])+ $field_visibility $field: $field_type,)*
        }

        impl Default for $type {
            fn default() -> Self {
                Self { $($field: const { $default },)* }
            }
        }

        $crate::inventory::submit! {
            $crate::Card {
                name: $name,
                summary: $summary,
                paper: $paper,
                formula: $formula,
                expects: $expects,
                fields: &[$($crate::registry::Field { name: stringify!($field), doc: &[$($doc),+] },)*],
                variants: || vec![Box::new(<$type>::default()) $(, Box::new($variant))*],
                version: env!("CARGO_PKG_VERSION"),
            }
        }
    };
    (
        name: $name:literal,
        summary: $summary:literal,
        paper: $paper:literal,
        formula: $formula:literal,
        expects: $expects:literal,
        $($rest:tt)*
    ) => {
        $crate::regularizer! {
            name: $name,
            summary: $summary,
            paper: $paper,
            formula: $formula,
            expects: $expects,
            variants: [],
            $($rest)*
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Positive;
    use crate::{Cloud, Draw, Result};
    use candle_core::Tensor;

    crate::regularizer! {
        name: "mean_square",
        summary: "mean of squares",
        paper: "none",
        formula: "scale mean(z^2)",
        expects: "any points",
        struct MeanSquare {
            /// Factor in front.
            scale: Positive = Positive::new(2.0),
        }
    }

    #[crate::typetag::serde(name = "mean_square")]
    impl Regularizer for MeanSquare {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
            Ok((cloud.points().sqr()?.mean_all()? * self.scale.get())?)
        }
    }

    fn read(json: &str) -> std::result::Result<String, String> {
        let plugin: Plugin = serde_json::from_str(json).map_err(|e| e.to_string())?;
        Ok(serde_json::to_string(&plugin).unwrap())
    }

    #[test]
    fn a_bare_name_takes_the_defaults_and_fields_change_them() {
        assert_eq!(read(r#""mean_square""#).unwrap(), r#"{"mean_square":{"scale":2.0}}"#);
        assert_eq!(read(r#"{"mean_square": {}}"#).unwrap(), r#"{"mean_square":{"scale":2.0}}"#);
        assert_eq!(read(r#"{"mean_square": {"scale": 3.0}}"#).unwrap(), r#"{"mean_square":{"scale":3.0}}"#);
    }

    #[test]
    fn what_is_not_a_regularizer_is_refused() {
        let refused = |json, part: &str| assert!(read(json).unwrap_err().contains(part), "{:?}", read(json));
        refused(r#""mean_sqare""#, "unknown variant `mean_sqare`, expected `mean_square`");
        refused(r#"{"mean_square": {"scale": 0.0}}"#, "expected a finite number above 0, found 0");
        refused(r#"{"mean_square": {"scael": 1.0}}"#, "unknown field `scael`, expected `scale`");
        refused(r#"{"mean_square": {}, "other": {}}"#, "found `other` beside it");
        refused("3", "the name of a regularizer");
    }

    #[test]
    fn a_name_used_twice_is_an_error() {
        let card = inventory::iter::<Card>().next().unwrap();
        assert_eq!(index([card, card]).unwrap_err(), DuplicateName("mean_square"));
        assert_eq!(cards().unwrap().keys().copied().collect::<Vec<_>>(), ["mean_square"]);
    }

    #[test]
    fn the_nearest_name_is_found_when_it_is_near() {
        let known = ["dispersion", "infonce", "vicreg"];
        assert_eq!(nearest("dispersoin", known), Some("dispersion"));
        assert_eq!(nearest("vicregg", known), Some("vicreg"));
        assert_eq!(nearest("banana", known), None);
    }
}
