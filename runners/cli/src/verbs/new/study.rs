//! `regatta new study NAME`

use super::fill;
use crate::failure::{Failure, say};
use crate::verbs::explain;
use clap::{ValueEnum, ValueHint};
use regatta_core::Points;
use regatta_core::registry::{self, Card, Kind};
use regatta_records::write_whole;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study's name; it is written to NAME.yaml, and its results go to runs/NAME
    #[arg(value_hint = ValueHint::Other)]
    name: String,
    /// What to start from
    #[arg(long, value_enum, default_value = "quickstart")]
    from: From,
    /// Plugins to compare with the baseline [default: dispersion and vicreg where they are linked, else the first two]
    #[arg(long, value_name = "PLUGIN,...", value_delimiter = ',')]
    arms: Vec<String>,
    /// File to write [default: NAME.yaml]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// A baseline and two arms on synthetic text, under two minutes on two cores
    Quickstart,
    /// The same at two widths of the model
    Sweep,
    /// The same, each arm with the best of three weights and two learning rates
    Tuned,
}

impl From {
    fn about(self) -> &'static str {
        match self {
            Self::Quickstart => "A baseline and arms with one plugin each, on synthetic text.",
            Self::Sweep => "A baseline and arms with one plugin each, on synthetic text, at two widths of the model.",
            Self::Tuned => "A baseline and arms with one plugin each, on synthetic text, each arm tuned with the same budget.",
        }
    }

    /// What stands below the arms.
    fn section(self) -> &'static str {
        match self {
            Self::Quickstart => "",
            Self::Sweep => include_str!("../../../templates/study/sweep.yaml"),
            Self::Tuned => include_str!("../../../templates/study/tuned.yaml"),
        }
    }
}

/// Arms of a new study, with weights that suit its small model, where the program links them.
const USUAL: [&str; 2] = ["dispersion", "vicreg"];

type Cards = BTreeMap<&'static str, &'static Card>;

/// Writes the study, and says what to do with it.
pub(crate) fn new(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cards = registry::cards().map_err(Failure::refused)?;
    check_name(&arguments.name).map_err(Failure::refused)?;
    let path = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.yaml", arguments.name)));
    let shown = path.display();
    if path.symlink_metadata().is_ok() {
        return Err(Failure::refused(format!("{shown}: expected a new file, found one; --out FILE names another")));
    }
    let arms = chosen(&arguments.arms, &cards).map_err(Failure::refused)?;
    let text = text(&arguments.name, &shown.to_string(), arguments.from, &arms);
    write_whole(&path, text.as_bytes()).map_err(Failure::failed)?;
    let names: Vec<&str> = arms.iter().map(|card| card.name).collect();
    say(format_args!("wrote {shown}: a baseline against {}\n", names.join(", ")))?;
    say(format_args!("  regatta check {shown}     # all defaults, and the time that it takes"))?;
    say(format_args!("  regatta run {shown}       # train, evaluate, report: runs/{}/report.html", arguments.name))?;
    say("\nFor an editor that completes and checks it, beside the study: regatta schema --out study.schema.json")?;
    Ok(ExitCode::SUCCESS)
}

/// Accepts names that are legal for a file, for a folder and as plain text in YAML.
fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || name.len() > 64 || !name.chars().all(legal) {
        let expected = "expected a name of 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter";
        let hint = name.strip_suffix(".yaml").or(name.strip_suffix(".yml")).and_then(|name| name.rsplit('/').next());
        let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Err(format!("{expected}, found {name:?}{hint}"));
    }
    if let Some(name) = name.strip_suffix(".yaml").or(name.strip_suffix(".yml")) {
        return Err(format!("expected the study's name, found that of a file; did you mean `{name}`?"));
    }
    if ["null", "true", "false", "nan"].contains(&name.to_lowercase().as_str()) {
        return Err(format!("expected a name, found `{name}`, which YAML does not read as text"));
    }
    Ok(())
}

/// The cards of the plugins that were named, or the usual ones.
fn chosen(named: &[String], cards: &Cards) -> Result<Vec<&'static Card>, String> {
    if named.is_empty() {
        let usual: Vec<&Card> = USUAL.iter().filter_map(|name| cards.get(name).copied()).collect();
        let usual = if usual.len() == USUAL.len() {
            usual
        } else {
            cards.values().copied().filter(|c| lacks(c).is_none()).take(2).collect()
        };
        return if usual.is_empty() {
            Err("this program links no plugin to compare with a baseline".to_owned())
        } else {
            Ok(usual)
        };
    }
    let mut found: Vec<&Card> = Vec::new();
    for name in named {
        let card = *cards.get(name.as_str()).ok_or_else(|| format!("--arms: {}", explain::unknown(name, cards)))?;
        if let Some(field) = lacks(card) {
            return Err(format!(
                "--arms: `{name}` needs a `{field}` of yours: write that arm by hand (`regatta explain {name}`)"
            ));
        }
        if found.iter().any(|other| other.name == card.name) {
            return Err(format!("--arms: expected each plugin once, found `{name}` twice"));
        }
        found.push(card);
    }
    Ok(found)
}

/// A field without a default, such as a teacher's folder.
fn lacks(card: &Card) -> Option<String> {
    card.defaults().into_iter().find(|(_, default)| default == "").map(|(field, _)| field)
}

/// The file's text.
fn text(name: &str, file: &str, from: From, arms: &[&Card]) -> String {
    let lines: Vec<String> = arms.iter().map(|card| arm(card)).collect();
    let dropout =
        if arms.iter().any(|card| compares_views(card)) { "\n  dropout: 0.1 # a second mask makes the second view" } else { "" };
    let values = [
        ("about", from.about()),
        ("name", name),
        ("file", file),
        ("arms", &lines.join("\n")),
        ("dropout", dropout),
        ("weights", weights(arms)),
    ];
    let mut section = fill(from.section(), &values);
    if !arms.iter().any(|card| is_regularizer(card)) {
        section = section.lines().filter(|line| !line.starts_with("  weight:")).map(|line| format!("{line}\n")).collect();
    }
    fill(include_str!("../../../templates/study/quickstart.yaml"), &values) + &section
}

/// Candidates around the guesses for all arms, since every arm tries the same ones.
fn weights(arms: &[&Card]) -> &'static str {
    let guesses = arms.iter().filter(|card| is_regularizer(card)).map(|card| weight(card));
    match (guesses.clone().any(|guess| guess < 0.1), guesses.clone().any(|guess| guess >= 0.1)) {
        (true, true) => "[0.01, 0.03, 0.1]",
        (true, false) => "[0.003, 0.01, 0.03]",
        (false, _) => "[0.03, 0.1, 0.3]",
    }
}

/// `  vicreg:` and its one term.
fn arm(card: &Card) -> String {
    let Card { name, summary, .. } = card;
    if !is_regularizer(card) {
        return format!("  {name}: # {summary}\n    - intervention: {name}");
    }
    format!("  {name}: # {summary}\n    - regularizer: {name}\n      weight: {}", weight(card))
}

/// A guess: penalties of covariances and of normality are larger numbers than those of pairs.
fn weight(card: &Card) -> f64 {
    if card.home().is_some_and(|home| home.points == Points::Batch) { 0.01 } else { 0.1 }
}

fn is_regularizer(card: &Card) -> bool {
    matches!(card.kind, Kind::Regularizer(_))
}

fn compares_views(card: &Card) -> bool {
    let Kind::Regularizer(variants) = card.kind else { return false };
    variants().first().is_some_and(|default| default.needs_view())
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_config::StudyFile;

    #[test]
    fn each_start_is_a_legal_study_of_its_arms() {
        let cards = registry::cards().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.yaml");
        for (from, variants, trials) in [(From::Quickstart, 2, 0), (From::Sweep, 4, 0), (From::Tuned, 2, 6)] {
            let arms = chosen(&["mean_square".to_owned()], &cards).unwrap();
            std::fs::write(&path, text("mine", "mine.yaml", from, &arms)).unwrap();
            let file = StudyFile::read(&path, &[]).unwrap_or_else(|refusal| panic!("{from:?}: {refusal}"));
            assert_eq!(file.variants().len(), variants, "{from:?}"); // a baseline and an arm, at each width
            assert_eq!(file.study.tune.as_ref().map_or(0, regatta_config::Tune::trials), trials, "{from:?}"); // 3 weights, 2 rates
            assert_eq!((file.study.name.as_str(), &file.study.seeds[..]), ("mine", &[0, 1, 2][..]));
        }
    }

    #[test]
    fn names_are_those_of_files_and_of_text() {
        for name in ["mine", "a.b-c_2"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for (name, part) in [
            ("", "1 to 64"),
            ("2nd", "beginning with a letter"),
            ("a/b", "found \"a/b\""),
            ("studies/mine.yaml", "did you mean `mine`?"),
            ("mine.yaml", "did you mean `mine`?"),
            ("true", "does not read as text"),
        ] {
            assert!(check_name(name).unwrap_err().contains(part), "{name}: {:?}", check_name(name));
        }
    }

    #[test]
    fn unknown_and_repeated_plugins_are_refused() {
        let cards = registry::cards().unwrap();
        let refused = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            chosen(&named, &cards).unwrap_err()
        };
        assert!(refused(&["mean_sqare"]).ends_with("did you mean `mean_square`?"));
        assert!(refused(&["mean_square", "mean_square"]).contains("found `mean_square` twice"));
    }
}
