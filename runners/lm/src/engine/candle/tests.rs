//! The kernels' tests compare both engines; here is what candle's has of its own.

use super::{Backward, Pass, Weights};
use crate::engine::kernels::Pass as KernelsPass;
use crate::engine::{Dropout, Keep, Upstream};
use crate::model::testing::{every_option, model, random};
use crate::model::{Map, Model, Parameters};
use crate::spec::Site;
use candle_core::{Device, Tensor};
use regatta_core::Draw;
use regatta_kernels::Precision;

const ALL: Keep = Keep::ForBackward { contributions: true };

fn tokens(count: usize, vocabulary: usize, purpose: &str) -> Vec<u32> {
    let mut draw = Draw::new(0, purpose, 0, 0);
    (0..count).map(|_| draw.below(vocabulary) as u32).collect()
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn on_cpu(model: &Model) -> Weights {
    Weights::upload(model, &Device::Cpu).unwrap()
}

fn pass(weights: &Weights, sequences: usize, time: usize, precision: Precision) -> Pass {
    Pass::new(weights, sequences, time, ALL, precision).unwrap()
}

fn close(what: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
    assert!(scale > 0.0, "{what}: nothing to compare");
    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 2e-5 * scale, "{what} at {at}: {f}, expected {e}");
    }
}

#[test]
fn every_parameter_has_a_gradient_under_every_family_and_option() {
    for decoder in every_option() {
        let weights = on_cpu(&random(decoder));
        let (decoder, specs) = (weights.decoder(), weights.specs());
        let (ids, targets) = (tokens(24, decoder.vocab_size, "ids"), tokens(24, decoder.vocab_size, "targets"));
        let mut pass = pass(&weights, 3, 8, Precision::Float32);
        pass.forward(&weights, &ids, None, None).unwrap();
        let found = pass.backward(&weights, Some((&targets, 24)), &Upstream::default()).unwrap();
        assert_eq!(found.gradients.len(), specs.len());
        for (spec, grad) in specs.iter().zip(&found.gradients) {
            assert_eq!(grad.dims(), spec.shape, "{}", spec.name);
            assert!(!grad.track_op(), "{} holds a graph", spec.name);
            let grad = numbers(grad);
            assert!(grad.iter().all(|x| x.is_finite()) && grad.iter().any(|&x| x != 0.0), "{decoder:?}: {} {grad:?}", spec.name);
        }
    }
}

/// A batch of five sequences at once and in parts of two and three, with dropout and noise on the embeddings.
#[test]
fn parts_of_a_batch_give_the_kernels_whole() {
    let model = model(2);
    let (ids, targets) = (tokens(40, 11, "ids"), tokens(40, 11, "targets"));
    let dropout = Dropout::new(0.2, Draw::new(0, "dropout", 0, 0));
    let noise = |sequence: usize, embeddings: &mut [f32]| {
        embeddings.iter_mut().enumerate().for_each(|(at, x)| *x += 0.1 * (sequence as f32 - (at % 5) as f32));
    };
    let mut whole = KernelsPass::new(model.decoder(), 5, 8, ALL);
    let mut expected = Parameters::zeros(model.decoder());
    whole.perturbed_forward(&model, &ids, Some(&dropout), Some(&noise)).unwrap();
    let expected_losses = whole.backward(&model, &targets, &Upstream::default(), Some(&dropout), &mut expected);

    let weights = on_cpu(&model);
    let (mut losses, mut states, mut sums) = (Vec::new(), Vec::new(), Vec::<Vec<f32>>::new());
    for (first, sequences) in [(0, 2), (2, 3)] {
        let own = 8 * first..8 * (first + sequences);
        let mut pass = pass(&weights, sequences, 8, Precision::Float32);
        pass.starts_at(first);
        pass.forward(&weights, &ids[own.clone()], Some(&dropout), Some(&noise)).unwrap();
        states.extend(numbers(&pass.at(Site::HiddenStates, 0).unwrap()));
        let found = pass.backward(&weights, Some((&targets[own], 40)), &Upstream::default()).unwrap();
        losses.extend(numbers(&found.losses));
        let gradients: Vec<Vec<f32>> = found.gradients.iter().map(numbers).collect();
        match &mut sums[..] {
            [] => sums = gradients,
            sums => sums.iter_mut().flatten().zip(gradients.iter().flatten()).for_each(|(sum, x)| *sum += x),
        }
    }
    assert_eq!(states, whole.hidden_state(0), "the same noise and the same masks");
    close("losses", &losses, &expected_losses);
    for ((spec, expected), found) in expected.each().zip(&sums) {
        close(&spec.name, found, expected);
    }
}

fn losses_and_gradients(pass: &mut Pass, weights: &Weights, dropout: Option<&Dropout>) -> (Vec<f32>, Vec<Vec<f32>>) {
    let (ids, targets) = (tokens(40, 11, "ids"), tokens(40, 11, "targets"));
    pass.forward(weights, &ids, dropout, None).unwrap();
    let Backward { losses, gradients, .. } = pass.backward(weights, Some((&targets, 40)), &Upstream::default()).unwrap();
    (numbers(&losses), gradients.iter().map(numbers).collect())
}

/// Rounding to bfloat16 is off by at most 2⁻⁹ of a number, and the errors of many average out.
#[test]
fn rounded_factors_give_nearly_the_same_losses_and_gradients() {
    let weights = on_cpu(&model(3));
    let passed = |precision| losses_and_gradients(&mut pass(&weights, 5, 8, precision), &weights, None);
    let ((exact, exact_gradients), (rounded, rounded_gradients)) = (passed(Precision::Float32), passed(Precision::BFloat16));
    assert!(exact.iter().zip(&rounded).all(|(x, y)| (x - y).abs() < 0.02 * x), "{exact:?} {rounded:?}");
    assert_ne!(exact, rounded);
    for (spec, (exact, rounded)) in weights.specs().iter().zip(exact_gradients.iter().zip(&rounded_gradients)) {
        let norm = |of: &dyn Fn(f32, f32) -> f32| exact.iter().zip(rounded).map(|(&x, &y)| of(x, y).powi(2)).sum::<f32>().sqrt();
        let off = norm(&|x, y| x - y) / norm(&|x, _| x);
        assert!(off > 0.0 && off < 0.02, "{}: {off} of the gradient's norm", spec.name);
    }
}

#[test]
fn blocks_computed_again_give_the_same_bits() {
    let weights = on_cpu(&model(3));
    let dropout = Dropout::new(0.2, Draw::new(0, "dropout", 0, 0));
    let mut pass = pass(&weights, 5, 8, Precision::Float32);
    let remembered = losses_and_gradients(&mut pass, &weights, Some(&dropout));
    assert_eq!(pass.backward(&weights, None, &Upstream::default()).unwrap().gradients.len(), weights.vars().len());
    let of_attention = numbers(&pass.at(Site::Attention, 2).unwrap());
    pass.recompute(true);
    assert_eq!(losses_and_gradients(&mut pass, &weights, Some(&dropout)), remembered);
    assert_eq!(numbers(&pass.at(Site::Attention, 2).unwrap()), of_attention);
    pass.recompute(false);
    let targets = tokens(40, 11, "targets");
    for _ in 0..2 {
        let again = pass.backward(&weights, Some((&targets, 40)), &Upstream::default()).unwrap();
        assert_eq!(
            again.gradients.iter().map(numbers).collect::<Vec<_>>(),
            remembered.1,
            "a second backward pass after one forward"
        );
    }
}

#[test]
fn forgetful_passes_see_the_same() {
    let (weights, ids, targets) = (on_cpu(&model(3)), [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7]);
    let seen = |keep| {
        let mut pass = Pass::new(&weights, 2, 3, keep, Precision::Float32).unwrap();
        pass.forward(&weights, &ids, None, None).unwrap();
        let state = pass.at(Site::HiddenStates, 3).unwrap();
        assert!(!state.track_op());
        (numbers(&pass.losses(&weights, &targets).unwrap()), numbers(&state))
    };
    assert_eq!(seen(Keep::Last), seen(Keep::HiddenStates));
    assert_eq!(seen(Keep::Last), seen(Keep::ForBackward { contributions: false }));
}

#[test]
fn a_batch_that_does_not_fit_is_refused() {
    let weights = on_cpu(&model(1));
    let refused = |time, ids: &[u32]| {
        let mut pass = Pass::new(&weights, 1, time, Keep::Last, Precision::Float32).unwrap();
        pass.forward(&weights, ids, None, None).unwrap_err().to_string()
    };
    assert_eq!(refused(9, &[0; 9]), "a sequence of 9 tokens in a model of 8 positions");
    assert_eq!(refused(2, &[0, 11]), "token 11 in a vocabulary of 11");
}

#[test]
fn weights_go_to_a_device_and_back() {
    let model = model(2);
    let weights = on_cpu(&model);
    assert_eq!(weights.download().unwrap().parameters().numbers(), model.parameters().numbers());
    let rows = weights.rows(Map::AttentionValue, 1).unwrap();
    assert_eq!((rows.dims(), rows.is_contiguous()), ([16, 16].as_slice(), true));
    assert_eq!(numbers(&rows), model.parameters().rows(model.decoder(), Map::AttentionValue, 1));

    let copy = weights.copy().unwrap();
    weights.embedding().set(&weights.embedding().zeros_like().unwrap()).unwrap();
    assert_eq!(copy.download().unwrap().parameters().numbers(), model.parameters().numbers(), "storage of its own");
    weights.set_from(&copy).unwrap();
    assert_eq!(numbers(weights.unembedding()), model.embedding(), "tied");
}
