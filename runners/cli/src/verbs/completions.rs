//! `regatta completions SHELL`: a script that completes this program's verbs, options, plugins and arms.
//!
//! clap_complete writes the script. The program's plugins are possible values in it; arms depend on a study's folder, so the script
//! asks the program for them.

use super::new::fill;
use crate::failure::{Failure, say};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::Shell;
use regatta_core::registry::{self, Card, Kind};
use regatta_records::{PlanRow, study_of_a_run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell that reads the script: `source <(regatta completions bash)` in ~/.bashrc, the same with zsh in ~/.zshrc after
    /// compinit, or `regatta completions fish > ~/.config/fish/completions/regatta.fish`
    shell: For,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(crate) fn completions(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cards = registry::cards().map_err(Failure::refused)?;
    let cards: Vec<&Card> = cards.into_values().collect();
    say(script(arguments.shell, crate::command(), &cards).map_err(Failure::failed)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn script(shell: For, command: clap::Command, cards: &[&Card]) -> Result<String, String> {
    let name = command.get_name().to_owned();
    let function = name.replace('-', "__");
    let values = [("name", name.as_str()), ("function", &function)];
    let mut command = with_plugins(without_hidden(command), cards);
    let mut generate = |shell| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, &name, &mut script);
        String::from_utf8(script).map_err(|error| error.to_string())
    };
    match shell {
        For::Bash => Ok(generate(Shell::Bash)? + &fill(include_str!("../../templates/completions/bash"), &values)),
        For::Zsh => {
            let arms = fill(include_str!("../../templates/completions/zsh"), &values);
            with_arms_in_zsh(&generate(Shell::Zsh)?, &function, &arms)
        }
        For::Fish => {
            let function = name.replace('-', "_");
            let values = [("name", name.as_str()), ("function", &function)];
            let script = generate(Shell::Fish)? + &fill(include_str!("../../templates/completions/fish"), &values);
            Ok(script + &positionals_in_fish(&command, &function))
        }
    }
}

/// The command line without the verbs that a run starts for itself, which clap_complete would propose.
fn without_hidden(command: clap::Command) -> clap::Command {
    let name = command.get_name().to_owned();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    clap::Command::new(name.clone())
        .bin_name(name)
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(shown.collect::<Vec<_>>())
}

/// Possible values of positional arguments, which clap_complete omits for fish.
fn positionals_in_fish(command: &clap::Command, function: &str) -> String {
    let mut lines = String::new();
    for verb in command.get_subcommands() {
        for argument in verb.get_positionals() {
            let values = argument.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
            for value in values {
                let about = value.get_help().map(|help| help.to_string().replace('\\', "\\\\").replace('\'', "\\'"));
                lines += &format!(
                    "complete -c {} -n \"__fish_{function}_using_subcommand {}\" -f -a '{}' -d '{}'\n",
                    command.get_name(),
                    verb.get_name(),
                    value.get_name(),
                    about.unwrap_or_default()
                );
            }
        }
    }
    lines
}

/// The command line with plugin names as possible values. Only for scripts: the verbs themselves also accept YAML, and have their own
/// messages.
fn with_plugins(command: clap::Command, cards: &[&Card]) -> clap::Command {
    let names = |cards: Vec<&Card>| -> PossibleValuesParser {
        cards.into_iter().map(|card| PossibleValue::new(card.name).help(card.summary)).collect::<Vec<_>>().into()
    };
    let all = names(cards.to_vec());
    let regularizers = names(cards.iter().copied().filter(|card| matches!(card.kind, Kind::Regularizer(_))).collect());
    command
        .mut_subcommand("explain", |verb| verb.mut_arg("name", |argument| argument.value_parser(all.clone())))
        .mut_subcommand("bench", |verb| verb.mut_arg("regularizer", |argument| argument.value_parser(regularizers)))
        .mut_subcommand("new", |verb| {
            verb.mut_subcommand("study", |verb| verb.mut_arg("arms", |argument| argument.value_parser(all)))
        })
}

/// Replaces the default completion of `compare`'s two arms, for which clap_complete has no other.
fn with_arms_in_zsh(script: &str, function: &str, arms: &str) -> Result<String, String> {
    let is_arm = |line: &str| line.starts_with("':arm -- ") || line.starts_with("':reference -- ");
    let mut replaced = 0;
    let lines: Vec<String> = script
        .lines()
        .map(|line| match line.strip_suffix(":_default' \\").filter(|_| is_arm(line)) {
            Some(begin) => {
                replaced += 1;
                format!("{begin}:_{function}_arms' \\")
            }
            None => line.to_owned(),
        })
        .collect();
    let (first, rest) = lines.split_first().ok_or("an empty script")?;
    if replaced == 2 {
        Ok(format!("{first}\n\n{arms}{}\n", rest.join("\n")))
    } else {
        Err("the script of zsh has no arms".into())
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ArmsArguments {
    dir: PathBuf,
}

/// Prints the arms of a folder as `compare` takes them.
pub(crate) fn arms(arguments: &ArmsArguments) -> Result<ExitCode, Failure> {
    say(names(&arguments.dir).map_err(Failure::refused)?.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The rows of a run's plan, by arm and, in a sweep, point.
fn names(folder: &Path) -> Result<Vec<String>, String> {
    study_of_a_run(folder).map_err(|error| error.to_string())?;
    let path = folder.join("plan.json");
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
    let rows: Vec<PlanRow> = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    Ok(rows.iter().map(PlanRow::name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shell: For, parts: &[&str]) {
        let cards: Vec<&Card> = registry::cards().unwrap().into_values().collect();
        let script = script(shell, crate::command().name("my-races").bin_name("my-races"), &cards).unwrap();
        for part in parts {
            assert!(script.contains(part), "{shell:?} lacks {part}: {script}");
        }
    }

    #[test]
    fn scripts_know_verbs_plugins_and_how_to_ask_for_arms() {
        check(For::Bash, &["compare", "mean_square", "_my__races() {", "arms \"${words[2]", "_my__races_with_arms -o nosort"]);
        check(For::Zsh, &["#compdef my-races", "mean_square\\:\"mean of squares\"", ":_my__races_arms' \\", "my-races arms"]);
        check(
            For::Fish,
            &["mean_square\\t'mean of squares'", "__fish_my_races_arms)", "function __fish_my_races_using_subcommand"],
        );
    }

    #[test]
    fn no_shell_proposes_the_verbs_of_a_run() {
        for shell in [For::Bash, For::Zsh, For::Fish] {
            let script = script(shell, crate::command().name("regatta").bin_name("regatta"), &[]).unwrap();
            assert!(!script.contains("worker") && !script.contains("probe"), "{shell:?}: {script}");
        }
    }

    #[test]
    fn arms_are_the_rows_of_a_plan() {
        let folder = tempfile::tempdir().unwrap();
        assert!(names(folder.path()).unwrap_err().contains("expected the folder of a study"));
        std::fs::write(folder.path().join("study.yaml"), "").unwrap();
        let row = |arm: &str, point: &str| serde_json::json!({"arm": arm, "point": point, "place": arm, "baseline": "baseline", "terms": [], "parameters": 7, "tokens": 9});
        let plan = serde_json::json!([row("baseline", ""), row("spread", "width=16")]).to_string();
        std::fs::write(folder.path().join("plan.json"), plan).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["baseline", "spread width=16"]);
    }
}
