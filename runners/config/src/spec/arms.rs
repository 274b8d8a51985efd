//! `arms:` in a study: a map that keeps its order.

use indexmap::IndexMap;
use regatta_core::forms::Forms;
use regatta_core::number::Positive;
use regatta_core::{Intervention, Plugin, forms};
use regatta_lm::spec::{Place, Step, Term, Weight, there};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A named list of terms and interventions, with a learning rate of its own if wanted; an empty one is the baseline. It is written
/// as it was listed.
#[derive(Debug)]
pub struct Arm {
    /// Also the name of its folder of trials.
    pub name: String,
    /// What is added to the loss.
    pub terms: Vec<Term>,
    /// What else changes training.
    pub interventions: Vec<Plugin<dyn Intervention>>,
    /// The learning rate that it is trained with in place of the study's; a legal arm has one at most.
    rates: Vec<Positive>,
    /// The list, in order.
    listed: Vec<Listed>,
    /// Of each intervention, its checkpoint folders: a plugin lends its fields only to be changed.
    folders: Vec<Vec<(&'static str, PathBuf)>>,
}

/// An entry of an arm's list: which of the terms, of the interventions, or of the learning rates.
#[derive(Debug, Clone, Copy)]
enum Listed {
    Term(usize),
    Intervention(usize),
    Rate(usize),
}

impl Arm {
    /// The weight of each entry of the list; `None` of one that is not a term.
    pub(super) fn weights(&self) -> impl Iterator<Item = Option<Weight>> {
        self.listed.iter().map(|listed| match *listed {
            Listed::Term(index) => Some(self.terms[index].weight),
            Listed::Intervention(_) | Listed::Rate(_) => None,
        })
    }

    /// The terms, each with its place in the list.
    pub fn listed_terms(&self) -> impl Iterator<Item = (usize, &Term)> {
        self.listed.iter().enumerate().filter_map(|(place, listed)| match listed {
            Listed::Term(index) => Some((place, &self.terms[*index])),
            _ => None,
        })
    }

    /// The interventions, each with its place in the list.
    pub fn listed_interventions(&self) -> impl Iterator<Item = (usize, &Plugin<dyn Intervention>)> {
        self.listed.iter().enumerate().filter_map(|(place, listed)| match listed {
            Listed::Intervention(index) => Some((place, &self.interventions[*index])),
            _ => None,
        })
    }

    /// The learning rate that it is trained with in place of the study's.
    pub fn lr(&self) -> Option<Positive> {
        self.rates.first().copied()
    }

    /// The places in the list that name a learning rate.
    pub(super) fn listed_rates(&self) -> impl Iterator<Item = usize> {
        let listed = self.listed.iter().enumerate();
        listed.filter_map(|(place, listed)| matches!(listed, Listed::Rate(_)).then_some(place))
    }

    /// The checkpoint folders of its interventions: the place in the list, the plugin's name, its field, and the path.
    pub fn folders(&self) -> impl Iterator<Item = (usize, &'static str, &'static str, &Path)> {
        let plugins = self.listed_interventions().zip(&self.folders);
        plugins.flat_map(|((place, plugin), folders)| {
            folders.iter().map(move |(field, path)| (place, plugin.name(), *field, path.as_path()))
        })
    }

    /// Notes the folders that the interventions have now.
    pub(super) fn note_folders(&mut self) {
        let of = |plugin: &mut Plugin<dyn Intervention>| {
            plugin.0.folders().into_iter().map(|(field, path)| (field, path.clone())).collect()
        };
        self.folders = self.interventions.iter_mut().map(of).collect();
    }

    /// The interventions, each with its place in the list, to change; [`Arm::note_folders`] comes after.
    pub(super) fn listed_interventions_mut(&mut self) -> impl Iterator<Item = (usize, &mut Plugin<dyn Intervention>)> {
        let places = self.listed.iter().enumerate().filter(|(_, listed)| matches!(listed, Listed::Intervention(_)));
        places.map(|(place, _)| place).zip(&mut self.interventions)
    }

    /// The name of every entry's plugin, in order.
    pub fn plugins(&self) -> impl Iterator<Item = &'static str> {
        self.listed.iter().filter_map(|listed| match *listed {
            Listed::Term(index) => Some(self.terms[index].regularizer.name()),
            Listed::Intervention(index) => Some(self.interventions[index].name()),
            Listed::Rate(_) => None,
        })
    }

    /// The list as it is written.
    pub fn list(&self) -> impl Serialize {
        AsListed(self)
    }

    fn of(name: String, entries: Vec<Entry>) -> Self {
        let (terms, interventions, rates) = (Vec::new(), Vec::new(), Vec::new());
        let mut arm = Self { name, terms, interventions, rates, listed: Vec::new(), folders: Vec::new() };
        entries.into_iter().for_each(|entry| arm.push(entry));
        arm.note_folders();
        arm
    }

    fn push(&mut self, entry: Entry) {
        match entry {
            Entry::Term(term) => {
                self.listed.push(Listed::Term(self.terms.len()));
                self.terms.push(term);
            }
            Entry::Intervention(intervention) => {
                self.listed.push(Listed::Intervention(self.interventions.len()));
                self.interventions.push(intervention);
            }
            Entry::Rate(rate) => {
                self.listed.push(Listed::Rate(self.rates.len()));
                self.rates.push(rate);
            }
        }
    }
}

struct AsListed<'a>(&'a Arm);

impl Serialize for AsListed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.listed.len()))?;
        for listed in &self.0.listed {
            match *listed {
                Listed::Term(index) => list.serialize_element(&self.0.terms[index])?,
                Listed::Intervention(index) => list.serialize_element(&Acts { intervention: &self.0.interventions[index] })?,
                Listed::Rate(index) => list.serialize_element(&Rate { lr: self.0.rates[index] })?,
            }
        }
        list.end()
    }
}

/// By itself: its name and its list.
impl Serialize for Arm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Arm", 2)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("list", &self.list())?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Arm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            name: String,
            list: Entries,
        }
        let Named { name, list: Entries(entries) } = Named::deserialize(deserializer)?;
        Ok(Self::of(name, entries))
    }
}

pub(super) fn write<S: Serializer>(arms: &[Arm], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(arms.len()))?;
    for arm in arms {
        map.serialize_entry(&arm.name, &arm.list())?;
    }
    map.end()
}

/// Arms by name, as they are written.
pub(super) struct Arms(Vec<Arm>);

forms! {
    Arms => Forms::expecting("a map of arms, each a name and its list of terms and interventions")
        .map(|arms: IndexMap<String, Entries>| {
            if arms.is_empty() {
                return Err("expected at least one arm, found none".into());
            }
            Ok(Self(arms.into_iter().map(|(name, Entries(entries))| Arm::of(name, entries)).collect()))
        })
}

pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Arm>, D::Error> {
    Arms::deserialize(deserializer).map(|Arms(arms)| arms)
}

/// The entries of an arm.
struct Entries(Vec<Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let forms = Forms::expecting("a list of terms and interventions, `[]` for a baseline");
        forms.list(|entries| Ok(Self(entries))).read(deserializer)
    }
}

/// In a file, where nothing takes the arm of an extended study away.
impl JsonSchema for Entries {
    fn schema_name() -> Cow<'static, str> {
        "arm".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<Entry>();
        json_schema!({"type": ["array", "null"], "items": entry})
    }
}

/// A change of training that is not a penalty.
#[derive(serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Acts<'a> {
    /// What changes training: a name, or a name with its settings.
    intervention: &'a Plugin<dyn Intervention>,
}

/// A learning rate of the arm's own.
#[derive(serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rate {
    /// Peak learning rate of the arm, in place of `train.lr`; one entry at most.
    lr: Positive,
}

/// What a list may hold.
#[derive(serde::Deserialize)]
#[serde(try_from = "Fields")]
enum Entry {
    Term(Term),
    Intervention(Plugin<dyn Intervention>),
    Rate(Positive),
}

impl JsonSchema for Entry {
    fn schema_name() -> Cow<'static, str> {
        "entry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds = [generator.subschema_for::<Term>(), generator.subschema_for::<Acts<'_>>(), generator.subschema_for::<Rate>()];
        json_schema!({"anyOf": kinds})
    }
}

/// The fields of all kinds of entry, so that a message can say which belong together.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, deserialize_with = "there")]
    regularizer: Option<Plugin>,
    #[serde(default, deserialize_with = "there")]
    intervention: Option<Plugin<dyn Intervention>>,
    #[serde(default, deserialize_with = "there")]
    weight: Option<Weight>,
    #[serde(default, deserialize_with = "there")]
    at: Option<Place>,
    #[serde(default, deserialize_with = "there")]
    until: Option<Step>,
    #[serde(default, deserialize_with = "there")]
    lr: Option<Positive>,
}

impl TryFrom<Fields> for Entry {
    type Error = String; // in serde's words, which become those of a study

    fn try_from(Fields { regularizer, intervention, weight, at, until, lr }: Fields) -> Result<Self, String> {
        let beside = |field: &str| Err(format!("unknown field `{field}`, expected `intervention`"));
        let of_a_term = [("weight", weight.is_some()), ("at", at.is_some()), ("until", until.is_some())];
        let of_a_term = of_a_term.into_iter().find(|(_, there)| *there).map(|(field, _)| field);
        if let Some(lr) = lr {
            let other = regularizer.map(|_| "regularizer").or(intervention.map(|_| "intervention")).or(of_a_term);
            return match other {
                None => Ok(Self::Rate(lr)),
                Some(other) => {
                    Err(format!("expected `lr` in an entry of its own, for it is the whole arm's, found `{other}` beside it"))
                }
            };
        }
        match (regularizer, intervention, weight) {
            (Some(_), Some(_), _) => {
                Err("expected `regularizer` or `intervention`, found both: each has an entry of its own".into())
            }
            (None, Some(intervention), _) => match of_a_term {
                Some(field) => beside(field),
                None => Ok(Self::Intervention(intervention)),
            },
            (Some(regularizer), None, Some(weight)) => {
                let weight = until.map_or(weight, |step| weight.until(step));
                let at = at.unwrap_or_default().from_home(regularizer.0.home());
                Ok(Self::Term(Term { regularizer, weight, at }))
            }
            (Some(_), None, None) => Err("missing field `weight`".into()),
            (None, None, _) if of_a_term.is_none() => {
                Err("expected `regularizer`, `intervention` or `lr`, found none of them".into())
            }
            (None, None, _) => Err("missing field `regularizer`".into()),
        }
    }
}
