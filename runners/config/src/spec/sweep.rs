//! The points of a sweep: what every arm is at each of them.

use super::refusal::{Misfit, Refusal};
use super::source::Source;
use super::understand::{nothing_means_defaults, understand};
use super::vary::{self, Assignment, Vary};
use super::{Arm, Study, files, label, overrides, path, pattern};
use crate::yaml::Target;
use regatta_core::{Intervention, Plugin};
use regatta_lm::spec::Term;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Points that a sweep may have.
const MAX_POINTS: u128 = 10_000;
/// Points times values of the study that it may have: each point is read and judged before anything is trained.
const MAX_VALUES: u128 = 5_000_000;

/// One arm at one point of the sweep: what a trial trains, but for its seed.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The arm's name.
    pub arm: String,
    /// What the sweep sets at this point that concerns this arm, in the order of `vary`; empty without a sweep. Paths of files
    /// are absolute.
    pub point: Vec<Assignment>,
    /// The study at this point, every default resolved and nothing varied; [`Variant::index`] is this arm's.
    pub study: Arc<Study>,
    /// Which of the study's arms this is.
    pub index: usize,
    label: String,
    /// Which of the sweep's points this is.
    number: usize,
}

impl Variant {
    /// The point in a word, as in `lr=0.0003,width=64`: the name of one folder, of at most 200 bytes, that no other point of
    /// the arm has. Empty where the sweep sets nothing of this arm.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// What is added to the loss.
    pub fn terms(&self) -> &[Term] {
        &self.arm().terms
    }

    /// What else changes training.
    pub fn interventions(&self) -> &[Plugin<dyn Intervention>] {
        &self.arm().interventions
    }

    /// Its arm.
    pub fn arm(&self) -> &Arm {
        &self.study.arms[self.index]
    }
}

/// All variants of a study.
#[derive(Debug)]
pub(super) struct Sweep {
    pub variants: Vec<Variant>,
    entries: Vec<Entry>,
    /// Indices of entries, in the order of `vary`.
    points: Vec<Vec<usize>>,
    /// Of each point, the variant of each arm.
    places: Vec<Vec<usize>>,
}

/// A value in `vary`.
#[derive(Debug)]
struct Entry {
    set: Assignment,
    /// Keys and indices down to the path, from `vary` on.
    key: Vec<String>,
    /// And to the value.
    at: Vec<String>,
    /// The fields that it writes.
    fields: Arc<Vec<Vec<String>>>,
}

impl Entry {
    fn concerns(&self, arm: &Arm) -> bool {
        let follows = |field: &[String]| arm.lr().is_none() || field != ["train", "lr"];
        self.fields.iter().any(|field| if field[0] == "arms" { field[1] == arm.name } else { follows(field) })
    }
}

impl Sweep {
    /// Reads every point of `study`, which `source` wrote; paths of files that vary become absolute.
    ///
    /// # Errors
    /// At the first value of `vary` that leads nowhere or makes a study that is not legal.
    pub fn of(source: &Source, study: &mut Study, memory: Option<u128>) -> Result<Self, Refusal> {
        let mut sweep = Self { variants: Vec::new(), entries: Vec::new(), points: vec![Vec::new()], places: Vec::new() };
        if let Some(vary) = &study.vary {
            let whole = study.plain();
            let (points, size) = (vary.count(), values(&whole));
            if points > MAX_POINTS || points * size > MAX_VALUES {
                let most = format!("expected at most {MAX_POINTS} points, and at most {MAX_VALUES} values in all of them");
                let message = format!("{most}, found {points} points of a study with {size} values");
                return Err(source.refuse(Misfit::new(["vary"], message)));
            }
            (sweep.entries, sweep.points) = entries(source, &whole, vary)?;
        }
        let mut document = source.document.clone();
        document.as_object_mut().into_iter().for_each(|fields| _ = fields.shift_remove("vary"));
        let mut studies = Vec::new();
        for point in &sweep.points {
            match sweep.study_at(source, &document, point, memory) {
                Ok(mut at_point) => {
                    let found = absolute(&sweep.entries, point, &mut at_point);
                    studies.push((at_point, found));
                }
                Err(misfit) => {
                    let others = |entry| point.iter().copied().filter(|&other| other != entry).collect::<Vec<_>>();
                    let alone = |entry: &usize| sweep.study_at(source, &document, &others(*entry), memory).is_ok();
                    let culprit = point.iter().rev().copied().find(alone).or(point.last().copied());
                    return Err(sweep.blame(source, point, culprit, misfit));
                }
            }
        }
        for (entry, within, file) in studies.iter_mut().flat_map(|(_, found)| std::mem::take(found)) {
            let Entry { set, at, .. } = &mut sweep.entries[entry];
            let written = study.vary.as_mut().and_then(|vary| vary.value_mut(at));
            for value in [Some(&mut set.value), written].into_iter().flatten() {
                path::get_mut(value, &within).into_iter().for_each(|field| *field = file.clone().into());
            }
        }
        sweep.collect(study, studies.into_iter().map(|(study, _)| study));
        Ok(sweep)
    }

    fn study_at(&self, source: &Source, base: &Value, point: &[usize], memory: Option<u128>) -> Result<Study, Misfit> {
        let mut document = base.clone();
        for &entry in point {
            let Entry { set, fields, .. } = &self.entries[entry];
            for field in fields.iter() {
                let put = overrides::put(&mut document, field, set.value.clone());
                put.map_err(|(path, message)| Misfit { path, target: Target::Key, message })?;
            }
        }
        nothing_means_defaults(&mut document);
        let folder = |path: &[String]| {
            let entry = point.iter().rev().find(|&&entry| self.entries[entry].fields.iter().any(|field| path.starts_with(field)));
            source.folder(entry.map_or(path, |&entry| &self.entries[entry].at))
        };
        understand(&document, &folder, memory)
    }

    /// Refuses what is wrong at `point`: at the value of `vary` that wrote it, or else at `culprit`, or else at a value that
    /// wrote a part of it, or else where the study has it.
    fn blame(&self, source: &Source, point: &[usize], culprit: Option<usize>, misfit: Misfit) -> Refusal {
        let Misfit { path, target, message } = misfit;
        let entries = || point.iter().rev().map(|&entry| &self.entries[entry]);
        let above = |entry: &&Entry| entry.fields.iter().any(|field| field.starts_with(&path) && !path.is_empty());
        let wrote = entries().find_map(|entry| Some((entry, entry.fields.iter().find(|field| path.starts_with(field))?)));
        if let Some((entry, field)) = wrote {
            let rest = &path[field.len()..];
            let start = if target == Target::Key && rest.is_empty() { &entry.key } else { &entry.at };
            return source.refuse(Misfit { path: [start, rest].concat(), target, message });
        }
        if let Some(entry) = entries().find(above).filter(|_| target == Target::Key) {
            return source.refuse(Misfit { path: entry.key.clone(), target, message });
        }
        let all: Vec<Assignment> = point.iter().map(|&entry| self.entries[entry].set.clone()).collect();
        let message = if all.is_empty() { message } else { format!("{message} (at {})", vary::shown(&all)) };
        match culprit.map(|entry| &self.entries[entry]).or_else(|| entries().find(above)) {
            Some(culprit) => source.refuse(Misfit::new(culprit.at.clone(), format!("{}: {message}", path.join(".")))),
            None => source.refuse(Misfit { path, target, message }),
        }
    }

    /// Refuses `variant` for what is wrong at `path` of its study.
    pub fn refuse(&self, source: &Source, variant: &Variant, misfit: Misfit) -> Refusal {
        self.blame(source, &self.points[variant.number], None, misfit)
    }

    /// The variant of `arm` at the point of `variant`, or the one that comes to the same there.
    pub fn at_point_of(&self, variant: &Variant, arm: usize) -> &Variant {
        &self.variants[self.places[variant.number][arm]]
    }

    fn collect(&mut self, study: &Study, studies: impl Iterator<Item = Study>) {
        let paths = study.vary.as_ref().map(Vary::paths).unwrap_or_default();
        let mut known: HashMap<(usize, String), usize> = HashMap::new();
        for (number, at_point) in studies.enumerate() {
            let at_point = Arc::new(at_point);
            let settings = at_point.plain();
            let common = ["model", "tokenizer", "data", "train", "evaluate"].map(|section| settings[section].to_string());
            let mut places = Vec::new();
            for (index, arm) in at_point.arms.iter().enumerate() {
                let mut common = common.clone();
                if arm.lr().is_some() {
                    common[3] = serde_json::json!(at_point.train_of(arm)).to_string();
                }
                let all = format!("{}{}", common.concat(), settings["arms"][&arm.name]);
                let hash = blake3::hash(all.as_bytes()).to_hex().to_string();
                let place = *known.entry((index, hash)).or_insert(self.variants.len());
                if place == self.variants.len() {
                    let entries = self.points[number].iter().map(|&entry| &self.entries[entry]);
                    let point: Vec<Assignment> =
                        entries.filter(|entry| entry.concerns(arm)).map(|entry| entry.set.clone()).collect();
                    let label = label::label(&point, &paths);
                    let (arm, study) = (arm.name.clone(), at_point.clone());
                    self.variants.push(Variant { arm, point, study, index, label, number });
                }
                places.push(place);
            }
            self.places.push(places);
        }
    }
}

/// How many values `value` holds, itself included.
fn values(value: &Value) -> u128 {
    match value {
        Value::Array(list) => 1 + list.iter().map(values).sum::<u128>(),
        Value::Object(map) => 1 + map.values().map(values).sum::<u128>(),
        _ => 1,
    }
}

/// The entries of `vary`, and which of them make each point.
fn entries(source: &Source, whole: &Value, vary: &Vary) -> Result<(Vec<Entry>, Vec<Vec<usize>>), Refusal> {
    let mut known: HashMap<String, Arc<Vec<Vec<String>>>> = HashMap::new();
    let mut entries = Vec::new();
    let mut add = |path: &str, key: Vec<String>, values: &[Value]| {
        let fields = match known.get(path) {
            Some(fields) => fields.clone(),
            None => {
                let fields = pattern::fields(whole, path);
                let fields = Arc::new(
                    fields.map_err(|message| source.refuse(Misfit { path: key.clone(), target: Target::Key, message }))?,
                );
                known.entry(path.to_owned()).or_insert(fields).clone()
            }
        };
        let first = entries.len();
        for (index, value) in values.iter().enumerate() {
            let mut at = key.clone();
            if let Vary::Product(_) = vary {
                at.push(index.to_string());
            }
            let set = Assignment { path: path.to_owned(), value: value.clone() };
            entries.push(Entry { set, key: key.clone(), at, fields: fields.clone() });
        }
        Ok(first..first + values.len())
    };
    let key = |steps: &[&str]| ["vary"].iter().chain(steps).map(|&step| step.to_owned()).collect::<Vec<_>>();
    let mut points = Vec::new();
    match vary {
        Vary::Product(axes) => {
            points.push(Vec::new());
            for axis in axes {
                let values = add(&axis.path, key(&[&axis.path]), &axis.values)?;
                let longer = |point: Vec<usize>| values.clone().map(move |value| [&point[..], &[value]].concat());
                points = points.into_iter().flat_map(longer).collect();
            }
        }
        Vary::Points(all) => {
            for (index, point) in all.iter().enumerate() {
                let mut entries = Vec::new();
                for Assignment { path, value } in point {
                    entries.extend(add(path, key(&[&index.to_string(), path]), std::slice::from_ref(value))?);
                }
                points.push(entries);
            }
        }
    }
    Ok((entries, points))
}

/// Paths of files that entries of `point` name: the entry, where in its value, and the path made absolute.
fn absolute(entries: &[Entry], point: &[usize], study: &mut Study) -> Vec<(usize, Vec<String>, String)> {
    let mut found = Vec::new();
    for (field, file, _) in files::named(study) {
        let wrote = |&&entry: &&usize| entries[entry].fields.iter().any(|written| field.starts_with(written));
        if let (Some(&entry), Some(file)) = (point.iter().rev().find(wrote), file.to_str()) {
            let length = entries[entry].fields[0].len();
            found.push((entry, field[length..].to_vec(), file.to_owned()));
        }
    }
    found
}
