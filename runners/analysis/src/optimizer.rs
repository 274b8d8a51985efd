//! The optimizer of a study in words.

use regatta_lm::spec::{AdamWSpec, Coupled, CoupledAdamSpec, GroupSpec, MuonScale, MuonSpec, OptimizerSpec};
use serde_json::Value;

/// `AdamW, betas [0.9, 0.95], weight decay 0.1`
pub(super) fn in_words(optimizer: &OptimizerSpec) -> String {
    match optimizer {
        OptimizerSpec::AdamW(spec) => format!("AdamW, {}", adamw(spec)),
        OptimizerSpec::Muon(spec) => muon(spec),
        OptimizerSpec::CoupledAdam(CoupledAdamSpec { coupled, adamw: spec }) => {
            let matrices = match coupled {
                Coupled::Embedding => "the embedding",
                Coupled::Unembedding => "the output matrix",
                Coupled::Both => "the embedding and the output matrix",
            };
            format!("Coupled Adam (one second moment for all tokens of {matrices}), {}", adamw(spec))
        }
    }
}

fn muon(spec: &MuonSpec) -> String {
    let lr = spec.lr.map_or(String::new(), |lr| format!("lr {}, ", number(lr.get())));
    let kind = if spec.nesterov { "momentum" } else { "plain momentum" };
    let scale = match spec.scale {
        MuonScale::MatchRmsAdamw => "match_rms_adamw",
        MuonScale::Original => "original",
    };
    format!(
        "Muon on the blocks' matrices ({lr}{kind} {}, {} Newton-Schulz steps, scale {scale}, weight decay {}); on all else AdamW, {}",
        number(spec.momentum.get()),
        spec.steps.get(),
        number(spec.weight_decay.get()),
        adamw(&spec.adamw)
    )
}

fn adamw(spec: &AdamWSpec) -> String {
    let [first, second] = spec.betas.map(|beta| number(beta.get()));
    let mut words = format!("betas [{first}, {second}], weight decay {}", number(spec.weight_decay.get()));
    if spec.epsilon != AdamWSpec::default().epsilon {
        words += &format!(", epsilon {}", spec.epsilon.get());
    }
    let AdamWSpec { embedding, unembedding, positions, matrices, biases, norms, betas: _, epsilon: _, weight_decay: _ } = spec;
    let groups = [
        ("embedding", embedding),
        ("unembedding", unembedding),
        ("positions", positions),
        ("matrices", matrices),
        ("biases", biases),
        ("norms", norms),
    ];
    for (name, group) in groups {
        if let Some(GroupSpec { lr, weight_decay }) = group {
            let lr = lr.map(|lr| format!("lr {}", number(lr.get())));
            let decay = weight_decay.map(|decay| format!("weight decay {}", number(decay.get())));
            words += &format!("; {name}: {}", lr.into_iter().chain(decay).collect::<Vec<_>>().join(", "));
        }
    }
    words
}

/// As a study is written: `1.0`, `1e-8`.
fn number(value: f64) -> Value {
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_lm::spec::TrainSpec;
    use serde_json::json;

    fn check(optimizer: Value, expected: &str) {
        let train: TrainSpec = serde_json::from_value(json!({ "optimizer": optimizer })).unwrap();
        assert_eq!(in_words(&train.optimizer), expected);
    }

    #[test]
    fn each_is_named_with_its_numbers() {
        check(json!("adamw"), "AdamW, betas [0.9, 0.95], weight decay 0.1");
        check(
            json!({"adamw": {"epsilon": 1e-6, "embedding": {"lr": 0.01}, "norms": {"lr": 1, "weight_decay": 0}}}),
            "AdamW, betas [0.9, 0.95], weight decay 0.1, epsilon 0.000001; embedding: lr 0.01; norms: lr 1.0, weight decay 0.0",
        );
        check(
            json!({"muon": {"lr": 0.02, "scale": "original"}}),
            "Muon on the blocks' matrices (lr 0.02, momentum 0.95, 5 Newton-Schulz steps, scale original, weight decay 0.1); on all \
             else AdamW, betas [0.9, 0.95], weight decay 0.1",
        );
        check(
            json!({"coupled_adam": {"coupled": "both"}}),
            "Coupled Adam (one second moment for all tokens of the embedding and the output matrix), betas [0.9, 0.95], weight decay 0.1",
        );
    }
}
