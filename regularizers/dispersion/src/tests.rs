use super::*;
use regatta_core::candle::{Device, Var};

fn of(variant: Variant) -> Dispersion {
    Dispersion { variant, ..Default::default() }
}

fn penalty(regularizer: &Dispersion, points: &Tensor) -> Tensor {
    regularizer.penalty(&Cloud::new(points.clone()).unwrap(), &mut Draw::new(0, "test", 0, 0)).unwrap()
}

fn check<const N: usize, const D: usize>(regularizer: Dispersion, points: [[f64; D]; N], expected: f64) {
    let found = penalty(&regularizer, &Tensor::new(&[points], &Device::Cpu).unwrap()).to_scalar::<f64>().unwrap();
    assert!((found - expected).abs() < 1e-12, "{regularizer:?}: {found}, expected {expected}");
}

#[test]
fn a_right_angle_is_0_5_half_turns() {
    check(of(Variant::AngularSpread), [[3.0, 0.0], [0.0, 2.0]], -0.5 + 0.01);
    check(Dispersion { temperature: Positive::new(0.5), ..Default::default() }, [[3.0, 0.0], [0.0, 2.0]], -0.5 / 0.5 + 0.01);
}

#[test]
fn small_angles_are_clamped_to_the_bound() {
    let clamp = Inner::new(0.5); // arccos(0.5) = π/3, a third of a half turn
    check(Dispersion { clamp, ..Default::default() }, [[1.0, 0.0], [1.0, 0.0]], -1.0 / 3.0 + 0.01);
    let orthogonalization = Dispersion { clamp, ..of(Variant::Orthogonalization) };
    check(orthogonalization, [[1.0, 0.0], [1.0, 0.0]], (0.5 - 1.0 / 3.0f64).powi(2));
    check(of(Variant::Orthogonalization), [[1.0, 0.0], [0.0, 1.0]], 0.0);
}

#[test]
fn l2_repel_includes_self_pairs_and_norms() {
    // distances 0, 4, 4, 0; mean(z²) = 1/2
    let temperature = Positive::new(4.0);
    let expected = ((2.0 + 2.0 * (-1f64).exp()) / 4.0).ln() + 0.01 + 0.1 * 0.5;
    check(Dispersion { temperature, ..of(Variant::L2Repel) }, [[1.0, 0.0], [-1.0, 0.0]], expected);
}

#[test]
fn decorrelation_is_over_dims() {
    check(of(Variant::Decorrelation), [[1.0, -1.0, 0.0], [5.0, 3.0, 4.0]], 1.0); // equal up to an offset: correlation 1
    check(of(Variant::Decorrelation), [[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]], 0.0);
    check(of(Variant::Decorrelation), [[2.0, -1.0, -1.0], [1.0, 0.0, -1.0]], 0.75); // 3 / sqrt(6·2), squared
}

#[test]
fn a_point_constant_over_its_dims_has_a_finite_gradient() {
    let points = Var::new(&[[[7f32, 7.0, 7.0], [1.0, 2.0, 4.0]]], &Device::Cpu).unwrap();
    let value = penalty(&of(Variant::Decorrelation), &points);
    assert_eq!(value.to_scalar::<f32>().unwrap(), 0.0);
    let grads = value.backward().unwrap();
    let gradient = grads.get(&points).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(gradient.iter().all(|x| x.is_finite()), "{gradient:?}");
}

#[test]
fn decorrelation_of_one_dim_is_an_error() {
    let line = Cloud::new(Tensor::new(&[[[1f32], [2.0]]], &Device::Cpu).unwrap()).unwrap();
    let error = of(Variant::Decorrelation).penalty(&line, &mut Draw::new(0, "test", 0, 0)).unwrap_err();
    assert_eq!(error.to_string(), "expected points of at least 2 dims, found 1");
}

#[test]
fn perplexity_entropy_of_equal_neighbours() {
    check(of(Variant::PerplexityEntropy), [[1.0, 0.0], [0.0, 1.0]], 1.01f64.log2()); // the only neighbour has weight 1
    // corners of an equilateral triangle: two neighbours of weight 1/2
    let triangle = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    check(of(Variant::PerplexityEntropy), triangle, 0.51f64.log2());
    check(Dispersion { epsilon: NonNegative::new(0.0), ..of(Variant::PerplexityEntropy) }, triangle, -1.0);
}

#[test]
fn a_weight_that_underflows_adds_no_entropy() {
    let epsilon = NonNegative::new(0.0);
    // squared distances 1 and above 9000: the farther neighbour's weight, about exp(-9000), is 0 in float64
    check(Dispersion { epsilon, ..of(Variant::PerplexityEntropy) }, [[0.0, 0.0], [1.0, 0.0], [100.0, 0.0]], 0.0);
}

#[test]
fn inside_the_clamp_gradients_match_finite_differences() {
    let rows = [[1.0, 0.2, -0.3], [-0.4, 1.5, 0.1], [0.3, 0.5, 0.9], [0.4, -0.5, 0.8]];
    for variant in [Variant::AngularSpread, Variant::Orthogonalization] {
        let regularizer = of(variant);
        let points = Var::new(&[rows], &Device::Cpu).unwrap();
        let cosines = cosines(&points, 0.01).unwrap();
        let largest = off_diagonal(&cosines.abs().unwrap(), 0.0).unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(largest < 0.75, "{largest}: expected cosines inside the clamp");

        let grads = penalty(&regularizer, &points).backward().unwrap();
        let gradient = grads.get(&points).unwrap().squeeze(0).unwrap().to_vec2::<f64>().unwrap();
        for (i, k) in (0..4).flat_map(|i| (0..3).map(move |k| (i, k))) {
            let at = |offset: f64| {
                let mut moved = rows;
                moved[i][k] += offset;
                penalty(&regularizer, &Tensor::new(&[moved], &Device::Cpu).unwrap()).to_scalar::<f64>().unwrap()
            };
            let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((gradient[i][k] - expected).abs() < 1e-8, "{variant:?} ({i}, {k}): {} {expected}", gradient[i][k]);
        }
    }
}

/// Beyond the bound the value is constant, but the straight-through gradient is not 0.
#[test]
fn beyond_the_clamp_points_are_still_pushed_apart() {
    let points = Var::new(&[[[1f64, 0.1], [1.0, -0.1]]], &Device::Cpu).unwrap();
    let grads = penalty(&of(Variant::AngularSpread), &points).backward().unwrap();
    let gradient = grads.get(&points).unwrap().squeeze(0).unwrap().to_vec2::<f64>().unwrap();
    assert!(gradient[0][1] < 0.0 && gradient[1][1] > 0.0, "{gradient:?}"); // gradient descent increases the angle
}

#[test]
fn conforms() {
    regatta_core::conformance::conforms::<Dispersion>();
}

#[test]
fn kernels_agree_with_tensor_operations() {
    for variant in
        [Variant::AngularSpread, Variant::L2Repel, Variant::Decorrelation, Variant::Orthogonalization, Variant::PerplexityEntropy]
    {
        regatta_core::conformance::kernel_agrees(&of(variant), 1e-5);
    }
}
