//! `regatta new`: a plugin's crate or a study to start from.

mod name;
mod plugin;
mod source;
mod study;

use crate::failure::Failure;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Write a crate with a plugin, its tests, a program that links it, and a study that races it
    Plugin(plugin::Arguments),
    /// Write a commented study: a baseline and two arms, with three seeds
    Study(study::Arguments),
}

/// Writes new files and replaces none.
pub(crate) fn new(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.what {
        What::Plugin(arguments) => plugin::new(arguments),
        What::Study(arguments) => study::new(arguments),
    }
}

/// A template's text with each `{{key}}` replaced by its value.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (key, value)| text.replace(&format!("{{{{{key}}}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_wherever_they_stand() {
        let values = [("tag", "spread"), ("name", "s")];
        assert_eq!(fill("{{tag}}: {{{tag}}: {a: 1}} {{name}} {tag}", &values), "spread: {spread: {a: 1}} s {tag}");
    }
}
