use super::*;
use regatta_core::candle::{DType, Device, Var};
use regatta_core::conformance::{kernel_agrees, kernel_agrees_on};
use regatta_core::differentiate;

fn mmd(bandwidth: f64) -> Mmd {
    Mmd { bandwidth: Positive::new(bandwidth) }
}

fn cloud<const N: usize, const D: usize>(points: [[f64; D]; N]) -> Cloud {
    Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap()
}

fn check<const N: usize, const D: usize>(bandwidth: f64, points: [[f64; D]; N], expected: f64) {
    let found = mmd(bandwidth).penalty(&cloud(points), &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
}

#[test]
fn points_of_one_dim_by_hand() {
    let third = 3f64.sqrt().recip(); // (1/3)^(1/2), beside 2·(1/2)^(1/2)
    check(1.0, [[0.0], [0.0]], 1.0 - 2f64.sqrt() + third);
    // ±1: k is 1 of a point and itself, exp(-4/2) of the two; ‖z‖²/4 = 1/4
    check(1.0, [[1.0], [-1.0]], (1.0 + (-2f64).exp()) / 2.0 - 2f64.sqrt() * (-0.25f64).exp() + third);
}

#[test]
fn dims_and_bandwidth_by_hand() {
    check(1.0, [[0.0, 0.0], [0.0, 0.0]], 1.0 - 2.0 / 2.0 + 1.0 / 3.0);
    check(2.0, [[0.0, 0.0], [0.0, 0.0]], 1.0 - 2.0 * 4.0 / 5.0 + 4.0 / 6.0); // h² = 4
    check(
        2.0,
        [[0.0, 3.0], [4.0, 0.0]],
        (1.0 + (-25.0 / 8f64).exp()) / 2.0 - 0.8 * ((-0.9f64).exp() + (-1.6f64).exp()) + 4.0 / 6.0,
    ); // ‖z‖²/10 is 0.9 and 1.6
}

#[test]
fn a_normal_cloud_costs_less_than_one_of_another_place_or_scale() {
    let normals = Draw::new(0, "test", 0, 0).normals(&[1, 200, 4], DType::F64, &Device::Cpu).unwrap();
    let value = |points: Tensor| {
        let found = mmd(1.0).penalty(&Cloud::new(points).unwrap(), &mut Draw::new(0, "test", 0, 0)).unwrap();
        found.to_scalar::<f64>().unwrap()
    };
    // Of normal points the mean is (1 - (1/3)²)/n, for all that a point and itself add
    let normal = value(normals.clone());
    assert!((normal - (1.0 - 1.0 / 9.0) / 200.0).abs() < 2e-3, "{normal}");
    for other in [(&normals + 1.0).unwrap(), (&normals * 0.3).unwrap(), (&normals * 3.0).unwrap()] {
        assert!(value(other) > 0.03);
    }
}

/// The three terms are near 1, 2 and 1, and the value is some 1e-4.
#[test]
fn float32_keeps_the_digits_of_a_wide_kernel() {
    let points = Draw::new(0, "test", 0, 0).normals(&[1, 40, 16], DType::F64, &Device::Cpu).unwrap();
    let points = points.to_dtype(DType::F32).unwrap();
    let draw = || Draw::new(0, "test", 0, 0);
    let by_tensors = |dtype| {
        let value = mmd(40.0).penalty(&Cloud::new(points.to_dtype(dtype).unwrap()).unwrap(), &mut draw()).unwrap();
        value.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap()
    };
    let exact = by_tensors(DType::F64);
    assert!((1e-6..1e-3).contains(&exact), "{exact}");
    let near = |found: f64| (found / exact - 1.0).abs() < 1e-4;
    let narrow = by_tensors(DType::F32);
    assert!(near(narrow), "{narrow}, in float64 {exact}");

    let leaf = Var::from_tensor(&points).unwrap();
    let cloud = Cloud::new(leaf.as_tensor().clone()).unwrap();
    let (by_kernel, _) = differentiate::penalty_by_kernel(&mmd(40.0), &cloud, &[&leaf], 1.0, &mut draw()).unwrap();
    assert!(near(by_kernel.into()), "{by_kernel} by the kernel, in float64 {exact}");
}

#[test]
fn kernels_agree_with_tensor_operations() {
    for bandwidth in [0.5, 1.0, 3.0, 10.0, 100.0] {
        kernel_agrees(&mmd(bandwidth), 1e-5);
    }
    let wide = Draw::new(0, "test", 0, 0).normals(&[1, 150, 256], DType::F64, &Device::Cpu).unwrap();
    kernel_agrees_on(&Mmd::default(), "points of 256 dims", &Cloud::new(wide).unwrap(), 1e-5);
}

#[test]
fn conforms() {
    regatta_core::conformance::conforms::<Mmd>();
}
