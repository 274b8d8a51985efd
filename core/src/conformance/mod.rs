//! The conformance kit: checks that every plugin must pass. A plugin calls it from one test:
//!
//! ```ignore
//! #[test]
//! fn conforms() {
//!     regatta_core::conformance::conforms::<VicReg>(); // or intervention_conforms, for an intervention
//! }
//! ```
//!
//! - Regularizers are checked in float64, where finite differences are accurate, and in float32, as in training.
//! - A regularizer that needs a second view gets one near the points, and the checks cover both.
//! - A plugin with a kernel is checked with and without it. The kernel in float32 is compared with the tensor operations in
//!   float64.

mod intervention;
mod kernel;
mod regularizer;

pub use intervention::keeps_its_promises as intervention_keeps_its_promises;
pub use kernel::{kernel_agrees, kernel_agrees_on};
pub use regularizer::keeps_its_promises;

use crate::registry::{Card, Kind, Pluggable, cards};
use crate::{Fingerprint, Intervention, Plugin, Regularizer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Checks the card of `R` and every variant that it lists.
///
/// # Panics
/// When a check fails, with what was expected and what was found.
pub fn conforms<R: Regularizer + Default>() {
    card_conforms(known(R::default().typetag_name(), "regularizer!"));
}

/// [`conforms`] for an intervention: checks the card of `I` and every variant that it lists.
///
/// # Panics
/// When a check fails, with what was expected and what was found.
pub fn intervention_conforms<I: Intervention + Default>() {
    card_conforms(known(I::default().typetag_name(), "intervention!"));
}

/// Checks every plugin linked into this program, and returns their names.
///
/// # Panics
/// When a check fails, with what was expected and what was found.
pub fn all_conform() -> Vec<&'static str> {
    let cards = cards().unwrap_or_else(|error| panic!("{error}"));
    cards.values().for_each(|card| card_conforms(card));
    cards.into_keys().collect()
}

fn known(name: &str, declaration: &str) -> &'static Card {
    let cards = cards().unwrap_or_else(|error| panic!("{error}"));
    cards.get(name).unwrap_or_else(|| panic!("`{name}` has no card: declare it with `{declaration}`"))
}

fn card_conforms(card: &Card) {
    for (what, text) in [("summary", card.summary), ("paper", card.paper), ("formula", card.formula)] {
        assert!(!text.trim().is_empty(), "`{}` has no {what}", card.name);
    }
    match card.kind {
        Kind::Regularizer(variants) => {
            assert!(!card.expects.trim().is_empty(), "`{}` does not say which cloud it expects", card.name);
            card_is_whole(card, &variants());
            variants().iter().for_each(|variant| regularizer::keeps_its_promises(&**variant));
        }
        Kind::Intervention(variants) => {
            card_is_whole(card, &variants());
            variants().iter().for_each(|variant| intervention::keeps_its_promises(&**variant));
        }
    }
}

fn card_is_whole<T: Pluggable + Serialize + ?Sized>(card: &Card, variants: &[Box<T>])
where
    Box<T>: DeserializeOwned,
{
    let name = card.name;
    assert_eq!(variants[0].name(), name, "the card's name and typetag's name differ");
    let written: Vec<String> = card.defaults().keys().cloned().collect();
    let named: Vec<&str> = card.fields.iter().map(|field| field.name).collect();
    assert_eq!(written, named, "`{name}`: the fields written and the fields on its card differ");

    let bare: Plugin<T> = serde_json::from_value(name.into()).unwrap_or_else(|e| panic!("`{name}` as a bare name: {e}"));
    assert_eq!(written_form(&*bare.0), written_form(&*variants[0]), "`{name}`: a bare name must take the defaults");
    every_field_has_an_effect(card);
    let unknown = serde_json::json!({ name: { "no_such_field": 1 } });
    assert!(serde_json::from_value::<Plugin<T>>(unknown).is_err(), "`{name}` accepts a field that it does not know");
}

/// A field that changes nothing would make two arms of one: each number of each variant is changed, and what the plugin computes has
/// to change with it.
fn every_field_has_an_effect(card: &Card) {
    for written in card.written() {
        let before = fingerprint(card.kind, &written);
        let fields = written[card.name].as_object().cloned().unwrap_or_default();
        for (field, number) in fields.iter().filter_map(|(field, value)| Some((field, value.as_f64()?))) {
            // 2 is below the dims of the points that a fingerprint is made of: a width takes effect there.
            let others =
                [number * 0.75, number * 1.5, number + 0.01, number + 0.25, number + 1.0, (number * 0.5).floor(), 2.0, 0.0];
            let others = others.map(|other| match number.fract() {
                0.0 if fields[field].is_u64() => Value::from(other.floor() as u64),
                _ => Value::from(other),
            });
            let others = others.into_iter().filter(|other| other.as_f64() != Some(number)).map(|other| {
                let mut changed = written.clone();
                changed[card.name][field] = other;
                changed
            });
            let found: Vec<bool> =
                others.filter_map(|changed| Some(fingerprint(card.kind, &changed)? != before.clone()?)).collect();
            assert!(
                found.contains(&true),
                "`{}` of {written} has no effect: nothing computes with it, or `{}!` should say which variants do",
                field,
                card.kind.word()
            );
        }
    }
}

/// What a plugin with these settings computes; `None` where they are not legal.
fn fingerprint(kind: Kind, written: &Value) -> Option<Fingerprint> {
    let written = written.clone();
    let found = match kind {
        Kind::Regularizer(_) => Fingerprint::of_regularizer(&*serde_json::from_value::<Box<dyn Regularizer>>(written).ok()?),
        Kind::Intervention(_) => Fingerprint::of_intervention(&*serde_json::from_value::<Box<dyn Intervention>>(written).ok()?),
    };
    Some(found.unwrap_or_else(|error| panic!("the kit's own clouds: {error}")))
}

fn round_trips<T: Pluggable + Serialize + ?Sized>(text: &str)
where
    Box<T>: DeserializeOwned,
{
    let read: Plugin<T> = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text} cannot be read back: {e}"));
    assert_eq!(written_form(&*read.0), text, "reading and writing again changes the config");
}

fn written_form(plugin: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(plugin).unwrap_or_else(|e| panic!("a plugin that cannot be written: {e}"))
}
