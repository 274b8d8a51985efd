//! What a study may measure beside the loss, over seeds: how hidden states lie, what rounding costs, how tasks go.

use crate::{CurvePoint, Interval, Verdict, json};
use serde::Serialize;

/// A measure over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OverSeeds {
    /// Mean.
    #[serde(serialize_with = "json::number")]
    pub mean: f64,
    /// Standard deviation, with n-1; NaN of one seed.
    #[serde(serialize_with = "json::number")]
    pub sd: f64,
    /// Least.
    #[serde(serialize_with = "json::number")]
    pub low: f64,
    /// Greatest.
    #[serde(serialize_with = "json::number")]
    pub high: f64,
    /// Seeds that it is made of.
    pub count: usize,
}

/// How the hidden states and the embedding of an arm lie.
#[derive(Debug, Clone, Serialize)]
pub struct Geometry {
    /// Before the first update; none where that was not diagnosed.
    pub start: Option<Depths>,
    /// After the last.
    pub end: Depths,
    /// Mean cosine within sequences of the last hidden state by updates made.
    pub last_cosine: Vec<CurvePoint>,
    /// Singular values of the last hidden state at the end, over their sum, largest first; mean over seeds.
    #[serde(serialize_with = "json::list")]
    pub spectrum: Vec<f64>,
    /// Measures of the last hidden state at the end, by their column in `results.csv`; none where they are not defined.
    pub measures: Vec<(String, Option<OverSeeds>)>,
    /// The embedding matrix at the end, the most frequent tenth of the tokens first, those that never occur last.
    pub by_frequency: Vec<FrequencyClass>,
}

/// Cosines of the pairs within sequences, layer by layer; entry 0 is the embedding.
#[derive(Debug, Clone, Serialize)]
pub struct Depths {
    /// Updates made before.
    pub step: u64,
    /// The layers.
    pub layers: Vec<Layer>,
}

/// Cosines of the pairs within sequences at one layer.
#[derive(Debug, Clone, Serialize)]
pub struct Layer {
    /// Their mean.
    pub cosine: OverSeeds,
    /// The share of pairs in each of equal bins from -1 to 1, mean over seeds. Not in the page's data: the plot's CSV has it.
    #[serde(skip)]
    pub histogram: Vec<f64>,
}

/// Rows of the embedding matrix whose tokens occur about equally often.
#[derive(Debug, Clone, Serialize)]
pub struct FrequencyClass {
    /// `1` (the most frequent tenth) to `10`, or `never`.
    pub class: String,
    /// Mean cosine of its pairs.
    pub cosine: Option<OverSeeds>,
    /// Mean norm of its rows.
    pub norm: Option<OverSeeds>,
}

/// What is lost when an arm's weights are rounded in one way.
#[derive(Debug, Clone, Serialize)]
pub struct Rounding {
    /// `8` to `2`, `ternary` or `binary`.
    pub bits: String,
    /// Which weights share a scale: `tensor`, `channel`, or how many.
    pub granularity: String,
    /// Held-out loss with rounded weights less that without, nats per token.
    pub increase: OverSeeds,
    /// That increase minus the baseline's, paired by seed; `None` for the baseline and below two pairs.
    pub difference: Option<PairedDifference>,
}

/// A paired difference from which no verdict is read.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PairedDifference {
    /// Mean over pairs.
    #[serde(serialize_with = "json::number")]
    pub mean: f64,
    /// Its 95% interval, were this the only comparison.
    pub interval: Interval,
    /// Seeds that both arms have it for.
    pub pairs: usize,
}

/// How an arm does on a file of items.
#[derive(Debug, Clone, Serialize)]
pub struct TaskResult {
    /// The file's name without its ending.
    pub task: String,
    /// Whether each item is a pair of sentences, of which chance gets half.
    pub pairs: bool,
    /// What an item asks, in words: `minimal pairs`, `multiple choice`, `last word`, `partial`.
    pub form: String,
    /// Fraction of items whose right choice is the likeliest.
    pub accuracy: OverSeeds,
    /// Its standard error as an estimate for more such items, mean over seeds.
    #[serde(serialize_with = "json::number")]
    pub standard_error: f64,
    /// Fraction of items whose right choice is the likeliest for its length; none where the form does not take lengths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalised: Option<OverSeeds>,
    /// Its standard error, mean over seeds.
    #[serde(serialize_with = "json::maybe", skip_serializing_if = "Option::is_none")]
    pub normalised_standard_error: Option<f64>,
    /// The accuracy of answers at random; none where no choices are given, and in folders of older versions.
    #[serde(serialize_with = "json::maybe", skip_serializing_if = "Option::is_none")]
    pub chance: Option<f64>,
    /// Items.
    pub items: usize,
    /// Choices of which only the last tokens fit the model.
    pub truncated: usize,
    /// Its accuracy against the baseline's; none for the baseline, and where tasks are not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<TaskVerdict>,
}

/// A measure of a task that is not an accuracy: a perplexity, or a probability mass.
#[derive(Debug, Clone, Serialize)]
pub struct TaskMeasure {
    /// The task.
    pub task: String,
    /// What is measured, in words.
    pub measure: String,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The measure.
    pub value: OverSeeds,
    /// The measure minus the baseline's, paired by seed; `None` for the baseline and below two pairs.
    pub difference: Option<PairedDifference>,
}

/// An arm on the reported tasks at two checkpoints: the last one, and for each seed the one with the best average of these tasks.
#[derive(Debug, Clone, Serialize)]
pub struct TasksAtCheckpoints {
    /// Updates made before the checkpoints that were scored, the last one among them.
    pub scored: Vec<usize>,
    /// Updates made before the best one, seed by seed.
    pub selected: Vec<usize>,
    /// Each task, and at the end the average of them.
    pub tasks: Vec<TaskAtCheckpoints>,
}

/// A task at the last checkpoint and at the one with the best average.
#[derive(Debug, Clone, Serialize)]
pub struct TaskAtCheckpoints {
    /// The task; none of the average.
    pub task: Option<String>,
    /// At the last checkpoint.
    pub last: OverSeeds,
    /// At the selected one.
    pub selected: OverSeeds,
    /// At the last checkpoint minus the baseline there, paired by seed.
    pub last_difference: Option<PairedDifference>,
    /// At the selected checkpoint minus the baseline at its own.
    pub selected_difference: Option<PairedDifference>,
}

/// An arm on all tasks of the study, each with the same weight.
#[derive(Debug, Clone, Serialize)]
pub struct TaskAverage {
    /// How many tasks; the average of one is that task.
    pub tasks: usize,
    /// Mean over tasks of the share of items whose right choice is the likeliest.
    pub accuracy: OverSeeds,
    /// The average against the baseline's; none for the baseline, and where tasks are not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<TaskVerdict>,
}

/// What is a sample in a [`TaskVerdict`], and so what it is a statement on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskTest {
    /// Seeds and items: on the arms.
    SeedsAndItems,
    /// Seeds and tasks: on the arms.
    SeedsAndTasks,
    /// Items, by McNemar's exact test of one seed: on two trained models.
    Items,
    /// Tasks, by Student's t of one seed: on two trained models.
    Tasks,
}

impl TaskTest {
    /// Whether it is a statement on two trained models and not on the arms.
    pub fn is_of_two_models(self) -> bool {
        matches!(self, Self::Items | Self::Tasks)
    }
}

/// An arm's accuracy on a task minus the baseline's, item by item and paired by seed: above 0 the arm is better.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TaskVerdict {
    /// What is a sample.
    pub test: TaskTest,
    /// Mean over pairs.
    #[serde(serialize_with = "json::number")]
    pub mean: f64,
    /// Its interval, corrected so that all of `comparisons` hold together at 95%.
    pub corrected: Interval,
    /// Comparisons that are judged together, this one among them.
    pub comparisons: usize,
    /// Seeds that both arms finished.
    pub pairs: usize,
    /// Two-sided p, of this comparison alone.
    #[serde(serialize_with = "json::number")]
    pub p: f64,
    /// The size of difference that the verdict would have found four times in five; none of McNemar's test.
    #[serde(serialize_with = "json::maybe")]
    pub detectable: Option<f64>,
    /// What the corrected interval says: better above 0, worse below.
    pub verdict: Verdict,
}

/// What an arm's training takes until its validation loss is first at most a target. Means are over the seeds that reach it.
#[derive(Debug, Clone, Serialize)]
pub struct ToTarget {
    /// The target, nats per token; the mean over seeds, where it is the baseline's final loss.
    #[serde(serialize_with = "json::number")]
    pub target: f64,
    /// Whether it is the baseline's final validation loss of the same seed, since the study names none.
    pub of_baseline: bool,
    /// Seeds that are done.
    pub tried: usize,
    /// Seeds that reach it.
    pub reached: usize,
    /// Optimizer steps.
    pub steps: Option<OverSeeds>,
    /// Training tokens.
    pub tokens: Option<OverSeeds>,
    /// Seconds of training.
    pub seconds: Option<OverSeeds>,
    /// Steps over those of the baseline, paired by seed; none where a seed of either does not reach the target.
    pub steps_ratio: Option<PairedRatio>,
    /// Likewise of seconds, over the seeds whose two trials ran on one kind of machine.
    pub seconds_ratio: Option<PairedRatio>,
}

/// A measure over the baseline's, paired by seed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PairedRatio {
    /// Geometric mean of the ratios.
    pub mean: f64,
    /// Its 95% interval, corrected for the comparisons.
    pub corrected: Interval,
    /// Comparisons that are judged together.
    pub comparisons: usize,
    /// Seeds.
    pub pairs: usize,
}

/// What an arm loses on a text beside the study's data.
#[derive(Debug, Clone, Serialize)]
pub struct TextResult {
    /// As the study calls it.
    pub text: String,
    /// Loss, nats per token.
    pub loss: OverSeeds,
    /// The same in bits per byte of the text; none where the tokens do not give the text back.
    pub bits_per_byte: Option<OverSeeds>,
    /// That loss minus the baseline's, paired by seed; `None` for the baseline and below two pairs.
    pub difference: Option<PairedDifference>,
}
