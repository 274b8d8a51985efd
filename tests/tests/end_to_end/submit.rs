//! `submit` and `cancel`, and the tasks that they are about, with shell scripts in the place of Slurm's programs. `.ci/slurm` runs
//! a study on a real Slurm.

use crate::{Study, tiny};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Two arms with two seeds: four trials.
const ARMS: &str = "  dispersion: [{regularizer: dispersion, weight: 0.1}]\n";

/// Takes every array and prints job 7; where the file `at_once` is there, runs its tasks one after the other.
const SBATCH: &str = r#"
echo "$@" >> "$HERE/sbatch.calls"
env | grep -E '^(SLURM|SBATCH)_' | sort > "$HERE/sbatch.env"
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$2")
echo 7
if [ -e "$HERE/at_once" ]; then
    for index in $(seq 0 "$last"); do
        SLURM_JOB_ID=$((7 + index)) SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$index bash "$2" > "$HERE/task-$index.log" 2>&1
        echo "$index $?" >> "$HERE/ended"
    done
fi
"#;
/// Prints what the file `queue` holds.
const SQUEUE: &str = r#"cat "$HERE/queue" 2>/dev/null; true"#;
/// A task runs, unless the file `state` says otherwise.
const SCONTROL: &str = r#"
echo "$@" >> "$HERE/scontrol.calls"
if [ "$1 $2" = "show config" ]; then echo "MaxArraySize = 1001"; fi
if [ "$1 $2" = "show job" ]; then cat "$HERE/state" 2>/dev/null || echo "JobId=8 JobState=RUNNING Reason=None"; fi
"#;
const SCANCEL: &str = r#"echo "$@" >> "$HERE/scancel.calls""#;

/// A study, and a machine with Slurm's programs.
struct Site {
    study: Study,
    programs: tempfile::TempDir,
}

/// Writes a program by another process. A test beside this one that starts a program would hold the file open for writing until its
/// program runs, and what is open for writing cannot be run.
fn write_program(path: &Path, bytes: &[u8]) {
    let mut shell = Command::new("/bin/sh");
    let mut shell = shell.args(["-c", r#"cat > "$1" && chmod 755 "$1""#, "sh"]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(bytes).unwrap();
    assert!(shell.wait().unwrap().success());
}

impl Site {
    fn new(yaml: &str) -> Self {
        let (study, programs) = (Study::new(yaml), tempfile::tempdir().unwrap());
        for (name, body) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL), ("scancel", SCANCEL)] {
            let script = format!("#!/bin/bash\nHERE={}\n{body}", programs.path().display());
            write_program(&programs.path().join(name), script.as_bytes());
        }
        Self { study, programs }
    }

    fn path(&self) -> std::ffi::OsString {
        let usual = std::env::var_os("PATH").unwrap();
        std::env::join_paths([self.programs.path().to_owned()].into_iter().chain(std::env::split_paths(&usual))).unwrap()
    }

    /// Runs the program, with no configuration of the user who runs the tests.
    fn regatta(&self, arguments: &[&str]) -> Output {
        let mut command = self.study.command(arguments);
        command.env("PATH", self.path()).env("XDG_CONFIG_HOME", self.programs.path().join("config")).output().unwrap()
    }

    /// As [`regatta`](Self::regatta), and expects the exit status; stdout and stderr.
    fn says(&self, arguments: &[&str], status: i32) -> (String, String) {
        let output = self.regatta(arguments);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
        (stdout, stderr)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.programs.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn submission(&self, number: usize) -> PathBuf {
        self.study.path().join("out/submissions").join(number.to_string())
    }

    /// Starts task 3 of job 7 of the first submission, as Slurm would.
    fn task(&self) -> Child {
        Command::new("bash")
            .arg(self.submission(1).join("job.sh"))
            .current_dir(Path::new("/"))
            .env("PATH", self.path())
            .envs([("SLURM_JOB_ID", "10"), ("SLURM_ARRAY_JOB_ID", "7"), ("SLURM_ARRAY_TASK_ID", "3")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts a task, sends it a signal when it has made its first steps, and returns how it ended.
    fn stopped_by(&self, signal: &str, arm: &str) -> (Option<i32>, String) {
        let task = self.task();
        self.study.await_steps("out", arm, 0);
        assert!(Command::new("kill").args([format!("-{signal}"), task.id().to_string()]).status().unwrap().success());
        ended(task)
    }
}

fn ended(task: Child) -> (Option<i32>, String) {
    let output = task.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn what_is_submitted_is_trained_once_and_equals_a_local_run() {
    let site = Site::new(&tiny(ARMS));
    site.put("at_once", "");
    let (stdout, stderr) = site.says(&["submit", "study.yaml", "--out", "out"], 0);
    assert_eq!(stdout, "job 7: 4 tasks\n");
    assert!(stderr.contains("out: 4 trials, 0 of them settled, 4 missing"), "{stderr}");
    assert_eq!(site.read("ended"), "0 0\n1 0\n2 0\n3 0\n", "{}", site.read("task-0.log"));
    site.study.run("local", &[], 0);
    for (arm, seed) in [("baseline", 0), ("baseline", 1), ("dispersion", 0), ("dispersion", 1)] {
        site.study.assert_equal_trials("out", "local", arm, seed, "submitted");
    }
    let jobs = std::fs::read_to_string(site.submission(1).join("jobs.json")).unwrap();
    let jobs: serde_json::Value = serde_json::from_str(&jobs).unwrap();
    assert_eq!(jobs, serde_json::json!([{"job": "7", "tasks": 4}]));

    let (stdout, _) = site.says(&["submit", "study.yaml", "--out", "out"], 0);
    assert_eq!(stdout, "nothing to submit: all 4 trials are settled\n");
    assert_eq!(site.read("sbatch.calls").lines().count(), 1);
    assert!(!site.submission(2).exists());

    // one trial more is one task more
    let (stdout, _) = site.says(&["submit", "study.yaml", "--out", "out", "--set", "seeds=[0, 1, 2]"], 0);
    assert_eq!(stdout, "job 7: 2 tasks\n");
    assert!(!site.study.weights("out", "baseline", 2).is_empty());
}

#[test]
fn print_shows_the_script_and_changes_nothing() {
    let site = Site::new(&tiny(ARMS));
    std::fs::write(site.study.path().join("slurm.yaml"), "time: 0:30:00\ncpus: 2\ntrials_per_task: 2\narray_limit: 1\n").unwrap();
    let arguments = ["submit", "study.yaml", "--out", "out", "--slurm", "slurm.yaml", "--print", "--", "--jobs", "2"];
    let (script, _) = site.says(&arguments, 0);
    let folder = site.study.path().canonicalize().unwrap().join("out");
    let (out, submission) = (folder.display(), folder.join("submissions/1"));
    let submission = submission.display();
    let expected = format!(
        "\
#!/bin/bash
#SBATCH --job-name=tiny
#SBATCH --array=0-1%1
#SBATCH --output={submission}/logs/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --time=0:30:00
#SBATCH --cpus-per-task=2

exec {submission}/regatta-under-test run {submission}/study.yaml --out {out} --no-wait --submission {submission} --jobs 2
"
    );
    assert_eq!(script, expected);
    assert!(!folder.exists() && site.read("sbatch.calls").is_empty() && !site.study.path().join(".tokens").exists());
}

#[test]
fn what_cannot_be_submitted_is_refused_in_one_message() {
    let site = Site::new(&tiny(ARMS));
    let refused = |arguments: &[&str], part: &str| {
        let (stdout, stderr) = site.says(&[&["submit", "study.yaml", "--out", "out"], arguments].concat(), 2);
        assert!(stdout.is_empty() && stderr.contains(part), "{arguments:?}: {stderr}");
        assert!(!site.submission(1).exists() && site.read("sbatch.calls").is_empty(), "{arguments:?}");
    };
    refused(&["--set", "train.stesp=1"], "did you mean `steps`?");
    refused(&["--set", "data.synthetic.validation_tokens=3"], "data");
    std::fs::write(site.study.path().join("slurm.yaml"), "time: 5\npartitoin: long\n").unwrap();
    refused(&["--slurm", "slurm.yaml"], "error: slurm.yaml:2:1: partitoin: unknown name `partitoin`");
    refused(&["--slurm", "none.yaml"], "error: none.yaml:1:1: expected settings for Slurm, found no readable file");
    refused(
        &["--", "--fresh"],
        "expected flags of `run` but --out, --set, --device, --fresh, --allow-mismatch, --no-wait and --seeds",
    );

    // the site's defaults are read too, and named where they are at fault
    std::fs::create_dir_all(site.file("config/regatta")).unwrap();
    site.put("config/regatta/slurm.yaml", "memory: 4GB\n");
    refused(&[], "config/regatta/slurm.yaml:1:9: memory: expected memory such as 4G or 4000M, found \"4GB\"");
    std::fs::remove_dir_all(site.file("config")).unwrap();

    let mut without = site.study.command(&["submit", "study.yaml", "--out", "out"]);
    let output = without.env("PATH", site.file("empty")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("error: sbatch: not found: expected a machine from which Slurm can be reached"), "{stderr}");

    std::fs::write(site.file("sbatch"), "#!/bin/sh\necho 'sbatch: error: invalid partition specified: x' >&2; exit 1\n").unwrap();
    let (_, stderr) = site.says(&["submit", "study.yaml", "--out", "out"], 1);
    assert!(stderr.contains("error: sbatch: invalid partition specified: x") && !site.submission(1).exists(), "{stderr}");
}

#[test]
fn a_study_that_is_edited_changes_nothing_in_the_queue_and_data_that_change_are_refused() {
    let text: String = (0..4000).map(|word| format!("{} ", (word * word) % 97)).collect();
    let data = "data: {text: {file: text.txt, split: [0.8, 0.1, 0.1]}}\ntokenizer: bytes\n";
    let yaml: String =
        tiny(ARMS).lines().map(|line| if line.starts_with("data:") { data.into() } else { format!("{line}\n") }).collect();
    let site = Site::new(&yaml);
    std::fs::write(site.study.path().join("text.txt"), &text).unwrap();
    site.says(&["submit", "study.yaml", "--out", "out"], 0);

    // a line of the text changes while the tasks wait
    std::fs::write(site.study.path().join("text.txt"), text.replace("96", "69")).unwrap();
    let (code, stderr) = ended(site.task());
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("out/submissions/1: a trial is not the one that was submitted: baseline, seed 0 (tokens: "),
        "{stderr}"
    );
    assert!(stderr.contains("nothing was trained; `submit` again submits what is there now"), "{stderr}");
    assert!(!site.study.path().join("out/trials").exists());

    // it is put back, and the study that the user edits is another
    std::fs::write(site.study.path().join("text.txt"), &text).unwrap();
    std::fs::write(site.study.path().join("study.yaml"), yaml.replace("steps: 8", "steps: 9")).unwrap();
    let (code, stderr) = ended(site.task());
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(site.study.metrics("out", "dispersion", 1).len(), 8);

    // the copy of the program is not the one that was submitted
    let program = site.submission(1).join("regatta-under-test");
    let bytes = std::fs::read(&program).unwrap();
    std::fs::remove_file(&program).unwrap();
    write_program(&program, &[&bytes[..], b"another"].concat());
    let (code, stderr) = ended(site.task());
    assert!(code == Some(2) && stderr.contains("regatta-under-test: it is not the file that was submitted"), "{stderr}");
}

fn slow() -> String {
    tiny("  slow: [{regularizer: {misbehaving: {how: sleep}}, weight: 0.1}]\n")
        .replace("steps: 8", "steps: 60")
        .replace("  baseline: []\n", "")
        .replace("seeds: [0, 1]", "seeds: [0]")
}

#[test]
fn a_task_that_is_stopped_requeues_itself_and_goes_on() {
    for signal in ["USR1", "TERM"] {
        let site = Site::new(&slow());
        site.says(&["submit", "study.yaml", "--out", "out"], 0);
        site.put("scontrol.calls", "");
        let (code, stderr) = site.stopped_by(signal, "slow");
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("task 7_3, started once, threads: "), "{stderr}");
        assert!(stderr.contains("task 7_3 is in the queue again (requeue 1)"), "{stderr}");
        assert!(site.read("scontrol.calls").ends_with("requeue 7_3\n"), "{}", site.read("scontrol.calls"));
        let made = site.study.metrics("out", "slow", 0).len();
        let (code, stderr) = ended(site.task());
        assert_eq!(code, Some(0), "{stderr}");
        assert_eq!(site.study.json("out", "slow", 0, "status.json")["resumed_from"], made as u64);
        assert_eq!(site.study.metrics("out", "slow", 0).len(), 60);
        assert!(site.study.path().join("out/report.html").exists());
    }
}

#[test]
fn a_task_that_makes_no_progress_gives_up_after_three_times() {
    let site = Site::new(&slow());
    site.says(&["submit", "study.yaml", "--out", "out"], 0);
    let tasks = site.submission(1).join("tasks");
    std::fs::create_dir_all(&tasks).unwrap();
    let before = serde_json::json!({"count": 5, "without_progress": 2, "made": {"settled": 0, "steps": 1000}});
    std::fs::write(tasks.join("7_3.json"), before.to_string()).unwrap();
    site.put("scontrol.calls", "");
    let (code, stderr) = site.stopped_by("USR1", "slow");
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("error: task 7_3 was stopped 3 times before a trial ended or a checkpoint was saved"), "{stderr}");
    assert!(!site.read("scontrol.calls").contains("requeue"), "{}", site.read("scontrol.calls"));
}

#[test]
fn a_task_that_was_cancelled_does_not_come_back() {
    let site = Site::new(&slow());
    site.says(&["submit", "study.yaml", "--out", "out"], 0);
    let (stdout, _) = site.says(&["cancel", "out"], 0);
    assert_eq!(stdout, "out: the queue has nothing of it\n");
    assert!(site.read("scancel.calls").is_empty());
    let (_, stderr) = site.says(&["cancel", "."], 2);
    assert!(stderr.contains(".: expected a folder with submissions, found none"), "{stderr}");

    // scancel by hand, as Slurm shows it
    site.put("state", "JobId=8 JobState=COMPLETING RunTime=00:00:03 TimeLimit=01:00:00 EndTime=2026-11-30T07:09:57\n");
    let (code, stderr) = site.stopped_by("TERM", "slow");
    assert_eq!(code, Some(143), "{stderr}");
    assert!(stderr.contains("task 7_3 was cancelled: it is not requeued"), "{stderr}");

    // by `cancel`, of which the task knows although Slurm says that it runs
    site.put("state", "JobId=8 JobState=RUNNING\n");
    site.put("queue", "7|3|10|RUNNING|None|n1|0:10\n7|0|7|PENDING|Priority||0:00\n");
    let task = site.task();
    std::thread::sleep(Duration::from_millis(500));
    let (stdout, _) = site.says(&["cancel", "out"], 0);
    assert_eq!(stdout, "job 7: withdrawn (1 waiting, 1 running)\n");
    assert_eq!(site.read("scancel.calls"), "7\n");
    assert!(Command::new("kill").args(["-TERM", &task.id().to_string()]).status().unwrap().success());
    let (code, stderr) = ended(task);
    assert_eq!(code, Some(143), "{stderr}");
    assert!(!site.read("scontrol.calls").contains("requeue"), "{}", site.read("scontrol.calls"));
}

#[test]
fn tasks_in_the_queue_are_not_submitted_again() {
    let site = Site::new(&tiny(ARMS));
    site.says(&["submit", "study.yaml", "--out", "out"], 0);
    site.put(
        "queue",
        "7|0|7|RUNNING|None|n1|0:10\n7|1|8|PENDING|Priority||0:00\n7|2|9|PENDING|launch failed requeued held||0:00\n",
    );
    let (stdout, stderr) = site.says(&["submit", "study.yaml", "--out", "out"], 0);
    assert_eq!(stdout, "job 7: 2 tasks\n", "four trials are missing, and two tasks are there for them");
    assert!(stderr.contains("job 7: 1 task in the queue cannot start (launch failed requeued held)"), "{stderr}");
    site.put("queue", "7|[0-3]|7|PENDING|Priority||0:00\n");
    let (stdout, _) = site.says(&["submit", "study.yaml", "--out", "out"], 0);
    assert_eq!(stdout, "nothing to submit: the queue has 4 tasks of earlier submissions for what is missing\n");

    // tasks of another study would not train what this one asks for
    let (stdout, stderr) = site.says(&["submit", "study.yaml", "--out", "out", "--set", "seeds=[0, 1, 2]"], 2);
    assert!(stdout.is_empty() && stderr.contains("tasks of an earlier study for this folder"), "{stdout}{stderr}");
    assert!(stderr.contains("regatta cancel"), "{stderr}");
}

/// Between `submit` and the first task the folder had no study, and `status` took it for a folder of something else.
#[test]
fn status_shows_what_was_submitted_before_any_task_starts() {
    let site = Site::new(&tiny(ARMS));
    site.says(&["submit", "study.yaml", "--out", "out"], 0);
    let (told, _) = site.says(&["status", "out"], 0);
    for part in ["4 pending of 4 trials", "0/8", "nobody is running it", "submitted as Slurm job 7 (4 tasks): `squeue -j 7`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn seeds_are_pinned_to_kinds_of_node() {
    let site = Site::new(&tiny(ARMS).replace("seeds: [0, 1]", "seeds: [5, 6, 7]"));
    std::fs::write(site.study.path().join("slurm.yaml"), "constraint: [old, new]\npin: constraint\n").unwrap();
    site.put("at_once", "");
    let (stdout, _) = site.says(&["submit", "study.yaml", "--out", "out", "--slurm", "slurm.yaml"], 0);
    assert_eq!(stdout, "job 7: 4 tasks, old, seeds 5,7\njob 7: 2 tasks, new, seeds 6\n");
    let script = |name: &str| std::fs::read_to_string(site.submission(1).join(name)).unwrap();
    let (old, new) = (script("job.sh"), script("job-2.sh"));
    assert!(old.contains("#SBATCH --constraint=old\n") && old.contains(" --seeds 5,7"), "{old}");
    assert!(new.contains("#SBATCH --constraint=new\n") && new.contains(" --seeds 6"), "{new}");
    assert!(site.study.path().join("out/report.html").exists(), "the last task finds all settled: {}", site.read("task-1.log"));
    assert_eq!(site.study.metrics("out", "dispersion", 6).len(), 8);
}

#[test]
fn variables_of_an_enclosing_job_do_not_reach_the_new_one() {
    let site = Site::new(&tiny(ARMS));
    let mut command = site.study.command(&["submit", "study.yaml", "--out", "out"]);
    let variables = [
        ("SLURM_CONF", "/etc/slurm.conf"),
        ("SLURM_JOB_ID", "3"),
        ("SLURM_MEM_PER_CPU", "100"),
        ("SLURM_CPUS_PER_TASK", "1"),
        ("SBATCH_MEM_BIND", "none"),
    ];
    let output = command.env("PATH", site.path()).env("XDG_CONFIG_HOME", "/nowhere").envs(variables).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.read("sbatch.env"), "SLURM_CONF=/etc/slurm.conf\n");
}
