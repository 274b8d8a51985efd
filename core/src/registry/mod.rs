//! The plugins linked into this program: regularizers and interventions.
//!
//! `typetag` can read a plugin by name but not list the names, so each plugin also submits a [`Card`]. The linker drops
//! a crate that nothing names: a program says `use my_plugin as _;`.

mod declare;
mod fields;
mod plugin;
mod schema;

pub use fields::IDLE;
#[doc(hidden)]
pub use fields::{Fields, all_are_used, fields_of, named_fields, value_of_word};
pub use plugin::{Pluggable, Plugin};
pub use regatta_kernels::nearest;
#[doc(hidden)]
pub use schema::{Anything, Described, Probe};

use crate::{Home, Intervention, Regularizer};
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What users read of a plugin before they choose it. [`regularizer!`](crate::regularizer) and
/// [`intervention!`](crate::intervention) submit one.
#[derive(Debug)]
pub struct Card {
    /// The word in YAML; equal to the typetag name, and to no other plugin's of either kind.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Authors, title, arXiv number, equations.
    pub paper: &'static str,
    /// The penalty, or what is done, in plain text.
    pub formula: &'static str,
    /// The cloud that a regularizer is made for, in plain text: which points, of what scale, and where a study says so. Empty of an
    /// intervention.
    pub expects: &'static str,
    /// The fields in order.
    pub fields: &'static [Field],
    /// What it is, and instances of it.
    pub kind: Kind,
    /// Version of the crate that holds it.
    pub version: &'static str,
}

/// What a plugin is. Each holds its instances: the default first, then one of each other variant or form.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A penalty on a cloud of points.
    Regularizer(fn() -> Vec<Box<dyn Regularizer>>),
    /// A change of training that is not a penalty.
    Intervention(fn() -> Vec<Box<dyn Intervention>>),
}

impl Kind {
    /// The key in YAML that a plugin of this kind stands behind.
    pub fn word(self) -> &'static str {
        match self {
            Self::Regularizer(_) => <dyn Regularizer>::WORD,
            Self::Intervention(_) => <dyn Intervention>::WORD,
        }
    }
}

/// A field of a plugin's config.
#[derive(Debug)]
pub struct Field {
    /// The key in YAML.
    pub name: &'static str,
    /// Its documentation, a line or more.
    pub doc: &'static [&'static str],
    /// Which values its type has, for editors; any, where the type does not say.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

inventory::collect!(Card);

impl Card {
    /// Each instance as it is written, `{name: {field: value}}`, the default first.
    ///
    /// # Panics
    /// When one cannot be written, which the conformance kit rules out.
    pub fn written(&self) -> Vec<Value> {
        fn all<T: Serialize + ?Sized>(instances: &[Box<T>]) -> Vec<Value> {
            instances.iter().map(|instance| serde_json::to_value(instance).expect("a plugin can be written")).collect()
        }
        match self.kind {
            Kind::Regularizer(variants) => all(&variants()),
            Kind::Intervention(variants) => all(&variants()),
        }
    }

    /// The default of every field, as it is written: of one that the default variant does not have, that of the first that has it.
    ///
    /// # Panics
    /// As [`Self::written`].
    pub fn defaults(&self) -> Map<String, Value> {
        let variants = self.variants();
        let default =
            |field: &Field| variants.iter().find_map(|fields| Some((field.name.to_owned(), fields.get(field.name)?.clone())));
        self.fields.iter().filter_map(default).collect()
    }

    /// The fields of each variant, the default first; each has those that have an effect on it.
    ///
    /// # Panics
    /// As [`Self::written`].
    pub fn variants(&self) -> Vec<Map<String, Value>> {
        self.written()
            .into_iter()
            .map(|mut written| match written[self.name].take() {
                Value::Object(fields) => fields,
                _ => Map::new(),
            })
            .collect()
    }

    /// Of a field that not all variants have: those that do, as the settings that make them, `variant: l2_repel`.
    ///
    /// # Panics
    /// As [`Self::written`].
    pub fn variants_with(&self, field: &str) -> Vec<String> {
        let variants = self.variants();
        let with: Vec<usize> = (0..variants.len()).filter(|&index| variants[index].contains_key(field)).collect();
        if with.len() == variants.len() {
            Vec::new()
        } else {
            with.into_iter().map(|index| fields::variant_words(&variants, index)).collect()
        }
    }

    /// Where the default variant is at home; of a regularizer.
    pub fn home(&self) -> Option<Home> {
        self.homes().first().copied()
    }

    /// The home that all variants share, or that of each with the settings that make it; empty of an intervention.
    ///
    /// # Panics
    /// As [`Self::written`].
    pub fn homes_in_words(&self) -> Vec<String> {
        let (homes, variants) = (self.homes(), self.variants());
        let of = |index: usize| format!("{} ({})", homes[index], fields::variant_words(&variants, index));
        match homes.first() {
            Some(first) if homes.iter().all(|home| home == first) => vec![first.to_string()],
            _ => (0..homes.len()).map(of).collect(),
        }
    }

    /// Whether a variant depends on the token that the model is to predict at each point, which all others do not see.
    pub fn is_label_aware(&self) -> bool {
        matches!(self.kind, Kind::Regularizer(variants) if variants().iter().any(|variant| variant.needs_labels()))
    }

    /// Where each variant is at home, the default first; empty of an intervention.
    pub fn homes(&self) -> Vec<Home> {
        match self.kind {
            Kind::Regularizer(variants) => variants().iter().map(|variant| variant.home()).collect(),
            Kind::Intervention(_) => Vec::new(),
        }
    }
}

/// The cards of all linked plugins, of both kinds, by name.
///
/// # Errors
/// When two linked crates use the same name: whichever was meant, a study must not find the other.
pub fn cards() -> std::result::Result<BTreeMap<&'static str, &'static Card>, DuplicateName> {
    index(inventory::iter::<Card>())
}

/// Two linked crates register the same name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("two linked crates register a plugin named `{0}`: rename one, or link one")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_used_twice_is_an_error_whatever_the_kinds() {
        let card = |kind| Card { name: "twin", summary: "", paper: "", formula: "", expects: "", fields: &[], kind, version: "" };
        let (one, other) = (card(Kind::Regularizer(Vec::new)), card(Kind::Intervention(Vec::new)));
        assert_eq!(index([&one, &other]).unwrap_err(), DuplicateName("twin"));
        assert_eq!(index([&other]).unwrap().len(), 1);
    }

    #[test]
    fn the_nearest_name_is_found_when_it_is_near() {
        let known = ["dispersion", "infonce", "vicreg"];
        assert_eq!(nearest("dispersoin", known), Some("dispersion"));
        assert_eq!(nearest("vicregg", known), Some("vicreg"));
        assert_eq!(nearest("banana", known), None);
    }
}
