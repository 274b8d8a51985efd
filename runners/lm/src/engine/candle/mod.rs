//! The same decoder in candle's operations, on any device that it knows.

pub(crate) mod optimizer;
