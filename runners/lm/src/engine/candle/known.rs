//! Operations whose result is at hand and whose gradient has a formula: one node of candle's graph in place of many.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Result, Shape, Storage, Tensor, bail};
use std::sync::{Mutex, PoisonError};

/// Puts `result`, which was computed from `x` outside of candle's graph, into the graph of x. `backward` makes the gradient of x of
/// x, the result and the result's gradient. Where nothing is differentiated this is `result` itself.
pub(super) fn known(
    x: &Tensor,
    result: Tensor,
    backward: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !x.track_op() {
        return Ok(result);
    }
    x.apply_op1(Known { result: Mutex::new(Some(result.contiguous()?)), backward })
}

struct Known<F> {
    /// Until it is in the graph.
    result: Mutex<Option<Tensor>>,
    backward: F,
}

impl<F> Known<F> {
    /// The result's numbers, in storage of their own.
    fn take(&self) -> Result<(Storage, Shape)> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(result) = result else { bail!("the result was taken before") };
        let (storage, layout) = result.storage_and_layout();
        if layout.start_offset() != 0 {
            bail!("a result that starts at {} in its storage", layout.start_offset());
        }
        Ok((storage.try_clone(layout)?, layout.shape().clone()))
    }
}

impl<F: Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>> CustomOp1 for Known<F> {
    fn name(&self) -> &'static str {
        "known"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.take()? {
            (Storage::Cpu(storage), shape) => Ok((storage, shape)),
            (other, _) => bail!("a result on {:?}, expected the CPU", other.device().location()),
        }
    }

    fn cuda_fwd(&self, x: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        match self.take()? {
            (Storage::Cuda(storage), shape) => Ok((storage, shape)),
            (other, _) => bail!("a result on {:?}, expected {:?}", other.device().location(), x.device()),
        }
    }

    fn metal_fwd(&self, x: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        match self.take()? {
            (Storage::Metal(storage), shape) => Ok((storage, shape)),
            (other, _) => bail!("a result on {:?}, expected {:?}", other.device().location(), x.device()),
        }
    }

    fn bwd(&self, x: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(&x.detach(), &result.detach(), &grad.contiguous()?).map(Some)
    }
}
