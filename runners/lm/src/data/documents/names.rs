//! Names of fields and columns in messages.

/// Most names in a message.
const NAMED: usize = 12;

/// The names that there are, and the one that is nearest to `wanted`.
pub(super) fn listed<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        return "none".into();
    }
    let mut shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    if names.len() > NAMED {
        shown.push(format!("{} more", names.len() - NAMED));
    }
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(wanted, name), name)).min();
    let near = near.filter(|(distance, _)| *distance <= 1 + wanted.len() / 4);
    let hint = near.map(|(_, name)| format!("; did you mean `{name}`?")).unwrap_or_default();
    format!("{}{hint}", shown.join(", "))
}
