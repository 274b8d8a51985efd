//! The files and folders that a study names.

use super::refusal::Misfit;
use super::{Arm, Study};
use regatta_lm::spec::{DataSpec, ModelSpec, Paths, PathsError, TextFiles, TokenizerSpec, is_pattern, matching, pattern_in};
use std::path::{Path, PathBuf};

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A file, or a pattern of files.
    Files,
    Folder,
}

/// Makes every path of the study absolute. A relative one starts from the `folder` of its field, where the file lies that wrote
/// it, or else from the current directory.
///
/// # Errors
/// At the first that leads to nothing, or to a folder where a file is wanted.
pub(super) fn resolve(study: &mut Study, folder: &dyn Fn(&[String]) -> PathBuf) -> Result<(), Misfit> {
    for (field, path, kind) in named(study) {
        *path = absolute(path, &folder(&field), kind).map_err(|message| Misfit::new(field, message))?;
    }
    study.arms.iter_mut().for_each(Arm::note_folders);
    Ok(())
}

/// The fields that hold paths, with what each leads to.
pub(super) fn named(study: &mut Study) -> Vec<(Vec<String>, &mut PathBuf, Kind)> {
    let mut named: Vec<(String, &mut PathBuf, Kind)> = Vec::new();
    if let ModelSpec::Init(folder) = &mut study.model {
        named.push(("model.init".into(), folder, Kind::Folder));
    }
    if let Some(TokenizerSpec::File(file)) = &mut study.tokenizer {
        named.push(("tokenizer.file".into(), file, Kind::File));
    }
    match &mut study.data {
        DataSpec::Synthetic(_) | DataSpec::Biographies(_) => {}
        DataSpec::Text(text) => match &mut text.files {
            TextFiles::Cut { file, .. } => named.extend(files("data.text.file", file)),
            TextFiles::Splits { train, validation, test } => {
                named.extend(files("data.text.train", train));
                named.extend(files("data.text.validation", validation));
                named.extend(test.iter_mut().flat_map(|test| files("data.text.test", test)));
            }
        },
        DataSpec::Tokens(tokens) => {
            named.extend(files("data.tokens.train", &mut tokens.train));
            named.extend(files("data.tokens.validation", &mut tokens.validation));
            named.extend(tokens.test.iter_mut().flat_map(|test| files("data.tokens.test", test)));
        }
    }
    let tasks = [("minimal_pairs", &mut study.evaluate.minimal_pairs), ("multiple_choice", &mut study.evaluate.multiple_choice)];
    let tasks = tasks.into_iter().flat_map(|(field, files)| {
        let indexed = files.iter_mut().enumerate();
        indexed.map(move |(index, file)| (["evaluate", field, &index.to_string()].map(str::to_owned).into(), file, Kind::File))
    });
    let named_tasks = study.evaluate.tasks.iter_mut().flat_map(|(name, task)| {
        let own = |fields: &[&str]| ["evaluate", "tasks", name].iter().chain(fields).map(|&field| field.to_owned()).collect();
        let examples = task.few_shot.as_mut().and_then(|few_shot| few_shot.file.as_mut());
        let examples = examples.map(|file| (own(&["few_shot", "file"]), file, Kind::File));
        [(own(&["file"]), &mut task.file, Kind::File)].into_iter().chain(examples).collect::<Vec<_>>()
    });
    let texts = study.evaluate.texts.iter_mut();
    let texts = texts.map(|(name, file)| (["evaluate", "texts", name].map(str::to_owned).into(), file, Kind::File));
    let of_interventions = study.arms.iter_mut().flat_map(|arm| {
        let name = arm.name.clone();
        arm.listed_interventions_mut().flat_map(move |(place, plugin)| {
            let before = ["arms", &name, &place.to_string(), "intervention", plugin.name()].map(str::to_owned);
            let folders = plugin.0.folders().into_iter();
            folders.map(move |(field, folder)| ([&before[..], &[field.to_owned()]].concat(), folder, Kind::Folder))
        })
    });
    let named = named.into_iter().map(|(field, path, kind)| (field.split('.').map(str::to_owned).collect(), path, kind));
    named.chain(tasks).chain(named_tasks).chain(texts).chain(of_interventions).collect()
}

/// The entries of a field that holds files and patterns.
fn files<'a>(field: &'a str, paths: &'a mut Paths) -> impl Iterator<Item = (String, &'a mut PathBuf, Kind)> {
    let named = move |index: Option<usize>| index.map_or(field.to_owned(), |index| format!("{field}.{index}"));
    paths.entries_mut().map(move |(index, path)| (named(index), path, Kind::Files))
}

fn absolute(path: &Path, folder: &Path, kind: Kind) -> Result<PathBuf, String> {
    let wanted = if kind == Kind::Folder { "a folder" } else { "a file" };
    if path.as_os_str().is_empty() {
        return Err(format!("expected {wanted}, found none"));
    }
    let beside = folder.join(path);
    if kind == Kind::Files && is_pattern(path) && is_pattern(&beside) {
        return pattern(path, folder);
    }
    let existing = [&beside, path].into_iter().find_map(|candidate| candidate.canonicalize().ok());
    let Some(existing) = existing else {
        let (beside, here) = (shown(&beside), shown(path));
        let places = if beside == here { beside } else { format!("{beside} nor at {here}") };
        let neither = if places.contains(" nor at ") { "neither at" } else { "nothing at" };
        return Err(format!("expected {wanted}, found {neither} {places}"));
    };
    if existing.is_dir() != (kind == Kind::Folder) {
        let found = if existing.is_dir() { "a folder" } else { "a file" };
        return Err(format!("expected {wanted}, found {found} at {}", existing.display()));
    }
    match existing.to_str() {
        Some(_) => Ok(existing),
        None => Err(format!("expected a path in UTF-8, found {}", existing.display())),
    }
}

/// A pattern in full: what it matches below `folder`, or else below the current directory.
fn pattern(path: &Path, folder: &Path) -> Result<PathBuf, String> {
    let in_full = |folder: &Path| {
        let folder = Path::new(".").join(folder); // where the study lies in the current directory its folder has no name
        pattern_in(&std::path::absolute(&folder).unwrap_or(folder), path)
    };
    let [beside, here] = [folder, Path::new(".")].map(in_full);
    match (matching(&beside), matching(&here)) {
        (Ok(_), _) => Ok(beside),
        (Err(PathsError::NoMatch { .. }), Ok(_)) => Ok(here),
        (Err(error), Err(PathsError::NoMatch { folder, .. })) if beside != here => {
            Err(format!("{error} nor in {}", folder.display()))
        }
        (Err(error), _) => Err(error.to_string()),
    }
}

/// In full, where the current directory is known.
fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}
