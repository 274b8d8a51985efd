//! Where a new crate finds Regatta's crates.

use crate::failure::Failure;
use std::path::{Path, PathBuf};

/// A clone of the repository, or a registry.
#[derive(Debug, PartialEq)]
pub(super) enum Source {
    Clone(PathBuf),
    Registry {
        /// The clone that the program was built from, where it is no longer there.
        gone: Option<PathBuf>,
    },
}

/// The folder of this crate when the program was built: `runners/cli` of a clone, or a package's in Cargo's cache.
const BUILT_FROM: &str = env!("CARGO_MANIFEST_DIR");

/// What a manifest asks a registry for.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

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
            return Ok(Self::of_a_program_built_from(Path::new(BUILT_FROM)));
        };
        Self::in_clone(named).map_err(|missing| {
            let named = named.display();
            Failure::refused(format!("--regatta: expected a clone of Regatta's repository, found no {missing} in {named}"))
        })
    }

    fn of_a_program_built_from(folder: &Path) -> Self {
        let clone = folder.ancestors().nth(2).filter(|_| folder.ends_with("runners/cli"));
        clone.map_or(Self::Registry { gone: None }, |clone| {
            Self::in_clone(clone).unwrap_or_else(|_| Self::Registry { gone: Some(clone.to_owned()) })
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

    /// For each crate the keys of its dependency: its version, and in a clone its path too. Cargo refuses a clone of another version,
    /// and a crate that is published keeps the version alone.
    ///
    /// # Errors
    /// When the path cannot be written in a manifest.
    pub fn dependencies(&self) -> Result<[(&'static str, String); 3], String> {
        let mut found = CRATES.map(|(name, _)| (name, format!("version = \"{VERSION}\"")));
        if let Self::Clone(folder) = self {
            for ((_, place), (_, dependency)) in CRATES.iter().zip(&mut found) {
                let path = folder.join(place);
                let path = path.to_str().ok_or_else(|| format!("{}: expected a path of UTF-8 text", path.display()))?;
                *dependency += &format!(", path = {}", serde_json::Value::from(path)); // escapes of JSON are escapes of TOML too
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
            Self::Registry { gone: None } => {
                format!(
                    "it asks crates.io for Regatta's crates of version {VERSION}; --regatta DIR takes those of a clone instead"
                )
            }
            Self::Registry { gone: Some(clone) } => format!(
                "the clone that this program was built from, {}, is gone, so it asks crates.io for Regatta's crates of version \
                 {VERSION}; if cargo finds none there, delete the folder and write it again with --regatta DIR, a clone",
                clone.display()
            ),
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
        assert_eq!(core, format!("version = \"0.1\", path = \"{}/core\"", root.display()));
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
        assert_eq!(Source::Registry { gone: None }.dependencies().unwrap(), expected);
    }

    #[test]
    fn an_installed_program_says_where_it_looks() {
        let package = Path::new("/home/anna/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/regatta-cli-0.1.0");
        let found = Source::of_a_program_built_from(package);
        assert_eq!(found, Source::Registry { gone: None });
        let expected = "it asks crates.io for Regatta's crates of version 0.1; --regatta DIR takes those of a clone instead";
        assert_eq!(found.words(), expected);

        let folder = tempfile::tempdir().unwrap();
        let found = Source::of_a_program_built_from(&folder.path().join("runners/cli"));
        assert_eq!(found, Source::Registry { gone: Some(folder.path().to_owned()) });
        let words = found.words();
        assert!(words.starts_with("the clone that this program was built from, ") && words.contains("is gone"), "{words}");
        assert!(words.ends_with("delete the folder and write it again with --regatta DIR, a clone"), "{words}");
    }

    #[test]
    fn a_path_with_quotes_is_escaped() {
        let [(_, core), ..] = Source::Clone(PathBuf::from("/a \"b\"\\c")).dependencies().unwrap();
        assert_eq!(core, r#"version = "0.1", path = "/a \"b\"\\c/core""#);
    }
}
