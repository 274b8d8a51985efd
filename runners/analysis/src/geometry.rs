//! How hidden states and embeddings lie, trial by trial and over seeds.

use super::arm::ArmRecords;
use super::curves::over_seeds;
use super::over::{means, over};
use regatta_lm::training::{CloudDiagnosis, Diagnosis};
use regatta_records::{RecordError, TrialFolder};
use regatta_results::{Depths, FrequencyClass, Geometry, Layer};

/// A measure of the last hidden state: its column in `results.csv`, and where a diagnosis has it.
type Measure = (&'static str, fn(&Diagnosis, &CloudDiagnosis) -> Option<f64>);

/// All of them. `mean_cosine_last` and `effective_rank_last` are columns already, of points of their own: those of a diagnosis
/// say so.
const MEASURES: [Measure; 15] = [
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

/// What is kept of a trial's diagnoses.
pub(super) struct Diagnosed {
    /// Of the first weights; none where they were not diagnosed.
    first: Option<Diagnosis>,
    last: Diagnosis,
    /// Updates made and mean cosine within sequences of the last hidden state.
    along: Vec<(usize, f64)>,
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

/// How the points of `arm` lie, over the seeds that were diagnosed.
pub(super) fn geometry(arm: &ArmRecords) -> Option<Geometry> {
    let trials: Vec<&Diagnosed> = arm.diagnosed.values().collect();
    let firsts: Vec<&Diagnosis> = trials.iter().filter_map(|trial| trial.first.as_ref()).collect();
    let lasts: Vec<&Diagnosis> = trials.iter().map(|trial| &trial.last).collect();
    let spectra: Vec<&[f64]> =
        lasts.iter().filter_map(|of| of.hidden_states.last()).map(|last| last.all.spectrum.as_slice()).collect();
    let measure = |(name, of): &Measure| {
        let values: Vec<f64> = lasts.iter().filter_map(|all| of(all, all.hidden_states.last()?)).collect();
        ((*name).to_owned(), over(&values))
    };
    Some(Geometry {
        start: depths(&firsts),
        end: depths(&lasts)?,
        last_cosine: over_seeds(trials.iter().map(|trial| &trial.along)),
        spectrum: means(&spectra),
        measures: MEASURES.iter().map(measure).collect(),
        by_frequency: by_frequency(&lasts),
    })
}

/// Cosines within sequences, layer by layer; none where a layer has none.
fn depths(diagnoses: &[&Diagnosis]) -> Option<Depths> {
    let layers = diagnoses.iter().map(|diagnosis| diagnosis.hidden_states.len()).min()?;
    let layer = |index: usize| {
        let pairs: Vec<_> = diagnoses.iter().filter_map(|of| of.hidden_states[index].within.as_ref()).collect();
        let histograms: Vec<&[f64]> = pairs.iter().map(|pairs| pairs.histogram.as_slice()).collect();
        Some(Layer { cosine: over(&pairs.iter().map(|pairs| pairs.mean).collect::<Vec<_>>())?, histogram: means(&histograms) })
    };
    Some(Depths { step: diagnoses.first()?.step as u64, layers: (0..layers).map(layer).collect::<Option<_>>()? })
}

fn by_frequency(diagnoses: &[&Diagnosis]) -> Vec<FrequencyClass> {
    type Of<'a> = &'a dyn Fn(&Diagnosis) -> Option<f64>;
    let all = |of: Of<'_>| over(&diagnoses.iter().filter_map(|diagnosis| of(diagnosis)).collect::<Vec<_>>());
    let deciles = diagnoses.iter().map(|of| of.by_frequency.deciles.len()).min().unwrap_or(0);
    let decile = |index: usize| FrequencyClass {
        class: (index + 1).to_string(),
        cosine: all(&|of| of.by_frequency.deciles[index].mean_cosine),
        norm: all(&|of| of.by_frequency.deciles[index].mean_norm),
    };
    let never = FrequencyClass {
        class: "never".to_owned(),
        cosine: all(&|of| of.by_frequency.never.mean_cosine),
        norm: all(&|of| of.by_frequency.never.mean_norm),
    };
    let known = |class: &FrequencyClass| class.cosine.is_some() || class.norm.is_some();
    (0..deciles).map(decile).chain([never]).filter(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// A diagnosis of two layers whose pairs within sequences have these mean cosines.
    fn diagnosis(step: usize, cosines: [f64; 2]) -> Diagnosis {
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

    fn trial(lines: &[Diagnosis]) -> Option<Diagnosed> {
        let folder = tempfile::tempdir().unwrap();
        let text: String = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
        std::fs::write(folder.path().join("diagnostics.jsonl"), text).unwrap();
        Diagnosed::read(&TrialFolder::at(folder.path().to_owned())).unwrap()
    }

    #[test]
    fn seeds_are_averaged_at_the_start_and_at_the_end() {
        let mut arm = ArmRecords::empty("a");
        for (seed, shift) in [(0, 0.0), (1, 0.25)] {
            let found = trial(&[diagnosis(0, [0.0, 0.25 + shift]), diagnosis(8, [0.125, 0.5 + shift])]).unwrap();
            arm.diagnosed.insert(seed, found);
        }
        let found = geometry(&arm).unwrap();
        let (start, end) = (found.start.unwrap(), found.end);
        assert_eq!((start.step, start.layers[1].cosine.mean), (0, 0.375));
        assert_eq!((end.step, end.layers[1].cosine.mean, end.layers[1].cosine.high), (8, 0.625, 0.75));
        assert_eq!(end.layers[1].histogram, [0.375, 0.625]);
        assert_eq!(found.last_cosine.iter().map(|point| point.mean).collect::<Vec<_>>(), [0.375, 0.625]);
        assert_eq!(found.spectrum, [0.75, 0.25]);
        let measure = |name: &str| found.measures.iter().find(|(own, _)| own == name).unwrap().1;
        assert_eq!(measure("mean_cosine_within_last").unwrap().mean, 0.625);
        assert!(measure("isoscore_last").is_none(), "no seed has it");
        assert_eq!(found.by_frequency.len(), 1, "no token never occurs");
        assert_eq!(found.by_frequency[0].norm.unwrap().mean, 2.0);
    }

    #[test]
    fn a_trial_has_a_column_for_each_measure_and_none_without_diagnoses() {
        assert!(trial(&[]).is_none() && geometry(&ArmRecords::empty("a")).is_none());
        let found = trial(&[diagnosis(4, [0.0, 0.5])]).unwrap();
        assert!(found.first.is_none(), "the first weights were not diagnosed");
        let columns = found.measures();
        assert_eq!(columns.len(), MEASURES.len());
        assert_eq!(columns[0], ("mean_cosine_within_last".to_owned(), Some(0.5)));
        assert_eq!(columns[14].1, None);
    }
}
