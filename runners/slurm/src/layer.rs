//! One file of settings, and where each value stands in it.

use regatta_config::yaml::{self, Fault, MAX_BYTES, Place, Places, Target};
use regatta_config::{Origin, Refusal};
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The settings that a file may have.
pub(crate) const NAMES: [&str; 13] = [
    "trials_per_task",
    "array_limit",
    "time",
    "cpus",
    "memory",
    "gpus",
    "partition",
    "account",
    "qos",
    "constraint",
    "pin",
    "setup",
    "extra",
];

/// A file, its values and their places.
pub(crate) struct Layer {
    file: PathBuf,
    places: Arc<Places>,
    values: Map<String, Value>,
}

impl Layer {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not a YAML map, or names a setting that does not exist.
    pub fn read(file: &Path) -> Result<Self, Refusal> {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|error| {
            refusal(file, Place::START, "", format!("expected settings for Slurm, found no readable file: {error}"))
        })?;
        let misread = |Fault { place, path, message }| refusal(file, place, &path.join("."), message);
        let text = yaml::decode(bytes).map_err(misread)?;
        let (value, places) = yaml::read(&text).map_err(misread)?;
        let values = match value {
            Value::Null => Map::new(),
            Value::Object(values) => values,
            _ => return Err(refusal(file, Place::START, "", "expected a map of settings, such as `time: 2:00:00`".into())),
        };
        let layer = Self { file: file.to_owned(), places, values };
        match layer.values.keys().find(|key| !NAMES.contains(&key.as_str())) {
            Some(unknown) => Err(layer.refuse(&[unknown], Target::Key, unknown_name(unknown))),
            None => Ok(layer),
        }
    }

    /// The value of a setting; `None` where the file has none. A setting without a value is there, and null.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Refuses what stands at `path`.
    pub fn refuse(&self, path: &[&str], target: Target, message: String) -> Refusal {
        let path: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
        refusal(&self.file, self.places.locate(&path, target), &path.join("."), message)
    }

    /// `slurm.yaml:3`, of a setting.
    pub fn place(&self, name: &str) -> String {
        format!("{}:{}", self.file.display(), self.places.locate(&[name.to_owned()], Target::Key).line)
    }
}

fn refusal(file: &Path, place: Place, path: &str, message: String) -> Refusal {
    let origin = Origin::File { file: file.display().to_string(), line: place.line, column: place.column };
    Refusal { origin, path: path.to_owned(), message }
}

/// The message for a setting that does not exist: the nearest that does, also by the name that `sbatch` has for it.
fn unknown_name(name: &str) -> String {
    let known = NAMES.map(|name| format!("`{name}`")).join(", ");
    let message = format!("unknown name `{}`, expected one of {known}", yaml::in_one_line(name));
    let plain = name.to_lowercase().replace(['_', ' '], "-");
    let by_flag = crate::flags::request(&plain, "gpu").and_then(|place| crate::flags::REQUESTS[place].setting);
    let distance = |known: &&str| strsim::damerau_levenshtein(&plain, &known.replace('_', "-"));
    let near = NAMES.into_iter().min_by_key(distance).filter(|near| distance(near) <= near.len() / 3);
    match by_flag.or(near) {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => format!("{message}; other flags of sbatch are lines of `extra`, as in `extra: [--mail-type=END]`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("slurm.yaml");
        std::fs::write(&file, text).unwrap();
        let message = Layer::read(&file).err().unwrap().to_string();
        let message = message.strip_prefix(&folder.path().display().to_string()).unwrap();
        for part in expected {
            assert!(message.contains(part), "{message} lacks {part}");
        }
    }

    #[test]
    fn unknown_names_are_refused_with_line_and_nearest_name() {
        check("time: 60\npartitoin: long\n", &["/slurm.yaml:2:1: partitoin: unknown name", "did you mean `partition`?"]);
        check("mem: 4G\n", &["/slurm.yaml:1:1: mem:", "did you mean `memory`?"]);
        check("cpus_per_task: 4\n", &["did you mean `cpus`?"]);
        check("nodelist: n1\n", &["other flags of sbatch are lines of `extra`"]);
        check("- time\n", &["/slurm.yaml:1:1: expected a map of settings"]);
        check("time: [1\n", &["/slurm.yaml:2:1: time.1: expected YAML, found a mistake: did not find expected ',' or ']'"]);
    }
}
