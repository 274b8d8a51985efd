//! `vary:` in a study: the fields that vary and their values.

use super::refusal::in_one_line;
use indexmap::IndexMap;
use regatta_core::forms;
use regatta_core::forms::{Distinct, Forms, canonical};
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

forms! {
    Vary => Forms::expecting("a map of paths to lists of values, or a list of points, each a map of paths to values")
        .map(Self::product)
        .meaning("Paths, each to a list of values: every combination is a point, and the last path varies fastest.")
        .list(Self::points)
        .meaning("The points, each a map of paths to values.")
}

impl Vary {
    fn product(axes: IndexMap<String, Values>) -> Result<Self, String> {
        if axes.is_empty() {
            return Err("expected at least one path, as in `train.lr: [1.0e-3, 3.0e-3]`, found none".into());
        }
        Ok(Self::Product(axes.into_iter().map(|(path, Values(values))| Axis { path, values }).collect()))
    }

    fn points(points: Vec<Point>) -> Result<Self, String> {
        let mut seen = HashSet::new();
        for Point(point) in &points {
            let mut sorted: Vec<String> = point.iter().map(|set| format!("{}={}", set.path, canonical(&set.value))).collect();
            sorted.sort();
            if !seen.insert(sorted) {
                return Err(format!("expected each point once, found {} twice", shown(point)));
            }
        }
        if points.is_empty() {
            return Err("expected at least one point, as in `- {train.lr: 1.0e-3}`, found none".into());
        }
        Ok(Self::Points(points.into_iter().map(|Point(point)| point).collect()))
    }
}

/// A point in words, in one line.
pub(super) fn shown(point: &[Assignment]) -> String {
    in_one_line(&point.iter().map(Assignment::to_string).collect::<Vec<_>>().join(", "))
}

/// The values of an axis.
struct Values(Vec<Value>);

forms! {
    Values => Forms::expecting("a list of values").list(|Distinct(values)| Ok(Self(values)))
}

/// The assignments of a point.
struct Point(Vec<Assignment>);

forms! {
    Point => Forms::expecting("a point, a map of paths to values").map(|point: IndexMap<String, Value>| {
        if point.is_empty() {
            return Err("expected a point with at least one path, found none".into());
        }
        Ok(Self(point.into_iter().map(|(path, value)| Assignment { path, value }).collect()))
    })
}
