//! YAML in documents is what `regatta check` accepts.

use crate::document::{Block, Place};
use crate::sandbox::Sandbox;
use crate::{documents, expect_none};
use rayon::prelude::*;
use regatta_builtin as _; // documents name the built-in plugins

/// A fragment as a study of its own, which extends the base unless it extends something itself.
fn completed(fragment: &str) -> String {
    let has = |key: &str| fragment.lines().any(|line| line.starts_with(key));
    let extends = if has("extends:") { "" } else { "extends: base.yaml\n" };
    let name = if has("name:") { "" } else { "name: fragment\n" };
    format!("{extends}{name}{fragment}")
}

/// Whether code within a line is a section of a study, with nothing left open.
fn is_section(code: &str) -> bool {
    let sections = ["model: {", "data: {", "train: {", "evaluate: {", "vary: {", "tune: {"];
    let placeholder = |word: &str| word.len() > 1 && word.chars().all(|letter| letter.is_ascii_uppercase());
    let open = code.contains("...") || code.split(|c: char| !c.is_alphanumeric()).any(placeholder);
    sections.iter().any(|section| code.starts_with(section)) && !open
}

#[test]
fn every_study_in_a_document_is_accepted() {
    let sandbox = Sandbox::with_checkpoint();
    let documents = documents();
    let mut studies = Vec::new();
    for document in &documents {
        let blocks = document.blocks.iter().filter(|block| block.language() == "yaml");
        let whole = |block: &Block| if block.is("fragment") { completed(&block.body) } else { block.body.clone() };
        studies.extend(blocks.map(|block| (&block.place, whole(block))));
        let sections = document.spans.iter().filter(|(_, code)| is_section(code));
        studies.extend(sections.map(|(place, code)| (place, completed(code))));
    }
    assert!(studies.len() > 35, "{} studies found: are they no longer marked?", studies.len());
    let judge = |(index, (place, study)): (usize, &(&Place, String))| {
        let file = format!("study-{index}.yaml");
        std::fs::write(sandbox.path().join(&file), study).unwrap();
        let output = sandbox.regatta(&["check", &file]);
        let failed = !output.status.success();
        failed.then(|| format!("{place}: {}\n{study}", String::from_utf8_lossy(&output.stderr)))
    };
    expect_none(studies.par_iter().enumerate().filter_map(judge).collect());
}

#[test]
fn a_fragment_is_completed_and_a_bad_one_is_refused() {
    assert_eq!(completed("seeds: 3\n"), "extends: base.yaml\nname: fragment\nseeds: 3\n");
    assert_eq!(completed("extends: x.yaml\nname: y\n"), "extends: x.yaml\nname: y\n");
    assert!(is_section("train: {precision: bf16}") && !is_section("model: {init: FOLDER}") && !is_section("data: {text: ...}"));
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path().join("bad.yaml"), completed("train: {stesp: 3}\n")).unwrap();
    assert_eq!(sandbox.regatta(&["check", "bad.yaml"]).status.code(), Some(2));
}
