//! Tips for unknown arguments.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, Error};
use regatta_core::registry::nearest;

/// Parts of the options by which other programs resume.
const GOING_ON: [&str; 6] = ["resum", "continu", "recover", "restor", "skip", "from-checkpoint"];
/// Options that discard results, or confirm it: suggested only for a near-identical spelling.
const DISCARDING: [&str; 2] = ["--fresh", "--yes"];

/// The same error, with a tip that discards no results: resuming needs no argument.
pub(crate) fn of(mut error: Error) -> Error {
    for (unknown, suggested) in
        [(ContextKind::InvalidArg, ContextKind::SuggestedArg), (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand)]
    {
        let Some(word) = text(error.get(unknown)) else { continue };
        if is_going_on(&word) {
            forget(&mut error, suggested);
            let tip = "no option is needed to resume: the same `regatta run STUDY.yaml` trains what is not done yet, and an \
                       interrupted trial resumes from its last checkpoint";
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
        } else if text(error.get(suggested)).is_some_and(|tip| is_too_far(&word, &tip)) {
            forget(&mut error, suggested);
        }
    }
    error
}

/// Takes the suggestion away; and the usage, which is that of the suggestion.
fn forget(error: &mut Error, suggested: ContextKind) {
    error.remove(suggested);
    error.remove(ContextKind::Usage);
}

fn text(value: Option<&ContextValue>) -> Option<String> {
    match value? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(" ")),
        _ => None,
    }
}

fn is_going_on(word: &str) -> bool {
    let word = word.trim_start_matches('-').to_lowercase().replace('_', "-");
    GOING_ON.iter().any(|part| word.contains(part))
}

fn is_too_far(word: &str, tip: &str) -> bool {
    let bare = |flag: &str| flag.trim_start_matches('-').to_owned();
    DISCARDING.contains(&tip) && nearest(&bare(word), [bare(tip).as_str()]).is_none()
}

#[cfg(test)]
mod tests {
    use crate::Arguments;
    use clap::Parser;

    fn said(arguments: &[&str]) -> String {
        let error = Arguments::try_parse_from([&["regatta"], arguments].concat()).unwrap_err();
        super::of(error).to_string()
    }

    #[test]
    fn requests_to_resume_are_never_answered_with_starting_over() {
        for flag in ["--resume", "--resume=latest", "--continue", "--Resume_From", "--skip-done", "--recover", "--restore"] {
            let said = said(&["run", "study.yaml", flag]);
            assert!(said.contains("the same `regatta run STUDY.yaml`") && !said.contains("--fresh"), "{flag}: {said}");
        }
        for verb in ["resume", "continue"] {
            let said = said(&[verb, "runs/quickstart"]);
            assert!(said.contains("the same `regatta run STUDY.yaml`"), "{verb}: {said}");
        }
    }

    #[test]
    fn misspelled_flags_get_a_tip_and_discarding_is_proposed_for_nothing_else() {
        assert!(said(&["run", "study.yaml", "--fersh"]).contains("'--fresh'"));
        assert!(said(&["run", "study.yaml", "--retries", "2"]).contains("'--retry'"));
        for flag in ["--reset", "--rerun", "--force", "--yet"] {
            let said = said(&["run", "study.yaml", flag]);
            assert!(said.contains("unexpected argument") && !said.contains("--fresh"), "{flag}: {said}");
        }
    }
}
