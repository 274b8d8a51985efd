//! Commands that are not run name verbs, flags, packages and scripts that exist.

use crate::sandbox::Sandbox;
use crate::{documents, expect_none, root};
use std::collections::BTreeMap;

/// What a command may name.
struct Known {
    /// The help of each verb, and of the verbs of a verb: `new`, `new plugin`. That of the program has no name.
    verbs: BTreeMap<String, String>,
    packages: Vec<String>,
}

impl Known {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let help = |arguments: &[&str]| String::from_utf8(sandbox.regatta(arguments).stdout).unwrap();
        let mut verbs = BTreeMap::new();
        let mut paths = vec![Vec::new()];
        while let Some(path) = paths.pop() {
            let words: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
            let text = help(&words);
            let listed = text.split_once("Commands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap_or(""));
            let names = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
            let names = names.filter(|name| !name.is_empty() && *name != "help");
            paths.extend(names.map(|name| [path.clone(), vec![name.to_owned()]].concat()));
            verbs.insert(path.join(" "), text);
        }
        let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec().expect("cargo metadata");
        Self { verbs, packages: metadata.packages.iter().map(|package| package.name.to_string()).collect() }
    }

    /// What is wrong with a command, if anything.
    fn fault(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().skip_while(|word| word.contains('=')).collect();
        let words = words.split(|word| [">", "|", "&&", "#"].contains(word)).next().unwrap_or_default();
        match words {
            ["regatta", words @ ..] => self.fault_of_regatta(words),
            ["cargo", "run", words @ ..] if words.contains(&"--") => {
                let start = words.iter().position(|word| *word == "--").expect("it is there");
                self.fault_of_regatta(&words[start + 1..])
            }
            ["cargo", words @ ..] => self.fault_of_cargo(words),
            ["python" | "python3", "-m", ..] | ["cd" | "mdbook" | "perf" | "wait", ..] | [] => None,
            ["python" | "python3", script, words @ ..] => {
                let Ok(text) = std::fs::read_to_string(root().join(script)) else { return Some(format!("no script {script}")) };
                let unknown = flags(words).find(|flag| !text.contains(&format!("\"{flag}\"")));
                unknown.map(|flag| format!("{script} has no {flag}"))
            }
            [script, ..] => (!root().join(script).exists()).then(|| format!("no script {script}")),
        }
    }

    fn fault_of_regatta(&self, words: &[&str]) -> Option<String> {
        let verb = words.first()?; // none: the name of the program alone
        let verb = if verb.starts_with("--") { &"" } else { verb }; // a flag of the program
        let nested = words.get(1).and_then(|second| self.verbs.get(&format!("{verb} {second}")));
        let Some(help) = nested.or_else(|| self.verbs.get(*verb)) else {
            let is_placeholder = verb.starts_with(|c: char| !c.is_ascii_lowercase()); // `regatta VERB --help`
            return (!is_placeholder).then(|| format!("no verb `{verb}`"));
        };
        let known: Vec<&str> = help.split(|c: char| !c.is_ascii_lowercase() && c != '-').collect();
        flags(words).find(|flag| !known.contains(flag)).map(|flag| format!("`{verb}` has no {flag}"))
    }

    fn fault_of_cargo(&self, words: &[&str]) -> Option<String> {
        let after = |flags: &[&str]| words.iter().position(|word| flags.contains(word)).and_then(|at| words.get(at + 1));
        if let Some(name) = after(&["-p", "--package"]).filter(|name| !self.packages.iter().any(|package| package == *name)) {
            return Some(format!("no package {name}"));
        }
        let test = after(&["--test"])?;
        let folders = ["runners/app/tests", "tests/tests"].map(|folder| root().join(folder));
        let exists = folders.iter().any(|folder| folder.join(test).is_dir() || folder.join(format!("{test}.rs")).exists());
        (!exists).then(|| format!("no test {test}"))
    }
}

/// The words that are flags, without brackets of a synopsis and values.
fn flags<'a>(words: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let bare = |word: &&'a str| word.trim_matches(['[', ']', '.']).split('=').next().unwrap_or("");
    words.iter().copied().map(move |word| bare(&word)).filter(|word| word.starts_with("--") && word.len() > 2)
}

/// The commands of a block, each on one line.
fn lines(body: &str) -> Vec<String> {
    let joined = body.replace("\\\n", " ");
    joined.lines().filter(|line| !line.starts_with(char::is_whitespace)).map(str::to_owned).collect()
}

#[test]
fn commands_that_are_not_run_name_what_exists() {
    let known = Known::new();
    let mut found = Vec::new();
    for document in documents() {
        let blocks = document.blocks.iter().filter(|block| block.language() == "sh");
        let commands = blocks.flat_map(|block| lines(&block.body).into_iter().map(|line| (block.place.clone(), line)));
        let is_command = |code: &String| code.starts_with("regatta ") || code.starts_with("cargo ");
        let spans = document.spans.iter().filter(|(_, code)| is_command(code)).cloned();
        for (place, command) in commands.chain(spans) {
            found.extend(known.fault(&command).map(|fault| format!("{place}: {fault}: {command}")));
        }
    }
    for entry in std::fs::read_dir(root().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for command in text.lines().filter_map(|line| line.strip_prefix("#   ")) {
            found.extend(known.fault(command).map(|fault| format!("{}: {fault}: {command}", path.display())));
        }
    }
    expect_none(found);
}

#[test]
fn what_does_not_exist_is_seen() {
    let known = Known::new();
    let fault = |command: &str| known.fault(command).unwrap_or_default();
    assert_eq!(fault("cargo run --release -- run configs/quickstart.yaml --jobs 2"), "");
    assert_eq!(fault("regatta run STUDY.yaml [--out DIR] [--set train.steps=50]... [--fresh [--yes]]"), "");
    assert_eq!(fault("regatta run STUDY.yaml --job 2"), "`run` has no --job");
    assert_eq!(fault("regatta rum STUDY.yaml"), "no verb `rum`");
    assert_eq!(fault("cargo test -p regatta-vicregg"), "no package regatta-vicregg");
    assert_eq!(fault("X=1 cargo test --test docs"), "no test docs");
    assert_eq!(fault("python3 tests/peers/compare.py --costs"), "");
    assert_eq!(fault("python3 tests/peers/compare.py --cots"), "tests/peers/compare.py has no --cots");
    assert_eq!(fault(".ci/ran"), "no script .ci/ran");
}
