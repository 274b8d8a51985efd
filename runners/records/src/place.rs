//! Which folders are those of a run.

use super::lease::had_turns;
use super::{Manifest, PlanRow, RecordError, read_json};
use std::path::Path;

/// Names that a run and a report write, which a user's own files may have too.
const REPLACED: [&str; 8] =
    ["study.yaml", "trials", "manifest.json", "plan.json", "tuning.json", "results.csv", "report.html", "plots"];

/// Whether the folder holds what only a run writes: turns of its runners, or, in a folder that was copied without them, a manifest
/// or a plan. A name alone is no sign: a web page's files have a `manifest.json` too.
fn is_of_a_run(folder: &Path) -> bool {
    let has_manifest = || matches!(read_json::<Manifest>(&folder.join("manifest.json")), Ok(Some(_)));
    let has_plan = || matches!(read_json::<Vec<PlanRow>>(&folder.join("plan.json")), Ok(Some(rows)) if !rows.is_empty());
    had_turns(folder) || has_manifest() || has_plan()
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
/// When it is not a folder, lies below a file, or holds a user's own files that a run would replace.
pub fn check_out(folder: &Path) -> Result<(), RecordError> {
    let there = folder.ancestors().find(|above| above.symlink_metadata().is_ok());
    if let Some(file) = there.filter(|there| there.exists() && !there.is_dir()) {
        let found = if file == folder { "a file".to_owned() } else { format!("that {} is a file", file.display()) };
        return Err(RecordError::new(folder, format!("expected a folder for results, found {found}")));
    }
    match REPLACED.iter().find(|name| folder.join(name).exists()).filter(|_| !is_of_a_run(folder)) {
        Some(name) => {
            let message = format!("expected a folder for results, found {name} that no run wrote and this one would replace");
            Err(RecordError::new(folder, format!("{message}: name another --out")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn manifest() -> Value {
        let model = json!({"layers": 1, "width": 4, "heads": 1, "context": 8, "vocab_size": 5, "parameters": 9});
        let data = json!({"source": "text", "train_tokens": 9, "validation_tokens": 9, "fingerprint": "f"});
        let machine = json!({"program": "regatta 0.1.0", "regularizers": {}, "platform": "linux", "threads": 2});
        let mut whole = machine;
        whole["model"] = model;
        whole["data"] = data;
        whole
    }

    fn check(name: &str, content: &str, expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("report.html"), "a page of somebody's own").unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        match (check_out(folder.path()), expected) {
            (Ok(()), None) => {}
            (Err(refusal), Some(part)) => assert!(refusal.to_string().contains(part), "{refusal}"),
            (found, _) => panic!("{name} {content}: {found:?}"),
        }
    }

    #[test]
    fn a_name_alone_is_no_sign_of_a_run() {
        let foreign = Some("found manifest.json that no run wrote");
        check("manifest.json", r#"{"name": "app"}"#, foreign);
        check("manifest.json", "not JSON", foreign);
        check("plan.json", "[]", Some("found plan.json that no run wrote"));
        check("plan.json", r#"[{"task": "sleep"}]"#, Some("found plan.json that no run wrote"));
        check("run.lock", "", Some("found report.html that no run wrote"));
        check("manifest.json", &manifest().to_string(), None);
        let row = json!({"arm": "a", "point": "", "place": "a", "baseline": "a", "terms": [], "parameters": 9, "tokens": 9});
        check("plan.json", &json!([row]).to_string(), None);
    }

    #[test]
    fn a_folder_below_a_file_is_refused_by_both_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(check_out(&file).unwrap_err().to_string().ends_with("expected a folder for results, found a file"));
        let below = check_out(&file.join("a/b")).unwrap_err().to_string();
        assert_eq!(below, format!("{0}/a/b: expected a folder for results, found that {0} is a file", file.display()));
        assert!(check_out(&folder.path().join("new/folder")).is_ok() && check_out(Path::new("new-in-the-current-one")).is_ok());
    }
}
