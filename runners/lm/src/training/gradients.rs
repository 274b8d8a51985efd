//! The global norm of a gradient.

use candle_core::backprop::GradStore;
use candle_core::{Result, Storage, Tensor, Var, bail};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// The norm of all gradients taken together, and the name of the first tensor whose gradient is not finite. Squares are
/// summed in float64, in blocks of a fixed size and in the order of the names, so that it is the same bits every time.
pub(super) fn global_norm(parameters: &BTreeMap<String, Var>, grads: &GradStore) -> Result<(f64, Option<String>)> {
    let mut total = 0f64;
    let mut broken = None;
    for (name, var) in parameters {
        let Some(grad) = grads.get(var) else { bail!("no gradient reaches `{name}`") };
        let square = sum_of_squares(grad)?;
        if !square.is_finite() && broken.is_none() {
            broken = Some(name.clone());
        }
        total += square;
    }
    Ok((total.sqrt(), broken))
}

fn sum_of_squares(grad: &Tensor) -> Result<f64> {
    const BLOCK: usize = 4_096;
    let grad = grad.contiguous()?;
    let (storage, layout) = grad.storage_and_layout();
    let Storage::Cpu(cpu) = &*storage else { bail!("the trainer runs on the CPU") };
    let (start, end) = layout.contiguous_offsets().unwrap_or_default();
    let blocks = cpu.as_slice::<f32>()?[start..end].par_chunks(BLOCK);
    let sums: Vec<f64> = blocks.map(|block| block.iter().map(|&x| f64::from(x) * f64::from(x)).sum()).collect();
    Ok(sums.into_iter().sum())
}
