//! The linear maps of a block, of which several may share a matrix.

use super::tensors::Matrix;
use super::{Decoder, Mlp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One linear map of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Map {
    /// To the queries.
    AttentionQuery,
    /// To the keys.
    AttentionKey,
    /// To the values.
    AttentionValue,
    /// From the heads back to the residual stream.
    AttentionOutput,
    /// To the gates of a gated MLP.
    MlpGate,
    /// To the MLP's hidden dims.
    MlpInput,
    /// From the MLP back to the residual stream.
    MlpOutput,
}

impl Map {
    /// The matrix that it lies in.
    pub fn matrix(self) -> Matrix {
        match self {
            Self::AttentionQuery | Self::AttentionKey | Self::AttentionValue => Matrix::Qkv,
            Self::AttentionOutput => Matrix::AttentionOutput,
            Self::MlpGate | Self::MlpInput => Matrix::MlpInput,
            Self::MlpOutput => Matrix::MlpOutput,
        }
    }
}

impl Decoder {
    /// The linear maps that lie side by side in a block's matrix, and the outputs of each.
    pub fn maps(&self, matrix: Matrix) -> Vec<(Map, Range<usize>)> {
        let widths: &[(Map, usize)] = match (matrix, self.mlp) {
            (Matrix::Qkv, _) => &[
                (Map::AttentionQuery, self.query_width()),
                (Map::AttentionKey, self.key_width()),
                (Map::AttentionValue, self.key_width()),
            ],
            (Matrix::AttentionOutput, _) => &[(Map::AttentionOutput, self.width)],
            (Matrix::MlpInput, Mlp::Swiglu) => &[(Map::MlpGate, self.mlp_width), (Map::MlpInput, self.mlp_width)],
            (Matrix::MlpInput, Mlp::Gelu | Mlp::GeluTanh) => &[(Map::MlpInput, self.mlp_width)],
            (Matrix::MlpOutput, _) => &[(Map::MlpOutput, self.width)],
        };
        let mut first = 0;
        let each = |&(map, width): &(Map, usize)| {
            first += width;
            (map, first - width..first)
        };
        widths.iter().map(each).collect()
    }

    /// The outputs of a linear map in the columns of its matrix; empty for the gate of a model that has none.
    pub fn columns(&self, map: Map) -> Range<usize> {
        let maps = self.maps(map.matrix());
        maps.into_iter().find(|(other, _)| *other == map).map_or(0..0, |(_, columns)| columns)
    }
}
