//! Intervals, differences, verdicts and points of curves.

use crate::json;
use serde::Serialize;

/// A measure over seeds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// Mean over seeds.
    #[serde(serialize_with = "json::number")]
    pub mean: f64,
    /// Standard deviation over seeds, with n-1.
    #[serde(serialize_with = "json::number")]
    pub sd: f64,
    /// Mean of the middle half of the seeds.
    #[serde(serialize_with = "json::number")]
    pub interquartile_mean: f64,
    /// Seeds that it is made of.
    pub count: usize,
}

/// A paired difference, arm minus baseline, nats per token: below 0 the arm is better.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Difference {
    /// Mean over pairs.
    #[serde(serialize_with = "json::number")]
    pub mean: f64,
    /// Its 95% interval, were this the only comparison.
    pub interval: Interval,
    /// Its interval, corrected so that all of `comparisons` hold together at 95%: what the verdict is read from.
    pub corrected: Interval,
    /// Comparisons that are judged together, this one among them.
    pub comparisons: usize,
    /// Its 95% interval from resampled pairs, which assumes no shape; not corrected.
    pub bootstrap: Option<Interval>,
    /// Seeds that both arms finished.
    pub pairs: usize,
    /// The size of difference that the verdict would have found four times in five.
    #[serde(serialize_with = "json::number")]
    pub detectable: f64,
    /// Two-sided p of the paired t test, of this comparison alone.
    #[serde(serialize_with = "json::number")]
    pub p: f64,
    /// The same, adjusted for all comparisons by Holm's method.
    #[serde(serialize_with = "json::number")]
    pub p_holm: f64,
    /// Exact two-sided p of Wilcoxon's signed-rank test, of this comparison alone.
    #[serde(serialize_with = "json::maybe")]
    pub p_wilcoxon: Option<f64>,
    /// The mean in standard deviations of the differences: Cohen's `d_z`.
    #[serde(serialize_with = "json::number")]
    pub effect_size: f64,
    /// Chance that a run of the arm has a lower loss than one of the baseline, whatever their seeds.
    #[serde(serialize_with = "json::maybe")]
    pub improvement: Option<f64>,
    /// The difference at equal training time, where the times are known.
    pub equal_time: Option<EqualTime>,
}

/// Where a true value plausibly lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    #[serde(serialize_with = "json::number")]
    pub low: f64,
    /// Upper end.
    #[serde(serialize_with = "json::number")]
    pub high: f64,
}

/// A paired difference of validation loss, arm minus baseline, nats per token, each pair at the time in which the quicker of
/// its two trials was done.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EqualTime {
    /// Mean over pairs.
    #[serde(serialize_with = "json::number")]
    pub mean: f64,
    /// Its interval, corrected for the same comparisons.
    pub corrected: Interval,
    /// Seeds whose times are known for both arms and were taken on one kind of machine.
    pub pairs: usize,
    /// That time, seconds of training, mean over pairs.
    #[serde(serialize_with = "json::number")]
    pub seconds: f64,
}

/// Seeds for which an arm's time can be compared with the baseline's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TimedPairs {
    /// Seeds that both arms finished.
    pub finished: usize,
    /// Those whose two trials ran on one kind of machine. Only they count where time is compared.
    pub alike: usize,
}

impl TimedPairs {
    /// Why there is no ratio of times, where both arms finished a seed.
    pub fn why_no_ratio(self) -> Option<&'static str> {
        (self.finished > 0 && self.alike == 0).then_some("no seed has both trials on one kind of machine")
    }

    /// How many pairs count, where that is not all of them: `2 of 3 pairs`.
    pub fn fewer(self) -> Option<String> {
        let Self { finished, alike } = self;
        (alike < finished).then(|| format!("{alike} of {finished} pairs"))
    }
}

/// What the corrected interval of an arm's difference from the baseline says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// This is the arm that others are compared with.
    Baseline,
    /// The interval lies below 0: a lower loss.
    Better,
    /// The interval lies above 0: a higher loss.
    Worse,
    /// The interval holds 0.
    NoDifference,
    /// There are too few pairs for an interval.
    Unknown,
}

/// One point of a curve over seeds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct CurvePoint {
    /// Optimizer step, from 0.
    pub step: u64,
    /// Mean over seeds.
    #[serde(serialize_with = "json::number")]
    pub mean: f64,
    /// Least over seeds.
    #[serde(serialize_with = "json::number")]
    pub low: f64,
    /// Greatest over seeds.
    #[serde(serialize_with = "json::number")]
    pub high: f64,
}
