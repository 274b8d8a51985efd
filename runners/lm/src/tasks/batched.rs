//! Sequences of many lengths, taken through a model together.

use crate::engine::{Forward, Keep, Measured};
use crate::measure::{MeasureError, Watch};

/// Sequences of a batch are filled up to a multiple of so many tokens, so that few shapes occur.
const STEP: usize = 8;

/// Takes all tokens of each of `sequences` but its last one through the model, at most about `most` tokens at once, and shows each
/// pass, the indices of the sequences that are its rows, and its targets. Sequences of about one length share a batch; what fills
/// up the shorter ones, inputs and targets, stands behind them, where attention does not look.
///
/// # Errors
/// When a token lies outside the model's vocabulary, a sequence exceeds the positions by more than its last token, or `watch`
/// ends it.
pub(super) fn by_length(
    model: Measured<'_>,
    sequences: &[&[u32]],
    most: usize,
    watch: Watch<'_>,
    mut see: impl FnMut(&mut Forward<'_>, &[usize], &[u32]) -> candle_core::Result<()>,
) -> Result<(), MeasureError> {
    let positions = model.decoder().context;
    let padded = |sequence: &[u32]| {
        let inputs = sequence.len() - 1;
        inputs.next_multiple_of(STEP).min(positions.max(inputs))
    };
    let mut order: Vec<usize> = (0..sequences.len()).collect();
    order.sort_by_key(|&index| padded(sequences[index])); // a stable sort: the batches depend on the sequences alone
    let mut pass: Option<Forward<'_>> = None;
    for same in order.chunk_by(|&one, &other| padded(sequences[one]) == padded(sequences[other])) {
        let time = padded(sequences[same[0]]);
        for batch in same.chunks((most / time).max(1)) {
            if !watch() {
                return Err(MeasureError::Interrupted);
            }
            let fits = |pass: &Forward<'_>| pass.shape() == (batch.len(), time);
            let pass = match pass.take().filter(fits) {
                Some(same) => pass.insert(same),
                None => pass.insert(model.pass(batch.len(), time, Keep::Last)?),
            };
            let rows = batch.iter().map(|&index| sequences[index]);
            let filled = |row: &[u32]| row.iter().copied().chain(std::iter::repeat(0)).take(time).collect::<Vec<u32>>();
            let inputs: Vec<u32> = rows.clone().flat_map(|row| filled(&row[..row.len() - 1])).collect();
            let targets: Vec<u32> = rows.flat_map(|row| filled(&row[1..])).collect();
            pass.forward(&inputs)?;
            see(pass, batch, &targets)?;
        }
    }
    Ok(())
}
