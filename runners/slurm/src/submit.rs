//! An array into the queue.

use crate::call::{Slurm, WAITS, job_of_command};
use crate::failure::SlurmError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Tasks of an array where Slurm does not say how many it takes: its default.
const MAX_ARRAY: usize = 1001;

/// An array that was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// Its job.
    pub job: String,
    /// The cluster, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Its tasks.
    pub tasks: usize,
    /// The kind of node to which its seeds are pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// The seeds that it trains; all where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
}

impl Slurm {
    /// Submits an array of `tasks` tasks, or of fewer where the site takes no more: every task goes on while there is work, so a
    /// smaller array does the same. `script` writes the batch script for a number of tasks.
    ///
    /// # Errors
    /// When the script cannot be written, or Slurm does not take it.
    pub fn submit<E: From<SlurmError>>(&self, tasks: usize, script: impl Fn(usize) -> Result<PathBuf, E>) -> Result<Array, E> {
        let most = self.max_array();
        let mut tasks = tasks;
        if tasks > most {
            tracing::warn!(
                "{tasks} tasks are more than an array may have here (MaxArraySize {most}): submitting {most}, each of which goes on \
                 while there is work"
            );
            tasks = most;
        }
        loop {
            match self.batch(&script(tasks)?) {
                Ok((job, cluster)) => return Ok(Array { job, cluster, tasks, constraint: None, seeds: Vec::new() }),
                Err(error) if error.is_too_many() && tasks > 1 => {
                    tracing::warn!("{error}; trying {} tasks instead of {tasks}", tasks / 2);
                    tasks /= 2;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the queue has a job of this script; `None` where Slurm does not answer.
    pub fn has(&self, script: &Path) -> Option<bool> {
        let queue = self.once("squeue", &["-h", "-o", "%F|%o"]).ok()?;
        Some(job_of_command(&queue, script).is_some())
    }

    /// The most tasks that an array may have.
    fn max_array(&self) -> usize {
        let config = self.call("scontrol", &["show", "config"]).unwrap_or_else(|error| {
            tracing::warn!("{error}; taking Slurm's default for the most tasks of an array, {MAX_ARRAY}");
            String::new()
        });
        let line = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize")?.trim().strip_prefix('='));
        line.and_then(|size| size.trim().parse().ok()).unwrap_or(MAX_ARRAY).max(1)
    }

    /// Calls `sbatch` until it answers. A call that timed out may have submitted the job all the same, so the queue is asked before
    /// another try.
    fn batch(&self, script: &Path) -> Result<(String, Option<String>), SlurmError> {
        let unreadable = |output: &str| SlurmError::Refused {
            program: "sbatch".into(),
            message: format!("expected the number of a job, found `{}`", output.trim()),
        };
        let arguments = ["--parsable".as_ref(), script.as_os_str()];
        let mut waits = WAITS.into_iter();
        loop {
            let failed = match self.once("sbatch", &arguments) {
                Ok(output) => return job_id(&output).ok_or_else(|| unreadable(&output)),
                Err(error) if error.is_passing() => error,
                Err(error) => return Err(error),
            };
            let waited = self.wait(waits.next(), failed); // an error after the last, when the queue is asked once more
            let queue = self.call("squeue", &["-h", "-o", "%F|%o"])?;
            if let Some(job) = job_of_command(&queue, script) {
                tracing::info!("job {job} was submitted although sbatch had no answer");
                return Ok((job.to_owned(), None));
            }
            waited?;
        }
    }
}

/// The job of `sbatch --parsable`, `123` or `123;cluster`, among what a site's own wrapper may print.
fn job_id(output: &str) -> Option<(String, Option<String>)> {
    output.lines().rev().find_map(|line| {
        let (job, cluster) = line.trim().split_once(';').map_or((line.trim(), None), |(job, cluster)| (job, Some(cluster)));
        let is_number = !job.is_empty() && job.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| (job.to_owned(), cluster.map(str::to_owned)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::{Fake, waited};

    /// A script that holds its number of tasks.
    fn submit(fake: &Fake, tasks: usize) -> Result<Array, SlurmError> {
        let script = |tasks: usize| {
            let file = fake.file("job.sh");
            std::fs::write(&file, tasks.to_string()).unwrap();
            Ok(file)
        };
        fake.slurm().submit(tasks, script)
    }

    const CONFIG: &str = "echo 'MaxArraySize            = 11'";

    #[test]
    fn an_array_has_no_more_tasks_than_slurm_takes() {
        let fake = Fake::new(&[("scontrol", CONFIG), ("sbatch", "cat \"$2\" > $HERE/got; echo hello; echo '42;big'")]);
        let array = submit(&fake, 30).unwrap();
        assert_eq!((array.job.as_str(), array.cluster.as_deref(), array.tasks), ("42", Some("big"), 11));
        assert_eq!(fake.read("got"), "11");
        assert_eq!(submit(&fake, 3).unwrap().tasks, 3);

        let fake = Fake::new(&[("scontrol", "exit 1"), ("sbatch", "echo 42")]);
        assert_eq!(submit(&fake, 5000).unwrap().tasks, 1001, "Slurm's own default");
    }

    #[test]
    fn a_limit_on_submitted_jobs_halves_the_array() {
        let limited = "if [ $(cat $2) -gt 3 ]; then echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; \
                       echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit)' >&2; \
                       exit 1; fi; echo 7";
        let fake = Fake::new(&[("scontrol", CONFIG), ("sbatch", limited)]);
        assert_eq!(submit(&fake, 10).unwrap().tasks, 2); // 10, 5, 2
        let never = "echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2; exit 1";
        let refused = submit(&Fake::new(&[("scontrol", CONFIG), ("sbatch", never)]), 10).unwrap_err().to_string();
        assert_eq!(refused, "sbatch: Batch job submission failed: Job violates accounting/QOS policy");
        let wrong = "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1";
        assert!(
            submit(&Fake::new(&[("scontrol", CONFIG), ("sbatch", wrong)]), 10)
                .unwrap_err()
                .to_string()
                .contains("invalid partition")
        );
    }

    #[test]
    fn a_call_that_timed_out_is_not_made_twice_where_the_job_is_in_the_queue() {
        let sbatch = "echo x >> $HERE/calls; echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; \
                      exit 1";
        let fake =
            Fake::new(&[("scontrol", CONFIG), ("sbatch", sbatch), ("squeue", "echo \"41|/other\"; echo \"42|$HERE/job.sh\"")]);
        assert_eq!(submit(&fake, 2).unwrap().job, "42");
        assert_eq!((fake.read("calls").as_str(), waited()), ("x\n", vec![1]));

        let later = "echo x >> $HERE/calls; if [ $(wc -l < $HERE/calls) -lt 3 ]; then \
                     echo 'sbatch: error: Unable to contact slurm controller (connect failure)' >&2; exit 1; fi; echo 43";
        let fake = Fake::new(&[("scontrol", CONFIG), ("sbatch", later), ("squeue", "")]);
        assert_eq!((submit(&fake, 2).unwrap().job.as_str(), waited()), ("43", vec![1, 2]));
    }

    #[test]
    fn the_number_of_a_job_is_found() {
        assert_eq!(job_id("123\n"), Some(("123".into(), None)));
        assert_eq!(job_id("Welcome to 2 clusters\n123;big\n"), Some(("123".into(), Some("big".into()))));
        assert_eq!(job_id("Submitted batch job\n"), None);
        let fake = Fake::new(&[("scontrol", CONFIG), ("sbatch", "echo none")]);
        assert_eq!(submit(&fake, 1).unwrap_err().to_string(), "sbatch: expected the number of a job, found `none`");
    }
}
