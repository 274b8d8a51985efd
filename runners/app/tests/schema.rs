//! configs/study.schema.json is what the program prints, and every study of this repository fits it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMMENT: &str = "# yaml-language-server: $schema=study.schema.json\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `regatta schema` prints.
fn printed() -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_regatta")).arg("schema").output().unwrap();
    assert!(program.status.success(), "{}", String::from_utf8_lossy(&program.stderr));
    String::from_utf8(program.stdout).unwrap()
}

fn studies(folder: &str) -> Vec<(PathBuf, String)> {
    let files = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn the_schema_beside_the_configs_is_that_of_the_program() {
    let (path, printed) = (root().join("configs/study.schema.json"), printed());
    if std::env::var_os("REGATTA_WRITE_SCHEMA").is_some() {
        return std::fs::write(&path, printed).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).is_ok_and(|found| found == printed),
        "configs/study.schema.json is not what `regatta schema` prints; rewrite it with \
         `REGATTA_WRITE_SCHEMA=1 cargo test -p regatta --test schema`"
    );
}

#[test]
fn every_config_names_the_schema_and_fits_it() {
    let schema: Value = serde_json::from_str(&printed()).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let configs = studies("configs");
    assert!(configs.len() >= 14, "{}", configs.len());
    for (file, text) in configs {
        assert!(text.starts_with(COMMENT), "{} does not begin with {COMMENT}", file.display());
        let document = regatta_config::yaml::parse(&text).unwrap();
        let faults: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(faults.is_empty(), "{}: {}", file.display(), faults.join("\n"));
    }
}

#[test]
fn settings_of_plugins_are_there_with_their_ranges() {
    let schema: Value = serde_json::from_str(&printed()).unwrap();
    let of = |kind: &str, plugin: &str, field: &str| {
        let choices = schema["$defs"][kind]["anyOf"].as_array().unwrap();
        let map = choices.iter().find(|choice| choice["type"] == "object").unwrap();
        map["properties"][plugin]["anyOf"][0]["properties"][field].clone()
    };
    let slices = of("regularizer", "sigreg", "slices");
    assert_eq!((&slices["minimum"], &slices["maximum"], &slices["default"]), (&1.into(), &65_536.into(), &256.into()));
    assert!(slices["description"].as_str().is_some_and(|text| !text.is_empty()), "{slices}");
    assert_eq!(of("regularizer", "istar", "shrinkage")["exclusiveMaximum"], 1);
    assert_eq!(of("intervention", "distillation", "teacher")["type"], "string");
    let (form, schema) = (of("regularizer", "whitening", "form"), schema.to_string());
    assert_eq!(form["default"], "frobenius", "{form}");
    assert!(schema.contains("Squared distance of the covariance from the identity."), "variants are described");
}
