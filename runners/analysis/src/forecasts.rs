//! What the power laws of a finished sweep over sizes say of sizes that were not tried.

use super::folder::Records;
use super::sizes::{SIZES, groups, models};
use regatta_config::Study;
use regatta_config::yaml;
use regatta_records::RecordError;
use regatta_statistics::{Interval, forecast, power_law};
use serde_json::Value;
use std::path::Path;

/// What the law of one arm, at one point of what else varies, says of a size.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeForecast {
    /// The series: the arm, and the rest of its point.
    pub name: String,
    /// The size: numbers that are trained.
    pub parameters: usize,
    /// Held-out loss by the law, nats per token.
    pub loss: f64,
    /// Where it lies at 95%, if the law holds there; none where nothing says how sure the line is.
    pub interval: Option<Interval>,
    /// Models that the law rests on.
    pub sizes: usize,
    /// Seeds that all of them finished.
    pub seeds: usize,
    /// The smallest and the largest of them.
    pub measured: [usize; 2],
    /// Tokens that their trials saw, where the plan tells and all saw as many.
    pub tokens: Option<usize>,
}

/// Sections that a law depends on, besides the model's size.
const SECTIONS: [&str; 4] = ["data", "tokenizer", "train", "arms"];

/// What the trials in `folder` say of the held-out loss of each arm at the sizes that `of_arm` gives it; empty where they are of
/// no sweep over sizes, or too few finished.
///
/// # Errors
/// When the folder holds no study or a record that cannot be read, or a study that differs from `study` in its data, tokenizer,
/// training or arms.
pub fn forecasts(folder: &Path, study: &Study, of_arm: &dyn Fn(&str) -> Vec<usize>) -> Result<Vec<SizeForecast>, RecordError> {
    let records = Records::read(folder)?;
    let own = yaml::parse(&study.to_yaml()).map_err(|fault| RecordError::new(folder, fault.message))?;
    let other = SECTIONS.iter().find(|section| own[**section] != records.study[**section]);
    if let Some(section) = other {
        return Err(RecordError::new(folder, format!("its study has other settings in `{section}`")));
    }
    let mut all = Vec::new();
    for group in groups(&records) {
        let members: Vec<_> = group.members.iter().map(|&row| &records.arms[row]).collect();
        let models = models(&members);
        let Some(law) = power_law(&models) else { continue };
        let ends = |of: fn(f64, f64) -> f64| models.iter().map(|(size, _)| *size).reduce(of).unwrap_or_default() as usize;
        let tokens = members.first().and_then(|row| row.tokens).filter(|own| members.iter().all(|row| row.tokens == Some(*own)));
        for parameters in of_arm(&group.arm) {
            let Some(found) = forecast(&models, parameters as f64) else { continue };
            all.push(SizeForecast {
                name: group.name(),
                parameters,
                loss: found.loss,
                interval: found.interval,
                sizes: law.sizes,
                seeds: law.seeds,
                measured: [ends(f64::min), ends(f64::max)],
                tokens,
            });
        }
    }
    Ok(all)
}

/// Whether a study varies what makes a model's size.
pub fn varies_size(study: &Study) -> bool {
    let vary: Value = serde_json::to_value(&study.vary).unwrap_or_default();
    super::sizes::paths(&vary).iter().any(|path| SIZES.contains(path))
}
