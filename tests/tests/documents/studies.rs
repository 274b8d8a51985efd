//! YAML in documents is what `regatta check` accepts.

use crate::documents;
use crate::expect_none;
use crate::sandbox::Sandbox;
use rayon::prelude::*;
use regatta_builtin as _; // documents name the built-in plugins

/// A fragment as a study of its own, which extends the base unless it extends something itself.
fn completed(fragment: &str) -> String {
    let has = |key: &str| fragment.lines().any(|line| line.starts_with(key));
    let extends = if has("extends:") { "" } else { "extends: base.yaml\n" };
    let name = if has("name:") { "" } else { "name: fragment\n" };
    format!("{extends}{name}{fragment}")
}

#[test]
fn every_study_in_a_document_is_accepted() {
    let sandbox = Sandbox::with_checkpoint();
    let documents = documents();
    let blocks: Vec<_> =
        documents.iter().flat_map(|document| &document.blocks).filter(|block| block.language() == "yaml").collect();
    assert!(blocks.len() > 15, "{} studies found: are they no longer marked?", blocks.len());
    let judge = |(index, block): (usize, &&crate::Block)| {
        let study = if block.is("fragment") { completed(&block.body) } else { block.body.clone() };
        let file = format!("study-{index}.yaml");
        std::fs::write(sandbox.path().join(&file), study).unwrap();
        let output = sandbox.regatta(&["check", &file]);
        let failed = !output.status.success();
        failed.then(|| format!("{}: {}", block.place, String::from_utf8_lossy(&output.stderr)))
    };
    expect_none(blocks.par_iter().enumerate().filter_map(judge).collect());
}

#[test]
fn a_fragment_is_completed_and_a_bad_one_is_refused() {
    assert_eq!(completed("seeds: 3\n"), "extends: base.yaml\nname: fragment\nseeds: 3\n");
    assert_eq!(completed("extends: x.yaml\nname: y\n"), "extends: x.yaml\nname: y\n");
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path().join("bad.yaml"), completed("train: {stesp: 3}\n")).unwrap();
    assert_eq!(sandbox.regatta(&["check", "bad.yaml"]).status.code(), Some(2));
}
