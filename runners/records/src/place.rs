//! Which folders are those of a run.

use super::RecordError;
use super::lease::had_turns;
use std::path::Path;

/// Files that only a run writes; a copied folder may lack the first turn, and `run.lock` is of earlier versions.
const MARKS: [&str; 3] = ["manifest.json", "plan.json", "run.lock"];
/// Names that a run and a report write, which a user's own files may have too.
const REPLACED: [&str; 6] = ["study.yaml", "trials", "tuning.json", "results.csv", "report.html", "plots"];

fn is_of_a_run(folder: &Path) -> bool {
    had_turns(folder) || MARKS.iter().any(|mark| folder.join(mark).is_file())
}

/// The study of a folder that a run made.
///
/// # Errors
/// When it holds no study, or one that no run put there: a user's own folder is neither read as results nor written to.
pub fn study_of_a_run(folder: &Path) -> Result<String, RecordError> {
    let path = folder.join("study.yaml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| RecordError::new(&path, format!("expected the folder of a study: {error}")))?;
    if is_of_a_run(folder) {
        return Ok(text);
    }
    let path = path.display();
    let message = format!("expected the folder of a run, found a study that nobody ran here: `regatta run {path}` runs it");
    Err(RecordError::new(folder, message))
}

/// Whether a run may write its results to a folder.
///
/// # Errors
/// When it is not a folder, or holds a user's own files that a run would replace.
pub fn check_out(folder: &Path) -> Result<(), RecordError> {
    if folder.exists() && !folder.is_dir() {
        return Err(RecordError::new(folder, "expected a folder for results, found a file"));
    }
    match REPLACED.iter().find(|name| folder.join(name).exists()).filter(|_| !is_of_a_run(folder)) {
        Some(name) => {
            let message = format!("expected a folder for results, found {name} that no run wrote and this one would replace");
            Err(RecordError::new(folder, format!("{message}: name another --out")))
        }
        None => Ok(()),
    }
}
