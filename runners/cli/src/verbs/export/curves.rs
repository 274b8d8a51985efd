//! From the records of a study's folder to the runs that are exported.

use super::settings;
use regatta_export::{Hyperparameters, Outcome, Point, Run, Setting};
use regatta_lm::training::{Diagnosis, StepRecord};
use regatta_records::{PlanRow, RecordError, State, Status, TrialEvaluation, TrialFolder, read_json};
use regatta_report::Results;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the exported runs have in common.
pub(super) struct Curves {
    folder: PathBuf,
    results: Results,
    rows: Vec<Row>,
    /// Columns of the table of settings; of a value only the type counts.
    columns: BTreeMap<String, Setting>,
}

/// An arm at one point of the sweep.
struct Row {
    /// As people name it.
    name: String,
    /// Its folder below `trials/`.
    place: String,
    settings: BTreeMap<String, Setting>,
}

/// One trial of the study.
pub(super) struct Trial<'a> {
    /// Where its run is put: arm, point of the sweep, seed.
    pub place: PathBuf,
    /// Steps that it has made.
    pub steps: usize,
    curves: &'a Curves,
    row: &'a Row,
    seed: u64,
    records: TrialFolder,
}

impl Curves {
    /// Reads which trials there are, what was measured at their ends, and what tells their settings apart.
    ///
    /// # Errors
    /// When the folder is not that of a run, or a record cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let results = regatta_analysis::results(folder)?;
        let names = match read_json::<Vec<PlanRow>>(&folder.join("plan.json"))? {
            Some(plan) => plan.into_iter().map(|row| (row.name(), row.place)).collect(),
            None => results.arms.iter().map(|arm| (arm.name.clone(), arm.name.clone())).collect::<Vec<_>>(),
        };
        let of_row = |(_, place): &(String, String)| -> Result<_, RecordError> {
            let inputs = |seed: &u64| TrialFolder::of(folder, place, *seed).inputs().transpose();
            let inputs = results.seeds.iter().find_map(inputs).transpose()?;
            Ok(inputs.map(|inputs| settings::of_trial(&inputs)).unwrap_or_default())
        };
        let mut all = names.iter().map(of_row).collect::<Result<Vec<_>, _>>()?;
        settings::keep_what_differs(&mut all);
        let row = |((name, place), settings): ((String, String), BTreeMap<String, Setting>)| {
            let arm = ("arm".to_owned(), Setting::Text(name.clone()));
            Row { name, place, settings: settings.into_iter().chain([arm]).collect() }
        };
        let rows: Vec<Row> = names.into_iter().zip(all).map(row).collect();
        let columns = rows.iter().flat_map(|row| row.settings.clone()).collect();
        Ok(Self { folder: folder.to_owned(), results, rows, columns })
    }

    /// The study's name.
    pub fn study(&self) -> &str {
        &self.results.study
    }

    /// Every trial that is planned, arm by arm; tuning trials are not among them.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn trials(&self) -> Result<Vec<Trial<'_>>, RecordError> {
        let mut trials = Vec::new();
        for row in &self.rows {
            for &seed in &self.results.seeds {
                let records = TrialFolder::of(&self.folder, &row.place, seed);
                let (place, steps) = (Path::new(&row.place).join(format!("seed-{seed}")), records.steps_written()?);
                trials.push(Trial { place, steps, curves: self, row, seed, records });
            }
        }
        Ok(trials)
    }
}

impl Trial<'_> {
    /// The trial's run, or why it has none.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn run(&self) -> Result<Result<Run, String>, RecordError> {
        let status = match self.records.status()? {
            Some(status) if status.state != State::Incomplete && self.steps > 0 => status,
            Some(Status { state: State::Incomplete, reason, .. }) => return Ok(Err(reason.unwrap_or_default())),
            _ => return Ok(Err("no steps yet".into())),
        };
        let steps = self.records.metrics()?;
        let inputs = self.records.inputs()?.unwrap_or_default();
        let clock = Clock::new(&steps, &status, batch_tokens(&inputs));
        let mut scalars = BTreeMap::<usize, Vec<(String, f64)>>::new();
        for record in &steps {
            scalars.entry(record.step).or_default().extend(of_step(record));
        }
        for validation in self.records.validations()? {
            scalars.entry(validation.step).or_default().push(("validation/loss".into(), validation.loss));
        }
        for diagnosis in self.records.diagnoses()? {
            scalars.entry(diagnosis.step).or_default().extend(of_diagnosis(&diagnosis));
        }
        if status.state == State::Done {
            let evaluation = self.records.evaluation()?;
            let last = scalars.entry(steps.len()).or_default();
            last.extend(self.measures().filter_map(|(name, value)| Some((format!("final/{name}"), value?))));
            last.extend(evaluation.iter().flat_map(of_evaluation));
        }
        let point = |(step, scalars)| Point { step: step as u64, wall_time: clock.at(step), scalars };
        Ok(Ok(Run {
            started: status.started.unwrap_or_default(),
            hyperparameters: Some(self.hyperparameters()),
            points: scalars.into_iter().map(point).collect(),
            outcome: status.ended.map(|ended| Outcome { is_success: status.state == State::Done, ended }),
        }))
    }

    /// Columns of `results.csv` and what the trial has there.
    fn measures(&self) -> impl Iterator<Item = (&String, Option<f64>)> {
        let own = self.curves.results.trials.iter().find(|trial| trial.arm == self.row.name && trial.seed == self.seed);
        own.into_iter().flat_map(|trial| trial.measures.iter().map(|(name, value)| (name, *value)))
    }

    /// Seeds are repetitions: they share a row.
    fn hyperparameters(&self) -> Hyperparameters {
        Hyperparameters {
            group: self.row.name.clone(),
            settings: self.row.settings.clone(),
            columns: self.curves.columns.clone(),
            metrics: self.measures().map(|(name, _)| format!("final/{name}")).collect(),
        }
    }
}

fn of_step(record: &StepRecord) -> Vec<(String, f64)> {
    let StepRecord { loss, penalty, grad_norm, lr, tokens_per_second, spike, .. } = record;
    let fixed = [
        ("train/loss", *loss),
        ("train/penalty", *penalty),
        ("train/grad_norm", *grad_norm),
        ("train/lr", *lr),
        ("train/tokens_per_second", *tokens_per_second),
    ];
    let spike = spike.map(|spike| ("train/spike", spike));
    let fixed = fixed.into_iter().chain(spike).map(|(tag, value)| (tag.to_owned(), value));
    fixed.chain(record.terms.iter().map(|(name, value)| (format!("terms/{name}"), *value))).collect()
}

/// Of each entry of the hidden states: 0 the embedding, the last after the final norm.
fn of_diagnosis(diagnosis: &Diagnosis) -> Vec<(String, f64)> {
    let mut scalars = Vec::new();
    for (entry, cloud) in diagnosis.hidden_states.iter().enumerate() {
        let mut add = |name: &str, value: Option<f64>| scalars.extend(value.map(|value| (format!("{name}/{entry}"), value)));
        add("mean_cosine", cloud.all.mean_cosine);
        add("mean_cosine_within", cloud.within.as_ref().map(|pairs| pairs.mean));
        add("effective_rank", Some(cloud.all.effective_rank));
        add("mean_norm", Some(cloud.all.mean_norm));
    }
    let depth = [("condensation/spearman", diagnosis.spearman), ("condensation/kendall", diagnosis.kendall)];
    scalars.extend(depth.into_iter().filter_map(|(tag, value)| Some((tag.to_owned(), value?))));
    scalars
}

/// What was measured at the end of each entry of the hidden states; the last is a column of `results.csv` too.
fn of_evaluation(evaluation: &TrialEvaluation) -> Vec<(String, f64)> {
    let measures =
        [("final_mean_cosine", &evaluation.measures.mean_cosine), ("final_effective_rank", &evaluation.measures.effective_rank)];
    let of_entries = |(name, values): (&str, &Vec<f64>)| -> Vec<(String, f64)> {
        values.iter().enumerate().map(|(entry, value)| (format!("{name}/{entry}"), *value)).collect()
    };
    measures.into_iter().flat_map(of_entries).collect()
}

/// Tokens of a batch, where the trial's inputs say.
fn batch_tokens(inputs: &Value) -> Option<f64> {
    Some(inputs["train"]["batch_size"].as_f64()? * inputs["train"]["context"].as_f64()?)
}

/// Training time as wall time: nothing says when a step was made, but when its process began, and how long each step took.
struct Clock {
    /// Seconds since 1970 before each step, and after the last.
    times: Vec<f64>,
}

impl Clock {
    /// Steps that were made before the process went on from a checkpoint lie before its beginning.
    fn new(steps: &[StepRecord], status: &Status, batch_tokens: Option<f64>) -> Self {
        let mut times = vec![0.0];
        for record in steps {
            let seconds = batch_tokens.map_or(0.0, |tokens| tokens / record.tokens_per_second);
            times.push(times[times.len() - 1] + if seconds.is_finite() { seconds } else { 0.0 });
        }
        let began = times[status.resumed_from.unwrap_or(0).min(steps.len())];
        let start = status.started.unwrap_or_default() as f64 - began;
        times.iter_mut().for_each(|time| *time += start);
        Self { times }
    }

    fn at(&self, step: usize) -> f64 {
        self.times[step.min(self.times.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(step: usize, tokens_per_second: f64) -> StepRecord {
        let line = json!({"step": step, "loss": 5.5, "penalty": 0.25, "terms": {"a": 2.5}, "grad_norm": 1.5, "lr": 0.001,
                          "tokens_per_second": tokens_per_second});
        serde_json::from_value(line).unwrap()
    }

    fn status(resumed_from: Option<usize>) -> Status {
        serde_json::from_value(json!({"state": "running", "identity": "", "started": 1000, "resumed_from": resumed_from}))
            .unwrap()
    }

    #[test]
    fn wall_time_is_training_time_from_the_start_of_the_process() {
        let steps = [step(0, 64.0), step(1, 32.0), step(2, 128.0)]; // of 64 tokens: 1 s, 2 s, half a second
        let clock = |resumed_from, tokens| Clock::new(&steps, &status(resumed_from), tokens).times;
        assert_eq!(clock(None, Some(64.0)), [1000.0, 1001.0, 1003.0, 1003.5]);
        assert_eq!(clock(Some(2), Some(64.0)), [997.0, 998.0, 1000.0, 1000.5], "two steps were made before");
        assert_eq!(clock(None, None), [1000.0; 4]);
        let odd = Clock::new(&[step(0, 0.0)], &status(Some(9)), Some(64.0));
        assert_eq!((odd.at(0), odd.at(1), odd.at(7)), (1000.0, 1000.0, 1000.0));
    }

    #[test]
    fn a_step_has_a_scalar_for_each_number_of_its_line() {
        let expected = [
            ("train/loss", 5.5),
            ("train/penalty", 0.25),
            ("train/grad_norm", 1.5),
            ("train/lr", 0.001),
            ("train/tokens_per_second", 64.0),
            ("train/spike", 7.0),
            ("terms/a", 2.5),
        ];
        let record = StepRecord { spike: Some(7.0), ..step(0, 64.0) };
        assert_eq!(of_step(&record), expected.map(|(tag, value)| (tag.to_owned(), value)));
    }
}
