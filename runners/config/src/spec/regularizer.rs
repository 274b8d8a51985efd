//! A part of a study by itself, as a command line names it.

use super::understand::no_field_is_empty;
use super::wording;
use crate::yaml;
use regatta_core::Plugin;
use serde::de::DeserializeOwned;

/// Reads a regularizer from one piece of YAML: a name, or a name with fields.
///
/// # Errors
/// With what was expected and what was found, and the field's path where it has one.
pub fn regularizer(text: &str) -> Result<Plugin, String> {
    section(text)
}

/// Reads a section of a study, such as `{bits: [4]}` for `evaluate.quantisation`, from one piece of YAML.
///
/// # Errors
/// As [`regularizer`].
pub fn section<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let document = yaml::parse(text).map_err(|fault| format!("{text}: {}", fault.message))?;
    let read = wording::typed(&document);
    let whole = if document.is_null() { Ok(()) } else { no_field_is_empty(&document) };
    read.and_then(|section| whole.map(|()| section)).map_err(|misfit| {
        let at = if misfit.path.is_empty() { String::new() } else { format!("{}: ", misfit.path.join(".")) };
        format!("{at}{}", misfit.message)
    })
}
