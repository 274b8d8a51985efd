use super::*;
use crate::model::testing::{every_option, model, random};
use crate::model::{Decoder, Family, Sizes};

#[test]
fn a_pass_is_the_textbooks_model() {
    for layers in [0, 1, 3] {
        check(&model(layers), 5, 7, None); // four parts of one sequence and one left over; positions beyond the seventh unused
    }
}

#[test]
fn every_family_and_option_is_the_textbooks() {
    let drop = Dropout::new(0.2, Draw::new(0, "dropout", 0, 0));
    for decoder in every_option() {
        println!("{decoder:?}");
        let model = random(decoder);
        check(&model, 5, 7, None);
        check(&model, 4, 8, Some(&drop));
    }
}

#[test]
fn dropout_masks_both_ways() {
    let drop = Dropout::new(0.2, Draw::new(0, "dropout", 0, 0));
    for layers in [0, 2] {
        check(&model(layers), 4, 8, Some(&drop));
    }
}

/// Several blocks of attention, parts of several sequences, more parts than are unembedded at once.
#[test]
fn long_sequences_and_large_batches() {
    let spec = Sizes { layers: 1, width: 24, heads: 3, context: 150, mlp_width: 130 };
    let model = Model::fresh(Decoder::new(Family::Gpt2, spec, 150), 0);
    check(&model, 17, 150, None);
    check(&model, 2, 150, Some(&Dropout::new(0.2, Draw::new(0, "dropout", 0, 0))));
}

/// Attention's rows, blocks and registers are filled just so, or by one more or less.
#[test]
fn sequences_and_heads_of_any_size() {
    for (time, width, heads) in [(1, 40, 2), (15, 20, 1), (16, 80, 1), (17, 96, 3), (64, 34, 2), (65, 16, 1)] {
        let spec = Sizes { layers: 1, width, heads, context: time, mlp_width: 20 };
        check(&Model::fresh(Decoder::new(Family::Gpt2, spec, 30), 0), 2, time, None);
    }
}

/// Rounding to bfloat16 is off by at most 2⁻⁹ of a number, and the errors of many average out.
#[test]
fn rounded_factors_give_nearly_the_same_losses_and_gradients() {
    let model = model(3);
    let (ids, targets): (Vec<u32>, Vec<u32>) = ((0..40).map(|i| i * 7 % 11).collect(), (0..40).map(|i| i * 5 % 11).collect());
    let passed = |precision| {
        let mut pass = Pass::in_precision(model.decoder(), 5, 8, Keep::ForBackward { contributions: false }, precision);
        let mut gradients = Parameters::zeros(model.decoder());
        pass.forward(&model, &ids, None).unwrap();
        let losses = pass.backward(&model, &targets, &Upstream::default(), None, &mut gradients);
        (losses, gradients)
    };
    let ((exact, exact_gradients), (rounded, rounded_gradients)) = (passed(Precision::Float32), passed(Precision::BFloat16));
    assert!(exact.iter().zip(&rounded).all(|(x, y)| (x - y).abs() < 0.02 * x), "{exact:?} {rounded:?}");
    assert_ne!(exact, rounded);
    for ((spec, exact), (_, rounded)) in exact_gradients.each().zip(rounded_gradients.each()) {
        let norm = |of: &dyn Fn(f32, f32) -> f32| exact.iter().zip(rounded).map(|(&x, &y)| of(x, y).powi(2)).sum::<f32>().sqrt();
        let off = norm(&|x, y| x - y) / norm(&|x, _| x);
        assert!(off > 0.0 && off < 0.02, "{}: {off} of the gradient's norm", spec.name);
    }
}

#[test]
fn a_later_token_changes_nothing_before_it() {
    let (time, width) = (70, 16);
    let spec = Sizes { layers: 2, width, heads: 2, context: time, mlp_width: 32 };
    let model = Model::fresh(Decoder::new(Family::Gpt2, spec, 11), 0);
    let states = |changed: usize| {
        let mut pass = Pass::new(model.decoder(), 1, time, Keep::HiddenStates);
        let ids: Vec<u32> = (0..time).map(|at| (at * 7 % 10) as u32 + u32::from(at == changed)).collect();
        pass.forward(&model, &ids, None).unwrap();
        pass.hidden_state(2)
    };
    let before = states(time);
    for changed in [0, 3, 20, 69] {
        let after = states(changed);
        let (earlier, later) = after.split_at(changed * width);
        assert_eq!(earlier, &before[..changed * width], "{changed}");
        for (at, (found, before)) in later.chunks(width).zip(before[changed * width..].chunks(width)).enumerate() {
            assert_ne!(found, before, "{at} after {changed}");
        }
    }
}

#[test]
fn forgetful_passes_see_the_same() {
    let (model, ids, targets) = (model(3), [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7]);
    let seen = |keep| {
        let mut pass = Pass::new(model.decoder(), 2, 3, keep);
        pass.forward(&model, &ids, None).unwrap();
        (pass.losses(&model, &targets), pass.hidden_state(3))
    };
    assert_eq!(seen(Keep::Last), seen(Keep::HiddenStates));
    assert_eq!(seen(Keep::Last), seen(Keep::ForBackward { contributions: false }));
}

#[test]
fn a_batch_that_does_not_fit_is_refused() {
    let model = model(1);
    let refused = |time, ids: &[u32]| Pass::new(model.decoder(), 1, time, Keep::Last).forward(&model, ids, None).unwrap_err();
    assert_eq!(refused(9, &[0; 9]).to_string(), "a sequence of 9 tokens in a model of 8 positions");
    assert_eq!(refused(2, &[0, 11]).to_string(), "token 11 in a vocabulary of 11");
}
