//! Where a term of an arm is applied.

use super::OrNone;
use regatta_core::number::Count;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Where a term is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct At {
    /// Which tensors.
    pub site: Site,
    /// Which layers of them; the penalty is their mean.
    pub layers: Layers,
    /// Which points form a group.
    pub points: Points,
    /// A larger group is subsampled without replacement, afresh each step.
    pub max_points: OrNone<Count<2, 1_000_000_000>>,
    /// What is done to each point first.
    pub scale: Scale,
}

impl Default for At {
    fn default() -> Self {
        Self {
            site: Site::default(),
            layers: Layers::default(),
            points: Points::default(),
            max_points: OrNone::Some(Count::new(256)),
            scale: Scale::default(),
        }
    }
}

impl At {
    /// The layers named, in a model of `blocks` blocks: entries of the hidden states, or blocks from 1 for what a block's
    /// attention or MLP adds. A weight matrix is one layer, 0. A model without blocks has one hidden state, entry 0, and every
    /// word names it.
    ///
    /// # Errors
    /// When the model does not have them, in words.
    pub fn layer_indices(&self, blocks: usize) -> Result<Vec<usize>, String> {
        let first = match self.site {
            Site::Embedding | Site::Unembedding => return self.matrix(),
            Site::HiddenStates => 0,
            Site::Attention | Site::Mlp if blocks == 0 => {
                return Err("expected a model with blocks, found one of 0 layers".into());
            }
            Site::Attention | Site::Mlp => 1,
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

    fn matrix(&self) -> Result<Vec<usize>, String> {
        match (&self.layers, self.points) {
            (Layers::All, Points::Tokens | Points::Batch) => Ok(vec![0]),
            (Layers::All, Points::Pooled) => {
                Err("expected `tokens` or `batch`, found `pooled`: a weight matrix has rows, not sequences".into())
            }
            _ => Err("expected `all`, found a choice of layers: a weight matrix has no layers".into()),
        }
    }
}

/// Tensors that a penalty can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// As Hugging Face counts them: entry 0 the embedding, then each block's output, the last after the final norm.
    #[default]
    HiddenStates,
    /// The token embedding matrix; its rows are the points.
    Embedding,
    /// The output matrix, which is the embedding where the two are tied; its rows are the points.
    Unembedding,
    /// What each block's attention adds to the residual stream.
    Attention,
    /// What each block's MLP adds to the residual stream.
    Mlp,
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

const LAYER_WORDS: [&str; 4] = ["all", "last", "early_half", "late_half"];

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

impl<'de> Deserialize<'de> for Layers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrList;

        impl<'de> Visitor<'de> for WordOrList {
            type Value = Layers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all`, `last`, `early_half`, `late_half` or a list of layers")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Layers, E> {
                match word {
                    "all" => Ok(Layers::All),
                    "last" => Ok(Layers::Last),
                    "early_half" => Ok(Layers::EarlyHalf),
                    "late_half" => Ok(Layers::LateHalf),
                    _ => Err(E::unknown_variant(word, &LAYER_WORDS)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Layers, A::Error> {
                let layers = Vec::<usize>::deserialize(SeqAccessDeserializer::new(list))?;
                let mut seen = layers.clone();
                seen.sort_unstable();
                seen.dedup();
                match layers.is_empty() || seen.len() < layers.len() {
                    true => Err(de::Error::custom(format!("expected at least one layer and none twice, found {layers:?}"))),
                    false => Ok(Layers::These(layers)),
                }
            }
        }

        deserializer.deserialize_any(WordOrList)
    }
}

/// Which points form a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Points {
    /// Each sequence is a group: [batch, context, width].
    #[default]
    Tokens,
    /// All tokens form one group: [1, batch·context, width].
    Batch,
    /// Each sequence's mean is a point: [1, batch, width].
    Pooled,
}

/// What is done to each point first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Nothing.
    #[default]
    None,
    /// Scaled to norm 1.
    Unit,
    /// Scaled to norm sqrt(dims): unit variance, for methods that expect it.
    UnitSqrtDim,
    /// Standardised over its dims, with epsilon 1e-5 and no weights.
    LayerNorm,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(at: &str, blocks: usize, expected: Result<&[usize], &str>) {
        let at: At = serde_json::from_str(at).unwrap();
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
        check(r#"{"site": "embedding", "points": "pooled"}"#, 4, Err("expected `tokens` or `batch`"));
    }
}
