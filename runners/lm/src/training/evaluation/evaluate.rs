//! What is measured on held-out text.

use super::Worth;
use super::losses::{Evaluated, bits_per_byte, mean, over_windows, token_losses};
use super::windows::{in_batches, spread_evenly};
use crate::data::unigram_entropy;
use crate::engine::{Keep, Measured};
use crate::measure::{MeasureError, Watch};
use candle_core::{Device, Tensor};
use regatta_core::{Site, libm};
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
    /// Bits per byte of text, where the tokens stand for text and give it back.
    pub bits_per_byte: Option<f64>,
    /// Fraction of the text's characters that the tokens lose, where they do not give it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_lost: Option<f64>,
    /// Loss minus the best possible loss on the same tokens, where the data's process is known.
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

/// Measures `model`, each window by itself. What it is [worth](super::worth()) is left empty.
///
/// # Errors
/// When a tensor operation fails, or `watch` ends it.
pub fn evaluate(model: Measured<'_>, of: Evaluated<'_>, watch: Watch<'_>) -> Result<Evaluation, MeasureError> {
    let (Evaluated { split, context, .. }, windows) = (of, of.windows());
    let losses = token_losses(model, of, &windows, watch)?;
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
        text_lost: split.lost,
        excess_loss: best.map(|best| loss - best),
        unigram_entropy: unigram_entropy(split)?,
        windows: windows.len(),
        tokens: losses.len(),
        mean_cosine: geometry.iter().map(|layer| layer.mean_cosine).collect(),
        effective_rank: geometry.iter().map(|layer| layer.effective_rank).collect(),
        worth: Worth::default(),
    })
}

/// Geometry of each entry of the hidden states, over the tokens of some of the windows, taken as one cloud.
fn geometry(model: Measured<'_>, of: Evaluated<'_>, windows: &[usize], watch: Watch<'_>) -> Result<Vec<Geometry>, MeasureError> {
    let Evaluated { split, context, rows, .. } = of;
    let spread: Vec<usize> =
        spread_evenly(windows.len(), GEOMETRY_POINTS.div_ceil(context)).iter().map(|&i| windows[i]).collect();
    let mut clouds: Vec<Vec<f32>> = vec![Vec::new(); model.decoder().layers + 1];
    in_batches(model, (split, context, rows), &spread, (Keep::HiddenStates, watch), |pass, _| {
        for (entry, cloud) in clouds.iter_mut().enumerate() {
            cloud.extend(pass.at(Site::HiddenStates, entry)?);
        }
        Ok(())
    })?;
    let geometry = |cloud: Vec<f32>| {
        let cloud = Tensor::from_vec(cloud, (spread.len() * context, model.decoder().width), &Device::Cpu)?;
        Ok(Geometry::of(&cloud)?)
    };
    clouds.into_iter().map(geometry).collect()
}
