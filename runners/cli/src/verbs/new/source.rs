//! Where a new crate finds Regatta's crates.

use crate::failure::Failure;
use std::path::{Path, PathBuf};

/// A clone of the repository, or a registry.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    Clone(PathBuf),
    Registry,
}

/// The crates that a plugin's crate depends on, and where each lies in a clone.
const CRATES: [(&str, &str); 3] =
    [("regatta-core", "core"), ("regatta-cli", "runners/cli"), ("regatta-builtin", "regularizers/builtin")];

impl Source {
    /// The clone that was named, else the one that this program was built from where it is still there, else the registry.
    ///
    /// # Errors
    /// When what was named is not a clone.
    pub fn find(named: Option<&Path>) -> Result<Self, Failure> {
        let Some(named) = named else {
            let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
            return Ok(Self::in_clone(&built_from).unwrap_or(Self::Registry));
        };
        Self::in_clone(named).map_err(|missing| {
            let named = named.display();
            Failure::refused(format!("--regatta: expected a clone of Regatta's repository, found no {missing} in {named}"))
        })
    }

    /// The clone in `folder`, or what is missing there.
    fn in_clone(folder: &Path) -> Result<Self, String> {
        for (name, place) in CRATES {
            let manifest = Path::new(place).join("Cargo.toml");
            let text = std::fs::read_to_string(folder.join(&manifest)).unwrap_or_default();
            if !text.lines().any(|line| line.trim() == format!("name = \"{name}\"")) {
                return Err(format!("{} of {name}", manifest.display()));
            }
        }
        folder.canonicalize().map(Self::Clone).map_err(|error| error.to_string())
    }

    /// For each crate the keys of its dependency, `path = "..."` or `version = "..."`.
    ///
    /// # Errors
    /// When the path cannot be written in a manifest.
    pub fn dependencies(&self) -> Result<[(&'static str, String); 3], String> {
        let version = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
        let mut found = CRATES.map(|(name, _)| (name, format!("version = \"{version}\"")));
        if let Self::Clone(folder) = self {
            for ((_, place), (_, dependency)) in CRATES.iter().zip(&mut found) {
                let path = folder.join(place);
                let path = path.to_str().ok_or_else(|| format!("{}: expected a path of UTF-8 text", path.display()))?;
                *dependency = format!("path = {}", serde_json::Value::from(path)); // escapes of JSON are escapes of TOML too
            }
        }
        Ok(found)
    }

    /// The lock file of a clone: the versions of third-party crates that Regatta is tested with.
    pub fn lock(&self) -> Option<String> {
        let Self::Clone(folder) = self else { return None };
        std::fs::read_to_string(folder.join("Cargo.lock")).ok()
    }

    /// The choice in words.
    pub fn words(&self) -> String {
        match self {
            Self::Clone(folder) => format!("it uses Regatta's crates in {}", folder.display()),
            Self::Registry => "it uses Regatta's crates from the registry; --regatta DIR uses those of a clone".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_found_where_none_is_named() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let found = Source::find(None).unwrap();
        assert_eq!(found, Source::Clone(root.clone()));
        let [core, cli, builtin] = found.dependencies().unwrap().map(|(_, dependency)| dependency);
        assert_eq!(core, format!("path = \"{}/core\"", root.display()));
        assert!(cli.ends_with("/runners/cli\"") && builtin.ends_with("/regularizers/builtin\""), "{cli} {builtin}");
    }

    #[test]
    fn a_folder_that_is_no_clone_is_refused_and_a_registry_has_versions() {
        let folder = tempfile::tempdir().unwrap();
        let refused = format!("{:?}", Source::find(Some(folder.path())).unwrap_err());
        assert!(
            refused.contains("--regatta: expected a clone of Regatta's repository, found no core/Cargo.toml of regatta-core in")
        );
        let expected = ["regatta-core", "regatta-cli", "regatta-builtin"].map(|name| (name, "version = \"0.1\"".to_owned()));
        assert_eq!(Source::Registry.dependencies().unwrap(), expected);
    }

    #[test]
    fn a_path_with_quotes_is_escaped() {
        let [(_, core), ..] = Source::Clone(PathBuf::from("/a \"b\"\\c")).dependencies().unwrap();
        assert_eq!(core, r#"path = "/a \"b\"\\c/core""#);
    }
}
