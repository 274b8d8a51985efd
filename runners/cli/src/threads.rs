//! One pool of threads.

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
