//! What a user wants of Slurm.

use crate::flags::{self, REQUESTS};
use crate::layer::Layer;
use crate::time;
use regatta_config::Refusal;
use regatta_config::yaml::{Target, in_one_line};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// What a user wants of Slurm. What is not named is not asked for: the site's own defaults hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Trials for which one task of the array is submitted. Each task goes on while there is work, so this decides how many run
    /// side by side.
    pub trials_per_task: usize,
    /// Tasks that run at a time.
    pub array_limit: Option<usize>,
    /// The time limit of a task, as Slurm writes it.
    pub time: Option<String>,
    /// Processors of a task.
    pub cpus: Option<usize>,
    /// Memory of a task, as Slurm writes it.
    pub memory: Option<String>,
    /// GPUs of a task, as Slurm writes them.
    pub gpus: Option<String>,
    /// The partition.
    pub partition: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The quality of service.
    pub qos: Option<String>,
    /// Features of a node, any of which will do.
    pub constraint: Vec<String>,
    /// Whether all arms of a seed run on nodes of one constraint.
    pub pinned: bool,
    /// Lines of shell before the program starts.
    pub setup: Vec<String>,
    /// Further flags of `sbatch`, a line each.
    pub extra: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            trials_per_task: 1,
            array_limit: None,
            time: None,
            cpus: None,
            memory: None,
            gpus: None,
            partition: None,
            account: None,
            qos: None,
            constraint: Vec::new(),
            pinned: false,
            setup: Vec::new(),
            extra: Vec::new(),
        }
    }
}

/// The site's defaults in the user's folder of configuration, where there is such a file.
pub fn site_defaults() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some(folder.join("regatta/slurm.yaml")).filter(|file| file.exists())
}

impl Settings {
    /// Reads files of which each replaces settings of those before it; a setting without a value takes one away.
    ///
    /// # Errors
    /// At the first value that Slurm would not understand, and at requests that contradict each other.
    pub fn read(files: &[&Path]) -> Result<Self, Refusal> {
        let layers = files.iter().rev().map(|file| Layer::read(file)).collect::<Result<Vec<_>, _>>()?;
        let given = |name| Given::find(&layers, name);
        let word = |name, expected, fits: fn(&str) -> bool| given(name).map(|given| given.word(expected, fits)).transpose();
        let name = |name| word(name, "a name", |_| true);
        let count = |name| given(name).map(|given| given.count()).transpose();
        let list = |name| given(name).map_or(Ok(Vec::new()), |given| given.list());
        let settings = Self {
            trials_per_task: count("trials_per_task")?.unwrap_or(1),
            array_limit: count("array_limit")?,
            time: word("time", "minutes, H:MM:SS or D-HH:MM:SS", |text| time::seconds(text).is_some())?,
            cpus: count("cpus")?,
            memory: word("memory", "memory such as 4G or 4000M", is_memory)?,
            gpus: word("gpus", "a count such as 1, or a type and a count such as a100:1", |_| true)?,
            partition: name("partition")?,
            account: name("account")?,
            qos: name("qos")?,
            constraint: given("constraint").map_or(Ok(Vec::new()), |given| given.words())?,
            pinned: word("pin", "`constraint`", |text| text == "constraint")?.is_some(),
            setup: list("setup")?,
            extra: list("extra")?.iter().map(|line| bare(line).to_owned()).collect(),
        };
        if let Some(pin) = given("pin").filter(|_| settings.constraint.is_empty()) {
            let message = "expected `constraint: [...]` beside it: the seeds are divided between the kinds of node there";
            return Err(pin.refuse(message.into()));
        }
        if let Some(extra) = given("extra") {
            check_extra(&extra, &settings.extra, &layers)?;
        }
        Ok(settings)
    }

    /// Whether a line of `extra` asks for what `flag` does.
    pub(crate) fn says(&self, flag: &str) -> bool {
        let asked = flags::request(flag, "");
        let all = self.extra.iter().flat_map(|line| flags::flags(line));
        asked.is_some() && all.into_iter().any(|(name, value)| flags::request(&name, &value) == asked)
    }
}

/// Slurm takes a number, of MiB where no unit is named.
fn is_memory(text: &str) -> bool {
    let number = text.strip_suffix(['K', 'M', 'G', 'T', 'k', 'm', 'g', 't']).unwrap_or(text);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// A line of `extra` as it is in scripts of others: `#SBATCH --exclusive`.
fn bare(line: &str) -> &str {
    line.trim().strip_prefix("#SBATCH").unwrap_or(line).trim()
}

/// Refuses lines that are no flags, that are not the user's to say, and those that ask for what is asked for elsewhere.
fn check_extra(extra: &Given<'_>, lines: &[String], layers: &[Layer]) -> Result<(), Refusal> {
    let mut asked: Vec<(usize, String)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let refuse = |message: String| extra.refuse_item(index, message);
        if !line.starts_with('-') || line.contains('\n') {
            let message = format!("expected flags of sbatch in one line, such as --mail-type=END, found `{}`", in_one_line(line));
            return Err(refuse(message));
        }
        for (name, value) in flags::flags(line) {
            if let Some(reason) = flags::ours(&name) {
                return Err(refuse(format!("expected no --{name}: {reason}")));
            }
            let Some(request) = flags::request(&name, &value) else { continue };
            let other = REQUESTS[request].setting.and_then(|setting| Some((setting, Given::find(layers, setting)?)));
            if let Some((setting, other)) = other {
                let place = other.layer.place(setting);
                return Err(refuse(format!("`--{name}` asks for what `{setting}` does ({place}): leave one of them out")));
            }
            if let Some((_, before)) = asked.iter().find(|(place, _)| *place == request) {
                return Err(refuse(format!("`--{name}` asks for what `--{before}` does: leave one of them out")));
            }
            asked.push((request, name));
        }
    }
    Ok(())
}

/// A setting's value, and where it stands.
struct Given<'a> {
    layer: &'a Layer,
    name: &'static str,
    value: &'a Value,
}

impl<'a> Given<'a> {
    /// In the first of `layers` that has it; `None` where it has no value there.
    fn find(layers: &'a [Layer], name: &'static str) -> Option<Self> {
        let (layer, value) = layers.iter().find_map(|layer| Some((layer, layer.value(name)?)))?;
        (!value.is_null()).then_some(Self { layer, name, value })
    }

    fn refuse(&self, message: String) -> Refusal {
        self.layer.refuse(&[self.name], Target::Value, message)
    }

    fn refuse_item(&self, index: usize, message: String) -> Refusal {
        self.layer.refuse(&[self.name, &index.to_string()], Target::Value, message)
    }

    fn count(&self) -> Result<usize, Refusal> {
        let count = self.value.as_u64().filter(|count| (1..=u64::from(u32::MAX)).contains(count));
        count
            .map(|count| count as usize)
            .ok_or_else(|| self.refuse(format!("expected a whole number above 0, found {}", self.shown())))
    }

    /// One word, which may be a number; without what would end it in a script.
    fn word(&self, expected: &str, fits: fn(&str) -> bool) -> Result<String, Refusal> {
        let word = as_word(self.value).filter(|word| fits(word));
        word.ok_or_else(|| self.refuse(format!("expected {expected}, found {}", self.shown())))
    }

    /// A word, or a list of words.
    fn words(&self) -> Result<Vec<String>, Refusal> {
        let Value::Array(items) = self.value else { return Ok(vec![self.word("a feature of nodes, or a list", |_| true)?]) };
        let word = |(index, item): (usize, &Value)| {
            as_word(item).ok_or_else(|| {
                self.refuse_item(index, format!("expected a feature of nodes, found {}", in_one_line(&item.to_string())))
            })
        };
        items.iter().enumerate().map(word).collect()
    }

    fn list(&self) -> Result<Vec<String>, Refusal> {
        let Value::Array(items) = self.value else {
            return Err(self.refuse(format!("expected a list of lines, found {}", self.shown())));
        };
        let line = |(index, item): (usize, &Value)| {
            let line = item.as_str().map(str::to_owned);
            line.ok_or_else(|| {
                self.refuse_item(index, format!("expected a line of text, found {}", in_one_line(&item.to_string())))
            })
        };
        items.iter().enumerate().map(line).collect()
    }

    fn shown(&self) -> String {
        match self.value {
            Value::Array(_) => "a list".into(),
            Value::Object(_) => "a map".into(),
            other => in_one_line(&other.to_string()),
        }
    }
}

fn as_word(value: &Value) -> Option<String> {
    let word = match value {
        Value::String(word) => word.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    let breaks = |c: char| c.is_whitespace() || c.is_control() || ['"', '\'', '\\', '#'].contains(&c);
    (!word.is_empty() && !word.contains(breaks)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..texts.len()).map(|index| folder.path().join(format!("{index}.yaml"))).collect();
        files.iter().zip(texts).for_each(|(file, text)| std::fs::write(file, text).unwrap());
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let prefix = format!("{}/", folder.path().display());
        Settings::read(&files).map_err(|refusal| refusal.to_string().replace(&prefix, ""))
    }

    #[test]
    fn the_users_file_replaces_the_sites_defaults_one_by_one() {
        let site = "partition: long\naccount: 1234\ntime: 1-12:00:00\nextra: ['#SBATCH --mail-type=END']\n";
        let read = read(&[site, "time: 90\naccount:\nmemory: 4G\ncpus: 2\ntrials_per_task: 3\n"]).unwrap();
        let expected = Settings {
            trials_per_task: 3,
            time: Some("90".into()),
            cpus: Some(2),
            memory: Some("4G".into()),
            partition: Some("long".into()),
            extra: vec!["--mail-type=END".into()],
            ..Settings::default()
        };
        assert_eq!(read, expected);
        assert_eq!(super::Settings::read(&[]).unwrap(), Settings::default());
    }

    fn refused(texts: &[&str], expected: &str) {
        assert_eq!(read(texts).unwrap_err(), expected);
    }

    #[test]
    fn what_slurm_would_not_understand_is_refused_where_it_stands() {
        refused(&["cpus: 2\ntime: 4h\n"], "0.yaml:2:7: time: expected minutes, H:MM:SS or D-HH:MM:SS, found \"4h\"");
        refused(&["memory: 4GB\n"], "0.yaml:1:9: memory: expected memory such as 4G or 4000M, found \"4GB\"");
        refused(&["cpus: 0\n"], "0.yaml:1:7: cpus: expected a whole number above 0, found 0");
        refused(&["partition: a b\n"], "0.yaml:1:12: partition: expected a name, found \"a b\"");
        refused(&["setup: module load x\n"], "0.yaml:1:8: setup: expected a list of lines, found \"module load x\"");
        refused(&["pin: seed\n"], "0.yaml:1:6: pin: expected `constraint`, found \"seed\"");
        refused(
            &["pin: constraint\n"],
            "0.yaml:1:6: pin: expected `constraint: [...]` beside it: the seeds are divided between the kinds of node there",
        );
        refused(
            &["extra: [exclusive]\n"],
            "0.yaml:1:9: extra.0: expected flags of sbatch in one line, such as --mail-type=END, found `exclusive`",
        );
    }

    #[test]
    fn requests_that_contradict_each_other_are_refused() {
        refused(
            &["memory: 4G\n", "extra:\n- --exclusive\n- --mem-per-cpu=2G\n"],
            "1.yaml:3:3: extra.1: `--mem-per-cpu` asks for what `memory` does (0.yaml:1): leave one of them out",
        );
        refused(
            &["time: 5\nextra: [-t 6]\n"],
            "0.yaml:2:9: extra.0: `--time` asks for what `time` does (0.yaml:1): leave one of them out",
        );
        refused(
            &["extra: [--time=5, --exclusive --time=6]\n"],
            "0.yaml:1:19: extra.1: `--time` asks for what `--time` does: leave one of them out",
        );
        let message = read(&["extra: [--array=0-3]\n"]).unwrap_err();
        assert!(
            message.contains("expected no --array: the number of tasks follows from the trials that are missing"),
            "{message}"
        );
        assert!(read(&["memory: 4G\n", "memory:\nextra: [--mem-per-cpu=2G]\n"]).is_ok(), "the site's default is taken away");
    }

    #[test]
    fn constraints_are_one_or_several() {
        assert_eq!(read(&["constraint: skylake&ssd"]).unwrap().constraint, ["skylake&ssd"]);
        let pinned = read(&["constraint: [skylake, rome]\npin: constraint"]).unwrap();
        assert!(pinned.pinned && pinned.constraint == ["skylake", "rome"]);
        refused(&["constraint: [a, [b]]"], "0.yaml:1:17: constraint.1: expected a feature of nodes, found [\"b\"]");
    }
}
