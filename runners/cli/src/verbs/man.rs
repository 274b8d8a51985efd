//! `regatta man [VERB]`

use crate::failure::{Failure, say_bytes};
use clap::ValueHint;
use clap_mangen::Man;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The verb whose page to print, `new plugin` included [default: the program's page]
    #[arg(value_hint = ValueHint::Other, conflicts_with = "out")]
    verb: Vec<String>,
    /// Write the pages of the program and of all its verbs to this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

/// Prints one page for `man -l -`, or writes them all.
pub(crate) fn man(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let command = crate::command();
    if let Some(folder) = &arguments.out {
        write_all(command, folder)?;
        return Ok(ExitCode::SUCCESS);
    }
    say_bytes(&page(command, &arguments.verb).map_err(Failure::refused)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for the program and for each verb. Pages of before are replaced, and no other file.
fn write_all(mut command: clap::Command, folder: &Path) -> Result<(), Failure> {
    command = command.disable_help_subcommand(true);
    command.build();
    let (mut pages, mut commands) = (Vec::new(), vec![&command]);
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()));
        let man = manual(command);
        let path = folder.join(man.get_filename());
        super::output::check(&path, "a page of this program", |text| is_page_of(command, text))?;
        pages.push((path, rendered(&man).map_err(Failure::failed)?));
    }
    let created = regatta_records::disk::create_folder(folder);
    created.map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
    pages.iter().try_for_each(|(path, page)| regatta_records::write_whole(path, page).map_err(Failure::failed))
}

/// Whether a text is a page that this verb wrote for `command`, of whatever version.
fn is_page_of(command: &clap::Command, text: &str) -> bool {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    text.lines().find(|line| line.starts_with(".TH")).is_some_and(|title| title.starts_with(&format!(".TH {name} 1 ")))
        && text.contains("\n.SH NAME\n")
}

/// The page of a command, with the program's version, which its verbs lack.
fn manual(command: &clap::Command) -> Man {
    Man::new(command.clone()).source(concat!("regatta ", env!("CARGO_PKG_VERSION")))
}

fn rendered(man: &Man) -> Result<Vec<u8>, String> {
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| error.to_string())?;
    Ok(page)
}

/// The page of the verb at `path`; an empty path means the program.
fn page(mut command: clap::Command, path: &[String]) -> Result<Vec<u8>, String> {
    command.build();
    let mut chosen = &command;
    for word in path {
        let verbs = || chosen.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
        let hint = regatta_core::registry::nearest(word, verbs());
        let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let found = chosen.get_subcommands().find(|verb| verb.get_name() == word && !verb.is_hide_set());
        let known = if verbs().next().is_none() {
            "no further verb".to_owned()
        } else {
            format!("one of `{}`", verbs().collect::<Vec<_>>().join("`, `"))
        };
        chosen = found.ok_or_else(|| format!("unknown verb `{word}`, expected {known}{hint}"))?;
    }
    rendered(&manual(chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(path: &[&str]) -> Result<String, String> {
        let path: Vec<String> = path.iter().map(|word| (*word).to_owned()).collect();
        page(crate::command().name("regatta").bin_name("regatta"), &path).map(|page| String::from_utf8(page).unwrap())
    }

    #[test]
    fn a_page_has_the_verbs_name_and_options() {
        let run = words(&["run"]).unwrap();
        assert!(run.contains(".TH regatta-run 1") && run.contains(r"\-\-jobs"), "{run}");
        let plugin = words(&["new", "plugin"]).unwrap();
        assert!(plugin.contains(".TH regatta-new-plugin 1") && plugin.contains(r"\-\-intervention"), "{plugin}");
        let version = format!("\"regatta {}\"", env!("CARGO_PKG_VERSION"));
        for page in [&run, &plugin] {
            let title = page.lines().find(|line| line.starts_with(".TH")).unwrap();
            assert!(title.contains(&version), "{title}");
        }
        let program = words(&[]).unwrap();
        assert!(program.contains("Races anti\\-collapse regularizers for language models"), "{program}");
        assert!(program.contains(r"regatta\-run(1)") && !program.contains("worker"), "{program}");
    }

    #[test]
    fn an_unknown_verb_is_refused_with_the_nearest() {
        assert!(words(&["rnu"]).unwrap_err().ends_with("did you mean `run`?"));
        assert!(words(&["worker"]).unwrap_err().starts_with("unknown verb `worker`, expected one of `run`"));
        assert!(words(&["run", "fast"]).unwrap_err().contains("expected no further verb"));
    }

    #[test]
    fn all_pages_are_written_but_those_of_hidden_verbs() {
        let folder = tempfile::tempdir().unwrap();
        let write = || man(&Arguments { verb: vec![], out: Some(folder.path().join("man1")) });
        write().unwrap();
        let pages: Vec<_> =
            std::fs::read_dir(folder.path().join("man1")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let has = |end: &str| pages.iter().any(|page| page.to_string_lossy().ends_with(end));
        assert!(has("-run.1") && has("-new-plugin.1") && has("-completions.1"), "{pages:?}");
        assert!(write().is_ok(), "pages of before are replaced");
        let run = pages.iter().find(|page| page.to_string_lossy().ends_with("-run.1")).unwrap();
        std::fs::write(folder.path().join("man1").join(run), ".TH another 1\n").unwrap();
        assert!(format!("{:?}", write().unwrap_err()).contains("or a page of this program to replace"));
        assert!(!has("-worker.1") && !has("-probe.1") && !has("-arms.1"), "{pages:?}");
    }
}
