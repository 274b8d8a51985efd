//! How an op is compared with the plain composition of candle's differentiable ops.

use candle_core::{DType, Device, Result, Tensor, Var};
use regatta_core::Draw;

/// Standard normals, different for each shape.
pub(super) fn normals(shape: &[usize]) -> Tensor {
    let purpose = format!("ops {shape:?}");
    Draw::new(0, &purpose, 0, 0).normals(shape, DType::F32, &Device::Cpu).unwrap()
}

/// Checks that value and every gradient of `op` agree with those of `plain`, within 2e-5 of the largest number.
pub(super) fn agree(inputs: &[Tensor], op: impl Fn(&[Var]) -> Result<Tensor>, plain: impl Fn(&[Var]) -> Result<Tensor>) {
    let inputs: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let (found, expected) = (op(&inputs).unwrap(), plain(&inputs).unwrap());
    close("value", &found, &expected);
    let upstream = normals(expected.dims()); // weights of the outputs, so that no gradient cancels
    let gradients = |output: &Tensor| output.mul(&upstream).unwrap().sum_all().unwrap().backward().unwrap();
    let (found, expected) = (gradients(&found), gradients(&expected));
    for (index, input) in inputs.iter().enumerate() {
        let gradient = found.get(input).unwrap_or_else(|| panic!("input {index} gets no gradient"));
        close(&format!("gradient {index}"), gradient, expected.get(input).unwrap());
    }
}

fn close(what: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (found, expected) = (numbers(found), numbers(expected));
    let scale = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert!(scale > 0.0, "{what}: nothing to compare");
    for (index, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!((f - e).abs() <= 2e-5 * scale, "{what} at {index}: {f}, expected {e}");
    }
}
