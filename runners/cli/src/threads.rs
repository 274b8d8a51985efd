//! One pool of threads.

/// Tells candle to leave its own pool empty. Its workers spin while they wait for the next elementwise operation, and so take
/// the cores from the pool that does the real work: with both, a step of a small model took twice as long on two cores.
/// Who sets `CANDLE_NUM_THREADS` is obeyed.
pub(crate) fn share_one_pool() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: the first thing that the program does, before there is another thread to read the environment.
        unsafe { std::env::set_var(VARIABLE, "1") }
    }
}
