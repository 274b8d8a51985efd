//! `regatta schema`

use crate::failure::{Failure, say};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write it to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints the JSON Schema of studies, with the plugins linked into this program.
pub(crate) fn schema(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let schema = serde_json::to_string_pretty(&regatta_config::schema()).map_err(Failure::failed)?;
    match &arguments.out {
        None => say(schema)?,
        Some(file) => {
            super::output::check(file, "a schema of studies", is_own)?;
            regatta_records::write_whole(file, (schema + "\n").as_bytes()).map_err(Failure::failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a text is a schema that this verb wrote, with whatever plugins.
fn is_own(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|schema| schema["title"] == regatta_config::schema()["title"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_replaces_a_schema_and_no_study() {
        let folder = tempfile::tempdir().unwrap();
        let [study, own] = ["study.yaml", "study.schema.json"].map(|name| folder.path().join(name));
        std::fs::write(&study, "arms: {a: []}").unwrap();
        let write = |out: &PathBuf| schema(&Arguments { out: Some(out.clone()) }).map_err(|failure| format!("{failure:?}"));
        let refused = write(&study).unwrap_err();
        assert!(refused.contains("or a schema of studies to replace, found another file"), "{refused}");
        assert_eq!(std::fs::read_to_string(&study).unwrap(), "arms: {a: []}");
        assert!(write(&own).is_ok() && write(&own).is_ok());
    }
}
