//! The reference in docs/reference is written by the program: from the cards of its plugins, the schema of its studies, and the help
//! of its verbs.

mod study;

use regatta_builtin as _; // whose cards are written
use regatta_core::registry::{self, Card, Kind};
use std::path::{Path, PathBuf};
use std::process::Command;

const WRITE: &str = "REGATTA_WRITE_DOCS=1 cargo test -p regatta --test reference";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn regatta(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_regatta")).args(arguments).env("COLUMNS", "100").current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Compares a page with what it should be, or writes it.
fn check(name: &str, body: &str) {
    let path = root().join("docs/reference").join(name);
    let page = format!("<!-- Written by {WRITE} -->\n\n{}\n", body.trim_end());
    if std::env::var_os("REGATTA_WRITE_DOCS").is_some() {
        return std::fs::write(&path, page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(page.lines()).position(|(found, expected)| found != expected);
    let line = differs.unwrap_or_else(|| found.lines().count().min(page.lines().count()));
    assert!(
        found == page,
        "docs/reference/{name} is not what the program says from line {} on; write it again with\n\n  {WRITE}\n\n\
         found     {}\nexpected  {}",
        line + 1,
        found.lines().nth(line).unwrap_or("the end"),
        page.lines().nth(line).unwrap_or("the end"),
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// A value as it is written in YAML, where that is short.
fn written(value: &serde_json::Value) -> String {
    let text = value.to_string().replace('"', "");
    if text.is_empty() { "required".into() } else { format!("`{}`", cell(&text)) }
}

fn settings(card: &Card) -> String {
    if card.fields.is_empty() {
        return "It has no settings.\n".into();
    }
    let defaults = card.defaults();
    let row = |field: &registry::Field| {
        let default = defaults.get(field.name).map(written).unwrap_or_default();
        let doc: Vec<&str> = field.doc.iter().map(|line| line.trim()).collect();
        let with: Vec<String> = card.variants_with(field.name).iter().map(|words| format!("`{words}`")).collect();
        let with = if with.is_empty() { String::new() } else { format!(" Only with {}.", with.join(" or ")) };
        format!("| `{}` | {default} | {}{with} |\n", field.name, cell(&doc.join(" ")))
    };
    let rows: String = card.fields.iter().map(row).collect();
    format!("| setting | default | meaning |\n|---|---|---|\n{rows}")
}

fn example(card: &Card) -> String {
    let defaults = card.defaults();
    let missing = card.fields.iter().filter(|field| defaults.get(field.name).is_some_and(|default| default == ""));
    let missing: Vec<String> = missing.map(|field| format!("{}: checkpoint", field.name)).collect();
    let named = if missing.is_empty() { card.name.to_owned() } else { format!("{{{}: {{{}}}}}", card.name, missing.join(", ")) };
    let mut example = format!("arms:\n  {}:\n    - {}: {named}\n", card.name, card.kind.word());
    let Kind::Regularizer(variants) = card.kind else { return example };
    example += "      weight: 0.1\n";
    let needs_view = variants().first().is_some_and(|variant| variant.needs_view());
    if needs_view { format!("train: {{dropout: 0.1}}\n{example}") } else { example }
}

/// What holds of some of its forms: a second view, a gradient that is not that of the value.
fn remarks(card: &Card) -> String {
    let Kind::Regularizer(variants) = card.kind else { return String::new() };
    let mut remarks = String::new();
    for variant in variants() {
        let form = serde_json::to_value(&variant).expect("a plugin can be written");
        let form = form[card.name].as_object().cloned().unwrap_or_default();
        let defaults = card.defaults();
        let differs = form.iter().filter(|(field, value)| defaults.get(*field) != Some(value));
        let differs: Vec<String> =
            differs.map(|(field, value)| format!("`{field}: {}`", value.to_string().replace('"', ""))).collect();
        let which = if differs.is_empty() { "By default it".to_owned() } else { format!("With {}, it", differs.join(", ")) };
        if variant.needs_labels() {
            remarks +=
                &format!("- {which} is label-aware: it depends on the token that the model is to predict at each point.\n");
        }
        if variant.needs_view() {
            remarks += &format!("- {which} compares two views of each point, which needs `train.dropout` above 0.\n");
        }
        if let Some(reason) = variant.surrogate_gradient() {
            remarks += &format!("- {which} has a gradient that is not that of its value: {reason}.\n");
        }
    }
    if remarks.is_empty() { remarks } else { format!("{remarks}\n") }
}

fn page(title: &str, word: &str) -> String {
    let cards = registry::cards().unwrap();
    let mut page = format!("# {title}\n\n`regatta explain NAME` prints the same in a terminal.\n");
    for card in cards.values().filter(|card| card.kind.word() == word) {
        let expects = if card.expects.is_empty() { String::new() } else { format!("Expects: {}.\n\n", card.expects) };
        let homes: Vec<String> = card.homes_in_words().iter().map(|home| format!("`{home}`")).collect();
        let home = if homes.is_empty() { String::new() } else { format!("Home: {}.\n\n", homes.join("; ")) };
        page += &format!(
            "\n## {}\n\n{}.\n\n```text\n{}\n```\n\nSource: {}.\n\n{expects}{home}{}{}\n```yaml fragment\n{}```\n",
            card.name,
            card.summary[..1].to_uppercase() + &card.summary[1..],
            card.formula,
            card.paper.trim_end_matches('.'),
            remarks(card),
            settings(card),
            example(card),
        );
    }
    page
}

#[test]
fn fields_of_a_study() {
    check("study.md", &study::page(&regatta_config::schema()));
}

#[test]
fn regularizers() {
    check("regularizers.md", &page("Regularizers", "regularizer"));
}

#[test]
fn interventions() {
    check("interventions.md", &page("Interventions", "intervention"));
}

#[test]
fn costs() {
    let table = regatta(&["list", "--format", "md", "--costs", "docs/costs.json"]);
    let intro = "\
# Built-in plugins

`regatta list` prints this table, with the plugins that your program links. The last column is the time that a plugin adds to a
training step of the shape `small`, as a fraction of a step without it. For a regularizer it is value and gradient of the clouds
of a step at its home; for an intervention, the difference between steps with and without it.
[Performance](../performance.md#what-a-regularizer-costs) says how and where this was measured.

[Regularizers](regularizers.md) and [interventions](interventions.md) have formulas, settings and defaults.
";
    check("plugins.md", &format!("{intro}\n{table}"));
}

/// The verbs that a help lists.
fn verbs_of(help: &str) -> Vec<&str> {
    let commands = help.split_once("Commands:\n").map_or("", |(_, rest)| rest.split("\n\n").next().unwrap_or(""));
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").collect()
}

/// A section for each verb below `path`, and for each verb of that verb.
fn sections(path: &[&str]) -> String {
    let help = |path: &[&str]| regatta(&[path, &["--help"]].concat());
    let mut text = String::new();
    for name in verbs_of(&help(path)) {
        let path = [path, &[name]].concat();
        let help = help(&path);
        let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        text += &format!("\n## {}\n\n```text\n{}\n```\n", path.join(" "), help.join("\n"));
        text += &sections(&path);
    }
    text
}

#[test]
fn verbs() {
    let intro = "# Verbs and flags\n\nWhat `regatta VERB --help` prints. \
                 [The program](../program.md) says how the verbs work together.\n";
    check("verbs.md", &format!("{intro}{}", sections(&[])));
}
