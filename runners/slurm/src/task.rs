//! Within a job: which task this process is, and what it was given.

use crate::call::Slurm;
use crate::failure::SlurmError;
use crate::time;
use std::fmt;

/// The task of an array, or the job, that this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task(String);

impl Task {
    /// From the environment; `None` outside a job.
    pub fn current() -> Option<Self> {
        let [job, array, index] =
            ["SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"].map(|name| std::env::var(name).ok());
        Self::of(job, array, index)
    }

    /// Where it runs and how often it was started, in words.
    pub fn standing(&self) -> String {
        let variable = |name: &str| std::env::var(name).ok();
        let restarts = variable("SLURM_RESTART_COUNT").and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
        let node = variable("SLURMD_NODENAME").map(|node| format!(" on {node}")).unwrap_or_default();
        let times = if restarts == 0 { "once".to_owned() } else { format!("{} times", restarts + 1) };
        format!("task {self}{node}, started {times}")
    }

    /// Within an array never `SLURM_JOB_ID`: that of the last task is the array's own, and a requeue of it starts all tasks again.
    fn of(job: Option<String>, array: Option<String>, index: Option<String>) -> Option<Self> {
        match (array, index) {
            (Some(array), Some(index)) => Some(Self(format!("{array}_{index}"))),
            _ => job.map(Self),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Slurm {
    /// Puts this task into the queue again. Slurm then ends the one that runs.
    ///
    /// # Errors
    /// When Slurm refuses.
    pub fn requeue(&self, Task(task): &Task) -> Result<(), SlurmError> {
        self.call("scontrol", &["requeue", task]).map(drop)
    }

    /// What becomes of a task that is asked to stop; `None` where Slurm has no answer.
    pub fn fate(&self, Task(task): &Task) -> Option<Fate> {
        fate(&self.once("scontrol", &["show", "job", task, "-o"]).ok()?)
    }
}

/// What becomes of a task that is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its job goes on: it was asked ahead of its end.
    Alive,
    /// Slurm itself starts it again.
    Requeued,
    /// Slurm ends it and would start it again if it were asked to: the time limit, or a job of higher priority.
    Ended,
    /// Somebody cancelled it.
    Cancelled,
}

/// From what `scontrol show job` prints. While a job is ended its state is COMPLETING, whatever ended it; but one that will start
/// again has no time of its end, one that reached its time limit has that as its reason or has run for so long, and one that gave
/// way to another has the time of that.
fn fate(shown: &str) -> Option<Fate> {
    let field = |name: &str| shown.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let seconds = |name: &str| field(name).and_then(time::seconds).flatten();
    let state = field("JobState")?;
    let is = |words: &[&str]| words.iter().any(|word| state.contains(word));
    let is_preempted = field("PreemptTime").is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()));
    let is_over_time = seconds("TimeLimit").is_some_and(|limit| seconds("RunTime").is_some_and(|run| run >= limit));
    Some(if is(&["PENDING", "REQUEUE"]) {
        Fate::Requeued
    } else if is(&["TIMEOUT", "PREEMPTED"]) {
        Fate::Ended
    } else if is(&["CANCELLED"]) {
        Fate::Cancelled
    } else if !is(&["COMPLETING"]) {
        Fate::Alive
    } else if field("EndTime") == Some("Unknown") {
        Fate::Requeued
    } else if field("Reason") == Some("TimeLimit") || is_preempted || is_over_time {
        Fate::Ended
    } else {
        Fate::Cancelled
    })
}

/// Processors that Slurm gave to this process; `None` outside a job. `srun` may have lost `--cpus-per-task`, and without it the
/// job has what it has on the node.
pub fn cpus_of_job() -> Option<usize> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok().filter(|cpus| *cpus > 0);
    std::env::var_os("SLURM_JOB_ID")?;
    number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE"))
}

/// Bytes of memory that Slurm gave to this process; `None` outside a job, and where the job may take what there is.
pub fn memory_of_job() -> Option<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok().filter(|mib| *mib > 0);
    let per_cpu = || Some(number("SLURM_MEM_PER_CPU")? * number("SLURM_CPUS_ON_NODE")?);
    number("SLURM_MEM_PER_NODE").or_else(per_cpu).map(|mib| mib << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::Fake;

    #[test]
    fn a_task_of_an_array_is_named_by_array_and_index() {
        let some = |text: &str| Some(text.to_owned());
        let named = |job, array, index| Task::of(job, array, index).map(|task| task.to_string());
        assert_eq!(named(some("15"), some("12"), some("3")).as_deref(), Some("12_3"));
        assert_eq!(named(some("12"), some("12"), some("4")).as_deref(), Some("12_4"), "the last task has the array's own number");
        assert_eq!(named(some("9"), None, None).as_deref(), Some("9"));
        assert_eq!(named(None, None, None), None);
    }

    #[test]
    fn a_task_is_requeued_by_that_name_and_its_state_is_read() {
        let scontrol = "if [ $1 = show ]; then echo 'JobId=15 ArrayJobId=12 ArrayTaskId=3 JobName=a JobState=RUNNING Reason=None'; \
                        else echo \"$@\" >> $HERE/calls; fi";
        let fake = Fake::new(&[("scontrol", scontrol)]);
        let task = Task("12_3".into());
        fake.slurm().requeue(&task).unwrap();
        assert_eq!(fake.read("calls"), "requeue 12_3\n");
        assert_eq!(fake.slurm().fate(&task), Some(Fate::Alive));
        let refuses = Fake::new(&[("scontrol", "echo 'Requested operation is presently disabled for job 12_3' >&2; exit 1")]);
        assert!(refuses.slurm().requeue(&task).unwrap_err().to_string().contains("presently disabled"));
        assert_eq!(refuses.slurm().fate(&task), None);
    }

    /// As Slurm 22.05 prints them.
    #[test]
    fn what_ended_a_task_is_told_apart_while_it_ends() {
        let check = |shown: &str, expected: Fate| assert_eq!(fate(shown), Some(expected), "{shown}");
        let ending = "JobId=3 JobState=COMPLETING Reason=None Restarts=0";
        check(&format!("{ending} RunTime=00:00:03 TimeLimit=365-00:00:00 EndTime=2026-11-30T07:09:57"), Fate::Cancelled);
        check(&format!("{ending} RunTime=00:00:03 TimeLimit=UNLIMITED EndTime=2026-11-30T07:09:57"), Fate::Cancelled);
        check(&format!("{ending} RunTime=00:00:00 TimeLimit=UNLIMITED EndTime=Unknown"), Fate::Requeued);
        check(
            "JobState=COMPLETING Reason=TimeLimit RunTime=00:00:59 TimeLimit=00:01:00 EndTime=2026-11-30T07:11:46",
            Fate::Ended,
        );
        check(&format!("{ending} RunTime=00:01:12 TimeLimit=00:01:00 EndTime=2026-11-30T07:11:30"), Fate::Ended);
        let preempted = "PreemptTime=2026-11-30T07:12:46 EndTime=2026-11-30T07:12:46";
        check(&format!("{ending} RunTime=00:00:04 TimeLimit=UNLIMITED {preempted}"), Fate::Ended);
        check(
            &format!("{ending} RunTime=00:00:04 TimeLimit=UNLIMITED PreemptTime=None EndTime=2026-11-30T07:12:46"),
            Fate::Cancelled,
        );
        check("JobState=RUNNING RunTime=00:00:50 TimeLimit=00:01:00 EndTime=2026-11-30T07:11:30", Fate::Alive);
        check("JobState=PENDING Reason=BeginTime", Fate::Requeued);
        check("JobState=CANCELLED Reason=None", Fate::Cancelled);
        assert_eq!(fate("slurm_load_jobs error"), None);
    }
}
