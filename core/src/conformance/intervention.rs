//! Checks of an intervention.

use super::kernel::objective_agrees;
use super::{round_trips, written_form};
use crate::{
    Action, Companion, CompanionObjective, Compared, Draw, EmbeddingNoise, Intervention, OutputGate, OutputUpdate, Outputs,
    WeightRounding,
};
use candle_core::{DType, Device, Tensor, Var};
use std::path::Path;

/// Width of the embeddings in the kit.
const DIMS: usize = 6;

/// Checks one configured intervention, whether or not its card lists it.
///
/// # Panics
/// When a check fails, with what was expected and what was found.
pub fn keeps_its_promises(intervention: &dyn Intervention) {
    let written = written_form(intervention);
    round_trips::<dyn Intervention>(&written);
    match intervention.action().unwrap_or_else(|| panic!("{intervention:?} is turned off by its settings: no place to check")) {
        Action::EmbeddingReset { lr_factor, .. } => {
            assert!(
                lr_factor.is_finite() && lr_factor > 0.0,
                "{intervention:?}: expected a finite factor above 0, found {lr_factor}"
            );
        }
        Action::EmbeddingNoise(noise) => noise_depends_on_the_draw_alone(noise),
        Action::WeightRounding(rounding) => rounding_depends_on_the_weights_alone(rounding),
        Action::Objective(objective) => {
            assert!(objective.weight().is_finite(), "{objective:?}: a weight that is not finite");
            finite_outputs_have_finite_gradients(objective);
        }
        Action::LogNormalizer { weight } => {
            assert!(weight.is_finite() && weight > 0.0, "{intervention:?}: expected a finite weight above 0, found {weight}");
        }
        Action::OutputGate(gate) => gates_depend_on_the_counts_alone(gate),
        Action::OutputUpdate(update) => updates_depend_on_the_matrix_alone(update),
    }
    a_checkpoint_is_one_of_its_folders(&written);
}

/// The runner would look for any other checkpoint in the wrong place, and leave it out of a trial's identity.
fn a_checkpoint_is_one_of_its_folders(written: &str) {
    let mut copy: Box<dyn Intervention> = serde_json::from_str(written).expect("it was read back before");
    copy.folders().into_iter().for_each(|(field, folder)| *folder = Path::new("conformance").join(field));
    let Some(Action::Objective(objective)) = copy.action() else { return };
    let Companion::Checkpoint(used) = objective.companion() else { return };
    assert!(used.starts_with("conformance"), "{objective:?}: the checkpoint {} is not one of `folders`", used.display());
}

fn numbers(count: usize, scale: f64) -> Vec<f32> {
    let mut draw = Draw::new(0, "conformance", 0, 0);
    (0..count).map(|_| (scale * draw.normal()) as f32).collect()
}

/// The same counts give the same gates, between 0 and 1, each for a token of its own, in any vocabulary and from the first step on.
fn gates_depend_on_the_counts_alone(gate: &dyn OutputGate) {
    let some = (0..40).map(|token| token * token).collect::<Vec<u64>>();
    for (counts, steps) in [(some.clone(), 1), (some, gate.memory().get()), (vec![0; 7], 1), (vec![5], 1)] {
        let gates = gate.gates(&counts, steps);
        assert_eq!(gates, gate.gates(&counts, steps), "{gate:?}: the same counts give other gates");
        let mut tokens: Vec<u32> = gates.iter().map(|row| row.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), gates.len(), "{gate:?}: a token has two gates");
        assert!(tokens.iter().all(|&token| (token as usize) < counts.len()), "{gate:?}: a token outside the vocabulary");
        let within = |row: &crate::RowGate| [row.from_others, row.from_gated].iter().all(|gate| (0.0..=1.0).contains(gate));
        assert!(gates.iter().all(within), "{gate:?}: a gate outside [0, 1]: {gates:?}");
    }
}

/// The same matrix becomes the same matrix, which is finite and another one, also where it has one row.
fn updates_depend_on_the_matrix_alone(update: &dyn OutputUpdate) {
    for rows in [1, 7] {
        let before = numbers(rows * DIMS, 1.0);
        let updated = || {
            let mut matrix = before.clone();
            update.apply(&mut matrix, DIMS);
            matrix
        };
        let once = updated();
        assert_eq!(bits(&once), bits(&updated()), "{update:?}: the same matrix becomes another one");
        assert!(once.iter().all(|x| x.is_finite()), "{update:?}: a matrix that is not finite");
        assert!(once != before, "{update:?}: a matrix of {rows} rows is left as it was");
        let tensor = Tensor::from_slice(&before, (rows, DIMS), &Device::Cpu).expect("a matrix");
        let on_device = update.apply_on_device(&tensor).unwrap_or_else(|error| panic!("{update:?}: {error}"));
        is_near(&format!("{update:?}: `apply_on_device`"), on_device.as_ref(), &[rows, DIMS], &once);
    }
}

/// What is found on a device, where there is something, is what loops on slices give, within 1e-5 of the largest number.
fn is_near(what: &str, found: Option<&Tensor>, shape: &[usize], expected: &[f32]) {
    let Some(found) = found else { return };
    assert_eq!((found.dims(), found.dtype()), (shape, DType::F32), "{what}: a tensor of another kind");
    let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    let near = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 1e-5 * largest;
    let found = floats(found);
    let other = found.iter().zip(expected).find(|&pair| !near(pair));
    assert!(other.is_none(), "{what}: a number and that on slices, where the largest is {largest}: {other:?}");
}

/// The same draw gives the same noise, which is finite and not all 0.
fn noise_depends_on_the_draw_alone(it: &dyn EmbeddingNoise) {
    for tokens in [1, 5] {
        let noise = || {
            let mut noise = vec![0.0; tokens * DIMS];
            it.noise(&mut noise, DIMS, &mut Draw::new(0, "conformance perturb", 0, 0));
            noise
        };
        let once = noise();
        assert_eq!(bits(&once), bits(&noise()), "{it:?}: the same draw makes other noise");
        assert!(once.iter().all(|x| x.is_finite()), "{it:?}: noise that is not finite");
        assert!(once.iter().any(|x| *x != 0.0), "{it:?}: no noise for {tokens} tokens of {DIMS} dims");
    }
}

/// The same weights are rounded to the same numbers, which differ from the weights. Finite weights stay finite.
fn rounding_depends_on_the_weights_alone(it: &dyn WeightRounding) {
    let rounded = |weights: &[f32], inputs: usize| {
        let mut rounded = weights.to_vec();
        it.round(&mut rounded, inputs, weights.len() / inputs);
        rounded
    };
    let weights = numbers(12 * 5, 0.02);
    let once = rounded(&weights, 12);
    assert_eq!(bits(&once), bits(&rounded(&weights, 12)), "{it:?}: the same weights are rounded to other numbers");
    assert_ne!(bits(&once), bits(&weights), "{it:?} rounds 12·5 normal weights to themselves");
    let on_device = |weights: &[f32], inputs: usize| {
        let weights = Tensor::from_slice(weights, (inputs, weights.len() / inputs), &Device::Cpu).expect("weights");
        it.round_on_device(&weights).unwrap_or_else(|error| panic!("{it:?}: {error}"))
    };
    let near = |weights: &[f32], inputs: usize, expected: &[f32]| {
        let shape = [inputs, weights.len() / inputs];
        is_near(&format!("{it:?}: `round_on_device`"), on_device(weights, inputs).as_ref(), &shape, expected);
    };
    near(&weights, 12, &once);
    let cases = [("all zero", vec![0.0; 12]), ("near 1e30", numbers(12, 1e30)), ("near 1e-30", numbers(12, 1e-30))];
    for (what, weights) in cases.iter().chain([&("a single one", vec![0.5])]) {
        for inputs in [1, weights.len()] {
            let rounded = rounded(weights, inputs);
            let finite = rounded.iter().all(|x| x.is_finite());
            assert!(finite, "{it:?}: weights {what} are rounded to numbers that are not finite");
            near(weights, inputs, &rounded);
        }
    }
}

/// Finite outputs give a finite objective and finite gradients, and the companion's output gets no gradient.
fn finite_outputs_have_finite_gradients(it: &dyn CompanionObjective) {
    let parameters = |seed| it.parameters(DIMS, &mut Draw::new(seed, "conformance parameters", 0, 0)).expect("parameters");
    let shown = |tensors: &[Tensor]| tensors.iter().flat_map(floats).map(f32::to_bits).collect::<Vec<u32>>();
    assert_eq!(shown(&parameters(0)), shown(&parameters(0)), "{it:?}: the same draw gives other parameters");
    let leaves: Vec<Var> = parameters(0).iter().map(|tensor| Var::from_tensor(tensor).expect("a leaf")).collect();
    let tensors: Vec<Tensor> = leaves.iter().map(|leaf| leaf.as_tensor().clone()).collect();
    assert!(tensors.is_empty() || it.kernel().is_none(), "{it:?}: a kernel has no gradient for its {} parameters", tensors.len());
    let output = |numbers: Vec<f32>| Var::from_vec(numbers, (2, 3, DIMS), &Device::Cpu).expect("an output");
    let large = if it.compared() == Compared::Logits { 1e4 } else { 1e3 };
    let equal = vec![0.5; 2 * 3 * DIMS];
    let random = |scale: f64| numbers(2 * 3 * DIMS, scale);
    let opposite = || random(large).into_iter().map(|x| -x).collect::<Vec<f32>>();
    let pairs = [(random(1.0), equal.clone()), (equal.clone(), random(1.0)), (equal.clone(), equal), (random(large), opposite())];
    for (own, companion) in pairs {
        let (own, companion) = (output(own), output(companion));
        let outputs = Outputs { own: own.as_tensor(), companion: companion.as_tensor() };
        let objective = it.objective(&outputs, &tensors).unwrap_or_else(|error| panic!("{it:?}: {error}"));
        assert_eq!(objective.rank(), 0, "{it:?}: an objective that is not a scalar");
        let gradients = objective.backward().expect("gradients");
        assert!(gradients.get(&companion).is_none(), "{it:?}: a gradient reaches the companion");
        let found = leaves.iter().chain([&own]).filter_map(|leaf| gradients.get(leaf)).flat_map(floats);
        let finite = floats(&objective).into_iter().chain(found).all(f32::is_finite);
        assert!(finite, "{it:?}: finite outputs, and an objective or gradients that are not");
        objective_agrees(it, &own, &companion);
    }
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|tensor| tensor.to_vec1()).expect("float32")
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}
