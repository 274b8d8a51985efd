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
    fn threads_are_the_smaller_of_mask_and_allocation() {
        assert_eq!(fewer(Some(16), Some(4)), Some(4));
        assert_eq!(fewer(Some(2), Some(4)), None, "the mask decides by itself");
        assert_eq!(fewer(Some(2), None), None);
        assert_eq!(fewer(None, Some(4)), Some(4));
    }
}
