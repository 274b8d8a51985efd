//! What is left of submitted arrays in the queue.

use crate::call::Slurm;
use crate::failure::SlurmError;
use crate::submit::Array;
use std::collections::BTreeMap;

/// `squeue` prints these fields alike in all versions, an array's task a line: job of the array, index, job of the task, state,
/// reason, nodes, time used.
const FORMAT: &str = "%F|%K|%A|%T|%r|%N|%M";
/// Jobs that one call asks for.
const MOST: usize = 100;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a node.
    Waiting,
    /// It has one.
    Running,
    /// It would wait forever: held, or waiting for what cannot be.
    Stuck,
    /// It is ending, perhaps to be requeued.
    Ending,
}

/// A task in the queue, or several that wait and are one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InQueue {
    /// The job of its array.
    pub job: String,
    /// Tasks on the line.
    pub tasks: usize,
    /// Where it stands.
    pub stage: Stage,
    /// Why it waits, in Slurm's words.
    pub reason: String,
    /// Where it runs.
    pub node: String,
}

impl Slurm {
    /// The tasks of `arrays` that are in the queue.
    ///
    /// # Errors
    /// When Slurm cannot be asked.
    pub fn queue(&self, arrays: &[Array]) -> Result<Vec<InQueue>, SlurmError> {
        let mut by_cluster: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
        arrays.iter().for_each(|array| by_cluster.entry(array.cluster.as_deref()).or_default().push(&array.job));
        let mut found = Vec::new();
        for (cluster, jobs) in by_cluster {
            for jobs in jobs.chunks(MOST) {
                let named = jobs.join(",");
                let on = cluster.map_or(Vec::new(), |cluster| vec!["-M", cluster]);
                let arguments = [&on[..], &["-h", "-r", "-o", FORMAT, "-j", &named]].concat();
                match self.call("squeue", &arguments) {
                    Ok(text) => found.extend(text.lines().filter_map(line).filter(|task| jobs.contains(&task.job.as_str()))),
                    Err(error) if error.is_unknown_job() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(found)
    }

    /// Takes arrays out of the queue; their running tasks get SIGTERM.
    ///
    /// # Errors
    /// When Slurm refuses.
    pub fn cancel(&self, arrays: &[Array]) -> Result<(), SlurmError> {
        for Array { job, cluster, .. } in arrays {
            let on = cluster.as_deref().map_or(Vec::new(), |cluster| vec!["-M", cluster]);
            match self.call("scancel", &[&on[..], &[job.as_str()]].concat()) {
                Err(error) if !error.is_unknown_job() => return Err(error), // one that ended meanwhile is out of the queue
                _ => {}
            }
        }
        Ok(())
    }
}

/// A line of `squeue`; `None` for other lines, such as the name of a cluster, and for jobs that have ended.
fn line(text: &str) -> Option<InQueue> {
    let fields: Vec<&str> = text.trim().split('|').collect();
    let [job, index, _, state, reason, node, _] = fields[..] else { return None };
    let stage = stage(state, reason)?;
    Some(InQueue { job: job.to_owned(), tasks: tasks(index), stage, reason: reason.to_owned(), node: node.to_owned() })
}

fn stage(state: &str, reason: &str) -> Option<Stage> {
    let reason = reason.to_lowercase();
    let never = ["held", "hold", "never"].iter().any(|word| reason.contains(word));
    match state {
        "PENDING" | "REQUEUED" | "REQUEUE_FED" if never => Some(Stage::Stuck),
        "PENDING" | "REQUEUED" | "REQUEUE_FED" => Some(Stage::Waiting),
        "REQUEUE_HOLD" | "SPECIAL_EXIT" => Some(Stage::Stuck),
        "COMPLETING" => Some(Stage::Ending),
        "COMPLETED" | "CANCELLED" | "FAILED" | "TIMEOUT" | "NODE_FAIL" | "PREEMPTED" | "BOOT_FAIL" | "DEADLINE"
        | "OUT_OF_MEMORY" | "REVOKED" => None,
        _ => Some(Stage::Running), // CONFIGURING, SUSPENDED, and what later versions may add
    }
}

/// Tasks of an index: `3`, or `[1-4,7%2]` where tasks that wait are one line; `N/A` outside an array.
fn tasks(index: &str) -> usize {
    let list = index.trim_matches(['[', ']']);
    let list = list.split('%').next().unwrap_or_default();
    let count = |part: &str| {
        let (range, step) = part.split_once(':').map_or((part, Some(1)), |(range, step)| (range, step.parse::<usize>().ok()));
        let (first, last) = range.split_once('-')?;
        Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? / step.filter(|step| *step > 0)? + 1)
    };
    list.split(',').map(|part| count(part).unwrap_or(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::Fake;

    fn array(job: &str) -> Array {
        Array { job: job.into(), cluster: None, tasks: 4, constraint: None, seeds: Vec::new() }
    }

    #[test]
    fn lines_are_read_in_odd_forms_too() {
        let check = |text: &str, expected: Option<(&str, usize, Stage)>| {
            let found = line(text);
            let found = found.as_ref().map(|task| (task.job.as_str(), task.tasks, task.stage));
            assert_eq!(found, expected, "{text}");
        };
        check("12|3|15|RUNNING|None|n1|1:02", Some(("12", 1, Stage::Running)));
        check("12|0|12|PENDING|Resources||0:00", Some(("12", 1, Stage::Waiting)));
        check("12|[1-4,7%2]|12|PENDING|JobArrayTaskLimit||0:00", Some(("12", 5, Stage::Waiting)));
        check("12|0-10:5|12|PENDING|Priority||0:00", Some(("12", 3, Stage::Waiting)));
        check("12|N/A|12|CONFIGURING|None|n[1-2]|0:00", Some(("12", 1, Stage::Running)));
        check("12|2|14|PENDING|launch failed requeued held||0:00", Some(("12", 1, Stage::Stuck)));
        check("12|2|14|PENDING|DependencyNeverSatisfied||0:00", Some(("12", 1, Stage::Stuck)));
        check("12|2|14|COMPLETING|None|n1|0:10", Some(("12", 1, Stage::Ending)));
        check("12|2|14|CANCELLED|None||0:10", None);
        check("CLUSTER: big", None);
        check("", None);
    }

    #[test]
    fn arrays_are_asked_for_by_cluster_and_forgotten_ones_are_out_of_the_queue() {
        let squeue = "echo \"$@\" >> $HERE/calls; case \"$*\" in *'-M big'*) echo 'CLUSTER: big'; echo '9|0|9|RUNNING|None|b1|0:01';; \
                      *) echo '7|1|8|PENDING|Priority||0:00'; echo '77|1|8|RUNNING|None|n1|0:00';; esac";
        let fake = Fake::new(&[("squeue", squeue)]);
        let found = fake.slurm().queue(&[array("7"), array("8"), Array { cluster: Some("big".into()), ..array("9") }]).unwrap();
        let found: Vec<(&str, Stage)> = found.iter().map(|task| (task.job.as_str(), task.stage)).collect();
        assert_eq!(found, [("7", Stage::Waiting), ("9", Stage::Running)], "77 is nobody that was asked for");
        assert_eq!(fake.read("calls"), format!("-h -r -o {FORMAT} -j 7,8\n-M big -h -r -o {FORMAT} -j 9\n"));

        let forgotten = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1";
        assert_eq!(Fake::new(&[("squeue", forgotten)]).slurm().queue(&[array("7")]).unwrap(), []);
        assert_eq!(Fake::new(&[]).slurm().queue(&[]).unwrap(), [], "without arrays nobody is asked");
    }

    #[test]
    fn arrays_are_cancelled_one_by_one_and_one_that_ended_is_no_failure() {
        let scancel = "echo \"$@\" >> $HERE/calls; if [ \"$1\" = 8 ]; then \
                       echo 'scancel: error: Kill job error on job id 8: Invalid job id specified' >&2; exit 1; fi";
        let fake = Fake::new(&[("scancel", scancel)]);
        fake.slurm().cancel(&[array("7"), array("8"), array("9")]).unwrap();
        assert_eq!(fake.read("calls"), "7\n8\n9\n");
    }
}
