//! Two rows of a study against each other.

use super::comparison::Family;
use super::folder::Records;
use super::label_aware;
use super::results::results_of;
use regatta_core::registry;
use regatta_records::RecordError;
use regatta_results::Results;
use std::path::Path;

/// Why two arms could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The folder could not be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The study has no such arm.
    #[error("unknown arm `{name}`, expected {known}{hint}")]
    UnknownArm {
        /// The name given.
        name: String,
        /// The names that the study has, in words.
        known: String,
        /// The nearest of them, as a question; empty where none is near.
        hint: String,
    },
    /// An arm does not differ from itself.
    #[error("expected two different arms, found `{0}` twice")]
    SameArm(String),
}

/// The results of two rows of the study in `folder`, with the second as the baseline. A row is named by its arm and, in a sweep,
/// its point, as [`super::results()`] names it.
///
/// Where one of them is the other's baseline, the comparison is one of the study's own, and is corrected as there. A comparison of
/// two other arms is one of all the pairs that might have been picked, and is corrected for all of them.
///
/// # Errors
/// When the folder holds no study or a record that cannot be read, when it has no arm of such a name, or when both names are
/// one.
pub fn compare(folder: &Path, arm: &str, reference: &str) -> Result<Results, CompareError> {
    let mut records = Records::read(folder)?;
    let [first, second] = [row(&records, arm)?, row(&records, reference)?];
    if first == second {
        return Err(CompareError::SameArm(arm.to_owned()));
    }
    for index in [first, second] {
        records.arms[index].read_runs(folder)?;
    }
    label_aware::mark(&mut records.arms); // once the names that the user wrote are found
    let (arm, reference) = (&records.arms[first], &records.arms[second]);
    let planned = arm.baseline == second || reference.baseline == first;
    let family = if planned { Family::with_baselines(&records.arms) } else { Family::all_pairs(&records.arms) };
    let mut results = results_of(&records, &[(reference, reference), (arm, reference)], &family);
    results.baseline.clone_from(&reference.name);
    let sizes = arm.parameters.zip(reference.parameters).filter(|(own, other)| own != other);
    if let Some((own, other)) = sizes {
        results.notes.push(format!("The models differ in size: {own} parameters against {other}."));
    }
    if !planned {
        results.notes.push(format!(
            "Neither arm is the other's baseline: the comparison is one of {} pairs that might have been picked, and is corrected \
             for them all.",
            family.comparisons()
        ));
    }
    Ok(results)
}

/// The index of the row of that name.
fn row(records: &Records, name: &str) -> Result<usize, CompareError> {
    /// Names are listed when they are at most this many.
    const MOST_LISTED: usize = 12;
    if let Some(index) = records.arms.iter().position(|arm| arm.name == name) {
        return Ok(index);
    }
    let name: String = name.chars().take(300).flat_map(char::escape_debug).collect();
    let nearest = registry::nearest(&name, records.arms.iter().map(|arm| arm.name.as_str()));
    let quoted: Vec<String> = records.arms.iter().map(|arm| format!("`{}`", arm.name)).collect();
    let known = match &quoted[..] {
        [] => "no name: the study has no arms".to_owned(),
        [one] => one.clone(),
        some if some.len() <= MOST_LISTED => format!("one of {}", some.join(", ")),
        many => format!("one of the study's {} arms, as `regatta results` names them", many.len()),
    };
    let hint = nearest.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    Err(CompareError::UnknownArm { name, known, hint })
}
