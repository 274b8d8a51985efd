//! What was written, and where: the study's file, the files that it extends, and overrides.

use super::extends;
use super::layer::Layer;
use super::overrides::{self, Override};
use super::refusal::{Misfit, Origin, Refusal, in_one_line};
use super::understand::{name_after, nothing_means_defaults};
use crate::yaml::Place;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Source {
    /// The study's own file, then what it extends, and so on.
    layers: Vec<Layer>,
    /// The values of all files, with overrides.
    pub document: Value,
    overrides: Vec<Override>,
}

impl Source {
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Refusal> {
        let bytes = Layer::open(path).map_err(|error| {
            let message = format!("expected a study, found no readable file: {error}");
            Refusal { origin: Origin::file(path, Place::START), path: String::new(), message }
        })?;
        let layers = extends::layers(Layer::parse(path, bytes)?)?;
        let mut document = extends::merged(&layers);
        let overrides =
            overrides.iter().map(|assignment| overrides::apply(&mut document, assignment)).collect::<Result<_, _>>()?;
        nothing_means_defaults(&mut document);
        name_after(&mut document, path);
        Ok(Self { layers, document, overrides })
    }

    /// The folder from which a path starts that was written at `path`.
    pub fn folder(&self, path: &[String]) -> PathBuf {
        let set = self.overrides.iter().any(|set| path.starts_with(&set.path));
        let layer = if set { &self.layers[0] } else { self.writer(path) };
        layer.file.parent().unwrap_or(Path::new("")).to_owned()
    }

    /// The last override that wrote the value is to blame, or else the file that wrote it.
    pub fn refuse(&self, Misfit { path, target, mut message }: Misfit) -> Refusal {
        if let Some(set) = self.overrides.iter().rev().find(|set| path.starts_with(&set.path)) {
            return Refusal { origin: Origin::Set(set.assignment.clone()), path: path.join("."), message };
        }
        let within: Vec<&str> =
            self.overrides.iter().filter(|set| set.path.starts_with(&path)).map(|set| set.assignment.as_str()).collect();
        if !within.is_empty() && !path.is_empty() {
            message = format!("{message} (with --set {})", in_one_line(&within.join(" --set ")));
        }
        self.writer(&path).refuse(&path, target, message)
    }

    /// The file that wrote what `path` leads to, or else the longest part of the way there.
    fn writer(&self, path: &[String]) -> &Layer {
        let mut best = (0, &self.layers[0]);
        for layer in &self.layers {
            match layer.wrote(path) {
                (_, true) => return layer,
                (depth, false) if depth > best.0 => best = (depth, layer),
                _ => {}
            }
        }
        best.1
    }
}
