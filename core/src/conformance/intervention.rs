//! The promises of an intervention.

use super::kernel::objective_agrees;
use super::{round_trips, written_form};
use crate::{Compared, Draw, Intervention, Outputs};
use candle_core::{Device, Tensor, Var};

/// Numbers of an embedding in the kit.
const DIMS: usize = 6;

/// Checks one configured intervention, whether or not its card lists it.
///
/// # Panics
/// With what was expected and what came, when a promise is broken.
pub fn keeps_its_promises(intervention: &dyn Intervention) {
    round_trips::<dyn Intervention>(&written_form(intervention));
    acts_somewhere(intervention);
    match intervention.perturbs() {
        true => perturbs_by_its_draw_alone(intervention),
        false => leaves_embeddings_alone(intervention),
    }
    match intervention.rounds() {
        true => rounds_by_the_weights_alone(intervention),
        false => leaves_weights_alone(intervention),
    }
    if let Some(compared) = intervention.compares() {
        assert!(intervention.companion().is_some(), "{intervention:?} compares outputs, and names no companion");
        assert!(intervention.weight().is_finite(), "{intervention:?}: a weight that is not finite");
        compares_finite_outputs(intervention, compared);
    }
}

fn acts_somewhere(it: &dyn Intervention) {
    let acts = it.forgets_embedding_every().is_some() || it.rounds() || it.perturbs();
    assert!(acts || it.companion().is_some() || it.compares().is_some(), "{it:?} acts at no place of a step");
}

fn numbers(count: usize, scale: f64) -> Vec<f32> {
    let mut draw = Draw::new(0, "conformance", 0, 0);
    (0..count).map(|_| (scale * draw.normal()) as f32).collect()
}

fn perturbed(it: &dyn Intervention, embeddings: &[f32], step: u64) -> Vec<f32> {
    let mut perturbed = embeddings.to_vec();
    it.perturb(&mut perturbed, DIMS, &mut Draw::new(0, "conformance perturb", step, 0));
    perturbed
}

/// The same draw moves embeddings by the same amount, whatever they are.
fn perturbs_by_its_draw_alone(it: &dyn Intervention) {
    for tokens in [1, 5] {
        let embeddings = numbers(tokens * DIMS, 1.0);
        let once = perturbed(it, &embeddings, 0);
        assert_eq!(bits(&once), bits(&perturbed(it, &embeddings, 0)), "{it:?}: the same draw gives another change");
        assert_ne!(bits(&once), bits(&embeddings), "{it:?} says that it perturbs, and changes nothing");
        let amount = perturbed(it, &vec![0.0; embeddings.len()], 0);
        assert!(amount.iter().all(|x| x.is_finite()), "{it:?}: a change that is not finite");
        for ((x, moved), amount) in embeddings.iter().zip(once).zip(amount) {
            let far = (moved - x - amount).abs() > 1e-6 * (1.0 + x.abs() + amount.abs());
            assert!(!far, "{it:?} moves {x} by {}, and 0 by {amount}: no gradient goes through the change", moved - x);
        }
    }
}

fn leaves_embeddings_alone(it: &dyn Intervention) {
    let embeddings = numbers(5 * DIMS, 1.0);
    assert_eq!(bits(&perturbed(it, &embeddings, 0)), bits(&embeddings), "{it:?} says that it perturbs nothing, and does");
}

fn rounded(it: &dyn Intervention, weights: &[f32], inputs: usize) -> Vec<f32> {
    let mut rounded = weights.to_vec();
    it.round(&mut rounded, inputs, weights.len() / inputs);
    rounded
}

/// Finite weights stay finite, and equal ones are rounded alike.
fn rounds_by_the_weights_alone(it: &dyn Intervention) {
    let weights = numbers(12 * 5, 0.02);
    let once = rounded(it, &weights, 12);
    assert_eq!(bits(&once), bits(&rounded(it, &weights, 12)), "{it:?}: the same weights are rounded otherwise");
    assert_ne!(bits(&once), bits(&weights), "{it:?} says that it rounds, and changes nothing");
    let cases = [("all zero", vec![0.0; 12]), ("near 1e30", numbers(12, 1e30)), ("near 1e-30", numbers(12, 1e-30))];
    for (what, weights) in cases.iter().chain([&("a single one", vec![0.5])]) {
        for inputs in [1, weights.len()] {
            let finite = rounded(it, weights, inputs).iter().all(|x| x.is_finite());
            assert!(finite, "{it:?}: weights {what} are rounded to numbers that are not finite");
        }
    }
}

fn leaves_weights_alone(it: &dyn Intervention) {
    let weights = numbers(12 * 5, 0.02);
    assert_eq!(bits(&rounded(it, &weights, 12)), bits(&weights), "{it:?} says that it rounds nothing, and does");
}

/// Where the outputs are finite, so are objective and gradients; and the companion's is a constant.
fn compares_finite_outputs(it: &dyn Intervention, compared: Compared) {
    let parameters = |seed| it.parameters(DIMS, &mut Draw::new(seed, "conformance parameters", 0, 0)).expect("parameters");
    let shown = |tensors: &[Tensor]| tensors.iter().flat_map(floats).map(f32::to_bits).collect::<Vec<u32>>();
    assert_eq!(shown(&parameters(0)), shown(&parameters(0)), "{it:?}: the same draw gives other parameters");
    let leaves: Vec<Var> = parameters(0).iter().map(|tensor| Var::from_tensor(tensor).expect("a leaf")).collect();
    let tensors: Vec<Tensor> = leaves.iter().map(|leaf| leaf.as_tensor().clone()).collect();
    let output = |numbers: Vec<f32>| Var::from_vec(numbers, (2, 3, DIMS), &Device::Cpu).expect("an output");
    let large = if compared == Compared::Logits { 1e4 } else { 1e3 };
    let equal = vec![0.5; 2 * 3 * DIMS];
    let random = |scale: f64| numbers(2 * 3 * DIMS, scale);
    let opposite = || random(large).into_iter().map(|x| -x).collect::<Vec<f32>>();
    let pairs = [(random(1.0), equal.clone()), (equal.clone(), random(1.0)), (equal.clone(), equal), (random(large), opposite())];
    for (own, companion) in pairs {
        let (own, companion) = (output(own), output(companion));
        let outputs = Outputs { own: own.as_tensor(), companion: companion.as_tensor() };
        let objective = it.objective(&outputs, &tensors).unwrap_or_else(|error| panic!("{it:?}: {error}"));
        assert_eq!(objective.rank(), 0, "{it:?}: an objective that is no scalar");
        let gradients = objective.backward().expect("gradients");
        assert!(gradients.get(&companion).is_none(), "{it:?}: a gradient reaches the companion");
        let slopes = leaves.iter().chain([&own]).filter_map(|leaf| gradients.get(leaf)).flat_map(floats);
        let finite = floats(&objective).into_iter().chain(slopes).all(f32::is_finite);
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
