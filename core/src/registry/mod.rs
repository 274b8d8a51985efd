//! The plugins linked into this program: regularizers and interventions.
//!
//! `typetag` can read a plugin by name but not list the names, so each plugin also submits a [`Card`]. The linker drops
//! a crate that nothing names: a program says `use my_plugin as _;`.

mod declare;
mod plugin;
mod schema;

pub use plugin::{Pluggable, Plugin};
pub use regatta_kernels::nearest;
#[doc(hidden)]
pub use schema::{Anything, Described, Probe};

use crate::{Intervention, Regularizer};
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;
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
    /// That place in a study's words, `points: batch, scale: layer_norm`: the fields of `at`. Empty where it is the default.
    pub home: &'static str,
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

    /// The defaults, by field, as they are written.
    ///
    /// # Panics
    /// As [`Self::written`].
    pub fn defaults(&self) -> serde_json::Map<String, Value> {
        self.written().swap_remove(0)[self.name].as_object().cloned().unwrap_or_default()
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
        let card = |kind| Card {
            name: "twin",
            summary: "",
            paper: "",
            formula: "",
            expects: "",
            home: "",
            fields: &[],
            kind,
            version: "",
        };
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
