//! Seeds, written as a count or as a list.

use regatta_core::forms::Forms;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Seeds that a study may have.
pub(super) const MAX_SEEDS: usize = 10_000;

/// A list of seeds, where a count stands for so many from `FIRST` on.
pub(super) struct Seeds<const FIRST: u64>(Vec<u64>);

impl<const FIRST: u64> Seeds<FIRST> {
    const COUNTS: RangeInclusive<u64> = 1..=MAX_SEEDS as u64;

    /// Reads them; use as `#[serde(deserialize_with = "Seeds::<0>::read")]`.
    pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        Self::forms().read(deserializer).map(|Self(seeds)| seeds)
    }

    fn forms() -> Forms<Self> {
        Forms::expecting(format!("a count of seeds from 1 to {MAX_SEEDS}, or a list of them"))
            .whole(Self::COUNTS, |count| Self((FIRST..FIRST + count).collect()))
            .meaning(if FIRST == 0 { "That many seeds, from 0 on." } else { "That many seeds, from 1,000,000 on." })
            .list(|List(seeds)| Ok(Self(seeds)))
            .meaning("The seeds, each once.")
    }
}

impl<const FIRST: u64> JsonSchema for Seeds<FIRST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seeds".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Self::forms().schema(generator)
    }
}

struct List(Vec<u64>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seeds = Vec::<u64>::deserialize(deserializer)?;
        if seeds.is_empty() || seeds.len() > MAX_SEEDS {
            return Err(serde::de::Error::custom(format!("expected 1 to {MAX_SEEDS} seeds, found {}", seeds.len())));
        }
        let mut sorted = seeds.clone();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(serde::de::Error::custom(format!("expected each seed once, found {} twice", pair[0]))),
            None => Ok(Self(seeds)),
        }
    }
}

impl JsonSchema for List {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SeedList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<u64>();
        json_schema!({"type": "array", "items": items, "minItems": 1, "maxItems": MAX_SEEDS, "uniqueItems": true})
    }
}
