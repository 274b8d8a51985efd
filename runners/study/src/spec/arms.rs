//! `arms:` in a study: a map that keeps its order.

use regatta_lm::spec::Term;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use std::fmt;

/// A named list of terms; an empty one is the baseline.
#[derive(Debug)]
pub struct Arm {
    /// Also the name of its folder of trials.
    pub name: String,
    /// What is added to the loss.
    pub terms: Vec<Term>,
}

pub(super) fn write<S: Serializer>(arms: &[Arm], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(arms.len()))?;
    for arm in arms {
        map.serialize_entry(&arm.name, &arm.terms)?;
    }
    map.end()
}

pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arm>, D::Error> {
    struct Arms;

    impl<'de> Visitor<'de> for Arms {
        type Value = Vec<Arm>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of arms, each a name and its list of terms")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Arm>, A::Error> {
            let mut arms = Vec::new();
            while let Some((name, Terms(terms))) = map.next_entry()? {
                arms.push(Arm { name, terms });
            }
            match arms.is_empty() {
                true => Err(de::Error::custom("expected at least one arm, found none")),
                false => Ok(arms),
            }
        }
    }

    deserializer.deserialize_map(Arms)
}

struct Terms(Vec<Term>);

impl<'de> Deserialize<'de> for Terms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Terms;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of terms, `[]` for a baseline")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Terms, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(list)).map(Terms)
            }
        }

        deserializer.deserialize_seq(List)
    }
}
