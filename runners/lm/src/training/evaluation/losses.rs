//! Losses of a model on the windows of a text, nats per token.

use super::windows::{in_batches, spread_evenly};
use crate::data::Split;
use crate::engine::{Forward, Keep, Measured};
use crate::measure::{MeasureError, Watch};
use crate::spec::EvaluateSpec;
use crate::tasks::{Text, TextLoss};

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
    pub(super) fn windows(&self) -> Vec<usize> {
        let most = self.spec.max_windows.get().map_or(usize::MAX, |most| most.get());
        spread_evenly(self.split.windows(self.context), most)
    }
}

/// Mean loss over a split: the validation loss while a model trains.
pub(in crate::training) fn mean_loss(model: Measured<'_>, of: Evaluated<'_>, watch: Watch<'_>) -> Result<f64, MeasureError> {
    let losses = token_losses(model, of, &of.windows(), watch)?;
    Ok(losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / losses.len() as f64)
}

/// The loss on a further text, in windows as `of` says.
pub(super) fn text_loss(model: Measured<'_>, text: &Text, of: Evaluated<'_>, watch: Watch<'_>) -> Result<TextLoss, MeasureError> {
    let of = Evaluated { split: &text.split, ..of };
    let windows = of.windows();
    let (loss, loss_standard_error) = over_windows(&token_losses(model, of, &windows, watch)?, of.context);
    let (bits_per_byte, text_lost) = (bits_per_byte(of.split, loss), of.split.lost);
    Ok(TextLoss { text: text.name.clone(), loss, loss_standard_error, bits_per_byte, text_lost, windows: windows.len() })
}

/// The loss of each token of the windows, in order.
pub(super) fn token_losses(
    model: Measured<'_>,
    of: Evaluated<'_>,
    windows: &[usize],
    watch: Watch<'_>,
) -> Result<Vec<f32>, MeasureError> {
    let Evaluated { split, context, rows, .. } = of;
    let mut losses = Vec::with_capacity(windows.len() * context);
    let see = |pass: &mut Forward<'_>, targets: &[u32]| {
        losses.extend(pass.losses(targets)?);
        Ok(())
    };
    in_batches(model, (split, context, rows), windows, (Keep::Last, watch), see)?;
    Ok(losses)
}

/// Mean over windows of `context` losses, and its standard error.
pub(super) fn over_windows(losses: &[f32], context: usize) -> (f64, f64) {
    let by_window: Vec<f64> = losses.chunks(context).map(mean).collect();
    let loss = by_window.iter().sum::<f64>() / by_window.len() as f64;
    let variance = by_window.iter().map(|x| (x - loss).powi(2)).sum::<f64>() / (by_window.len() - 1).max(1) as f64;
    (loss, (variance / by_window.len() as f64).sqrt())
}

pub(super) fn mean(numbers: &[f32]) -> f64 {
    numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / numbers.len() as f64
}

/// None where the tokens do not give the text back: its bytes are not what the loss is about.
pub(super) fn bits_per_byte(split: &Split, loss: f64) -> Option<f64> {
    let bytes = split.bytes.filter(|_| split.lost.is_none());
    bytes.map(|bytes| loss * (split.tokens.len() as f64 / bytes as f64) / std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_error_is_that_of_the_means_of_windows() {
        // means 2 and 6: mean 4, variance 4² / 2 · 2 = 8 over 2 windows
        assert_eq!(over_windows(&[1.0, 3.0, 5.0, 7.0], 2), (4.0, 2.0));
        assert_eq!(over_windows(&[1.0, 3.0], 2), (2.0, 0.0), "one window has no spread");
    }

    #[test]
    fn bits_per_byte_count_the_bytes_of_a_token() {
        let split = |bytes| Split { name: "text".into(), tokens: vec![0; 10].into(), bytes, lost: None, best_loss: None };
        assert_eq!(bits_per_byte(&split(Some(20)), std::f64::consts::LN_2), Some(0.5)); // 1 bit per token of 2 bytes
        assert_eq!(bits_per_byte(&split(None), 1.0), None);
        assert_eq!(bits_per_byte(&Split { lost: Some(0.1), ..split(Some(20)) }, 1.0), None, "not of a text that tokens lose");
    }
}
