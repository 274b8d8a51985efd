//! The batch script of an array whose tasks all run the same command.

use crate::settings::Settings;
use crate::time;
use std::fmt::Write;
use std::path::Path;

/// Seconds before its time limit at which a task is asked to stop, in a long job. A step and a checkpoint take less.
const WARNING: u64 = 120;
/// The least of a short one.
const LEAST_WARNING: u64 = 10;

/// The batch script of an array.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// What the queue shows.
    pub name: &'a str,
    /// What the user wants.
    pub settings: &'a Settings,
    /// The kind of node, where it is not any that the settings name.
    pub constraint: Option<&'a str>,
    /// Whether a task needs a GPU: where the settings ask for none, the script asks for one.
    pub needs_gpu: bool,
    /// The folder for what the tasks print.
    pub logs: &'a Path,
    /// The program and its arguments.
    pub command: &'a [String],
}

impl Batch<'_> {
    /// The script for an array of this many tasks. It holds what a submission relies on and what the user asked for, no more: `exec`
    /// lets Slurm's signal, which goes to the batch shell, reach the program itself.
    ///
    /// # Errors
    /// When Slurm cannot write to the folder of logs because of its path.
    pub fn script(&self, tasks: usize) -> Result<String, String> {
        let settings = self.settings;
        let mut text = String::from("#!/bin/bash\n");
        let mut flag = |flag: &str, value: &str| {
            let equals = if value.is_empty() { "" } else { "=" };
            writeln!(text, "#SBATCH --{flag}{equals}{}", quoted(value)).expect("a string can be written to");
        };
        let unsaid = |flag: &str| !settings.says(flag);
        if unsaid("job-name") {
            flag("job-name", &job_name(self.name));
        }
        let limit = settings.array_limit.map_or_else(String::new, |limit| format!("%{limit}"));
        flag("array", &format!("0-{}{limit}", tasks - 1));
        if unsaid("output") {
            flag("output", &self.output()?);
        }
        if unsaid("open-mode") {
            flag("open-mode", "append"); // a task that is requeued goes on in its own log
        }
        if unsaid("requeue") {
            flag("requeue", "");
        }
        if unsaid("signal") {
            flag("signal", &format!("B:USR1@{}", warning(settings.time.as_deref())));
        }
        let constraint = self.constraint.map_or_else(|| settings.constraint.join("|"), str::to_owned);
        let asked = [
            ("time", settings.time.clone()),
            ("cpus-per-task", settings.cpus.map(|cpus| cpus.to_string())),
            ("mem", settings.memory.clone()),
            ("gpus", settings.gpus.clone()),
            ("partition", settings.partition.clone()),
            ("account", settings.account.clone()),
            ("qos", settings.qos.clone()),
            ("constraint", Some(constraint).filter(|constraint| !constraint.is_empty())),
        ];
        asked.iter().for_each(|(name, value)| value.iter().for_each(|value| flag(name, value)));
        if self.needs_gpu && settings.gpus.is_none() && unsaid("gpus") {
            flag("gres", "gpu:1");
        }
        for line in &settings.extra {
            text += &format!("#SBATCH {line}\n");
        }
        text.push('\n');
        for line in &settings.setup {
            text += &format!("{}\n", line.trim_end());
        }
        let words: Vec<String> = self.command.iter().map(|word| in_shell(word)).collect();
        text += &format!("exec {}\n", words.join(" "));
        Ok(text)
    }

    fn output(&self) -> Result<String, String> {
        let path = self.logs.to_str().filter(|path| !path.contains(['"', '\'', '\\', '\n', '\r']));
        let path = path.ok_or_else(|| {
            format!(
                "{}: expected a path without quotes, backslashes and line breaks, in which Slurm can write logs",
                self.logs.display()
            )
        })?;
        Ok(format!("{}/%A_%a.log", path.replace('%', "%%")))
    }
}

/// Seconds between the signal and the end of a job: a quarter of a short job's time.
fn warning(limit: Option<&str>) -> u64 {
    let seconds = limit.and_then(time::seconds).flatten();
    seconds.map_or(WARNING, |seconds| (seconds / 4).clamp(LEAST_WARNING, WARNING))
}

/// A name as `squeue` can show it and `sbatch` reads it.
fn job_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.chars().take(64).map(plain).collect()
}

/// A value as `sbatch` reads it in a comment of a script.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:@%,+".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("\"{value}\"") }
}

/// A word as a shell reads it.
fn in_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:@%,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(settings: &Settings, tasks: usize) -> String {
        script_on(false, settings, tasks)
    }

    fn script_on(needs_gpu: bool, settings: &Settings, tasks: usize) -> String {
        let command = ["/runs/a/submissions/1/regatta".into(), "run".into(), "/runs/a/it's.yaml".into()];
        let logs = Path::new("/runs/a/submissions/1/logs");
        Batch { name: "a study", settings, constraint: None, needs_gpu, logs, command: &command }.script(tasks).unwrap()
    }

    #[test]
    fn a_script_without_settings_asks_for_nothing() {
        let expected = "\
#!/bin/bash
#SBATCH --job-name=a-study
#SBATCH --array=0-8
#SBATCH --output=/runs/a/submissions/1/logs/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120

exec /runs/a/submissions/1/regatta run '/runs/a/it'\\''s.yaml'
";
        assert_eq!(script(&Settings::default(), 9), expected);
    }

    #[test]
    fn what_the_user_asks_for_is_in_it_once() {
        let settings = Settings {
            array_limit: Some(4),
            time: Some("0:20:00".into()),
            cpus: Some(2),
            memory: Some("4G".into()),
            gpus: Some("a100:1".into()),
            partition: Some("long".into()),
            account: Some("lab".into()),
            qos: Some("low".into()),
            constraint: vec!["skylake".into(), "rome".into()],
            setup: vec!["module load gcc".into(), "export OMP_NUM_THREADS=1".into()],
            extra: vec!["--no-requeue".into(), "--signal=B:USR1@300".into(), "--mail-type=END".into()],
            ..Settings::default()
        };
        let expected = "\
#!/bin/bash
#SBATCH --job-name=a-study
#SBATCH --array=0-0%4
#SBATCH --output=/runs/a/submissions/1/logs/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --time=0:20:00
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --gpus=a100:1
#SBATCH --partition=long
#SBATCH --account=lab
#SBATCH --qos=low
#SBATCH --constraint=\"skylake|rome\"
#SBATCH --no-requeue
#SBATCH --signal=B:USR1@300
#SBATCH --mail-type=END

module load gcc
export OMP_NUM_THREADS=1
exec /runs/a/submissions/1/regatta run '/runs/a/it'\\''s.yaml'
";
        assert_eq!(script(&settings, 1), expected);
    }

    #[test]
    fn a_gpu_is_asked_for_once_and_the_settings_come_first() {
        let asks = |needs_gpu, settings: Settings| -> Vec<String> {
            let text = script_on(needs_gpu, &settings, 1);
            text.lines().filter(|line| line.contains("gpu")).map(str::to_owned).collect()
        };
        let extra = |line: &str| Settings { extra: vec![line.into()], ..Settings::default() };
        assert_eq!(asks(true, Settings::default()), ["#SBATCH --gres=gpu:1"]);
        assert_eq!(asks(false, Settings::default()), [""; 0]);
        assert_eq!(asks(true, Settings { gpus: Some("a100:1".into()), ..Settings::default() }), ["#SBATCH --gpus=a100:1"]);
        assert_eq!(asks(true, extra("--gres=gpu:h100:1")), ["#SBATCH --gres=gpu:h100:1"]);
        assert_eq!(asks(true, extra("--gpus-per-task=1")), ["#SBATCH --gpus-per-task=1"]);
        assert_eq!(asks(true, extra("--gres=tmpdir:10G")), ["#SBATCH --gres=gpu:1"]);
    }

    #[test]
    fn the_signal_leaves_a_short_job_most_of_its_time() {
        let check = |limit: Option<&str>, seconds: u64| assert_eq!(warning(limit), seconds, "{limit:?}");
        check(None, 120);
        check(Some("1-0"), 120);
        check(Some("4"), 60);
        check(Some("1"), 15);
        check(Some("0:20"), 10);
        check(Some("UNLIMITED"), 120);
    }

    #[test]
    fn paths_are_written_as_slurm_reads_them() {
        let output = |path: &str| {
            let settings = Settings::default();
            Batch { name: "", settings: &settings, constraint: None, needs_gpu: false, logs: Path::new(path), command: &[] }
                .output()
        };
        assert_eq!(output("/50% off/logs").unwrap(), "/50%% off/logs/%A_%a.log");
        assert_eq!(quoted("/50%% off/logs/%A_%a.log"), "\"/50%% off/logs/%A_%a.log\"");
        assert!(output("/a\"b").unwrap_err().starts_with("/a\"b: expected a path without quotes"));
    }
}
