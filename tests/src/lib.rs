//! Nothing here: the tests beside this folder cross crates.
