//! The diagnoses of a finished trial, as measures of its last hidden state.

use regatta_lm::training::{CloudDiagnosis, Diagnosis};
use regatta_records::{RecordError, TrialFolder};

/// A measure of the last hidden state: its column in `results.csv`, and where a diagnosis has it.
pub(super) type Measure = (&'static str, fn(&Diagnosis, &CloudDiagnosis) -> Option<f64>);

/// All measures. `mean_cosine_last` and `effective_rank_last` are columns already, of other points, so the names of a diagnosis's
/// columns differ.
pub(super) const MEASURES: [Measure; 15] = [
    ("mean_cosine_within_last", |_, last| last.within.as_ref().map(|pairs| pairs.mean)),
    ("mean_cosine_diagnosed_last", |_, last| last.all.mean_cosine),
    ("cosine_std_last", |_, last| last.all.cosine_std),
    ("effective_rank_diagnosed_last", |_, last| Some(last.all.effective_rank)),
    ("stable_rank_last", |_, last| Some(last.all.stable_rank)),
    ("participation_ratio_last", |_, last| last.all.participation_ratio),
    ("top_variance_share_last", |_, last| last.all.top_variance_share),
    ("isoscore_last", |_, last| last.all.isoscore),
    ("partition_isotropy_last", |_, last| Some(last.all.partition_isotropy)),
    ("uniformity_last", |_, last| last.all.uniformity),
    ("differential_entropy_last", |_, last| last.all.differential_entropy),
    ("mean_norm_last", |_, last| Some(last.all.mean_norm)),
    ("outlier_dims_last", |_, last| Some(last.outliers.len() as f64)),
    ("cosine_spearman", |diagnosis, _| diagnosis.spearman),
    ("cosine_kendall", |diagnosis, _| diagnosis.kendall),
];

/// The parts of a trial's diagnoses that results use.
pub(super) struct Diagnosed {
    /// Of the first weights, if they were diagnosed.
    pub first: Option<Diagnosis>,
    pub last: Diagnosis,
    /// Updates made and mean cosine within sequences of the last hidden state.
    pub along: Vec<(usize, f64)>,
}

impl Diagnosed {
    /// Reads the lines of a trial that is done; `None` where there are none.
    pub fn read(trial: &TrialFolder) -> Result<Option<Self>, RecordError> {
        let mut all = trial.diagnoses()?;
        let cosine = |of: &Diagnosis| Some((of.step, of.hidden_states.last()?.within.as_ref()?.mean));
        let along = all.iter().filter_map(cosine).collect();
        let Some(last) = all.pop() else { return Ok(None) };
        let first = if last.step == 0 { Some(last.clone()) } else { all.into_iter().next().filter(|first| first.step == 0) };
        Ok(Some(Self { first, last, along }))
    }

    /// Columns of `results.csv`.
    pub fn measures(&self) -> Vec<(String, Option<f64>)> {
        let Some(last) = self.last.hidden_states.last() else { return Vec::new() };
        MEASURES.iter().map(|(name, of)| ((*name).to_owned(), of(&self.last, last))).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A diagnosis of two layers whose pairs within sequences have these mean cosines.
    pub(crate) fn diagnosis(step: usize, cosines: [f64; 2]) -> Diagnosis {
        let class = |tokens: usize, norm: Option<f64>| {
            json!({"tokens": tokens, "lowest_count": null, "highest_count": null, "mean_cosine": null, "cosine_to_mean": null,
                   "mean_norm": norm})
        };
        let cloud = |cosine: f64| -> Value {
            json!({"all": {"mean_cosine": 0.5, "cosine_std": 0.1, "effective_rank": 2.0, "stable_rank": 1.5,
                           "participation_ratio": null, "top_variance_share": null, "isoscore": null, "partition_isotropy": 0.9,
                           "uniformity": -1.0, "differential_entropy": null, "mean_norm": 3.0, "cosine_histogram": [0.5, 0.5],
                           "spectrum": [0.75, 0.25]},
                   "within": {"mean": cosine, "std": 0.1, "uniformity": -1.0, "histogram": [1.0 - cosine, cosine]},
                   "outliers": []})
        };
        let value = json!({"step": step, "hidden_states": [cloud(cosines[0]), cloud(cosines[1])], "spearman": 1.0, "kendall": null,
                           "attention": [], "mlp": [], "embedding": cloud(0.0),
                           "by_frequency": {"deciles": [class(3, Some(2.0))], "never": class(0, None)}});
        serde_json::from_value(value).unwrap()
    }

    pub(crate) fn trial(lines: &[Diagnosis]) -> Option<Diagnosed> {
        let folder = tempfile::tempdir().unwrap();
        let text: String = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
        std::fs::write(folder.path().join("diagnostics.jsonl"), text).unwrap();
        Diagnosed::read(&TrialFolder::at(folder.path().to_owned())).unwrap()
    }

    #[test]
    fn a_trial_has_a_column_for_each_measure_and_none_without_diagnoses() {
        assert!(trial(&[]).is_none());
        let found = trial(&[diagnosis(4, [0.0, 0.5])]).unwrap();
        assert!(found.first.is_none(), "the first weights were not diagnosed");
        let columns = found.measures();
        assert_eq!(columns.len(), MEASURES.len());
        assert_eq!(columns[0], ("mean_cosine_within_last".to_owned(), Some(0.5)));
        assert_eq!(columns[14].1, None);
    }
}
