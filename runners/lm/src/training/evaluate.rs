//! What is measured on held-out text.

use super::train::gather;
use super::{TrainError, Worth};
use crate::data::{Split, unigram_entropy};
use crate::engine::{Keep, Pass};
use crate::model::Model;
use crate::spec::EvaluateSpec;
use crate::tasks::{Text, TextLoss};
use candle_core::{Device, Tensor};
use regatta_core::libm;
use regatta_diagnostics::Geometry;
use serde::{Deserialize, Serialize};

/// Points of a layer's cloud when its geometry is measured.
const GEOMETRY_POINTS: usize = 2048;

/// Measures of a model on a split. Losses are nats per token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Its standard error: the deviation of windows' mean losses over the root of their number.
    pub loss_standard_error: f64,
    /// `e^loss`.
    pub perplexity: f64,
    /// Bits per byte of text, where the tokens stand for text.
    pub bits_per_byte: Option<f64>,
    /// Loss less the best possible loss on the same tokens, where the data's process is known.
    pub excess_loss: Option<f64>,
    /// Entropy of the split's token frequencies: the loss of a model that knows nothing else.
    pub unigram_entropy: f64,
    /// Windows evaluated.
    pub windows: usize,
    /// Tokens predicted.
    pub tokens: usize,
    /// Mean cosine between different tokens, by entry of the hidden states: 0 the embedding, the last after the final norm.
    pub mean_cosine: Vec<f64>,
    /// Effective rank, by entry of the hidden states.
    pub effective_rank: Vec<f64>,
    /// What else was asked for.
    #[serde(flatten)]
    pub worth: Worth,
}

/// Asked between batches: whether to go on. A measurement that may not ends in [`TrainError::Interrupted`].
pub type Watch<'a> = &'a dyn Fn() -> bool;

/// What a model is measured on.
#[derive(Debug, Clone, Copy)]
pub struct Evaluated<'a> {
    /// The text.
    pub split: &'a Split,
    /// Tokens of a window.
    pub context: usize,
    /// Windows that go through the model at a time.
    pub rows: usize,
    /// How many windows, and what else is asked for.
    pub spec: &'a EvaluateSpec,
}

impl Evaluated<'_> {
    /// The windows to evaluate: all, or as many as asked for, spread evenly.
    fn windows(&self) -> Vec<usize> {
        let most = self.spec.max_windows.get().map_or(usize::MAX, |most| most.get());
        spread_evenly(self.split.windows(self.context), most)
    }
}

/// Mean loss over a split, for watching.
pub(super) fn mean_loss(model: &Model, of: Evaluated<'_>, watch: Watch<'_>) -> Result<f64, TrainError> {
    let losses = losses(model, of, &of.windows(), watch)?;
    Ok(losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64)
}

/// Measures `model`, each window by itself. What it is [worth](super::worth) is left empty.
///
/// # Errors
/// When a tensor operation fails, or `watch` ends it.
pub fn evaluate(model: &Model, of: Evaluated<'_>, watch: Watch<'_>) -> Result<Evaluation, TrainError> {
    let (Evaluated { split, context, .. }, windows) = (of, of.windows());
    let losses = losses(model, of, &windows, watch)?;
    let (loss, loss_standard_error) = over_windows(&losses, context);
    let best = split.best_loss.as_ref().map(|best| {
        let of_window = |&window: &usize| mean(&best[window * context + 1..][..context]); // targets are one token further
        windows.iter().map(of_window).sum::<f64>() / windows.len() as f64
    });
    let geometry = geometry(model, of, &windows, watch)?;
    Ok(Evaluation {
        loss,
        loss_standard_error,
        perplexity: libm::exp(loss),
        bits_per_byte: bits_per_byte(split, loss),
        excess_loss: best.map(|best| loss - best),
        unigram_entropy: unigram_entropy(split),
        windows: windows.len(),
        tokens: losses.len(),
        mean_cosine: geometry.iter().map(|layer| layer.mean_cosine).collect(),
        effective_rank: geometry.iter().map(|layer| layer.effective_rank).collect(),
        worth: Worth::default(),
    })
}

/// What `model` loses on a further text; `of` says with what windows.
pub(super) fn text_loss(model: &Model, text: &Text, of: Evaluated<'_>, watch: Watch<'_>) -> Result<TextLoss, TrainError> {
    let of = Evaluated { split: &text.split, ..of };
    let windows = of.windows();
    let (loss, loss_standard_error) = over_windows(&losses(model, of, &windows, watch)?, of.context);
    let bits_per_byte = bits_per_byte(of.split, loss).unwrap_or(f64::NAN); // a file of text has bytes
    Ok(TextLoss { text: text.name.clone(), loss, loss_standard_error, bits_per_byte, windows: windows.len() })
}

/// Mean over windows of `context` losses, and its standard error.
fn over_windows(losses: &[f32], context: usize) -> (f64, f64) {
    let by_window: Vec<f64> = losses.chunks(context).map(mean).collect();
    let loss = by_window.iter().sum::<f64>() / by_window.len() as f64;
    let variance = by_window.iter().map(|x| (x - loss).powi(2)).sum::<f64>() / (by_window.len() - 1).max(1) as f64;
    (loss, (variance / by_window.len() as f64).sqrt())
}

fn mean(numbers: &[f32]) -> f64 {
    numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / numbers.len() as f64
}

fn bits_per_byte(split: &Split, loss: f64) -> Option<f64> {
    split.bytes.map(|bytes| loss * (split.tokens.len() as f64 / bytes as f64) / std::f64::consts::LN_2)
}

/// At most `most` of the numbers below `all`, spread evenly.
pub(super) fn spread_evenly(all: usize, most: usize) -> Vec<usize> {
    let count = most.min(all);
    (0..count).map(|i| i * all / count).collect()
}

/// The loss of each token of the windows, in order.
fn losses(model: &Model, of: Evaluated<'_>, windows: &[usize], watch: Watch<'_>) -> Result<Vec<f32>, TrainError> {
    let Evaluated { split, context, rows, .. } = of;
    let mut losses = Vec::with_capacity(windows.len() * context);
    let see = |pass: &mut Pass, targets: &[u32]| losses.extend(pass.losses(model, targets));
    in_batches(model, split, context, rows, windows, (Keep::Last, watch), see)?;
    Ok(losses)
}

/// Geometry of each entry of the hidden states, over the tokens of the first windows, taken as one cloud.
fn geometry(model: &Model, of: Evaluated<'_>, windows: &[usize], watch: Watch<'_>) -> Result<Vec<Geometry>, TrainError> {
    let Evaluated { split, context, rows, .. } = of;
    let spread: Vec<usize> =
        spread_evenly(windows.len(), GEOMETRY_POINTS.div_ceil(context)).iter().map(|&i| windows[i]).collect();
    let mut clouds: Vec<Vec<f32>> = vec![Vec::new(); model.decoder().layers + 1];
    in_batches(model, split, context, rows, &spread, (Keep::HiddenStates, watch), |pass, _| {
        clouds.iter_mut().enumerate().for_each(|(entry, cloud)| cloud.extend(pass.hidden_state(entry)));
    })?;
    let geometry = |cloud: Vec<f32>| {
        let cloud = Tensor::from_vec(cloud, (spread.len() * context, model.decoder().width), &Device::Cpu)?;
        Geometry::of(&cloud).map_err(TrainError::Diagnostic)
    };
    clouds.into_iter().map(geometry).collect()
}

/// Takes the windows through the model, `rows` at a time, and shows each pass and its targets.
pub(super) fn in_batches(
    model: &Model,
    split: &Split,
    context: usize,
    rows: usize,
    windows: &[usize],
    (keep, watch): (Keep, Watch<'_>),
    mut see: impl FnMut(&mut Pass, &[u32]),
) -> Result<(), TrainError> {
    let mut pass = Pass::new(model.decoder(), rows.min(windows.len()), context, keep);
    for windows in windows.chunks(rows) {
        if !watch() {
            return Err(TrainError::Interrupted);
        }
        if windows.len() != pass.shape().0 {
            pass = Pass::new(model.decoder(), windows.len(), context, keep);
        }
        let (inputs, targets) = gather(split, windows, context);
        pass.forward(model, &inputs, None)?;
        see(&mut pass, &targets);
    }
    Ok(())
}
