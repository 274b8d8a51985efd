//! One file of a study.

use super::refusal::{Origin, Refusal};
use super::wording;
use crate::yaml::{self, Places, Target};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the names of sections begin that hold pieces for the others to share, by anchors. They are not part of the study.
pub(super) const SHARED: &str = "x-";

/// One file.
#[derive(Debug)]
pub(super) struct Layer {
    /// As it was named.
    pub file: PathBuf,
    pub document: Value,
    places: Arc<Places>,
}

impl Layer {
    /// The bytes of the file at `path`, of a huge one only its beginning.
    pub fn open(path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let most = yaml::MAX_BYTES as u64 + 1; // one more than is legal
        File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))?;
        Ok(bytes)
    }

    /// Reads a file's values from its bytes.
    pub fn parse(file: &Path, bytes: Vec<u8>) -> Result<Self, Refusal> {
        let at = |place, path, message| Refusal { origin: Origin::file(file, place), path, message };
        let text = yaml::decode(bytes).map_err(|fault| at(fault.place, String::new(), fault.message))?;
        let (mut document, places) = yaml::read(&text).map_err(|fault| at(fault.place, fault.path.join("."), fault.message))?;
        let Some(study) = document.as_object_mut() else {
            let message = format!("expected a study, a map with at least `arms`, found {}", wording::found(&document));
            return Err(at(places.locate(&[], Target::Value), String::new(), message));
        };
        study.retain(|section, _| !section.starts_with(SHARED));
        Ok(Self { file: file.to_owned(), document, places })
    }

    pub fn refuse(&self, path: &[String], target: Target, message: String) -> Refusal {
        let origin = Origin::file(&self.file, self.places.locate(path, target));
        Refusal { origin, path: path.join("."), message }
    }

    /// How many steps of `path` this file wrote, and whether what comes after them is settled here: written, or overwritten by
    /// a value that is no map.
    pub fn wrote(&self, path: &[String]) -> (usize, bool) {
        let mut here = &self.document;
        for (depth, step) in path.iter().enumerate() {
            match here.as_object().map(|map| map.get(step)) {
                Some(Some(value)) => here = value,
                Some(None) => return (depth, false),
                None => return (depth, true),
            }
        }
        (path.len(), true)
    }
}
