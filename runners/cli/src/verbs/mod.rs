//! The verbs, one file each.

pub(crate) mod bench;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
mod costs;
mod device;
pub(crate) mod diagnose;
mod discard;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod new;
mod output;
pub(crate) mod probe;
pub(crate) mod report;
pub(crate) mod results;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod submit;
mod submitted;
mod table;
pub(crate) mod tokenize;
#[cfg(feature = "tui")]
pub(crate) mod watch;
pub(crate) mod worker;
