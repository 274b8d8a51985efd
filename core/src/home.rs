//! Where a regularizer is at home: the words for places that studies and plugins share.

use crate::number::Count;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A group is subsampled to at most so many points.
pub type MaxPoints = Count<2, 1_000_000_000>;

/// The place at which a regularizer's paper applies it. A term without `at` runs here, and a field of `at` replaces that field
/// alone. [`Regularizer::home`](crate::Regularizer::home) returns it.
///
/// ```
/// use regatta_core::{Home, Points, Scale};
///
/// const OF_COVARIANCES: Home = Home { points: Points::Batch, scale: Scale::LayerNorm, max_points: None, ..Home::DEFAULT };
/// assert_eq!(OF_COVARIANCES.to_string(), "site: hidden_states, points: batch, max_points: none, scale: layer_norm");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Home {
    /// Which tensors.
    pub site: Site,
    /// Which points form a group.
    pub points: Points,
    /// A larger group is subsampled without replacement, afresh each step; `None` keeps every point.
    pub max_points: Option<MaxPoints>,
    /// What is done to each point first.
    pub scale: Scale,
}

impl Home {
    /// Hidden states, the tokens of each sequence, at most 256 of them, as they are: the published setting of dispersion loss
    /// (Liu et al. 2026, arXiv:2602.00217).
    pub const DEFAULT: Self =
        Self { site: Site::HiddenStates, points: Points::Tokens, max_points: Some(MaxPoints::new(256)), scale: Scale::None };

    /// All tokens of a batch in one group: a covariance of few points is a poor estimate.
    pub const BATCH: Self = Self { points: Points::Batch, max_points: None, ..Self::DEFAULT };
}

impl Default for Home {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The fields of `at` that say the same.
impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, points, max_points, scale } = self;
        write!(f, "site: {}, points: {}, max_points: ", word(site), word(points))?;
        match max_points {
            Some(most) => write!(f, "{}", most.get())?,
            None => f.write_str("none")?,
        }
        write!(f, ", scale: {}", word(scale))
    }
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

/// Tensors that a penalty can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Site {
    /// As Hugging Face counts them: entry 0 the embedding, then each block's output, the last after the final norm.
    #[default]
    HiddenStates,
    /// The token embedding matrix; its rows are the points.
    Embedding,
    /// The output matrix; its rows are the points. Where it is tied to the embedding, that.
    Unembedding,
    /// What each block's attention adds to the residual stream.
    Attention,
    /// What each block's MLP adds to the residual stream.
    Mlp,
    /// A linear map of each block, named by `matrix`; its rows, one for each output, are the points.
    Weights,
}

impl Site {
    /// Whether its points are rows of a matrix, which no batch changes.
    pub fn is_matrix(self) -> bool {
        matches!(self, Self::Embedding | Self::Unembedding | Self::Weights)
    }
}

/// Which points form a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
