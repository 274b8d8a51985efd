//! One pool of threads, of the size that this process was given.

use regatta_slurm::cpus_of_job;
use std::thread::available_parallelism;

/// Within a Slurm job, uses no more threads than the job was given processors. The affinity mask alone does not say: a site without
/// a plugin for it leaves every job the mask of the whole node. A `RAYON_NUM_THREADS` that is set is respected.
pub(crate) fn follow_allocation() {
    const VARIABLE: &str = "RAYON_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none()
        && let Some(cpus) = fewer(available_parallelism().ok().map(Into::into), cpus_of_job())
    {
        // SAFETY: before there is another thread to read the environment.
        unsafe { std::env::set_var(VARIABLE, cpus.to_string()) }
    }
}

/// The processors that a job was given, where they are fewer than those that it may run on.
fn fewer(mask: Option<usize>, given: Option<usize>) -> Option<usize> {
    given.filter(|&given| mask.is_none_or(|mask| given < mask))
}

/// Most threads of a pool: more than any machine has processors for, and fewer than stop it from answering.
const MOST: usize = 1024;

/// What sizes a pool: those of rayon, of which the second is an older name of the first, and candle's own.
const VARIABLES: [&str; 3] = ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS", "CANDLE_NUM_THREADS"];

/// Refuses a number of threads that cannot be meant. The pools would ignore text, and start as many threads as a number asks for.
///
/// # Errors
/// At the first that is set to something else than a number from 1 to 1024.
pub(crate) fn check() -> Result<(), String> {
    VARIABLES.iter().try_for_each(|variable| match std::env::var_os(variable) {
        Some(value) if !value.is_empty() => check_one(variable, &value.to_string_lossy()),
        _ => Ok(()),
    })
}

fn check_one(variable: &str, value: &str) -> Result<(), String> {
    match value.parse::<usize>() {
        Ok(1..=MOST) => Ok(()),
        _ => Err(format!("{variable}: expected a number of threads from 1 to {MOST}, found `{}`", value.escape_debug())),
    }
}

/// Keeps candle's own pool empty. Its workers spin while they wait for the next elementwise operation, on the cores of rayon's
/// pool, which runs the model's passes and the penalties' kernels; little work is left to candle. A `CANDLE_NUM_THREADS` that is
/// set is respected.
pub(crate) fn share_one_pool() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: the first thing that the program does, before there is another thread to read the environment.
        unsafe { std::env::set_var(VARIABLE, "1") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_threads_that_cannot_be_meant_are_refused() {
        for value in ["1", "2", "1024"] {
            assert_eq!(check_one("RAYON_NUM_THREADS", value), Ok(()));
        }
        for value in ["0", "1025", "1000000", "99999999999999999999", "-1", "foo", "2.5", " 2"] {
            let expected = format!("RAYON_NUM_THREADS: expected a number of threads from 1 to 1024, found `{value}`");
            assert_eq!(check_one("RAYON_NUM_THREADS", value), Err(expected));
        }
    }

    #[test]
    fn threads_are_the_smaller_of_mask_and_allocation() {
        assert_eq!(fewer(Some(16), Some(4)), Some(4));
        assert_eq!(fewer(Some(2), Some(4)), None, "the mask decides by itself");
        assert_eq!(fewer(Some(2), None), None);
        assert_eq!(fewer(None, Some(4)), Some(4));
    }
}
