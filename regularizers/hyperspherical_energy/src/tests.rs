use super::*;
use regatta_core::candle::{DType, Device};
use regatta_core::conformance::{kernel_agrees, kernel_agrees_on};
use regatta_core::{Plugin, serde_json};

fn of(s: Power, epsilon: f64) -> HypersphericalEnergy {
    HypersphericalEnergy { s, epsilon: Positive::new(epsilon) }
}

fn check<const N: usize>(s: Power, epsilon: f64, points: [[f64; 2]; N], expected: f64) {
    let cloud = Cloud::new(Tensor::new(&[points], &Device::Cpu).unwrap()).unwrap();
    let found = of(s, epsilon).penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
    assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
}

#[test]
fn a_right_angle_by_hand() {
    let points = [[3.0, 0.0], [0.0, 0.5]]; // squared distance 2 of the directions; with ε = 2, q = 4
    check(Power::Two, 2.0, points, 0.25);
    check(Power::One, 2.0, points, 0.5);
    check(Power::Zero, 2.0, points, -2f64.ln());
}

#[test]
fn equal_directions_are_finite() {
    let points = [[1.0, 0.0], [7.0, 0.0]]; // q = ε
    check(Power::Two, 0.25, points, 4.0);
    check(Power::One, 0.25, points, 2.0);
    check(Power::Zero, 0.25, points, 2f64.ln());
    check(Power::Two, 0.5, [[0.0, 0.0], [0.0, 2.0]], 1.0 / 1.5); // a zero vector stays zero: distance 1
}

#[test]
fn the_energy_is_the_mean_over_pairs() {
    // squared distances 2, 2 and 4, each twice; with ε = 2, q is 4, 4 and 6
    check(Power::Two, 2.0, [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], (0.25 + 0.25 + 1.0 / 6.0) / 3.0);
}

#[test]
fn the_power_is_0_1_or_2() {
    let read = |s: &str| serde_json::from_str::<Plugin>(&format!(r#"{{"hyperspherical_energy": {{"s": {s}}}}}"#));
    for s in ["0", "1", "2"] {
        let written = serde_json::to_value(read(s).unwrap()).unwrap();
        assert_eq!(written["hyperspherical_energy"]["s"].to_string(), s);
    }
    assert!(read("3").unwrap_err().to_string().contains("expected 0, 1 or 2, found 3"));
    assert!(read("1.5").is_err());
}

#[test]
fn kernels_agree_with_tensor_operations() {
    for s in [Power::Zero, Power::One, Power::Two] {
        for epsilon in [1e-4, 1e-3, 0.1] {
            kernel_agrees(&of(s, epsilon), 1e-5);
        }
    }
}

/// Half of the points lie a thousandth or so from the other half: products alone would lose their distances.
#[test]
fn near_pairs_keep_their_digits() {
    let normals = |index, count| Draw::new(0, "test", index, 0).normals(&[1, count, 24], DType::F64, &Device::Cpu).unwrap();
    let spread = normals(0, 150);
    let near = (&spread + (normals(1, 150) * 1e-3).unwrap()).unwrap();
    let clouds = [
        ("pairs", Tensor::cat(&[&spread, &near], 1).unwrap()),
        ("equal pairs", Tensor::cat(&[&spread, &spread], 1).unwrap()),
        ("a cluster among others", Tensor::cat(&[&((normals(2, 150) * 0.05).unwrap() + 1.0).unwrap(), &spread], 1).unwrap()),
    ];
    for (what, points) in clouds {
        for s in [Power::Zero, Power::One, Power::Two] {
            kernel_agrees_on(&of(s, 1e-4), what, &Cloud::new(points.clone()).unwrap(), 1e-5);
        }
    }
}

#[test]
fn conforms() {
    regatta_core::conformance::conforms::<HypersphericalEnergy>();
}
