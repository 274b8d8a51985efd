//! `model:` in a study.

use super::choice::{OrNone, bare_or_map};
use crate::model::{Biases, Decoder, Family, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary, RotaryScaling};
use regatta_core::number::{Count, NonNegative, Positive};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;

/// The one model that every arm trains.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub enum ModelSpec {
    /// A model with fresh weights.
    Fresh(Fresh),
    /// A Hugging Face checkpoint folder to start from.
    Init(PathBuf),
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self::Fresh(Fresh { decoder: Family::default().defaults(), bias_std: 0.0 })
    }
}

/// A model with fresh weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Fresh {
    /// Its options, all but the vocabulary, which the tokenizer says.
    pub decoder: Decoder,
    /// Standard deviation of the linear maps' biases at the start; 0 in every family.
    pub bias_std: f64,
}

impl Fresh {
    /// The model with a vocabulary of so many tokens.
    pub fn decoder(&self, vocab_size: usize) -> Decoder {
        Decoder { vocab_size, ..self.decoder.clone() }
    }
}

impl ModelSpec {
    /// Names of its fields.
    pub const FIELDS: [&'static str; 20] = [
        "family",
        "layers",
        "width",
        "heads",
        "kv_heads",
        "head_dim",
        "context",
        "mlp_width",
        "norm",
        "norm_epsilon",
        "norm_placement",
        "positions",
        "mlp",
        "qk_norm",
        "biases",
        "tied",
        "parallel",
        "logit_cap",
        "bias_std",
        "init",
    ];

    /// The fields whose value, where a study does not name it, follows from `field`.
    pub fn follow(field: &str) -> &'static [&'static str] {
        match field {
            "family" => {
                let [_, _, _, _, _, _, _, options @ .., _, _] = &Self::FIELDS; // from mlp_width to logit_cap
                options
            }
            "width" => &["head_dim", "mlp_width"],
            "heads" => &["kv_heads", "head_dim"],
            "mlp" => &["mlp_width"],
            _ => &[],
        }
    }
}

/// What a user may name; the family says the rest.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Fields {
    family: Option<Family>,
    layers: Option<Count<0, 1_000>>,
    width: Option<Count<1, 65_536>>,
    heads: Option<Count<1, 4_096>>,
    kv_heads: Option<Count<1, 4_096>>,
    head_dim: Option<Count<1, 4_096>>,
    context: Option<Count<2, 1_048_576>>,
    mlp_width: Option<Count<1, 1_048_576>>,
    norm: Option<NormKind>,
    norm_epsilon: Option<Positive>,
    norm_placement: Option<NormPlacement>,
    positions: Option<PositionsFields>,
    mlp: Option<Mlp>,
    qk_norm: Option<QkNorm>,
    biases: Option<Biases>,
    tied: Option<bool>,
    parallel: Option<bool>,
    logit_cap: Option<OrNone<Positive>>,
    bias_std: Option<NonNegative>,
    init: Option<PathBuf>,
}

/// `positions:`; what `rotary` leaves out is the family's.
enum PositionsFields {
    Learned,
    Rotary(RotaryFields),
}

impl<'de> Deserialize<'de> for PositionsFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Choice {
            Learned,
            Rotary(RotaryFields),
        }
        bare_or_map(deserializer).map(|choice| match choice {
            Choice::Learned => Self::Learned,
            Choice::Rotary(fields) => Self::Rotary(fields),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotaryFields {
    theta: Option<Positive>,
    fraction: Option<Share>,
    scaling: Option<RotaryScaling>,
}

/// Above 0, up to 1.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "f64")]
struct Share(f64);

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if share > 0.0 && share <= 1.0 { Ok(Self(share)) } else { Err(format!("expected a number above 0 and up to 1, found {share}")) }
    }
}

impl PositionsFields {
    fn of(self, family: Positions) -> Positions {
        let Self::Rotary(RotaryFields { theta, fraction, scaling }) = self else { return Positions::Learned };
        let family = if let Positions::Rotary(rotary) = family { rotary } else { Rotary::default() };
        Positions::Rotary(Rotary {
            theta: theta.map_or(family.theta, Positive::get),
            fraction: fraction.map_or(family.fraction, |share| share.0),
            scaling: scaling.or(family.scaling),
        })
    }
}

impl TryFrom<Fields> for ModelSpec {
    type Error = String;

    fn try_from(mut fields: Fields) -> Result<Self, String> {
        if let Some(folder) = fields.init.take() {
            return match fields.is_empty() {
                true => Ok(Self::Init(folder)),
                false => Err("expected `init` alone: the checkpoint says what its model is".into()),
            };
        }
        let default = fields.family.unwrap_or_default().defaults();
        let width = fields.width.map_or(default.width, Count::get);
        let heads = fields.heads.map_or(default.heads, Count::get);
        if fields.head_dim.is_none() && !width.is_multiple_of(heads) {
            return Err(format!("expected `heads` to divide `width`, found {heads} heads and width {width}"));
        }
        let mlp = fields.mlp.unwrap_or(default.mlp);
        let decoder = Decoder {
            layers: fields.layers.map_or(default.layers, Count::get),
            width,
            heads,
            kv_heads: fields.kv_heads.map_or(heads, Count::get),
            head_dim: fields.head_dim.map_or(width / heads, Count::get),
            context: fields.context.map_or(default.context, Count::get),
            mlp_width: fields.mlp_width.map_or(Family::mlp_width(mlp, width), Count::get),
            norm: fields.norm.unwrap_or(default.norm),
            norm_epsilon: fields.norm_epsilon.map_or(default.norm_epsilon, Positive::get),
            norm_placement: fields.norm_placement.unwrap_or(default.norm_placement),
            positions: fields.positions.map_or(default.positions, |positions| positions.of(default.positions)),
            mlp,
            qk_norm: fields.qk_norm.unwrap_or(default.qk_norm),
            biases: fields.biases.unwrap_or(default.biases),
            tied: fields.tied.unwrap_or(default.tied),
            parallel: fields.parallel.unwrap_or(default.parallel),
            logit_cap: fields.logit_cap.map_or(default.logit_cap, |cap| cap.get().map(Positive::get)),
            ..default
        };
        let bias_std = fields.bias_std.map_or(0.0, NonNegative::get);
        fit(&decoder, bias_std).map(|()| Self::Fresh(Fresh { decoder, bias_std }))
    }
}

impl Fields {
    /// Whether nothing is named.
    fn is_empty(&self) -> bool {
        let Self { family, layers, width, heads, kv_heads, head_dim, context, mlp_width, .. } = self;
        let Self { norm, norm_epsilon, norm_placement, positions, mlp, qk_norm, biases, tied, parallel, .. } = self;
        let sizes = layers.is_some() || width.is_some() || context.is_some() || mlp_width.is_some();
        let heads = heads.is_some() || kv_heads.is_some() || head_dim.is_some();
        let norms = norm.is_some() || norm_epsilon.is_some() || norm_placement.is_some() || qk_norm.is_some();
        let others = positions.is_some() || mlp.is_some() || biases.is_some() || tied.is_some() || parallel.is_some();
        let last = self.logit_cap.is_some() || self.bias_std.is_some();
        !(family.is_some() || sizes || heads || norms || others || last)
    }
}

/// Whether what is legal by itself fits the rest.
fn fit(decoder: &Decoder, bias_std: f64) -> Result<(), String> {
    let Decoder { heads, kv_heads, head_dim, biases, .. } = *decoder;
    if !heads.is_multiple_of(kv_heads) {
        return Err(format!("expected `kv_heads` to divide `heads`, found {kv_heads} of keys and values and {heads} heads"));
    }
    if let Positions::Rotary(Rotary { fraction, scaling, .. }) = decoder.positions {
        let turned = (fraction * head_dim as f64) as usize;
        if turned == 0 || !turned.is_multiple_of(2) {
            let expected = "expected rotary positions to turn an even number of a head's dims, at least 2";
            return Err(format!("{expected}, found {turned}: `fraction` {fraction} of `head_dim` {head_dim}"));
        }
        if let Some(RotaryScaling { low_frequency: low, high_frequency: high, .. }) = scaling.filter(|it| it.high_frequency <= it.low_frequency) {
            return Err(format!("expected `high_frequency` above `low_frequency`, found {high} and {low}"));
        }
    }
    if bias_std > 0.0 && biases == Biases::NONE {
        return Err(format!("expected no `bias_std` where no linear map has a bias, found {bias_std}: it would have no effect"));
    }
    Ok(())
}

/// All fields of a fresh model.
#[derive(Serialize)]
struct Whole {
    family: Family,
    layers: usize,
    width: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    context: usize,
    mlp_width: usize,
    norm: NormKind,
    norm_epsilon: f64,
    norm_placement: NormPlacement,
    positions: Positions,
    mlp: Mlp,
    qk_norm: QkNorm,
    biases: Biases,
    tied: bool,
    parallel: bool,
    logit_cap: OrNone<f64>,
    bias_std: f64,
}

impl Serialize for ModelSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (decoder, bias_std) = match self {
            Self::Init(folder) => return serializer.collect_map([("init", folder)]),
            Self::Fresh(Fresh { decoder, bias_std }) => (decoder, *bias_std),
        };
        let whole = Whole {
            family: decoder.family,
            layers: decoder.layers,
            width: decoder.width,
            heads: decoder.heads,
            kv_heads: decoder.kv_heads,
            head_dim: decoder.head_dim,
            context: decoder.context,
            mlp_width: decoder.mlp_width,
            norm: decoder.norm,
            norm_epsilon: decoder.norm_epsilon,
            norm_placement: decoder.norm_placement,
            positions: decoder.positions,
            mlp: decoder.mlp,
            qk_norm: decoder.qk_norm,
            biases: decoder.biases,
            tied: decoder.tied,
            parallel: decoder.parallel,
            logit_cap: decoder.logit_cap.map_or(OrNone::None, OrNone::Some),
            bias_std,
        };
        whole.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(fields: Value) -> Result<Decoder, String> {
        match serde_json::from_value(fields) {
            Ok(ModelSpec::Fresh(fresh)) => Ok(fresh.decoder),
            Ok(ModelSpec::Init(_)) => Err("init".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn refused(fields: Value, part: &str) {
        let message = read(fields).unwrap_err();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn a_family_says_what_is_not_named() {
        for family in Family::ALL {
            let fields = json!({ "family": family });
            assert_eq!(read(fields).unwrap(), family.defaults());
        }
        let found = read(json!({"family": "llama", "width": 96, "heads": 6, "kv_heads": 2, "norm": "layer_norm"})).unwrap();
        assert_eq!((found.head_dim, found.mlp_width, found.norm), (16, 256, NormKind::LayerNorm));
        let found = read(json!({"width": 100, "heads": 3, "head_dim": 16, "mlp": "swiglu"})).unwrap();
        assert_eq!((found.query_width(), found.mlp_width), (48, 272)); // 8/3 of 100, up to a multiple of 16
        let rotary = |positions: Value| read(json!({"family": "gpt_neox", "positions": positions})).unwrap().positions;
        assert_eq!(rotary(json!("rotary")), Family::GptNeox.defaults().positions);
        let half = Rotary { theta: 5.0, fraction: 0.25, scaling: None };
        assert_eq!(rotary(json!({"rotary": {"theta": 5}})), Positions::Rotary(half));
        assert_eq!(rotary(json!("learned")), Positions::Learned);
    }

    #[test]
    fn every_field_is_written_and_read_again() {
        let scaling = json!({"factor": 8.0, "low_frequency": 1.0, "high_frequency": 4.0, "original_context": 64});
        let whole = json!({
            "family": "qwen3", "layers": 2, "width": 48, "heads": 6, "kv_heads": 2, "head_dim": 16, "context": 32, "mlp_width": 40,
            "norm": "layer_norm", "norm_epsilon": 0.001, "norm_placement": "after",
            "positions": {"rotary": {"theta": 500.0, "fraction": 0.5, "scaling": scaling}},
            "mlp": "gelu", "qk_norm": "all_heads", "biases": ["qkv", "mlp"], "tied": false, "parallel": true, "logit_cap": 30.0,
            "bias_std": 0.01,
        });
        let spec: ModelSpec = serde_json::from_value(whole.clone()).unwrap();
        let written = serde_json::to_value(&spec).unwrap();
        assert_eq!(written, whole);
        let names: Vec<&String> = written.as_object().unwrap().keys().collect();
        assert_eq!(names, ModelSpec::FIELDS[..19]);
        let words = |fields: Value| serde_json::to_value(serde_json::from_value::<ModelSpec>(fields).unwrap()).unwrap();
        let plain = words(json!({}));
        assert_eq!(
            [&plain["positions"], &plain["qk_norm"], &plain["biases"], &plain["logit_cap"]],
            [&json!("learned"), &json!(false), &json!(true), &json!("none")]
        );
        assert_eq!(words(json!({"qk_norm": true, "biases": []}))["qk_norm"], true);
        assert_eq!(words(json!({"biases": []}))["biases"], false);
        assert_eq!(words(json!({"init": "x"})), json!({"init": "x"}));
    }

    #[test]
    fn what_follows_a_field_is_a_field() {
        for field in ModelSpec::FIELDS {
            for follower in ModelSpec::follow(field) {
                assert!(ModelSpec::FIELDS.contains(follower) && *follower != field);
            }
        }
        let of_family = ModelSpec::follow("family");
        assert_eq!((of_family.first(), of_family.last()), (Some(&"mlp_width"), Some(&"logit_cap")));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        refused(json!({"heads": 3}), "expected `heads` to divide `width`, found 3 heads and width 128");
        refused(json!({"heads": 4, "kv_heads": 3}), "expected `kv_heads` to divide `heads`, found 3 of keys and values and 4 heads");
        refused(json!({"family": "llama", "head_dim": 7}), "an even number of a head's dims, at least 2, found 7: `fraction` 1");
        refused(json!({"positions": {"rotary": {"fraction": 0.01}}}), "found 0: `fraction` 0.01 of `head_dim` 32");
        refused(json!({"positions": {"rotary": {"fraction": 1.5}}}), "above 0 and up to 1, found 1.5");
        refused(json!({"positions": {"rotary": {"theta": 0}}}), "above 0, found 0");
        refused(json!({"positions": "rotray"}), "unknown variant `rotray`");
        let scaling = json!({"factor": 8.0, "low_frequency": 4.0, "high_frequency": 4.0, "original_context": 64});
        refused(json!({"positions": {"rotary": {"scaling": scaling}}}), "expected `high_frequency` above `low_frequency`");
        refused(json!({"family": "llama", "bias_std": 0.1}), "expected no `bias_std` where no linear map has a bias");
        refused(json!({"init": "x", "tied": true}), "expected `init` alone");
        refused(json!({"qk_norm": "all"}), "expected false, true or `all_heads`");
        refused(json!({"biases": ["qkv", "qkv"]}), "expected each name once, found `qkv` twice");
        refused(json!({"biases": ["q"]}), "unknown variant `q`");
        refused(json!({"logit_cap": 0}), "above 0");
    }
}
