//! Losses of models of other sizes, by the power laws of a finished sweep over sizes.

use super::folder::Records;
use super::sizes::{SIZES, groups, models};
use super::study::assignments;
use regatta_config::Study;
use regatta_records::RecordError;
use regatta_statistics::{Interval, forecast, power_law};
use std::path::Path;

/// The loss of a model of another size, by the law of one arm at one point of what else varies.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeForecast {
    /// The series: the arm, and the rest of its point.
    pub name: String,
    /// The size: trainable parameters.
    pub parameters: usize,
    /// Held-out loss by the law, nats per token.
    pub loss: f64,
    /// Its 95% interval, if the law holds there; `None` where the uncertainty of the line is unknown.
    pub interval: Option<Interval>,
    /// Number of models that the law is fitted to.
    pub sizes: usize,
    /// Seeds that all of them finished.
    pub seeds: usize,
    /// The smallest and the largest of them.
    pub measured: [usize; 2],
    /// Tokens of their trials, where the plan has them and all have the same number.
    pub tokens: Option<usize>,
}

/// Sections that a law depends on, besides the model's size.
const SECTIONS: [&str; 4] = ["data", "tokenizer", "train", "arms"];

/// The held-out loss of each arm at the sizes that `of_arm` gives it, by the law through the trials in `folder`; empty where they
/// are not of a sweep over sizes, or too few finished.
///
/// # Errors
/// When the folder holds no study or a record that cannot be read, or a study that differs from `study` in its data, tokenizer,
/// training or arms.
pub fn forecasts(folder: &Path, study: &Study, of_arm: &dyn Fn(&str) -> Vec<usize>) -> Result<Vec<SizeForecast>, RecordError> {
    let records = Records::read(folder)?;
    let other = records.study.differs_from(study, &SECTIONS).map_err(|message| RecordError::new(folder, message))?;
    if let Some(section) = other {
        return Err(RecordError::new(folder, format!("its study has other settings in `{section}`")));
    }
    let mut all = Vec::new();
    for group in groups(&records) {
        let members: Vec<_> = group.members.iter().map(|&row| &records.arms[row]).collect();
        let models = models(&members);
        let Some(law) = power_law(&models) else { continue };
        let [(smallest, _), .., (largest, _)] = models[..] else { continue }; // in the order of their sizes
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
                measured: [smallest as usize, largest as usize],
                tokens,
            });
        }
    }
    Ok(all)
}

/// Whether a study varies what makes a model's size.
pub fn varies_size(study: &Study) -> bool {
    assignments(study.vary.as_ref()).iter().any(|(path, _)| SIZES.contains(path))
}
