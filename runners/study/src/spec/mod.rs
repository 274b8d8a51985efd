//! A study as users write it: one YAML file, read whole and judged whole before anything is trained or written.

mod file;
mod hints;
mod limits;
mod overrides;
mod paths;
mod refusal;
mod regularizer;
mod wording;

pub use file::StudyFile;
pub use limits::Size;
pub use refusal::{Origin, Refusal};
pub use regularizer::regularizer;

use regatta_lm::spec::{DataSpec, EvaluateSpec, ModelSpec, Term, TokenizerSpec, TrainSpec, bare_or_map};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// Seeds that a study may have.
const MAX_SEEDS: usize = 10_000;

/// One question, and everything needed to answer it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What it is called; the file's stem where it is not named.
    pub name: String,
    /// What it asks, for the reader of its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// One trial of each arm a seed. Written as a list, or as a count: 3 means [0, 1, 2].
    #[serde(default = "three_seeds", deserialize_with = "seeds")]
    pub seeds: Vec<u64>,
    /// The model that every arm trains.
    #[serde(default)]
    pub model: ModelSpec,
    /// How text becomes tokens.
    #[serde(default, deserialize_with = "TokenizerSpec::optional", skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerSpec>,
    /// Where tokens come from; paths are absolute.
    #[serde(default, deserialize_with = "bare_or_map")]
    pub data: DataSpec,
    /// How every arm is trained.
    #[serde(default)]
    pub train: TrainSpec,
    /// What is measured, and how often.
    #[serde(default)]
    pub evaluate: EvaluateSpec,
    /// What is compared, in the order written.
    #[serde(serialize_with = "write_arms", deserialize_with = "read_arms")]
    pub arms: Vec<Arm>,
}

/// A named list of terms; an empty one is the baseline.
#[derive(Debug)]
pub struct Arm {
    /// Also the name of its folder of trials.
    pub name: String,
    /// What is added to the loss.
    pub terms: Vec<Term>,
}

impl Study {
    /// Reads the study in the file at `path`, with overrides such as `train.steps=50`.
    ///
    /// # Errors
    /// When it is not a legal study, with the place, what was expected and what was found.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Refusal> {
        StudyFile::read(path, overrides).map(|file| file.study)
    }

    /// The study as understood, every default spelled out; reading it gives an equal study.
    ///
    /// # Panics
    /// When a regularizer cannot be written, which is refused as a study is read.
    pub fn to_yaml(&self) -> String {
        let written = serde_json::to_value(self).expect("a study that was read can be written");
        serde_yaml::to_string(&written).expect("plain values can be written")
    }
}

/// Equal as written: a regularizer is a trait object, and its fields are all there is to it.
impl PartialEq for Study {
    fn eq(&self, other: &Self) -> bool {
        match (serde_json::to_value(self), serde_json::to_value(other)) {
            (Ok(this), Ok(other)) => this == other && self.arms.iter().map(|a| &a.name).eq(other_names(&other)),
            _ => false,
        }
    }
}

/// Names of arms in order: equal maps may differ in it.
fn other_names(written: &serde_json::Value) -> impl Iterator<Item = &String> {
    written["arms"].as_object().into_iter().flat_map(|arms| arms.keys())
}

fn three_seeds() -> Vec<u64> {
    vec![0, 1, 2]
}

fn seeds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    struct CountOrList;

    impl<'de> Visitor<'de> for CountOrList {
        type Value = Vec<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a count of seeds from 1 to {MAX_SEEDS}, or a list of them")
        }

        fn visit_u64<E: de::Error>(self, count: u64) -> Result<Self::Value, E> {
            match count {
                _ if (1..=MAX_SEEDS as u64).contains(&count) => Ok((0..count).collect()),
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

    deserializer.deserialize_any(CountOrList)
}

fn write_arms<S: Serializer>(arms: &[Arm], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(arms.len()))?;
    for arm in arms {
        map.serialize_entry(&arm.name, &arm.terms)?;
    }
    map.end()
}

fn read_arms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arm>, D::Error> {
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

#[cfg(test)]
mod tests;
