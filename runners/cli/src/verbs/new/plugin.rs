//! `regatta new plugin NAME`

use super::fill;
use super::name::Names;
use super::source::Source;
use crate::failure::{Failure, say};
use clap::ValueHint;
use regatta_core::registry;
use regatta_records::write_whole;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The crate's name, as in my-spread; the plugin is named likewise, my_spread
    #[arg(value_hint = ValueHint::Other)]
    name: String,
    /// Write an intervention, which changes training, instead of a regularizer
    #[arg(long)]
    intervention: bool,
    /// Folder for the crate, new or empty [default: ./NAME]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// A clone of Regatta's repository to depend on [default: the one that this program was built from, else the registry]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    regatta: Option<PathBuf>,
}

/// Writes the crate, and says what to do with it.
pub(crate) fn new(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cards = registry::cards().map_err(Failure::refused)?;
    let names = Names::of(&arguments.name, &cards).map_err(Failure::refused)?;
    let source = Source::find(arguments.regatta.as_deref())?;
    let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from(&names.package));
    check_empty(&folder)?;
    let kind = if arguments.intervention { Kind::Intervention } else { Kind::Regularizer };
    let files = files(kind, &names, &source).map_err(Failure::refused)?;
    let lock = source.lock().map(|text| ("Cargo.lock", text));
    for (name, text) in files.into_iter().chain(lock) {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(&folder);
        regatta_records::disk::create_folder(parent)
            .map_err(|error| Failure::failed(format!("{}: {error}", parent.display())))?;
        write_whole(&path, text.as_bytes()).map_err(Failure::failed)?;
    }
    say(next(kind, &names, &folder, &source).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The kind of plugin.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Regularizer,
    Intervention,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Regularizer => "regularizer",
            Self::Intervention => "intervention",
        }
    }

    fn with_article(self) -> &'static str {
        match self {
            Self::Regularizer => "A regularizer",
            Self::Intervention => "An intervention",
        }
    }

    fn library(self) -> &'static str {
        match self {
            Self::Regularizer => include_str!("../../../templates/plugin/regularizer.rs"),
            Self::Intervention => include_str!("../../../templates/plugin/intervention.rs"),
        }
    }

    fn arms(self) -> &'static str {
        match self {
            Self::Regularizer => include_str!("../../../templates/plugin/regularizer.arms.yaml"),
            Self::Intervention => include_str!("../../../templates/plugin/intervention.arms.yaml"),
        }
    }

    /// What the conformance kit checks.
    fn conformance(self) -> &'static str {
        match self {
            Self::Regularizer => {
                "it checks the gradient against\n   finite differences, that the order of points does not matter, and \
                 degenerate clouds"
            }
            Self::Intervention => "it checks that defaults are legal,\n   and that what the plugin announces is what it does",
        }
    }
}

/// The files of a crate, by their path in it.
fn files(kind: Kind, names: &Names, source: &Source) -> Result<Vec<(&'static str, String)>, String> {
    let dependencies = source.dependencies()?;
    let mut values = vec![
        ("crate", names.package.as_str()),
        ("tag", &names.tag),
        ("library", &names.library),
        ("Type", &names.type_name),
        ("kind", kind.word()),
        ("A kind", kind.with_article()),
        ("conformance", kind.conformance()),
    ];
    values.extend(dependencies.iter().map(|(name, dependency)| (*name, dependency.as_str())));
    let arms = fill(kind.arms(), &values);
    values.push(("arms", arms.trim_end()));
    let templates = [
        ("Cargo.toml", include_str!("../../../templates/plugin/manifest.toml")),
        (".gitignore", include_str!("../../../templates/plugin/gitignore")),
        ("README.md", include_str!("../../../templates/plugin/README.md")),
        ("src/lib.rs", kind.library()),
        ("src/main.rs", include_str!("../../../templates/plugin/main.rs")),
        ("study.yaml", include_str!("../../../templates/plugin/study.yaml")),
    ];
    Ok(templates.into_iter().map(|(path, template)| (path, fill(template, &values))).collect())
}

/// Refuses a folder that is not empty.
fn check_empty(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let mut entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) if folder.is_file() => {
            return Err(Failure::refused(format!("{shown}: expected no folder or an empty one, found a file")));
        }
        Err(error) => return Err(Failure::refused(format!("{shown}: {error}"))),
    };
    match entries.next() {
        None => Ok(()),
        Some(Ok(entry)) => {
            let name = entry.file_name();
            let found = format!("expected no folder or an empty one, found {} in it", name.display());
            Err(Failure::refused(format!("{shown}: {found}; --out DIR names another")))
        }
        Some(Err(error)) => Err(Failure::refused(format!("{shown}: {error}"))),
    }
}

fn next(kind: Kind, names: &Names, folder: &Path, source: &Source) -> String {
    let (folder, tag) = (folder.display(), &names.tag);
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{arguments}"); // writing to a string cannot fail
    };
    line(format_args!("wrote {folder}: a crate with the {} `{tag}` (src/lib.rs) and a study; {}\n", kind.word(), source.words()));
    line(format_args!("  cd {folder}"));
    line(format_args!("  cargo test                      # the formula by hand, and the conformance kit"));
    line(format_args!("  cargo run -- run study.yaml     # race it: runs/{}/report.html", names.package));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::of("resultant", &Default::default()).unwrap()
    }

    /// The example is what `regatta new plugin resultant` writes, so CI, which builds, tests and runs the example, does so with the
    /// templates. README.md says more there, and .gitignore leaves the lock file to the repository.
    #[test]
    fn the_example_is_a_new_plugin() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/byo-plugin");
        let files = files(Kind::Regularizer, &names(), &Source::Clone("../..".into())).unwrap();
        for (path, expected) in files.into_iter().filter(|(path, _)| !["README.md", ".gitignore"].contains(path)) {
            let path = folder.join(path);
            if std::env::var_os("REGATTA_WRITE_EXAMPLE").is_some() {
                std::fs::write(&path, &expected).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap();
            assert!(
                found == expected,
                "{} is not what `regatta new plugin resultant` writes; `REGATTA_WRITE_EXAMPLE=1 cargo test -p regatta-cli` \
                 writes it. Expected\n{expected}",
                path.display()
            );
        }
    }

    #[test]
    fn no_template_keeps_a_key() {
        for kind in [Kind::Regularizer, Kind::Intervention] {
            for (path, text) in files(kind, &names(), &Source::Registry).unwrap() {
                assert!(!text.contains("{{") || text.contains("{{resultant: "), "{path}: {text}");
                assert!(!text.replace("{{resultant: ", "").contains("{{"), "{path}: {text}");
            }
        }
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_empty(folder.path()).is_ok());
        assert!(check_empty(&folder.path().join("new")).is_ok());
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let refused = format!("{:?}", check_empty(folder.path()).unwrap_err());
        assert!(
            refused.contains("expected no folder or an empty one, found notes.txt in it; --out DIR names another"),
            "{refused}"
        );
        let refused = format!("{:?}", check_empty(&folder.path().join("notes.txt")).unwrap_err());
        assert!(refused.contains("found a file"), "{refused}");
    }
}
