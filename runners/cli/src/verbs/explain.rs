//! `regatta explain NAME`

use crate::failure::{Failure, say};
use regatta_core::registry::{self, Card, Kind};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A plugin's name, as `regatta list` prints it
    name: String,
}

/// Prints a plugin's card.
pub(crate) fn explain(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cards = registry::cards().map_err(Failure::refused)?;
    let Some(card) = cards.get(arguments.name.as_str()) else {
        return Err(Failure::refused(unknown(&arguments.name, &cards)));
    };
    say(text(card).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The message for a plugin that is not linked.
pub(super) fn unknown(name: &str, cards: &BTreeMap<&'static str, &'static Card>) -> String {
    let known = cards.keys().copied().collect::<Vec<_>>().join("`, `");
    let hint = registry::nearest(name, cards.keys().copied());
    let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    format!("unknown plugin `{name}`, expected one of `{known}`{hint}")
}

fn text(card: &Card) -> String {
    let mut text = format!("{}: {}\n\n", card.name, card.summary);
    let mut line = |args: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{args}"); // writing to a string cannot fail
    };
    line(format_args!("kind      {}", card.kind.word()));
    for (index, formula) in card.formula.lines().enumerate() {
        line(format_args!("{}{formula}", if index == 0 { "formula   " } else { "          " }));
    }
    line(format_args!("paper     {}", card.paper));
    if !card.expects.is_empty() {
        line(format_args!("expects   {}", card.expects));
    }
    for home in card.homes_in_words() {
        line(format_args!("home      {home}"));
    }
    line(format_args!("version   {}", card.version));
    line(format_args!("\nfields (default){}", if card.fields.is_empty() { ": none" } else { "" }));
    let defaults = card.defaults();
    for field in card.fields {
        let default = defaults.get(field.name).map(ToString::to_string).unwrap_or_default().replace('"', "");
        let doc: Vec<&str> = field.doc.iter().map(|line| line.trim()).collect();
        let with = match card.variants_with(field.name) {
            with if with.is_empty() => String::new(),
            with => format!("; {}", with.join(" or ")),
        };
        line(format_args!("  {} ({default}{with})\n      {}", field.name, doc.join("\n      ")));
    }
    let Kind::Regularizer(variants) = card.kind else {
        let missing = card.fields.iter().filter(|field| defaults.get(field.name).is_some_and(|default| default == ""));
        let missing: Vec<String> = missing.map(|field| format!("{}: ...", field.name)).collect();
        let named =
            if missing.is_empty() { card.name.to_owned() } else { format!("{{{}: {{{}}}}}", card.name, missing.join(", ")) };
        line(format_args!("\nin a study\n  - intervention: {named}"));
        return text;
    };
    for variant in variants().iter().filter(|variant| variant.needs_labels()) {
        let written = serde_json::to_string(variant).unwrap_or_default();
        line(format_args!("\n{written} is label-aware: it depends on the token that the model is to predict at each point."));
    }
    for variant in variants().iter().filter(|variant| variant.needs_view()) {
        let written = serde_json::to_string(variant).unwrap_or_default();
        line(format_args!("\n{written} compares two views of each point: train.dropout must be above 0."));
    }
    for variant in variants() {
        if let Some(reason) = variant.surrogate_gradient() {
            let written = serde_json::to_string(&variant).unwrap_or_default();
            line(format_args!("\nThe gradient of {written} is not that of its value: {reason}."));
        }
    }
    line(format_args!("\nin a study\n  - regularizer: {}\n    weight: 0.1", card.name));
    text
}
