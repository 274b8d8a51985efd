//! The numbers of a tensor as slices, without a copy where it is contiguous.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, bail};

/// Whether the tensor is float32 on the CPU, as [`with_floats`] requires.
pub fn is_float32_on_cpu(tensor: &Tensor) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().is_cpu()
}

/// The numbers of a contiguous float32 storage.
///
/// # Errors
/// When the storage is not float32, or the layout is not contiguous.
fn floats<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    let CpuStorage::F32(numbers) = storage else { bail!("{op}: expected float32, found {:?}", layout.shape()) };
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("{op}: expected a contiguous tensor") };
    Ok(&numbers[start..end])
}

/// Runs `body` on the numbers of float32 tensors on the CPU. `op` names the operation in error messages.
///
/// # Errors
/// When a tensor is not float32 or not on the CPU.
pub fn with_floats<const N: usize, R>(tensors: [&Tensor; N], op: &str, body: impl FnOnce([&[f32]; N]) -> R) -> Result<R> {
    let tensors = tensors.iter().map(|tensor| tensor.contiguous()).collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[f32]; N] = [&[]; N];
    for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else { bail!("{op}: expected a tensor on the CPU") };
        *slice = floats(storage, layout, op)?;
    }
    Ok(body(slices))
}
