//! Where a term of an arm is applied.

use super::OrNone;
use crate::model::{Decoder, Map};
use regatta_core::forms;
use regatta_core::forms::{Distinct, Forms};
pub use regatta_core::{Home, MaxPoints, Points, Scale, Site};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a term is applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct At {
    /// Which tensors.
    pub site: Site,
    /// Of `weights`: which linear map of each block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Map>,
    /// Which layers of them; the penalty is their mean.
    pub layers: Layers,
    /// Which points form a group.
    pub points: Points,
    /// A larger group is subsampled without replacement, afresh each step.
    pub max_points: OrNone<MaxPoints>,
    /// What is done to each point first.
    pub scale: Scale,
}

/// The home of all layers.
impl From<Home> for At {
    fn from(Home { site, points, max_points, scale }: Home) -> Self {
        let max_points = max_points.map_or(OrNone::None, OrNone::Some);
        Self { site, matrix: None, layers: Layers::All, points, max_points, scale }
    }
}

/// What a study says of a term's place. Each field that it leaves out is that of the regularizer's home.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// Which tensors.
    #[serde(deserialize_with = "there")]
    #[schemars(with = "Site")]
    site: Option<Site>,
    /// Of `weights`: which linear map of each block.
    #[serde(deserialize_with = "there")]
    #[schemars(with = "Map")]
    matrix: Option<Map>,
    /// Which layers of them; the penalty is their mean. All, where this is not named.
    #[serde(deserialize_with = "there")]
    #[schemars(with = "Layers")]
    layers: Option<Layers>,
    /// Which points form a group.
    #[serde(deserialize_with = "there")]
    #[schemars(with = "Points")]
    points: Option<Points>,
    /// A larger group is subsampled without replacement, afresh each step.
    #[serde(deserialize_with = "there")]
    #[schemars(with = "OrNone<MaxPoints>")]
    max_points: Option<OrNone<MaxPoints>>,
    /// What is done to each point first.
    #[serde(deserialize_with = "there")]
    #[schemars(with = "Scale")]
    scale: Option<Scale>,
}

impl Place {
    /// The place of a term whose regularizer has this home.
    pub fn from_home(self, home: Home) -> At {
        let Self { site, matrix, layers, points, max_points, scale } = self;
        let home = At::from(home);
        At {
            site: site.unwrap_or(home.site),
            matrix: matrix.or(home.matrix),
            layers: layers.unwrap_or(home.layers),
            points: points.unwrap_or(home.points),
            max_points: max_points.unwrap_or(home.max_points),
            scale: scale.unwrap_or(home.scale),
        }
    }
}

/// Reads a field that may be left out, but has a value where it is there: `null` is not the same as leaving it out.
///
/// # Errors
/// As the value's own `Deserialize`.
pub fn there<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl At {
    /// The fields that differ from the home, as `field: here (home: there)`. The choice of layers is not a part of a home, and the
    /// points of a matrix are its rows wherever the home is.
    pub fn away_from(&self, home: Home) -> Vec<String> {
        let word = |at: &Self| serde_json::to_value(at).unwrap_or_default();
        let (here, there) = (word(self), word(&Self::from(home)));
        let told = |field: &str| {
            let written = |at: &serde_json::Value| at[field].to_string().replace('"', "");
            (here[field] != there[field]).then(|| format!("{field}: {} (home: {})", written(&here), written(&there)))
        };
        let fields: &[&str] =
            if self.site.is_matrix() { &["site", "max_points", "scale"] } else { &["site", "points", "max_points", "scale"] };
        fields.iter().filter_map(|field| told(field)).collect()
    }

    /// Whether a cloud has points of all sequences of a batch.
    pub fn sees_whole_batch(&self) -> bool {
        self.points != Points::Tokens && !self.site.is_matrix()
    }

    /// Whether the site and what is said of it fit together, and the model has it.
    ///
    /// # Errors
    /// With the field that does not, and what was expected.
    pub fn check(&self, model: &Decoder) -> Result<(), (&'static str, String)> {
        let rows = self.site.is_matrix() && self.points == Points::Pooled;
        match (self.site, self.matrix) {
            _ if rows => {
                Err(("points", "expected `tokens` or `batch`, found `pooled`: a weight matrix has rows, not sequences".into()))
            }
            (Site::Weights, None) => Err((
                "site",
                "expected `matrix` beside `weights`: which linear map of each block, `attention_output` for one".into(),
            )),
            (Site::Weights, Some(map)) if model.columns(map).is_empty() => {
                let why = "the model's MLP has no gate";
                Err(("matrix", format!("expected a linear map of the model, found `mlp_gate`: {why}")))
            }
            (Site::Weights, Some(_)) | (_, None) => {
                self.layer_indices(model.layers).map(drop).map_err(|message| ("layers", message))
            }
            (_, Some(_)) => Err(("matrix", "expected no `matrix`, found one beside a site other than `weights`".into())),
        }
    }

    /// The linear map of each block, of a place that [`Self::check`] has passed.
    pub(crate) fn map(&self) -> candle_core::Result<Map> {
        self.matrix.ok_or_else(|| candle_core::Error::msg("expected `matrix` beside `weights`"))
    }

    /// The layers named, in a model of `blocks` blocks: entries of the hidden states, or blocks from 1 for what a block's
    /// attention or MLP adds, and for its weights. A matrix that is not a block's is one layer, 0. A model without blocks has one
    /// hidden state, entry 0, and every word names it.
    ///
    /// # Errors
    /// When the model does not have them, in words.
    pub fn layer_indices(&self, blocks: usize) -> Result<Vec<usize>, String> {
        let first = match self.site {
            Site::Embedding | Site::Unembedding if self.layers == Layers::All => return Ok(vec![0]),
            Site::Embedding | Site::Unembedding => {
                return Err("expected `all`, found a choice of layers: a weight matrix has no layers".into());
            }
            Site::HiddenStates => 0,
            Site::Attention | Site::Mlp | Site::Weights if blocks == 0 => {
                return Err("expected a model with blocks, found one of 0 layers".into());
            }
            Site::Attention | Site::Mlp | Site::Weights => 1,
        };
        let early = (blocks / 2).max(1);
        match &self.layers {
            Layers::These(layers) => match layers.iter().find(|layer| !(first..=blocks).contains(layer)) {
                Some(layer) => Err(format!("expected layers from {first} to {blocks}, found {layer}")),
                None => Ok(layers.clone()),
            },
            _ if blocks == 0 => Ok(vec![0]),
            Layers::All => Ok((1..=blocks).collect()),
            Layers::Last => Ok(vec![blocks]),
            Layers::EarlyHalf => Ok((1..=early).collect()),
            Layers::LateHalf if early == blocks => {
                Err("expected at least 2 layers for `late_half`, found 1, the early half".into())
            }
            Layers::LateHalf => Ok((early + 1..=blocks).collect()),
        }
    }
}

/// Layers of a site. Block i's tensors are layer i, from 1; hidden states also have layer 0, the embedding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Layers {
    /// 1 and up.
    #[default]
    All,
    /// The last.
    Last,
    /// Of n layers the first floor(n/2), at least one.
    EarlyHalf,
    /// The rest.
    LateHalf,
    /// The layers named.
    These(Vec<usize>),
}

impl Serialize for Layers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Last => serializer.serialize_str("last"),
            Self::EarlyHalf => serializer.serialize_str("early_half"),
            Self::LateHalf => serializer.serialize_str("late_half"),
            Self::These(layers) => layers.serialize(serializer),
        }
    }
}

forms! {
    Layers => Forms::expecting("`all`, `last`, `early_half`, `late_half` or a list of layers")
        .constant("all", "Layers 1 and up.", Self::All)
        .constant("last", "The last layer.", Self::Last)
        .constant("early_half", "Of n layers the first floor(n/2), at least one.", Self::EarlyHalf)
        .constant("late_half", "The layers that are not in the early half.", Self::LateHalf)
        .list(|Distinct(layers)| Ok(Self::These(layers)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Family;

    fn check(at: &str, blocks: usize, expected: Result<&[usize], &str>) {
        let at = serde_json::from_str::<Place>(at).unwrap().from_home(Home::DEFAULT);
        match (at.layer_indices(blocks), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{at:?} of {blocks}"),
            (Err(found), Err(part)) => assert!(found.contains(part), "{found}"),
            (found, expected) => panic!("{at:?} of {blocks}: {found:?} where {expected:?} was expected"),
        }
    }

    #[test]
    fn words_name_layers() {
        check("{}", 5, Ok(&[1, 2, 3, 4, 5]));
        check(r#"{"layers": "last"}"#, 5, Ok(&[5]));
        check(r#"{"layers": "early_half"}"#, 5, Ok(&[1, 2]));
        check(r#"{"layers": "late_half"}"#, 5, Ok(&[3, 4, 5]));
        check(r#"{"layers": "early_half"}"#, 1, Ok(&[1]));
        check(r#"{"layers": "late_half"}"#, 1, Err("at least 2 layers"));
        check(r#"{"site": "attention", "layers": "late_half"}"#, 2, Ok(&[2]));
    }

    #[test]
    fn lists_are_held_to_the_model() {
        check(r#"{"layers": [3, 0]}"#, 3, Ok(&[3, 0]));
        check(r#"{"layers": [4]}"#, 3, Err("expected layers from 0 to 3, found 4"));
        check(r#"{"site": "mlp", "layers": [0]}"#, 3, Err("expected layers from 1 to 3, found 0"));
    }

    #[test]
    fn a_model_without_blocks_has_one_hidden_state() {
        for layers in [r#""all""#, r#""last""#, r#""early_half""#, r#""late_half""#, "[0]"] {
            check(&format!(r#"{{"layers": {layers}}}"#), 0, Ok(&[0]));
        }
        check(r#"{"layers": [1]}"#, 0, Err("expected layers from 0 to 0, found 1"));
        check(r#"{"site": "mlp"}"#, 0, Err("expected a model with blocks"));
    }

    #[test]
    fn a_weight_matrix_has_no_layers() {
        check(r#"{"site": "embedding"}"#, 4, Ok(&[0]));
        check(r#"{"site": "unembedding", "points": "batch"}"#, 0, Ok(&[0]));
        check(r#"{"site": "embedding", "layers": "last"}"#, 4, Err("a weight matrix has no layers"));
    }

    #[test]
    fn sites_fit_what_is_said_of_them_and_the_model() {
        let check = |at: &str, family: Family, expected: Result<(), (&str, &str)>| {
            let at = serde_json::from_str::<Place>(at).unwrap().from_home(Home::DEFAULT);
            match (at.check(&family.defaults()), expected) {
                (Ok(()), Ok(())) => {}
                (Err((field, message)), Err((expected, part))) => {
                    assert_eq!(field, expected, "{at:?}");
                    assert!(message.contains(part), "{message}");
                }
                (found, expected) => panic!("{at:?}: {found:?} where {expected:?} was expected"),
            }
        };
        let (gpt2, llama) = (Family::Gpt2, Family::Llama);
        check(r#"{"site": "weights", "matrix": "attention_output", "layers": "late_half"}"#, gpt2, Ok(()));
        check(r#"{"site": "weights", "matrix": "mlp_gate", "layers": [1]}"#, llama, Ok(()));
        check(r#"{"site": "weights", "matrix": "mlp_gate"}"#, gpt2, Err(("matrix", "no gate")));
        check(r#"{"site": "weights"}"#, llama, Err(("site", "expected `matrix`")));
        check(r#"{"site": "weights", "matrix": "mlp_input", "layers": [0]}"#, llama, Err(("layers", "from 1 to 4")));
        check(r#"{"matrix": "mlp_input"}"#, llama, Err(("matrix", "expected no `matrix`")));
        for site in ["embedding", "unembedding"] {
            let pooled = format!(r#"{{"site": "{site}", "points": "pooled"}}"#);
            check(&pooled, gpt2, Err(("points", "expected `tokens` or `batch`")));
        }
    }
}
