//! What an optimizer's numbers are for each tensor, by its role.

use crate::model::{Decoder, Matrix, Role, TensorSpec};
use crate::spec::{AdamWSpec, Coupled, CoupledAdamSpec, GroupSpec, MuonScale, OptimizerSpec};
use regatta_core::number::Positive;
use std::ops::Range;

/// How one tensor is updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// AdamW.
    AdamW,
    /// AdamW with one second moment for all rows.
    Coupled,
    /// Muon.
    Muon,
}

impl OptimizerSpec {
    /// The AdamW of what has no method of its own.
    pub fn adamw(&self) -> &AdamWSpec {
        match self {
            Self::AdamW(adamw) => adamw,
            Self::Muon(muon) => &muon.adamw,
            Self::CoupledAdam(coupled) => &coupled.adamw,
        }
    }

    /// How a tensor of this role is updated.
    pub(super) fn method(&self, role: Role) -> Method {
        match (self, role) {
            (Self::Muon(_), Role::Matrix(_)) => Method::Muon,
            (Self::CoupledAdam(CoupledAdamSpec { coupled: Coupled::Embedding | Coupled::Both, .. }), Role::Embedding)
            | (Self::CoupledAdam(CoupledAdamSpec { coupled: Coupled::Unembedding | Coupled::Both, .. }), Role::Unembedding) => {
                Method::Coupled
            }
            _ => Method::AdamW,
        }
    }

    /// Peak learning rate of a tensor, where the study's is `lr`.
    pub(super) fn lr(&self, spec: &TensorSpec, lr: Positive) -> f64 {
        let own = match self {
            Self::Muon(muon) if matches!(spec.role, Role::Matrix(_)) => muon.lr,
            _ => self.adamw().group(spec.role).and_then(|group| group.lr),
        };
        own.unwrap_or(lr).get()
    }

    /// Decay of a tensor's weights.
    pub(super) fn weight_decay(&self, spec: &TensorSpec) -> f64 {
        let adamw = self.adamw();
        match (self, adamw.group(spec.role).and_then(|group| group.weight_decay)) {
            (Self::Muon(muon), _) if matches!(spec.role, Role::Matrix(_)) => muon.weight_decay.get(),
            (_, Some(own)) => own.get(),
            _ if spec.decays() => adamw.weight_decay.get(),
            _ => 0.0,
        }
    }

    /// Whether all that it names is there in a model of this shape: what has no effect is refused.
    ///
    /// # Errors
    /// With the path below `train.optimizer`, and what is expected.
    pub fn check(&self, decoder: &Decoder) -> Result<(), (Vec<&'static str>, String)> {
        let (name, nested): (_, &[_]) = match self {
            Self::AdamW(_) => ("adamw", &[]),
            Self::Muon(_) => ("muon", &["adamw"]),
            Self::CoupledAdam(_) => ("coupled_adam", &["adamw"]),
        };
        let tensors = decoder.tensors().list();
        for (group, field) in AdamWSpec::GROUPS {
            let named = tensors.iter().find(|spec| AdamWSpec::field(spec.role) == Some(field));
            let message = match named.map(|spec| self.method(spec.role)) {
                _ if group(self.adamw()).is_none() => continue,
                Some(Method::AdamW | Method::Coupled) => continue,
                Some(Method::Muon) => "expected `lr` and `weight_decay` of the matrices beside `adamw`: Muon updates them".into(),
                None => format!("expected a group of tensors that the model has, found `{field}`: the model has no such tensors"),
            };
            return Err(([&[name], nested, &[field]].concat(), message));
        }
        match self {
            Self::CoupledAdam(CoupledAdamSpec { coupled: Coupled::Unembedding, .. }) if decoder.tied => {
                let message = "expected `embedding` or `both` where the output matrix is the embedding, found `unembedding`";
                Err((vec![name, "coupled"], message.into()))
            }
            _ => Ok(()),
        }
    }

    /// Numbers that it keeps for a model of this shape.
    pub fn state(&self, decoder: &Decoder) -> usize {
        let of = |spec: TensorSpec| match self.method(spec.role) {
            Method::AdamW => 2 * spec.len(),
            Method::Coupled => spec.len() + decoder.width,
            Method::Muon => spec.len(),
        };
        decoder.tensors().list().into_iter().map(of).sum()
    }
}

/// The columns of a block's matrix that are one matrix to Muon: those of each linear map, but for queries, keys and values where
/// the family's checkpoints have them as one.
pub(super) fn columns(decoder: &Decoder, matrix: Matrix) -> Vec<Range<usize>> {
    if matrix == Matrix::Qkv && decoder.family.joins_qkv() {
        let all = 0..decoder.qkv_width();
        return vec![all];
    }
    decoder.maps(matrix).into_iter().map(|(_, columns)| columns).collect()
}

type Group = fn(&AdamWSpec) -> Option<GroupSpec>;

impl AdamWSpec {
    /// The groups, and their fields.
    const GROUPS: [(Group, &'static str); 6] = [
        (|spec| spec.embedding, "embedding"),
        (|spec| spec.unembedding, "unembedding"),
        (|spec| spec.positions, "positions"),
        (|spec| spec.matrices, "matrices"),
        (|spec| spec.biases, "biases"),
        (|spec| spec.norms, "norms"),
    ];

    /// The field of a role's group.
    fn field(role: Role) -> Option<&'static str> {
        match role {
            Role::Embedding => Some("embedding"),
            Role::Unembedding => Some("unembedding"),
            Role::Positions => Some("positions"),
            Role::Matrix(_) => Some("matrices"),
            Role::Bias => Some("biases"),
            Role::NormWeight | Role::NormBias => Some("norms"),
            Role::Own => None,
        }
    }

    /// What a role has of its own.
    fn group(&self, role: Role) -> Option<GroupSpec> {
        let field = Self::field(role)?;
        Self::GROUPS.iter().find(|(_, name)| *name == field).and_then(|(group, _)| group(self))
    }
}

impl MuonScale {
    /// Of a linear map.
    pub(crate) fn factor(self, inputs: usize, outputs: usize) -> f64 {
        match self {
            Self::MatchRmsAdamw => 0.2 * (inputs.max(outputs) as f64).sqrt(),
            Self::Original => (outputs as f64 / inputs as f64).max(1.0).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Sizes};
    use crate::spec::MuonSpec;
    use crate::spec::TrainSpec;
    use serde_json::{Value, json};

    const LR: Positive = Positive::new(1e-3);

    fn read(written: Value) -> Result<OptimizerSpec, String> {
        let train = serde_json::from_value::<TrainSpec>(json!({ "optimizer": written }));
        train.map(|train| train.optimizer).map_err(|error| error.to_string())
    }

    fn decoder(family: Family) -> Decoder {
        Decoder::new(family, Sizes { layers: 1, width: 4, heads: 2, context: 3, mlp_width: 8 }, 5)
    }

    /// Learning rate and decay of a tensor.
    fn numbers(written: Value, family: Family, name: &str) -> (f64, f64) {
        let (optimizer, tensors) = (read(written).unwrap(), decoder(family).tensors().list());
        let spec = tensors.iter().find(|spec| spec.name == name).unwrap();
        (optimizer.lr(spec, LR), optimizer.weight_decay(spec))
    }

    #[test]
    fn a_bare_name_takes_the_defaults() {
        assert_eq!(read(json!("adamw")), Ok(OptimizerSpec::default()));
        assert_eq!(read(json!("muon")), Ok(OptimizerSpec::Muon(MuonSpec::default())));
        assert_eq!(read(json!({"coupled_adam": {"coupled": "embedding"}})), read(json!("coupled_adam")));
        let written = serde_json::to_string(&read(json!("adamw")).unwrap()).unwrap();
        assert_eq!(written, r#"{"adamw":{"betas":[0.9,0.95],"epsilon":1e-8,"weight_decay":0.1}}"#);
    }

    #[test]
    fn decay_is_for_matrices_where_no_group_says_otherwise() {
        let plain = |name| numbers(json!("adamw"), Family::Gpt2, name);
        assert_eq!([plain("wte.weight"), plain("wpe.weight"), plain("h.0.attn.c_attn.weight")], [(1e-3, 0.1); 3]);
        assert_eq!([plain("ln_f.weight"), plain("h.0.mlp.c_fc.bias")], [(1e-3, 0.0); 2]);
        let groups = json!({"weight_decay": 0.2, "embedding": {"lr": 0.01, "weight_decay": 0}, "norms": {"weight_decay": 0.3}});
        let own = |name| numbers(json!({ "adamw": groups }), Family::Gpt2, name);
        assert_eq!([own("wte.weight"), own("wpe.weight"), own("ln_f.bias")], [(0.01, 0.0), (1e-3, 0.2), (1e-3, 0.3)]);
    }

    #[test]
    fn muon_has_rates_of_its_own_for_matrices_alone() {
        let muon = json!({"muon": {"lr": 0.02, "weight_decay": 0.01, "adamw": {"unembedding": {"lr": 0.5}}}});
        let of = |name| numbers(muon.clone(), Family::Llama, name);
        assert_eq!(of("h.0.attn.c_attn.weight"), (0.02, 0.01));
        assert_eq!([of("wte.weight"), of("lm_head.weight")], [(1e-3, 0.1), (0.5, 0.1)]);
        assert_eq!(numbers(json!("muon"), Family::Llama, "h.0.mlp.c_proj.weight"), (1e-3, 0.1));
        assert_eq!([MuonScale::MatchRmsAdamw.factor(16, 25), MuonScale::Original.factor(4, 16)], [1.0, 2.0]); // 0.2·5, sqrt(16/4)
        assert_eq!(MuonScale::Original.factor(16, 4), 1.0);
    }

    #[test]
    fn what_the_model_has_not_is_refused() {
        let refused = |written: Value, family: Family| {
            let (path, message) = read(written).unwrap().check(&decoder(family)).unwrap_err();
            format!("{}: {message}", path.join("."))
        };
        let lr = json!({"lr": 1});
        assert!(refused(json!({"adamw": {"positions": lr}}), Family::Llama).starts_with("adamw.positions: "));
        assert!(refused(json!({"muon": {"adamw": {"biases": lr}}}), Family::Llama).starts_with("muon.adamw.biases: "));
        assert!(refused(json!({"muon": {"adamw": {"matrices": lr}}}), Family::Llama).contains("Muon updates them"));
        let unembedding = json!({"coupled_adam": {"coupled": "unembedding"}});
        assert!(refused(unembedding, Family::Gpt2).starts_with("coupled_adam.coupled: "));
        for legal in [json!({"coupled_adam": {"coupled": "both"}}), json!({"adamw": {"matrices": lr}})] {
            assert_eq!(read(legal).unwrap().check(&decoder(Family::Gpt2)), Ok(()));
        }
        for (written, part) in [
            (json!({"adamw": {"embedding": {}}}), "expected `lr`, `weight_decay` or both, found neither"),
            (json!({"muon": {"momentum": 1}}), "from 0 to below 1"),
            (json!({"muon": {"scale": "spectral"}}), "unknown variant `spectral`"),
            (json!({"muon": {"betas": [0, 0]}}), "unknown field `betas`"),
            (json!({"adamw": {"epsilon": 0}}), "above 0"),
        ] {
            let message = read(written.clone()).unwrap_err();
            assert!(message.contains(part), "{written}: {message}");
        }
    }

    #[test]
    fn state_is_counted_by_hand() {
        // Llama: two embeddings of 5·4, a block of 4·12 + 4·4 + 4·16 + 8·4 = 160 in matrices, three norms of 4
        let state = |written: Value| read(written).unwrap().state(&decoder(Family::Llama));
        assert_eq!(state(json!("adamw")), 2 * (40 + 160 + 12));
        assert_eq!(state(json!("muon")), 2 * (40 + 12) + 160);
        assert_eq!(state(json!("coupled_adam")), 2 * (20 + 160 + 12) + 20 + 4);
        assert_eq!(state(json!({"coupled_adam": {"coupled": "both"}})), 2 * (160 + 12) + 2 * (20 + 4));
    }

    #[test]
    fn maps_are_apart_where_checkpoints_have_them_apart() {
        let of = |family| columns(&decoder(family), Matrix::Qkv);
        let whole = 0..12;
        assert_eq!((of(Family::Gpt2), of(Family::Llama)), (vec![whole], vec![0..4, 4..8, 8..12]));
        assert_eq!(columns(&decoder(Family::Llama), Matrix::MlpInput), [0..8, 8..16]); // gates, then hidden dims
    }
}
