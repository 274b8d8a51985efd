//! Seeds, written as a count or as a list.

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// Seeds that a study may have.
pub(super) const MAX_SEEDS: usize = 10_000;

/// A list of seeds, where a count stands for so many from `first` on.
pub(super) fn count_or_list<'de, D: Deserializer<'de>>(deserializer: D, first: u64) -> Result<Vec<u64>, D::Error> {
    struct CountOrList {
        first: u64,
    }

    impl<'de> Visitor<'de> for CountOrList {
        type Value = Vec<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a count of seeds from 1 to {MAX_SEEDS}, or a list of them")
        }

        fn visit_u64<E: de::Error>(self, count: u64) -> Result<Self::Value, E> {
            match count {
                _ if (1..=MAX_SEEDS as u64).contains(&count) => Ok((self.first..self.first + count).collect()),
                _ => Err(E::invalid_value(de::Unexpected::Unsigned(count), &self)),
            }
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            let seeds = Vec::<u64>::deserialize(de::value::SeqAccessDeserializer::new(list))?;
            if seeds.is_empty() || seeds.len() > MAX_SEEDS {
                return Err(de::Error::custom(format!("expected 1 to {MAX_SEEDS} seeds, found {}", seeds.len())));
            }
            let mut sorted = seeds.clone();
            sorted.sort_unstable();
            match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => Err(de::Error::custom(format!("expected each seed once, found {} twice", pair[0]))),
                None => Ok(seeds),
            }
        }
    }

    deserializer.deserialize_any(CountOrList { first })
}
