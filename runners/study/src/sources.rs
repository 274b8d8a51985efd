//! The files that the inputs of a trial are read from, for messages.

use regatta_config::{Arm, Study};
use regatta_lm::spec::{DataSpec, ModelSpec, Paths, TextFiles, TokenizerSpec};
use std::path::Path;

/// The files and folders that the input at the dotted path `input` of the identity of a trial of `arm` is a hash of; none where it is
/// made without any.
pub(crate) fn sources(study: &Study, arm: &Arm, input: &str) -> Vec<String> {
    let shown = |path: &Path| path.display().to_string();
    let evaluate = &study.evaluate;
    match input.split('.').collect::<Vec<_>>()[..] {
        ["tokens"] => data(study),
        ["terms"] => arm.folders().map(|(.., folder)| shown(folder)).collect(),
        ["model", ..] => match &study.model {
            ModelSpec::Init(folder) => vec![shown(folder)],
            ModelSpec::Fresh(_) => Vec::new(),
        },
        ["evaluate", "minimal_pairs"] => evaluate.minimal_pairs.iter().map(|file| shown(file)).collect(),
        ["evaluate", "multiple_choice"] => evaluate.multiple_choice.iter().map(|file| shown(file)).collect(),
        ["evaluate", "texts", ref name @ ..] => evaluate.texts.get(&name.join(".")).map(|file| shown(file)).into_iter().collect(),
        ["evaluate", "tasks", ref name @ .., "items"] => {
            let task = evaluate.tasks.get(&name.join("."));
            let examples = task.and_then(|task| task.few_shot.as_ref()?.file.as_deref());
            task.map(|task| task.file.as_path()).into_iter().chain(examples).map(shown).collect()
        }
        _ => Vec::new(),
    }
}

/// The files of the data, and the tokenizer's.
fn data(study: &Study) -> Vec<String> {
    let paths: Vec<&Paths> = match &study.data {
        DataSpec::Synthetic(_) | DataSpec::Biographies(_) => Vec::new(),
        DataSpec::Text(text) => match &text.files {
            TextFiles::Cut { file, .. } => vec![file],
            TextFiles::Splits { train, validation, test } => [train, validation].into_iter().chain(test).collect(),
        },
        DataSpec::Tokens(tokens) => [&tokens.train, &tokens.validation].into_iter().chain(&tokens.test).collect(),
    };
    let tokenizer = match &study.tokenizer {
        Some(TokenizerSpec::File(file)) => Some(file),
        _ => None,
    };
    let entries = paths.into_iter().flat_map(|paths| paths.entries());
    entries.chain(tokenizer).map(|path| path.display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_lead_to_the_files_of_the_study() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        ["a.txt", "v.txt", "w.txt", "p.jsonl"].iter().for_each(|name| put(name, "words"));
        put(
            "study.yaml",
            "data: {text: {train: [a.txt], validation: v.txt}}\ntokenizer: bytes\nevaluate:\n  minimal_pairs: [p.jsonl]\n  \
             texts: {wiki.en: w.txt}\n  tasks: {lambada: {file: p.jsonl, form: last_word}}\narms: {baseline: []}",
        );
        let study = Study::read(&folder.path().join("study.yaml"), &[]).unwrap();
        let names = |input: &str| {
            let name = |path: &String| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
            sources(&study, &study.arms[0], input).iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names("tokens"), ["a.txt", "v.txt"]);
        assert_eq!(names("evaluate.texts.wiki.en"), ["w.txt"]);
        assert_eq!(names("evaluate.tasks.lambada.items"), ["p.jsonl"]);
        assert_eq!(names("evaluate.minimal_pairs"), ["p.jsonl"]);
        assert!(names("train.lr").is_empty() && names("model.weights").is_empty() && names("evaluate.texts.none").is_empty());
    }
}
