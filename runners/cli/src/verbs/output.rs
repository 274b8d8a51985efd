//! Files that a user names to be written.

use crate::failure::Failure;
use std::path::Path;

/// Refuses to replace a file that this verb did not write: a slip would cost a study. `what` names the verb's own files, which
/// `is_own` tells by their text. An empty file, and what is no regular file (a pipe, a device), may be written to.
pub(super) fn check(path: &Path, what: &str, is_own: impl Fn(&str) -> bool) -> Result<(), Failure> {
    let Some(file) = std::fs::metadata(path).ok().filter(|file| !file.is_dir()) else { return Ok(()) };
    if !file.is_file() || file.len() == 0 || std::fs::read_to_string(path).is_ok_and(|text| is_own(&text)) {
        return Ok(());
    }
    let message = format!("expected a new file, or {what} to replace, found another file: name a new one, or remove it");
    Err(Failure::refused(format!("{}: {message}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_verb_wrote_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.yaml");
        let check = || check(&file, "one of ours", |text| text.starts_with("ours")).map_err(|failure| format!("{failure:?}"));
        assert_eq!(check(), Ok(()));
        for (text, allowed) in [("", true), ("ours, of before", true), ("arms: {a: []}", false)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(check().is_ok(), allowed, "{text:?}");
        }
        let refused = check().unwrap_err();
        assert!(refused.contains("study.yaml: expected a new file, or one of ours to replace, found another file"), "{refused}");
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(check().is_err(), "no text is not ours");
        assert!(super::check(Path::new("/dev/null"), "", |_| false).is_ok());
    }
}
