//! A value with a gradient computed by hand.

use crate::Result;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Storage, Tensor};

/// `value` as a function of `input` whose gradient is the given one.
///
/// For penalties whose value and gradient are cheapest together, in one pass. `value` has the leading dims of `input` (one
/// number a group, say), and `gradient`, shaped as `input`, is that of each value with respect to its part of `input`.
///
/// # Shapes
/// input (l..., r...), value (l...), gradient (l..., r...) -> (l...)
///
/// # Errors
/// When the shapes do not fit. The op runs on the CPU.
pub fn attach_gradient(input: &Tensor, value: Tensor, gradient: Tensor) -> Result<Tensor> {
    let leads = input.dims().starts_with(value.dims());
    if !leads || input.dims() != gradient.dims() {
        let shapes =
            format!("attach_gradient: input {:?}, value {:?}, gradient {:?}", input.dims(), value.dims(), gradient.dims());
        return Err(candle_core::Error::msg(shapes).into());
    }
    Ok(input.apply_op1(Attached { value: value.detach(), gradient: gradient.detach() })?)
}

struct Attached {
    value: Tensor,
    gradient: Tensor,
}

impl CustomOp1 for Attached {
    fn name(&self) -> &'static str {
        "attach_gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let value = self.value.force_contiguous()?; // its own storage, from offset 0
        let (storage, _) = value.storage_and_layout();
        match &*storage {
            Storage::Cpu(cpu) => Ok((cpu.clone(), self.value.shape().clone())),
            _ => candle_core::bail!("attach_gradient runs on the CPU"),
        }
    }

    fn bwd(&self, input: &Tensor, value: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let mut shape = value.dims().to_vec();
        shape.resize(input.rank(), 1);
        Ok(Some(self.gradient.broadcast_mul(&upstream.reshape(shape)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn value_and_gradient_are_those_given() {
        let input = Var::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let value = Tensor::new(&[10f32, 20.0], &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let out = attach_gradient(&input, value, gradient).unwrap();
        let total = (out.sum_all().unwrap() * 2.0).unwrap();
        assert_eq!(total.to_scalar::<f32>().unwrap(), 60.0);
        let grads = total.backward().unwrap();
        assert_eq!(grads.get(&input).unwrap().to_vec2::<f32>().unwrap(), [[2.0, 4.0], [6.0, 8.0]]);
    }
}
