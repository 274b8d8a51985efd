//! A term of an arm: a regularizer, its weight along the steps, and where it is applied.

use super::{At, Place};
use regatta_core::forms::Forms;
use regatta_core::number::{Count, Finite};
use regatta_core::{Plugin, forms, libm};
use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// A step of training, counted from 0, that is not the first.
pub type Step = Count<1, 100_000_000>;

/// One regularizer in an arm. Its part of the loss is weight x mean over layers of the penalty.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(from = "Fields")]
pub struct Term {
    /// What is penalised.
    pub regularizer: Plugin,
    /// How much.
    pub weight: Weight,
    /// Where.
    #[schemars(with = "Place")]
    pub at: At,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fields {
    /// What is penalised: a name, or a name with its settings.
    regularizer: Plugin,
    /// Factor of the penalty in the loss: a number, which may be negative, or a ramp.
    weight: Weight,
    /// Where it is applied: what is not named is the regularizer's home.
    #[serde(default)]
    #[schemars(with = "Option<Place>")]
    at: Place,
    /// The first step without the term; it stays to the end where this is not named.
    #[serde(default)]
    #[schemars(with = "Step")]
    until: Option<Step>,
}

impl From<Fields> for Term {
    fn from(Fields { regularizer, weight, at, until }: Fields) -> Self {
        let at = at.from_home(regularizer.0.home());
        Self { regularizer, weight: until.map_or(weight, |step| weight.until(step)), at }
    }
}

/// As it is read: what ends the weight stands beside it.
impl Serialize for Term {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let end = self.weight.end();
        let mut fields = serializer.serialize_struct("Term", 3 + usize::from(end.is_some()))?;
        fields.serialize_field("regularizer", &self.regularizer)?;
        fields.serialize_field("weight", &self.weight)?;
        fields.serialize_field("at", &self.at)?;
        if let Some(end) = end {
            fields.serialize_field("until", &end)?;
        }
        fields.end()
    }
}

/// A number, or a ramp; it may be negative, and it may end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Weight {
    /// The same at every step.
    Constant(Finite),
    /// From `from` at step 0 to `to` at step `steps`, and `to` from there on.
    Ramp(Ramp),
    /// The one or the other, and 0 from a step on.
    Until(Until),
}

/// Fields of a ramp.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// Weight at step 0.
    from: Finite,
    /// Weight at step `steps`, and from there on.
    to: Finite,
    /// Steps of the ramp.
    steps: Step,
    /// How it gets from one to the other; linear where not named.
    #[serde(default, skip_serializing_if = "Shape::is_linear")]
    shape: Shape,
}

/// How a ramp gets from one weight to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// By as much every step.
    #[default]
    Linear,
    /// By half a cosine: slow at both ends.
    Cosine,
}

impl Shape {
    /// What is not written.
    fn is_linear(&self) -> bool {
        *self == Self::Linear
    }
}

/// A weight that ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    course: Course,
    /// The first step of weight 0.
    end: Step,
}

/// What a weight does as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Course {
    Constant(Finite),
    Ramp(Ramp),
}

impl Course {
    fn at(self, step: usize) -> f64 {
        match self {
            Self::Constant(weight) => weight.get(),
            Self::Ramp(Ramp { from, to, steps, shape }) => {
                let share = (step as f64 / steps.get() as f64).min(1.0);
                let share = match shape {
                    Shape::Linear => share,
                    Shape::Cosine => 0.5 * (1.0 - libm::cos(std::f64::consts::PI * share)),
                };
                from.get() + (to.get() - from.get()) * share
            }
        }
    }
}

impl Weight {
    /// The weight at `step`.
    pub fn at(&self, step: usize) -> f64 {
        let ended = self.end().is_some_and(|end| step >= end.get());
        if ended { 0.0 } else { self.course().at(step) }
    }

    /// The same up to the step before `end`, and 0 from there on.
    pub fn until(self, end: Step) -> Self {
        Self::Until(Until { course: self.course(), end })
    }

    /// The first step from which on it is 0 for good, where it ends.
    pub fn end(&self) -> Option<Step> {
        match self {
            Self::Until(until) => Some(until.end),
            _ => None,
        }
    }

    /// The step at which a ramp has arrived, and where to.
    pub fn arrives(&self) -> Option<(usize, f64)> {
        match self.course() {
            Course::Constant(_) => None,
            Course::Ramp(Ramp { steps, to, .. }) => Some((steps.get(), to.get())),
        }
    }

    /// Whether it is 0 at every step.
    pub fn is_zero(&self) -> bool {
        match self.course() {
            Course::Constant(weight) => weight.get() == 0.0,
            Course::Ramp(Ramp { from, to, .. }) => from.get() == 0.0 && to.get() == 0.0,
        }
    }

    fn course(self) -> Course {
        match self {
            Self::Constant(weight) => Course::Constant(weight),
            Self::Ramp(ramp) => Course::Ramp(ramp),
            Self::Until(until) => until.course,
        }
    }
}

/// Without its end, which a term has beside it.
impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.course() {
            Course::Constant(weight) => weight.serialize(serializer),
            Course::Ramp(ramp) => ramp.serialize(serializer),
        }
    }
}

forms! {
    Weight => Forms::expecting("a number or a ramp {from, to, steps}")
        .number(|weight| Ok(Self::Constant(weight)))
        .map(|ramp| Ok(Self::Ramp(ramp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(written: &str) -> Weight {
        serde_json::from_str(written).unwrap()
    }

    fn check(weight: Weight, expected: [f64; 6]) {
        let found = [0, 1, 2, 3, 4, 9].map(|step| weight.at(step));
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn ramps_by_hand() {
        check(weight(r#"{"from": 0.0, "to": 4.0, "steps": 4}"#), [0.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
        let quarter = 2.0 - 2f64.sqrt(); // 4 (1 - cos π/4) / 2
        let cosine = r#"{"from": 0.0, "to": 4.0, "steps": 4, "shape": "cosine"}"#;
        check(weight(cosine), [0.0, quarter, 2.0, 4.0 - quarter, 4.0, 4.0]);
    }

    #[test]
    fn a_weight_that_ends_is_0_from_there_on() {
        check(weight("2").until(Step::new(3)), [2.0, 2.0, 2.0, 0.0, 0.0, 0.0]);
        let ramp = weight(r#"{"from": 0.0, "to": 4.0, "steps": 2}"#).until(Step::new(3));
        check(ramp, [0.0, 2.0, 4.0, 0.0, 0.0, 0.0]);
        assert_eq!((ramp.end(), ramp.arrives()), (Some(Step::new(3)), Some((2, 4.0))));
    }

    #[test]
    fn what_is_not_used_is_not_written() {
        let written = |ramp: &str| serde_json::to_string(&weight(ramp)).unwrap();
        let linear = r#"{"from":1.0,"to":0.0,"steps":4}"#;
        assert_eq!(written(linear), linear);
        assert_eq!(written(r#"{"from":1.0,"to":0.0,"steps":4,"shape":"linear"}"#), linear);
        let cosine = r#"{"from":1.0,"to":0.0,"steps":4,"shape":"cosine"}"#;
        assert_eq!(written(cosine), cosine);
        assert!(serde_json::from_str::<Weight>(r#"{"from":1.0,"to":0.0,"steps":4,"shape":"cosin"}"#).is_err());
    }
}
