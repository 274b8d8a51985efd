//! `model:` in a study.

use super::OrNone;
use crate::model::{Biases, Decoder, Family, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary, RotaryScaling};
use regatta_core::forms::Choice;
use regatta_core::number::{Count, NonNegative, Positive, PositiveFloat, Proportion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::path::PathBuf;

/// The one model that every arm trains.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "Fields")]
#[schemars(with = "Fields")]
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
    /// Its options, all but the vocabulary, which the tokenizer determines.
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
#[derive(Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("dependentSchemas" = {"init": {"maxProperties": 1}}))]
struct Fields {
    /// Whose options the model has where the study does not name them.
    family: Option<Family>,
    /// Blocks.
    layers: Option<Count<0, 1_000>>,
    /// Dims of the hidden states.
    width: Option<Count<1, 65_536>>,
    /// Heads of attention; they divide `width` unless `head_dim` is named.
    heads: Option<Count<1, 4_096>>,
    /// Heads of keys and values, a divisor of `heads`.
    kv_heads: Option<Count<1, 4_096>>,
    /// Dims of a head; `width / heads` where it is not named.
    head_dim: Option<Count<1, 4_096>>,
    /// Positions of the model.
    context: Option<Count<2, 1_048_576>>,
    /// Dims of the MLP's hidden layer.
    mlp_width: Option<Count<1, 1_048_576>>,
    /// What normalises hidden states.
    norm: Option<NormKind>,
    /// Added to the variance or the mean square in norms.
    norm_epsilon: Option<PositiveFloat>,
    /// Where the norms of a block are.
    norm_placement: Option<NormPlacement>,
    /// How the model knows positions.
    positions: Option<Choice<PositionsFields>>,
    /// The MLP of a block.
    mlp: Option<Mlp>,
    /// Whether queries and keys are normalised.
    qk_norm: Option<QkNorm>,
    /// Which linear maps have biases.
    biases: Option<Biases>,
    /// Whether the output matrix is the token embedding.
    tied: Option<bool>,
    /// Whether attention and MLP of a block read the same hidden state.
    parallel: Option<bool>,
    /// Bound c of the logits, c tanh(logits / c).
    logit_cap: Option<OrNone<PositiveFloat>>,
    /// Standard deviation of the linear maps' biases at the start.
    bias_std: Option<NonNegative>,
    /// A Hugging Face checkpoint folder to start from, in place of all other fields.
    init: Option<PathBuf>,
}

/// `positions:`; what `rotary` leaves out is the family's.
#[derive(PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum PositionsFields {
    /// A vector for each position, added to the embeddings.
    Learned,
    /// Queries and keys are rotated by an angle that grows with the position.
    Rotary(RotaryFields),
}

#[derive(PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RotaryFields {
    /// Base of the angles; the family's where not named, or else 10000.
    theta: Option<Positive>,
    /// Fraction of a head's dims that are rotated; the family's where not named, or else 1.
    fraction: Option<Proportion>,
    /// Slower rotation for long contexts, as in Llama 3.
    scaling: Option<RotaryScaling>,
}

impl PositionsFields {
    fn of(self, family: Positions) -> Positions {
        let Self::Rotary(RotaryFields { theta, fraction, scaling }) = self else { return Positions::Learned };
        let family = if let Positions::Rotary(rotary) = family { rotary } else { Rotary::default() };
        Positions::Rotary(Rotary {
            theta: theta.map_or(family.theta, Positive::get),
            fraction: fraction.map_or(family.fraction, Proportion::get),
            scaling: scaling.or(family.scaling),
        })
    }
}

impl TryFrom<Fields> for ModelSpec {
    type Error = String;

    fn try_from(mut fields: Fields) -> Result<Self, String> {
        if let Some(folder) = fields.init.take() {
            return if fields == Fields::default() {
                Ok(Self::Init(folder))
            } else {
                Err("expected `init` alone: the checkpoint determines its model".into())
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
            norm_epsilon: fields.norm_epsilon.map_or(default.norm_epsilon, PositiveFloat::get),
            norm_placement: fields.norm_placement.unwrap_or(default.norm_placement),
            positions: fields.positions.map_or(default.positions, |Choice(positions)| positions.of(default.positions)),
            mlp,
            qk_norm: fields.qk_norm.unwrap_or(default.qk_norm),
            biases: fields.biases.unwrap_or(default.biases),
            tied: fields.tied.unwrap_or(default.tied),
            parallel: fields.parallel.unwrap_or(default.parallel),
            logit_cap: fields.logit_cap.map_or(default.logit_cap, |cap| cap.get().map(PositiveFloat::get)),
            ..default
        };
        let bias_std = fields.bias_std.map_or(0.0, NonNegative::get);
        fit(&decoder, bias_std).map(|()| Self::Fresh(Fresh { decoder, bias_std }))
    }
}

/// Whether what is legal by itself fits the rest.
fn fit(decoder: &Decoder, bias_std: f64) -> Result<(), String> {
    let Decoder { heads, kv_heads, head_dim, biases, .. } = *decoder;
    if !heads.is_multiple_of(kv_heads) {
        return Err(format!("expected `kv_heads` to divide `heads`, found {kv_heads} of keys and values and {heads} heads"));
    }
    if let Positions::Rotary(rotary) = decoder.positions {
        let Rotary { theta, fraction, scaling } = rotary;
        if !(1.0..=1e30).contains(&theta) {
            return Err(format!("expected a rotary `theta` from 1 to 1e30, found {theta}"));
        }
        let rotated = rotary.dims(head_dim);
        if rotated == 0 || !rotated.is_multiple_of(2) {
            let expected = "expected rotary positions to rotate an even number of a head's dims, at least 2";
            return Err(format!("{expected}, found {rotated}: `fraction` {fraction} of `head_dim` {head_dim}"));
        }
        if let Some(RotaryScaling { low_frequency: low, high_frequency: high, .. }) =
            scaling.filter(|it| it.high_frequency <= it.low_frequency)
        {
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
mod tests;
