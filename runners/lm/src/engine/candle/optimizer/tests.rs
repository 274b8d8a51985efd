//! Against the optimizer of the host, update by update.

use super::*;
use crate::model::{Family, Sizes};
use crate::optimizer::Optimizer as Host;
use regatta_core::Draw;
use serde_json::{Value, json};
use std::ops::Range;

const STEPS: usize = 20;
const DEVICE: Device = Device::Cpu;

fn train(optimizer: &Value) -> TrainSpec {
    serde_json::from_value(json!({ "lr": 0.01, "optimizer": optimizer })).unwrap()
}

fn decoder(family: Family) -> Decoder {
    Decoder::new(family, Sizes { layers: 2, width: 8, heads: 2, context: 4, mlp_width: 12 }, 300)
}

/// Draws from a normal distribution, apart by `what` and `step`.
fn drawn(like: &Parameters, what: &str, step: usize) -> Parameters {
    let (mut drawn, mut draw) = (like.clone(), Draw::new(7, what, step as u64, 0));
    drawn.numbers_mut().iter_mut().for_each(|x| *x = draw.normal() as f32);
    drawn
}

fn tensors(parameters: &Parameters) -> Vec<Tensor> {
    parameters.each().map(|(spec, numbers)| Tensor::from_slice(numbers, &*spec.shape, &DEVICE).unwrap()).collect()
}

fn vars(parameters: &Parameters) -> Vec<Var> {
    tensors(parameters).iter().map(|tensor| Var::from_tensor(tensor).unwrap()).collect()
}

fn numbers(tensors: &[Var]) -> Vec<Vec<f32>> {
    tensors.iter().map(|tensor| tensor.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

/// What happens in a step beside the gradients.
fn events(step: usize) -> (f64, f64, Option<Pace>) {
    let factor = if step == 0 { 0.0 } else { 1.0 - 0.03 * step as f64 };
    let clip = [1.0, 0.3, 0.01][step % 3];
    let pace = Pace { factor: 2.0 * factor, updates: (step % 8 + 1) as i32 };
    (factor, clip, Some(pace).filter(|_| step >= 8))
}

/// Both optimizers from the same start.
struct Both {
    host: Host,
    candle: Optimizer,
    parameters: Parameters,
    vars: Vec<Var>,
}

impl Both {
    fn new(decoder: &Decoder, train: &TrainSpec) -> Self {
        let parameters = drawn(&Parameters::zeros(decoder), "weights", 0);
        let candle = Optimizer::new(decoder, train, &DEVICE).unwrap();
        Self { host: Host::new(decoder, train), candle, vars: vars(&parameters), parameters }
    }

    fn steps(&mut self, steps: Range<usize>) {
        for step in steps {
            let gradients = drawn(&self.parameters, "gradients", step);
            let (factor, clip, pace) = events(step);
            if step == 8 {
                self.host.forget_embedding();
                self.candle.forget_embedding().unwrap();
            }
            self.host.step(&mut self.parameters, &gradients, factor, clip, pace);
            self.candle.step(&self.vars, &tensors(&gradients), factor, clip, pace).unwrap();
        }
    }

    /// The largest difference of a tensor's numbers, over its largest number.
    fn difference(&self) -> f64 {
        let (state, host) = (self.candle.state().unwrap(), self.host.state());
        let found = state.iter().flat_map(|(group, state)| state.each().map(move |(spec, x)| (*group, spec, x.to_vec())));
        let expected = host.iter().flat_map(|(group, state)| state.each().map(move |(spec, x)| (*group, spec, x)));
        let (found, expected): (Vec<_>, Vec<_>) = (found.collect(), expected.collect());
        assert_eq!(found.len(), expected.len());
        let mut pairs = Vec::new();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!((found.0, found.1), (expected.0, expected.1));
            pairs.push((&*found.2, expected.2));
        }
        let weights = numbers(&self.vars);
        pairs.extend(weights.iter().zip(self.parameters.each()).map(|(found, (_, expected))| (&**found, expected)));
        let relative = |(found, expected): (&[f32], &[f32])| {
            assert_eq!(found.len(), expected.len());
            let largest = expected.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            let apart = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0f32, f32::max);
            f64::from(if apart == 0.0 { 0.0 } else { apart / largest })
        };
        pairs.into_iter().map(relative).fold(0.0, f64::max)
    }
}

fn all() -> Vec<Value> {
    vec![
        json!("adamw"),
        json!({"adamw": {"betas": [0.0, 0.999], "epsilon": 1e-3, "weight_decay": 0}}),
        json!({"adamw": {
            "embedding": {"lr": 0.1, "weight_decay": 0.5}, "matrices": {"lr": 0.02}, "biases": {"weight_decay": 1},
            "norms": {"lr": 0.03}, "positions": {"lr": 0.001}
        }}),
        json!("muon"),
        json!({"muon": {"nesterov": false, "scale": "original", "steps": 3, "lr": 0.2, "momentum": 0.8, "weight_decay": 0}}),
        json!("coupled_adam"),
        json!({"coupled_adam": {"coupled": "both", "adamw": {"weight_decay": 0.3, "embedding": {"lr": 0.05}}}}),
    ]
}

/// 20 steps with warm-up from 0, clipping, and an embedding that is forgotten at the ninth and goes at a pace of its own.
#[test]
fn both_optimizers_agree() {
    for family in [Family::Gpt2, Family::Llama] {
        for optimizer in all() {
            let (decoder, mut train) = (decoder(family), train(&optimizer));
            if let OptimizerSpec::AdamW(adamw) = &mut train.optimizer {
                adamw.positions = adamw.positions.filter(|_| family == Family::Gpt2);
            }
            let mut both = Both::new(&decoder, &train);
            let start = both.parameters.clone();
            both.steps(0..STEPS);
            let apart = both.difference();
            assert!(apart < 1e-5, "{family:?}, {optimizer}: {apart}");
            assert_eq!(both.candle.updates(), STEPS);
            let moved = |((_, now), (_, then)): ((_, &[f32]), (_, &[f32]))| now.iter().zip(then).all(|(now, then)| now != then);
            assert!(both.parameters.each().zip(start.each()).all(moved), "every weight moved");
        }
    }
}

#[test]
fn an_optimizer_that_is_read_back_goes_on_to_the_same_bytes() {
    for optimizer in all().into_iter().filter(|optimizer| optimizer["adamw"]["positions"].is_null()) {
        let (decoder, train) = (decoder(Family::Llama), train(&optimizer));
        let mut both = Both::new(&decoder, &train);
        both.steps(0..11);
        let (state, updates) = (both.candle.state().unwrap(), both.candle.updates());
        let (weights, mut host) = (vars(&both.parameters), Host::new(&decoder, &train));
        weights.iter().zip(&both.vars).for_each(|(copy, var)| copy.set(var).unwrap());
        both.steps(11..STEPS);
        let mut again = Optimizer::new(&decoder, &train, &DEVICE).unwrap();
        again.restore(state.iter().map(|(_, state)| state.clone()), updates).unwrap();
        assert_eq!(again.updates(), 11);
        for step in 11..STEPS {
            let (factor, clip, pace) = events(step);
            again.step(&weights, &tensors(&drawn(&both.parameters, "gradients", step)), factor, clip, pace).unwrap();
        }
        assert_eq!(numbers(&weights), numbers(&both.vars), "{optimizer}");
        let bits = |state: &[(&'static str, Parameters)]| state.iter().map(|(_, x)| x.numbers().to_vec()).collect::<Vec<_>>();
        assert_eq!(bits(&again.state().unwrap()), bits(&both.candle.state().unwrap()), "{optimizer}");
        host.restore(state.iter().map(|(_, state)| state.clone()), updates); // as a checkpoint of the other engine
        let groups =
            |state: Vec<(&'static str, &Parameters)>| state.iter().map(|(_, x)| x.numbers().to_vec()).collect::<Vec<_>>();
        assert_eq!(groups(host.state()), bits(&state), "{optimizer}");
    }
}

/// Matrices (2, 3) and vectors (3) of an intervention; only the former decay.
#[test]
fn own_parameters_are_updated_by_adamw() {
    use crate::model::TensorSpec;
    let shapes = [vec![2, 3], vec![3], vec![]];
    let specs = shapes.into_iter().zip(0..).map(|(shape, number)| TensorSpec::own(format!("own.{number}"), shape));
    let mut parameters = drawn(&Parameters::of(specs.collect()), "weights", 0);
    for optimizer in [json!("adamw"), json!("muon"), json!("coupled_adam")] {
        let train = train(&optimizer);
        let vars = vars(&parameters);
        let (mut host, mut candle) =
            (Host::of_own(&parameters, &train), Optimizer::of_own(&parameters, &train, &DEVICE).unwrap());
        for step in 0..STEPS {
            let gradients = drawn(&parameters, "gradients", step);
            host.step(&mut parameters, &gradients, 1.0, 0.5, None);
            candle.step(&vars, &tensors(&gradients), 1.0, 0.5, None).unwrap();
        }
        let found = numbers(&vars).concat();
        assert!(found.iter().zip(parameters.numbers()).all(|(f, e)| (f - e).abs() < 1e-5), "{optimizer}: {found:?}");
    }
}

/// Variables are leaves of a graph: what an update keeps must not hold the graph of the step before.
#[test]
fn nothing_that_is_kept_remembers_how_it_was_made() {
    for optimizer in [json!("adamw"), json!("muon"), json!({"coupled_adam": {"coupled": "both"}})] {
        let decoder = decoder(Family::Llama);
        let mut candle = Optimizer::new(&decoder, &train(&optimizer), &DEVICE).unwrap();
        let vars = vars(&drawn(&Parameters::zeros(&decoder), "weights", 0));
        let gradients: Vec<Tensor> = vars.iter().map(|var| var.affine(2.0, 0.0).unwrap()).collect();
        assert!(gradients.iter().all(Tensor::track_op));
        candle.step(&vars, &gradients, 1.0, 1.0, None).unwrap();
        assert!(
            candle.buckets.iter().flat_map(|bucket| bucket.moments.groups()).all(|(_, kept)| !kept.track_op()),
            "{optimizer}"
        );
    }
}
