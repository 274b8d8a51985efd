//! One pool of threads.

/// Tells candle to leave its own pool empty. Its workers spin while they wait for the next elementwise operation, on the cores of
/// the pool that does the rest. It matters little: on two cores, alternating, a step of the quickstart's model took 23.3 ms
/// without them and 25.1 with them, and `bench --shape small` made 2,521 and 2,580 tokens per second (medians of three).
/// Who sets `CANDLE_NUM_THREADS` is obeyed.
pub(crate) fn share_one_pool() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: the first thing that the program does, before there is another thread to read the environment.
        unsafe { std::env::set_var(VARIABLE, "1") }
    }
}
