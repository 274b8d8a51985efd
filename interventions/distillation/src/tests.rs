use super::*;
use regatta_core::candle::{DType, Device, Var};
use regatta_core::differentiate;

fn plugin(json: &str) -> std::result::Result<Box<dyn Intervention>, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// How the objective is computed.
#[derive(Debug, Clone, Copy)]
enum By {
    Tensors(DType),
    Kernel,
}

const COMPUTATIONS: [(By, f64); 3] = [(By::Tensors(DType::F64), 1e-12), (By::Tensors(DType::F32), 2e-6), (By::Kernel, 2e-6)];

/// Objective and gradient of one token for each pair of rows.
fn found<const V: usize>(own: &[[f64; V]], teacher: &[[f64; V]], temperature: f64, by: By) -> (f64, Vec<f64>) {
    let dtype = if let By::Tensors(dtype) = by { dtype } else { DType::F32 };
    let tensor = |rows: &[[f64; V]]| {
        let numbers = rows.concat();
        Tensor::from_vec(numbers, (1, rows.len(), V), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    };
    let (own, companion) = (Var::from_tensor(&tensor(own)).unwrap(), tensor(teacher));
    let plugin = Distillation { temperature: Positive::new(temperature), ..Distillation::default() };
    if let By::Kernel = by {
        let (value, gradients) = differentiate::objective(&plugin, (&own, &companion), &[], 1.0).unwrap();
        return (value.into(), gradients.into_iter().flatten().flatten().map(f64::from).collect());
    }
    let objective = plugin.objective(&Outputs { own: own.as_tensor(), companion: &companion }, &[]).unwrap();
    let gradients = objective.backward().unwrap();
    let numbers = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    (numbers(&objective)[0], numbers(gradients.get(&own).unwrap()))
}

fn check<const V: usize>(own: &[[f64; V]], teacher: &[[f64; V]], temperature: f64, value: f64, gradient: &[f64]) {
    for (by, tolerance) in COMPUTATIONS {
        let (found_value, found_gradient) = found(own, teacher, temperature, by);
        assert!((found_value - value).abs() < tolerance, "{by:?}: {found_value}, expected {value}");
        assert_eq!(found_gradient.len(), gradient.len());
        let close = found_gradient.iter().zip(gradient).all(|(f, e)| (f - e).abs() < tolerance);
        assert!(close, "{by:?}: {found_gradient:?}, expected {gradient:?}");
    }
}

#[test]
fn divergence_and_gradient_of_one_token() {
    let ln3 = 3f64.ln();
    // p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 ln(3/2) + 1/4 ln(1/2)
    let divergence = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
    check(&[[0.0, 0.0]], &[[ln3, 0.0]], 1.0, divergence, &[-0.25, 0.25]);
    // at T = 2, logits of 2 ln 3 give the same p; the factor is T² = 4 in the value, and T = 2 in the gradient T (q - p)
    check(&[[5.0, 5.0]], &[[2.0 * ln3, 0.0]], 2.0, 4.0 * divergence, &[-0.5, 0.5]);
}

#[test]
fn tokens_are_averaged() {
    let ln3 = 3f64.ln();
    let divergence = 0.75 * 1.5f64.ln() + 0.25 * 0.5f64.ln();
    check(&[[0.0, 0.0], [1.0, 2.0]], &[[ln3, 0.0], [4.0, 5.0]], 1.0, divergence / 2.0, &[-0.125, 0.125, 0.0, 0.0]);
}

#[test]
fn a_model_that_agrees_with_its_teacher_has_no_gradient() {
    check(&[[7.0, 7.0, 7.0]], &[[-3.0, -3.0, -3.0]], 2.0, 0.0, &[0.0; 3]);
    check(&[[1.0, 2.0, -4.0]], &[[1.0, 2.0, -4.0]], 0.5, 0.0, &[0.0; 3]);
}

#[test]
fn extreme_logits_stay_finite() {
    for (own, teacher) in [([1e4, -1e4], [-1e4, 1e4]), ([1e30, -1e30], [1e30, -1e30]), ([0.0, 0.0], [3e4, -3e4])] {
        for (by, _) in COMPUTATIONS {
            let (value, gradient) = found(&[own], &[teacher], 2.0, by);
            assert!(value.is_finite() && gradient.iter().all(|x| x.is_finite()), "{own:?}, {teacher:?}: {value}, {gradient:?}");
        }
    }
    // p is all on the second token, q all on the first: the value is T² (2e4 / T) = 4e4, the gradient T (q - p)
    check(&[[1e4, -1e4]], &[[-1e4, 1e4]], 2.0, 4e4, &[2.0, -2.0]);
}

/// 37 logits are more than one SIMD register and not a whole number of them.
#[test]
fn the_kernel_agrees_with_tensor_operations() {
    let mut draw = regatta_core::Draw::new(0, "test", 0, 0);
    let mut rows = || std::array::from_fn::<[f64; 37], 5, _>(|_| std::array::from_fn(|_| 3.0 * draw.normal()));
    let (own, teacher) = (rows(), rows());
    let (value, gradient) = found(&own, &teacher, 1.7, By::Tensors(DType::F64));
    let (kernel_value, kernel_gradient) = found(&own, &teacher, 1.7, By::Kernel);
    assert!((value - kernel_value).abs() < 1e-5 * value, "{value}, {kernel_value}");
    assert!(gradient.iter().zip(kernel_gradient).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn a_teacher_with_another_vocabulary_is_rejected() {
    let [own, companion] = [3, 4].map(|v| Tensor::zeros((1, 2, v), DType::F32, &Device::Cpu).unwrap());
    assert!(Distillation::default().objective(&Outputs { own: &own, companion: &companion }, &[]).is_err());
    let error = differentiate::objective_by_kernel(&Distillation::default(), &own, &companion, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "expected outputs of the same shape, found [1, 2, 3] and the companion's [1, 2, 4]");
}

#[test]
fn fields_are_parsed_and_invalid_values_rejected() {
    let read = plugin(r#"{"distillation": {"teacher": "large", "temperature": 4.0}}"#).unwrap();
    let Some(Action::Objective(objective)) = read.action() else { panic!("{read:?}") };
    assert_eq!(objective.companion(), Companion::Checkpoint("large".into()));
    assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"distillation":{"teacher":"large","temperature":4.0,"weight":1.0}}"#);
    let error = plugin(r#"{"distillation": {"temperature": 0.0}}"#).unwrap_err();
    assert!(error.contains("expected a finite number above 0, found 0"), "{error}");
    assert!(plugin(r#"{"distillation": {"weight": -1.0}}"#).unwrap_err().contains("0 or above, found -1"));
    assert!(plugin(r#"{"distillation": {"techer": "x"}}"#).unwrap_err().contains("unknown field `techer`"));
}

#[test]
fn conforms() {
    regatta_core::conformance::intervention_conforms::<Distillation>();
}
