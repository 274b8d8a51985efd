//! Windows of a split, taken through a model in batches.

use crate::data::{DataError, Split};
use crate::engine::{Forward, Keep, Measured};
use crate::measure::{MeasureError, Watch};

/// At most `most` of the numbers below `all`, spread evenly.
pub(super) fn spread_evenly(all: usize, most: usize) -> Vec<usize> {
    let count = most.min(all);
    (0..count).map(|i| i * all / count).collect()
}

/// The windows of a batch, one after the other: inputs, and the targets that follow them.
///
/// # Errors
/// When the tokens cannot be read.
pub(in crate::training) fn gather(split: &Split, windows: &[usize], context: usize) -> Result<(Vec<u32>, Vec<u32>), DataError> {
    let (mut inputs, mut targets) = (Vec::with_capacity(windows.len() * context), Vec::with_capacity(windows.len() * context));
    for &window in windows {
        let tokens = split.window(window, context)?;
        inputs.extend_from_slice(&tokens[..context]);
        targets.extend_from_slice(&tokens[1..]);
    }
    Ok((inputs, targets))
}

/// Takes the windows through the model, `rows` at a time, and shows each pass and its targets.
///
/// # Errors
/// When the tokens cannot be read or a batch does not fit the model, or `watch` ends it.
pub(super) fn in_batches(
    model: Measured<'_>,
    (split, context, rows): (&Split, usize, usize),
    windows: &[usize],
    (keep, watch): (Keep, Watch<'_>),
    mut see: impl FnMut(&mut Forward<'_>, &[u32]) -> candle_core::Result<()>,
) -> Result<(), MeasureError> {
    let mut pass = model.pass(rows.min(windows.len()), context, keep)?;
    for windows in windows.chunks(rows) {
        if !watch() {
            return Err(MeasureError::Interrupted);
        }
        if windows.len() != pass.shape().0 {
            pass = model.pass(windows.len(), context, keep)?;
        }
        let (inputs, targets) = gather(split, windows, context)?;
        pass.forward(&inputs)?;
        see(&mut pass, &targets)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_spread_evenly() {
        assert_eq!(spread_evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(spread_evenly(3, 9), [0, 1, 2], "at most all");
        assert_eq!(spread_evenly(0, 4), [0; 0]);
    }

    #[test]
    fn targets_are_inputs_one_token_later() {
        let split =
            Split { name: "text".into(), tokens: (0..9).collect::<Vec<_>>().into(), bytes: None, lost: None, best_loss: None };
        assert_eq!(gather(&split, &[1, 0], 3).unwrap(), (vec![3, 4, 5, 0, 1, 2], vec![4, 5, 6, 1, 2, 3]));
    }
}
