//! What a registry asks of the crates that a plugin and its program need, as far as files tell: metadata, versions, licence texts, and
//! packages that are whole. `.ci/publish` makes the packages and builds them.

use cargo_metadata::{Metadata, MetadataCommand, Package};
use std::path::{Component, Path, PathBuf};

/// Crates on which others may build. The rest of the program promises no interface, so its parts ask for each other's exact version.
const STABLE: [&str; 4] = ["regatta-builtin", "regatta-cli", "regatta-core", "regatta-kernels"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests folder lies in the workspace").to_owned()
}

fn workspace() -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml")).no_deps().other_options(["--offline".to_owned()]);
    command.exec().expect("cargo metadata")
}

fn folder(package: &Package) -> &Path {
    package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path()
}

fn is_published(package: &Package) -> bool {
    package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
}

fn is_plugin(package: &Package) -> bool {
    let folder = folder(package).strip_prefix(root()).expect("a member below the root");
    ["regularizers", "interventions"].iter().any(|plugins| folder.starts_with(plugins))
}

/// What is wrong with the packages that go to a registry.
fn faults(find: impl Fn(&Package) -> Vec<String>) -> Vec<String> {
    let metadata = workspace();
    let published: Vec<&Package> = metadata.packages.iter().filter(|package| is_published(package)).collect();
    assert!(published.len() > 20, "expected the crates of the workspace, found {}", published.len());
    let name = |package: &Package, fault: String| format!("{}: {fault}", package.name);
    published.into_iter().flat_map(|package| find(package).into_iter().map(move |fault| name(package, fault))).collect()
}

fn expect_none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_tests_stay_at_home() {
    let metadata = workspace();
    let unpublished = metadata.packages.iter().filter(|package| !is_published(package)).map(|package| package.name.as_str());
    assert_eq!(unpublished.collect::<Vec<_>>(), ["regatta-tests"]);
}

#[test]
fn packages_have_the_metadata_that_a_registry_shows() {
    expect_none(&faults(|package| {
        let mut faults = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("expected {what}"));
            }
        };
        let description = package.description.as_deref().unwrap_or_default();
        expect(
            description.contains("Regatta") || description.starts_with("Races"),
            "a description that says what Regatta has to do with it",
        );
        expect(package.license.as_deref() == Some("MIT OR Apache-2.0"), "Regatta's licence");
        expect(package.rust_version.is_some(), "a rust-version");
        expect(!package.categories.is_empty(), "categories");
        expect(!package.keywords.is_empty() && package.keywords.len() <= 5, "one to five keywords");
        let legal = |word: &String| {
            word.len() <= 20
                && word.starts_with(|first: char| first.is_ascii_alphanumeric())
                && word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-+".contains(letter))
        };
        expect(package.keywords.iter().all(legal), "keywords of at most 20 letters, digits, `_`, `-` and `+`");
        let readme = package.readme.as_ref().map(|readme| folder(package).join(readme));
        expect(readme.is_some_and(|readme| readme.is_file()), "a readme that exists");
        faults
    }));
}

/// Both licences ask that their text travels with each copy, and Cargo packs a crate's own folder alone.
#[test]
fn packages_carry_both_licences() {
    expect_none(&faults(|package| {
        let differs = |name: &&str| {
            let theirs = std::fs::read(folder(package).join(name)).ok();
            theirs != Some(std::fs::read(root().join(name)).expect("the licence of the workspace"))
        };
        let names = ["LICENSE-APACHE", "LICENSE-MIT"].into_iter();
        names.filter(differs).map(|name| format!("expected {name} in its folder, a link to the one of the workspace")).collect()
    }));
}

#[test]
fn every_crate_of_the_workspace_is_asked_for_by_its_version() {
    let metadata = workspace();
    let version_of = |name: &str| metadata.packages.iter().find(|package| package.name == name).map(|package| &package.version);
    expect_none(&faults(|package| {
        let mut faults = Vec::new();
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let (name, request) = (&dependency.name, dependency.req.to_string());
            let (Some(version), Some(target)) = (version_of(name), metadata.packages.iter().find(|found| found.name == *name))
            else {
                faults.push(format!("{name} lies outside the workspace: a registry has no such crate"));
                continue;
            };
            let sign = if STABLE.contains(&name.as_str()) || is_plugin(target) { '^' } else { '=' };
            if request != format!("{sign}{version}") {
                faults.push(format!("asks for {name} {request}, expected {sign}{version}: [workspace.dependencies]"));
            }
            if !is_published(target) {
                faults.push(format!("uses {name}, which is not published"));
            }
        }
        faults
    }));
}

/// Names of files that a source takes in when it is compiled, as it writes them.
fn taken_in(text: &str) -> Vec<&str> {
    let openings = ["include_str!(\"", "include_bytes!(\"", "include!(\"", "#[path = \""];
    let after = |opening: &'static str| text.split(opening).skip(1).filter_map(|rest| rest.split('"').next());
    openings.into_iter().flat_map(after).collect()
}

/// Whether `name`, written in `source`, lies in `folder`.
fn is_within(folder: &Path, source: &Path, name: &str) -> bool {
    let mut path = source.parent().expect("a file lies in a folder").to_owned();
    for component in Path::new(name).components() {
        match component {
            Component::ParentDir => assert!(path.pop(), "{}: {name} leads above every folder", source.display()),
            Component::CurDir => {}
            component => path.push(component),
        }
    }
    path.starts_with(folder)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_package_takes_in_a_file_from_outside() {
    expect_none(&faults(|package| {
        let mut files = Vec::new();
        sources(&folder(package).join("src"), &mut files);
        let mut faults = Vec::new();
        for source in files {
            let text = std::fs::read_to_string(&source).expect("a source file");
            let outside = taken_in(&text).into_iter().filter(|name| !is_within(folder(package), &source, name));
            faults.extend(outside.map(|name| format!("{} takes in {name}, which its package lacks", source.display())));
        }
        faults
    }));
}

#[test]
fn a_file_outside_is_found() {
    let text = "const A: &str = include_str!(\"../../LICENSE-MIT\");\n#[path = \"b.rs\"]\nmod b;\ninclude_bytes!(\"../c\")";
    assert_eq!(taken_in(text), ["../../LICENSE-MIT", "../c", "b.rs"]);
    let (folder, source) = (Path::new("/w/core"), Path::new("/w/core/src/lib.rs"));
    let within = taken_in(text).into_iter().map(|name| is_within(folder, source, name));
    assert_eq!(within.collect::<Vec<_>>(), [false, true, true]);
}
