//! `vary:` in a study: which fields take which values.

use super::refusal::in_one_line;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt;

/// Points at which every arm is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Vary {
    /// Every combination of the axes' values; the last axis varies fastest.
    Product(Vec<Axis>),
    /// The points one by one.
    Points(Vec<Vec<Assignment>>),
}

/// One field and the values that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Dotted; `*` stands for every arm, or every item of a list.
    pub path: String,
    /// At least one, and none twice.
    pub values: Vec<Value>,
}

/// One field and the value that it has at a point.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// As it was written: dotted, with its `*`.
    pub path: String,
    /// What it is set to.
    pub value: Value,
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::String(word) => write!(f, "{}={word}", self.path),
            value => write!(f, "{}={value}", self.path),
        }
    }
}

impl Vary {
    /// How many points there are.
    pub fn count(&self) -> u128 {
        match self {
            Self::Product(axes) => axes.iter().fold(1, |count, axis| u128::saturating_mul(count, axis.values.len() as u128)),
            Self::Points(points) => points.len() as u128,
        }
    }

    /// Every path that varies, in the order written.
    pub(super) fn paths(&self) -> Vec<&str> {
        let all: Vec<&str> = match self {
            Self::Product(axes) => axes.iter().map(|axis| axis.path.as_str()).collect(),
            Self::Points(points) => points.iter().flatten().map(|assignment| assignment.path.as_str()).collect(),
        };
        let mut seen = HashSet::new();
        all.into_iter().filter(|path| seen.insert(*path)).collect()
    }

    /// The value that was written at `at`, keys and indices from `vary` on.
    pub(super) fn value_mut(&mut self, at: &[String]) -> Option<&mut Value> {
        let index = |step: &String| step.parse::<usize>().ok();
        match self {
            Self::Product(axes) => axes.iter_mut().find(|axis| axis.path == at[1])?.values.get_mut(index(&at[2])?),
            Self::Points(points) => {
                let point = points.get_mut(index(&at[1])?)?;
                point.iter_mut().find(|assignment| assignment.path == at[2]).map(|assignment| &mut assignment.value)
            }
        }
    }
}

/// One text for equal values, whatever the order of keys and however a number is written.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => (float as i64).to_string(),
            _ => number.to_string(),
        },
        Value::Array(list) => format!("[{}]", list.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        other => other.to_string(),
    }
}

/// The first of `texts` that was there before.
pub(super) fn twice(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut seen = HashSet::new();
    texts.into_iter().find(|text| !seen.insert(text.clone()))
}

impl Serialize for Vary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Product(axes) => {
                let mut map = serializer.serialize_map(Some(axes.len()))?;
                axes.iter().try_for_each(|axis| map.serialize_entry(&axis.path, &axis.values))?;
                map.end()
            }
            Self::Points(points) => {
                let map = |point: &Vec<Assignment>| -> Value {
                    point.iter().map(|set| (set.path.clone(), set.value.clone())).collect::<serde_json::Map<_, _>>().into()
                };
                serializer.collect_seq(points.iter().map(map))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Vary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProductOrPoints;

        impl<'de> Visitor<'de> for ProductOrPoints {
            type Value = Vary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of paths to lists of values, or a list of points, each a map of paths to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vary, A::Error> {
                let mut axes = Vec::new();
                while let Some((path, Values(values))) = map.next_entry()? {
                    axes.push(Axis { path, values });
                }
                match axes.is_empty() {
                    true => Err(de::Error::custom("expected at least one path, as in `train.lr: [1.0e-3, 3.0e-3]`, found none")),
                    false => Ok(Vary::Product(axes)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vary, A::Error> {
                let (mut points, mut seen) = (Vec::new(), HashSet::new());
                while let Some(Point(point)) = list.next_element()? {
                    let mut sorted: Vec<String> =
                        point.iter().map(|set| format!("{}={}", set.path, canonical(&set.value))).collect();
                    sorted.sort();
                    if !seen.insert(sorted) {
                        return Err(de::Error::custom(format!("expected each point once, found {} twice", shown(&point))));
                    }
                    points.push(point);
                }
                match points.is_empty() {
                    true => Err(de::Error::custom("expected at least one point, as in `- {train.lr: 1.0e-3}`, found none")),
                    false => Ok(Vary::Points(points)),
                }
            }
        }

        deserializer.deserialize_any(ProductOrPoints)
    }
}

/// A point in words, in one line.
pub(super) fn shown(point: &[Assignment]) -> String {
    in_one_line(&point.iter().map(Assignment::to_string).collect::<Vec<_>>().join(", "))
}

/// The values of an axis.
struct Values(Vec<Value>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Values, A::Error> {
                let values = Vec::<Value>::deserialize(de::value::SeqAccessDeserializer::new(list))?;
                if values.is_empty() {
                    return Err(de::Error::custom("expected at least one value, found none"));
                }
                match twice(values.iter().map(canonical)) {
                    Some(value) => {
                        Err(de::Error::custom(format!("expected each value once, found {} twice", in_one_line(&value))))
                    }
                    None => Ok(Values(values)),
                }
            }
        }

        deserializer.deserialize_any(List)
    }
}

/// The assignments of a point.
struct Point(Vec<Assignment>);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Assignments;

        impl<'de> Visitor<'de> for Assignments {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a point, a map of paths to values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Point, A::Error> {
                let mut point = Vec::new();
                while let Some((path, value)) = map.next_entry()? {
                    point.push(Assignment { path, value });
                }
                match point.is_empty() {
                    true => Err(de::Error::custom("expected a point with at least one path, found none")),
                    false => Ok(Point(point)),
                }
            }
        }

        deserializer.deserialize_any(Assignments)
    }
}
