//! Values with a gradient that is computed by hand.

use crate::Result;
use candle_core::Tensor;

/// `value` as a function of `input` with the given gradient.
///
/// It is for values that candle cannot differentiate, or whose gradient deliberately differs from the derivative. `value` has the
/// leading dims of `input`, for example one number per group. `gradient` has the shape of `input`, and is the gradient of each
/// value with respect to its part of `input`.
///
/// The result is `value + Σ (input - stop_gradient(input))·gradient`, whose second term is 0. It consists of plain tensor
/// operations, so it works in every dtype and on every device. Input and gradient must be finite, or the second term is not 0.
///
/// # Shapes
/// input (l..., r...), value (l...), gradient (l..., r...) -> (l...)
///
/// # Errors
/// When the shapes do not match.
pub fn attach_gradient(input: &Tensor, value: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    if !input.dims().starts_with(value.dims()) || input.dims() != gradient.dims() {
        let (input, value, gradient) = (input.dims(), value.dims(), gradient.dims());
        let shapes = format!("attach_gradient: input {input:?}, value {value:?}, gradient {gradient:?}");
        return Err(candle_core::Error::msg(shapes).into());
    }
    let zero = ((input - input.detach())? * gradient.detach())?;
    let rest: Vec<usize> = (value.rank()..input.rank()).collect();
    let zero = if rest.is_empty() { zero } else { zero.sum(rest)? };
    Ok((value.detach() + zero)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn value_and_gradient_are_those_given() {
        let input = Var::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let of_rows = Tensor::new(&[10f32, 20.0], &Device::Cpu).unwrap();
        let of_numbers = Tensor::new(&[[10f32, 20.0], [10.0, 20.0]], &Device::Cpu).unwrap();
        for (value, expected) in [(of_rows, 60.0), (of_numbers, 120.0)] {
            let out = attach_gradient(&input, &value, &gradient).unwrap();
            assert_eq!(out.dims(), value.dims());
            let total = (out.sum_all().unwrap() * 2.0).unwrap();
            assert_eq!(total.to_scalar::<f32>().unwrap(), expected);
            let grads = total.backward().unwrap();
            assert_eq!(grads.get(&input).unwrap().to_vec2::<f32>().unwrap(), [[2.0, 4.0], [6.0, 8.0]]);
        }
        assert!(attach_gradient(&input, &gradient, &gradient.sum(0).unwrap()).is_err());
    }
}
