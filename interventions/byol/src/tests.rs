use super::*;
use regatta_core::candle::Var;

fn states(numbers: &[f64], t: usize, d: usize) -> Tensor {
    Tensor::from_slice(numbers, (numbers.len() / (t * d), t, d), &Device::Cpu).unwrap()
}

fn tensor(numbers: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap()
}

fn objective(own: &Tensor, companion: &Tensor, parameters: &[Tensor]) -> Result<Tensor> {
    Byol::default().objective(&Outputs { own, companion }, parameters)
}

fn check(own: &[f64], companion: &[f64], t: usize, parameters: &[Tensor], expected: f64) {
    let found = objective(&states(own, t, 2), &states(companion, t, 2), parameters).unwrap().to_scalar::<f64>().unwrap();
    assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
}

fn identity() -> [Tensor; 2] {
    [tensor(&[1.0, 0.0, 0.0, 1.0], &[2, 2]), tensor(&[0.0, 0.0], &[2])]
}

#[test]
fn the_objective_compares_each_position_with_the_next() {
    // the model's last state and the copy's first state are not compared
    check(&[1.0, 0.0, 9.0, 9.0], &[7.0, -3.0, 2.0, 0.0], 2, &identity(), 0.0); // cosine 1
    check(&[1.0, 0.0, 9.0, 9.0], &[7.0, -3.0, 0.0, 5.0], 2, &identity(), 2.0); // cosine 0
    check(&[1.0, 0.0, 9.0, 9.0], &[7.0, -3.0, -1.0, 0.0], 2, &identity(), 4.0); // cosine -1
    // cosines 0.6 and 1 in the first sequence, 0 and -1 in the second: 2 - 2·0.15
    let (own, copy) = (
        [1.0, 0.0, 0.0, 1.0, 9.0, 9.0, 1.0, 0.0, 0.0, 1.0, 9.0, 9.0],
        [8.0, 8.0, 3.0, 4.0, 0.0, 2.0, 8.0, 8.0, 0.0, 1.0, 0.0, -2.0],
    );
    check(&own, &copy, 3, &identity(), 1.7);
}

#[test]
fn the_predictor_is_linear_or_an_mlp() {
    // (1, 0)·W + b = (2, 1)
    let linear = [tensor(&[2.0, 0.0, 5.0, 5.0], &[2, 2]), tensor(&[0.0, 1.0], &[2])];
    check(&[1.0, 0.0, 9.0, 9.0], &[0.0, 0.0, 2.0, 1.0], 2, &linear, 0.0);
    // one hidden unit: 0·z + 100, and GELU(100) = 100; output (100, 0) + (0, 100)
    let mlp = [tensor(&[0.0, 0.0], &[2, 1]), tensor(&[100.0], &[1]), tensor(&[1.0, 0.0], &[1, 2]), tensor(&[0.0, 100.0], &[2])];
    check(&[1.0, 0.0, 9.0, 9.0], &[0.0, 0.0, 1.0, 1.0], 2, &mlp, 0.0);
    check(&[1.0, 0.0, 9.0, 9.0], &[0.0, 0.0, 1.0, 0.0], 2, &mlp, 2.0 - 2f64.sqrt());
}

#[test]
fn gradients_match_finite_differences_and_the_copy_gets_none() {
    let mut draw = Draw::new(0, "test", 0, 0);
    let mut normals = |shape: &[usize]| draw.normals(shape, DType::F64, &Device::Cpu).unwrap();
    let (own, copy) = (normals(&[2, 3, 4]), Var::from_tensor(&normals(&[2, 3, 4])).unwrap());
    let parameters = [normals(&[4, 3]), normals(&[3]), normals(&[3, 4]), normals(&[4])];
    let all: Vec<Var> = [&own].into_iter().chain(&parameters).map(|tensor| Var::from_tensor(tensor).unwrap()).collect();
    let value = |leaves: &[Tensor]| objective(&leaves[0], copy.as_tensor(), &leaves[1..]).unwrap();
    let leaves: Vec<Tensor> = all.iter().map(|leaf| leaf.as_tensor().clone()).collect();
    let gradients = value(&leaves).backward().unwrap();
    assert!(gradients.get(&copy).is_none());
    for (index, leaf) in all.iter().enumerate() {
        let found = gradients.get(leaf).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let numbers = leaf.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for (number, found) in found.into_iter().enumerate() {
            let at = |by: f64| {
                let (mut moved, mut leaves) = (numbers.clone(), leaves.clone());
                moved[number] += by;
                leaves[index] = tensor(&moved, leaf.dims());
                value(&leaves).to_scalar::<f64>().unwrap()
            };
            let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((found - expected).abs() < 1e-8, "tensor {index} at {number}: {found}, expected {expected}");
        }
    }
}

#[test]
fn a_zero_state_has_cosine_0() {
    check(&[0.0, 0.0, 0.0, 0.0], &[0.0, 0.0, 1.0, 0.0], 2, &identity(), 2.0);
}

#[test]
fn initial_predictor_weights_depend_on_the_draw() {
    let start = |hidden: usize, seed: u64| {
        let byol = Byol { hidden: Count::try_from(hidden as u64).unwrap(), ..Byol::default() };
        byol.parameters(64, &mut Draw::new(seed, "test", 0, 0)).unwrap()
    };
    let shapes = |hidden| start(hidden, 0).iter().map(|tensor| tensor.dims().to_vec()).collect::<Vec<_>>();
    assert_eq!(shapes(0), [vec![64, 64], vec![64]]);
    assert_eq!(shapes(96), [vec![64, 96], vec![96], vec![96, 64], vec![64]]);
    let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (one, other) = (start(96, 0), start(96, 1));
    assert_eq!(numbers(&one[0]), numbers(&start(96, 0)[0]));
    assert_ne!(numbers(&one[0]), numbers(&other[0]));
    assert_ne!(numbers(&one[0])[..64], numbers(&one[2])[..64]);
    let weights = numbers(&one[0]);
    let deviation = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
    assert!((deviation - 0.02).abs() < 0.001, "{deviation}");
    assert!(numbers(&one[1]).iter().all(|&bias| bias == 0.0));
}

#[test]
fn fields_are_parsed_and_invalid_values_rejected() {
    let read = |json: &str| serde_json::from_str::<Box<dyn Intervention>>(json).map_err(|error| error.to_string());
    let found = read(r#"{"byol": {"hidden": 0}}"#).unwrap();
    assert_eq!(serde_json::to_string(&found).unwrap(), r#"{"byol":{"decay":0.99,"hidden":0,"weight":1.0}}"#);
    assert!(read(r#"{"byol": {"decay": 1.0}}"#).unwrap_err().contains("from 0 to below 1, found 1"));
    assert!(read(r#"{"byol": {"hidden": -1}}"#).is_err());
    assert!(objective(&states(&[1.0, 2.0], 1, 2), &states(&[1.0, 2.0], 1, 2), &identity()).is_err());
}

#[test]
fn conforms() {
    regatta_core::conformance::intervention_conforms::<Byol>();
}
