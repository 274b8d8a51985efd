//! `data.biographies:` and `evaluate.capacity:` in a study.

use super::Order;
use regatta_core::number::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Biographies of invented people, whose facts are known; see `regatta_lm::data::biographies`. The defaults are the pools of the
/// paper that they follow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BiographiesSpec {
    /// People N.
    pub people: Count<2, 100_000>,
    /// How often the train split tells of each of them, each time in other words and another order.
    pub exposures: Count<1, 10_000>,
    /// First names.
    pub first_names: Count<1, 400>,
    /// Middle names.
    pub middle_names: Count<1, 400>,
    /// Last names.
    pub last_names: Count<1, 1000>,
    /// Years of birth, each with 12 months of 28 days.
    pub years: Count<1, 200>,
    /// Cities, to be born in and to work in.
    pub cities: Count<1, 400>,
    /// Universities.
    pub universities: Count<1, 300>,
    /// Majors.
    pub majors: Count<1, 144>,
    /// Employers, each in one city.
    pub employers: Count<1, 400>,
    /// Seed of the people and of the text; the same for every seed of a study.
    pub seed: u64,
    /// Order in which windows of the train split are seen.
    pub order: Order,
}

impl Default for BiographiesSpec {
    fn default() -> Self {
        Self {
            people: Count::new(1000),
            exposures: Count::new(100),
            first_names: Count::new(400),
            middle_names: Count::new(400),
            last_names: Count::new(1000),
            years: Count::new(200),
            cities: Count::new(200),
            universities: Count::new(300),
            majors: Count::new(100),
            employers: Count::new(263),
            seed: 0,
            order: Order::Shuffled,
        }
    }
}

/// How many bits of the biographies the trained model knows; see [`crate::tasks::Capacity`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CapacitySpec {
    /// People who are asked about, spread evenly over all; all where there are no more.
    pub people: Count<1, 100_000>,
}

impl Default for CapacitySpec {
    fn default() -> Self {
        Self { people: Count::new(1000) }
    }
}
