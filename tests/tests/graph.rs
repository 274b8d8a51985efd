//! Holds the workspace to its arrows: which crate may know which, what no source file may say, and why. ARCHITECTURE.md tells
//! the same in words. Development dependencies are free: tests may cross any border.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A crate of the workspace: where it lies, and the names of the crates that it uses outside tests.
#[derive(Debug, Clone, Default)]
struct Member {
    folder: PathBuf,
    uses: BTreeSet<String>,
}

type Graph = BTreeMap<String, Member>;

/// (crate, crates of the workspace that it may use, why no others).
const ARROWS: [(&str, &[&str], &str); 16] = [
    ("regatta", &["regatta-builtin", "regatta-cli"], "the program only joins the verbs and the built-in plugins"),
    (
        "regatta-cli",
        &[
            "regatta-analysis",
            "regatta-config",
            "regatta-core",
            "regatta-export",
            "regatta-kernels",
            "regatta-lm",
            "regatta-records",
            "regatta-report",
            "regatta-results",
            "regatta-slurm",
            "regatta-study",
        ],
        "a stranger's program calls the same verbs with plugins of its own choice",
    ),
    (
        "regatta-study",
        &["regatta-config", "regatta-core", "regatta-lm", "regatta-records", "regatta-statistics"],
        "the runner trains and records; what the records say is analysed and drawn without it",
    ),
    (
        "regatta-analysis",
        &["regatta-config", "regatta-core", "regatta-lm", "regatta-records", "regatta-results", "regatta-statistics"],
        "results are a function of records: analysis trains nothing and draws nothing",
    ),
    ("regatta-records", &["regatta-config", "regatta-core", "regatta-lm"], "records are files of what config and lm define"),
    ("regatta-config", &["regatta-core", "regatta-lm"], "a study is read and judged before anything is on disk"),
    ("regatta-statistics", &["regatta-core"], "statistics are functions of numbers and of a draw"),
    (
        "regatta-lm",
        &["regatta-core", "regatta-diagnostics", "regatta-kernels"],
        "the trainer sees penalties through the trait, or the models would not be identical",
    ),
    ("regatta-diagnostics", &["regatta-core"], "the judge never meets the accused: diagnostics know no plugin and no model"),
    (
        "regatta-report",
        &["regatta-results"],
        "a report is a function of rows and strings; it can be built and tested without a tensor",
    ),
    (
        "regatta-export",
        &[],
        "another program's files are a function of plain values; they are written and tested without a tensor",
    ),
    ("regatta-slurm", &["regatta-config"], "a batch script runs a command line; whoever writes it needs no study and no trainer"),
    ("regatta-results", &[], "rows are plain values: whoever makes them and whoever draws them need not know each other"),
    ("regatta-core", &["regatta-kernels"], "a plugin's author must need nothing above the plugin API"),
    ("regatta-kernels", &[], "loops on slices know no tensor, no plugin and no model"),
    (
        "regatta-tests",
        &[
            "regatta-builtin",
            "regatta-cli",
            "regatta-config",
            "regatta-core",
            "regatta-kernels",
            "regatta-lm",
            "regatta-records",
            "regatta-statistics",
            "regatta-study",
        ],
        "the program under test is joined as any program is, on a disk that fails on demand; what reads bytes is shared with fuzz/",
    ),
];

const PLUGIN_REASON: &str = "a plugin stands on core alone: it knows no model, trainer, diagnostic or other plugin";

/// Where plugins lie, a crate each.
const PLUGIN_FOLDERS: [&str; 2] = ["regularizers", "interventions"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests folder lies in the workspace").to_owned()
}

fn workspace() -> Graph {
    let root = root();
    let mut command = MetadataCommand::new();
    command.manifest_path(root.join("Cargo.toml")).no_deps().other_options(["--offline".to_owned()]);
    let metadata = command.exec().expect("cargo metadata");
    let member = |package: &Package| {
        let manifest = package.manifest_path.as_std_path();
        let folder = manifest.parent().and_then(|folder| folder.strip_prefix(&root).ok()).expect("a member below the root");
        let used = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        let uses = used.map(|dependency| dependency.name.clone()).collect();
        (package.name.to_string(), Member { folder: folder.to_owned(), uses })
    };
    metadata.packages.iter().map(member).collect()
}

fn is_plugin(member: &Member) -> bool {
    PLUGIN_FOLDERS.iter().any(|folder| member.folder.starts_with(folder)) && !is_builtin(member)
}

fn is_builtin(member: &Member) -> bool {
    member.folder == Path::new("regularizers/builtin")
}

fn plugins(graph: &Graph) -> BTreeSet<&str> {
    graph.iter().filter(|(_, member)| is_plugin(member)).map(|(name, _)| name.as_str()).collect()
}

/// Crates of the workspace that `member` may use, and why no others.
fn allowed<'a>(graph: &'a Graph, name: &str, member: &Member) -> Option<(BTreeSet<&'a str>, &'static str)> {
    if is_plugin(member) {
        return Some((BTreeSet::from(["regatta-core"]), PLUGIN_REASON));
    }
    if is_builtin(member) {
        return Some((plugins(graph), "builtin only links the plugins"));
    }
    let (_, allowed, reason) = ARROWS.iter().find(|(known, ..)| *known == name)?;
    Some((allowed.iter().copied().collect(), reason))
}

/// Arrows that break the architecture, each with its reason.
fn broken_arrows(graph: &Graph) -> Vec<String> {
    let mut broken = Vec::new();
    let mut refuse = |name: &str, used: &str, reason: &str| broken.push(format!("{name} must not use {used}: {reason}"));
    for (name, member) in graph {
        let Some((allowed, reason)) = allowed(graph, name, member) else {
            refuse(name, "anything yet", "it is new: give it a place in ARROWS and in ARCHITECTURE.md");
            continue;
        };
        for used in &member.uses {
            if graph.contains_key(used) && !allowed.contains(used.as_str()) {
                refuse(name, used, reason);
            }
            if is_plugin(member) && used == "candle-nn" {
                refuse(name, used, "its initialisers cannot be seeded and its fused operations cut the gradient");
            }
            if ["regatta-kernels", "regatta-report", "regatta-results"].contains(&name.as_str()) && used.starts_with("candle") {
                refuse(name, used, reason);
            }
            if used == "serde_yaml" && name != "regatta-config" {
                refuse(
                    name,
                    used,
                    "YAML is read in one place, behind its guards: bare serde_yaml takes seconds for 80 KB of `[`",
                );
            }
        }
    }
    broken
}

#[test]
fn arrows_run_one_way() {
    let broken = broken_arrows(&workspace());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_broken_arrow_is_seen() {
    let broken_by = |name: &str, used: &str| {
        let mut graph = workspace();
        graph.entry(name.to_owned()).or_default().uses.insert(used.to_owned());
        broken_arrows(&graph).len()
    };
    for (name, used) in [
        ("regatta-cli", "regatta-builtin"),
        ("regatta-study", "regatta-vicreg"),
        ("regatta-lm", "regatta-sigreg"),
        ("regatta-lm", "regatta-study"),
        ("regatta-lm", "serde_yaml"),
        ("regatta-diagnostics", "regatta-infonce"),
        ("regatta-report", "candle-core"),
        ("regatta-report", "regatta-core"),
        ("regatta-report", "regatta-study"),
        ("regatta-study", "regatta-report"),
        ("regatta-analysis", "regatta-study"),
        ("regatta-slurm", "regatta-study"),
        ("regatta-config", "regatta-records"),
        ("regatta-core", "regatta-lm"),
        ("regatta-kernels", "regatta-core"),
        ("regatta-kernels", "candle-core"),
        ("regatta-records", "serde_yaml"),
        ("regatta-core", "regatta-diagnostics"),
        ("regatta-vicreg", "regatta-whitening"),
        ("regatta-vicreg", "regatta-lm"),
        ("regatta-vicreg", "candle-nn"),
        ("regatta-noisy-embedding", "regatta-lm"),
        ("regatta-quantised-weights", "regatta-vicreg"),
        ("regatta-lm", "regatta-active-forgetting"),
        ("regatta-builtin", "regatta-core"),
        ("regatta-cli", "regatta-tests"),
        ("a-new-crate", "regatta-core"),
    ] {
        assert_eq!(broken_by(name, used), 1, "{name} -> {used} must be refused, once");
    }
    assert_eq!(broken_by("regatta-vicreg", "rayon"), 0, "crates from outside are a plugin's own business");
}

#[test]
fn builtin_links_every_folder_of_plugins() {
    let graph = workspace();
    let entries = |folder: &&str| std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}/: {error}"));
    let folders: BTreeSet<PathBuf> = PLUGIN_FOLDERS
        .iter()
        .flat_map(entries)
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir() && !path.ends_with("builtin"))
        .map(|path| path.strip_prefix(root()).expect("below the root").to_owned())
        .collect();
    for kind in PLUGIN_FOLDERS {
        assert!(folders.iter().any(|folder| folder.starts_with(kind)), "{kind}/ holds no plugin");
    }
    let builtin = &graph["regatta-builtin"];
    let linked: BTreeSet<PathBuf> =
        graph.iter().filter(|(name, _)| builtin.uses.contains(*name)).map(|(_, member)| member.folder.clone()).collect();
    assert_eq!(folders, linked, "the linker drops a plugin that nothing names: builtin must depend on each of them");
}

#[test]
fn the_foundations_are_direct_dependencies() {
    let graph = workspace();
    for name in ["candle-core", "inventory", "serde_yaml", "tracing-subscriber", "typetag"] {
        let used = graph.values().any(|member| member.uses.contains(name));
        assert!(used, "no crate depends on {name} directly, and the design stands on it");
    }
}

/// Every Rust file below `folder`, but for build output.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What the compiler sees of a file: without comments, each line with its number. A `//` within a string ends the line too.
fn code(text: &str) -> Vec<(usize, &str)> {
    let bare = |line: &str| line.find("//").unwrap_or(line.len());
    text.lines().enumerate().map(|(index, line)| (index + 1, &line[..bare(line)])).collect()
}

/// The part of a file above the tests at its foot.
fn above_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod ").map_or(text, |end| &text[..end])
}

/// Every built-in plugin as studies name it: the folder of its crate.
fn names_in_yaml(graph: &Graph) -> Vec<String> {
    let folders = graph.values().filter(|member| is_plugin(member)).filter_map(|member| member.folder.file_name());
    let names: Vec<String> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name == "barlow_twins"), "names are spelled with underscores: {names:?}");
    names
}

#[test]
fn the_trainer_and_the_judge_name_no_plugin() {
    let graph = workspace();
    let names = names_in_yaml(&graph);
    let judges =
        ["analysis", "cli", "config", "diagnostics", "lm", "records", "report", "results", "slurm", "statistics", "study"];
    let template = root().join("runners/cli/src/verbs/new/study.rs"); // it names the arms of an example, and no code depends on these names
    for folder in judges.map(|name| format!("runners/{name}/src")) {
        for path in sources(&root().join(folder)) {
            if path == template
                || ["tests.rs", "sample.rs"].iter().any(|name| path.ends_with(name))
                || path.components().any(|part| part.as_os_str() == "tests")
            {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            for (line, code) in code(above_tests(&text)) {
                let lower = code.to_lowercase();
                let named = names.iter().find(|name| lower.contains(name.as_str()));
                assert!(
                    named.is_none(),
                    "{}:{line} names `{}`: training and judging by name would treat one method unlike the others",
                    path.display(),
                    named.map_or("", String::as_str),
                );
            }
        }
    }
}

#[test]
fn nothing_draws_from_candles_own_generator() {
    let banned = ["Tensor::rand", "Var::rand", ".rand_like(", ".randn_like("];
    for folder in ["kernels", "core", "regularizers", "interventions", "runners", "tests", "examples"] {
        for path in sources(&root().join(folder)).iter().filter(|path| !path.ends_with("tests/tests/graph.rs")) {
            let text = std::fs::read_to_string(path).expect("a source file");
            for (line, code) in code(&text) {
                let found = banned.iter().find(|call| code.contains(**call));
                assert!(
                    found.is_none(),
                    "{}:{line} uses `{}`: that generator cannot be seeded on the CPU; draw from regatta_core::Draw",
                    path.display(),
                    found.unwrap_or(&""),
                );
            }
        }
    }
}

/// Files of code alone, without tests.
fn production_sources(folder: &Path) -> Vec<PathBuf> {
    let of_tests = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        name == "tests.rs" || path.components().any(|part| part.as_os_str() == "tests")
    };
    sources(folder).into_iter().filter(|path| !of_tests(path)).collect()
}

#[test]
fn no_number_of_training_is_the_systems_own() {
    // Functions of tensors have a `?` behind them; those of numbers would be the system library's, which has several versions.
    let banned =
        ["exp", "exp2", "exp_m1", "ln", "ln_1p", "log2", "log10", "powf", "sin", "cos", "sin_cos", "tan", "tanh", "acos"];
    for folder in ["kernels/src", "core/src", "regularizers", "interventions", "runners/lm/src", "runners/diagnostics/src"] {
        for path in production_sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("a source file");
            for (line, code) in code(above_tests(&text)) {
                for name in banned {
                    let called = code.split(&format!(".{name}(")).skip(1).any(|rest| {
                        let arguments = rest.find(')').map_or(rest, |end| &rest[end + 1..]);
                        !arguments.starts_with('?')
                    });
                    assert!(!called, "{}:{line} calls the system's `{name}`: take `libm`, the same everywhere", path.display());
                }
            }
        }
    }
}

#[test]
fn instructions_are_chosen_when_the_program_starts_and_in_one_place() {
    let at_build_time = ["cfg(target_feature", "cfg!(target_feature"];
    let intrinsics = ["std::arch::", "core::arch::", "asm!("];
    for folder in ["kernels", "core", "regularizers", "interventions", "runners", "examples"] {
        for path in production_sources(&root().join(folder)) {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let in_simd = path.starts_with(root().join("kernels/src/simd"));
            for (line, code) in code(&text) {
                let found = at_build_time.iter().find(|word| code.contains(**word));
                assert!(found.is_none(), "{}:{line}: what a build targets says nothing of where it runs", path.display());
                let found = intrinsics.iter().find(|word| code.contains(**word)).filter(|_| !in_simd);
                assert!(found.is_none(), "{}:{line}: intrinsics stand in kernels/src/simd alone", path.display());
            }
        }
    }
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in entries(&root()).chain(entries(&root().join(".cargo"))).filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let builds = path.extension().is_some_and(|extension| extension == "toml");
        assert!(
            !builds || !text.contains("target-cpu"),
            "{}: a program built for one processor fails on another",
            path.display()
        );
    }
}

#[test]
fn comments_and_tests_are_no_code() {
    let text = "let a = 1; // vicreg\n/// vicreg\nfn b() {}\n#[cfg(test)]\nmod tests {\n    vicreg\n}\n";
    let seen: Vec<(usize, &str)> = code(above_tests(text));
    assert_eq!(seen, [(1, "let a = 1; "), (2, ""), (3, "fn b() {}")]);
}
