//! The arms as a table for other programs: Markdown, CSV, LaTeX, JSON.

mod columns;
mod latex;
mod markdown;
#[cfg(feature = "parquet")]
mod parquet;
mod spreadsheet;

use crate::{Result, Results};

#[cfg(feature = "parquet")]
pub use self::parquet::arms_parquet;

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A pipe table of GitHub's Markdown, with the answer below.
    Markdown,
    /// One row per arm with every figure in full.
    Csv,
    /// A `tabular` that needs no package, with the answer as comments.
    Latex,
    /// All of [`Results`] but the curves.
    Json,
}

/// The arms of a study as text, one row per arm. Names and reasons are escaped for the format: they stay text.
///
/// In CSV a figure that is not known is an empty cell, and in JSON it is null. A number that is not finite is `NaN`, `inf` or
/// `-inf`, in JSON as a string.
///
/// # Errors
/// When the results cannot be written as JSON, which none should do.
pub fn arms_table(results: &Results, format: Format) -> Result<String> {
    Ok(match format {
        Format::Markdown => markdown::table(results),
        Format::Csv => spreadsheet::table(results),
        Format::Latex => latex::table(results),
        Format::Json => json(results)?,
    })
}

/// Curves are thousands of points, which `plots/` holds as CSV.
fn json(results: &Results) -> Result<String> {
    let mut value = serde_json::to_value(results)?;
    for arm in value["arms"].as_array_mut().into_iter().flatten().filter_map(serde_json::Value::as_object_mut) {
        arm.remove("training_curve");
        arm.remove("validation_curve");
    }
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const ALL: [Format; 4] = [Format::Markdown, Format::Csv, Format::Latex, Format::Json];

    #[test]
    fn edges_do_not_panic() {
        for (what, results) in sample::edges() {
            for format in ALL {
                let text = arms_table(&results, format).unwrap();
                assert!(text.ends_with('\n'), "{what} as {format:?}: {text}");
            }
        }
    }

    #[test]
    fn json_reads_back_without_curves() {
        let mut results = sample::results();
        results.arms[1].name = "</script>\"\\\n=cmd|' /C calc'!A0".into();
        results.arms[1].excess_loss = Some(f64::NEG_INFINITY);
        let value: serde_json::Value = serde_json::from_str(&arms_table(&results, Format::Json).unwrap()).unwrap();
        let arm = &value["arms"][1];
        assert_eq!(arm["name"].as_str(), Some(results.arms[1].name.as_str()));
        assert_eq!(arm["excess_loss"], "-inf");
        assert!(value["arms"][0]["difference"].is_null() && arm.get("training_curve").is_none());
        assert_eq!(arm["difference"]["p_holm"], 0.033);
        assert_eq!(arm["verdict"], "better");
    }
}
