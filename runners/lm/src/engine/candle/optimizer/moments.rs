//! What a bucket keeps of past gradients.

use crate::optimizer::Method;
use candle_core::{DType, Device, Result, Tensor};

/// By method; each moment has the bucket's shape, but for the second of coupled Adam.
#[derive(Debug)]
pub(super) enum Moments {
    AdamW {
        first: Tensor,
        second: Tensor,
    },
    /// Of one matrix (rows, columns), the second (columns).
    Coupled {
        first: Tensor,
        second: Tensor,
    },
    Muon {
        momentum: Tensor,
    },
}

impl Moments {
    /// Before the first update of a bucket of this shape.
    pub fn zeros(method: Method, shape: &[usize], device: &Device) -> Result<Self> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, device);
        Ok(match method {
            Method::AdamW => Self::AdamW { first: zeros(shape)?, second: zeros(shape)? },
            Method::Coupled => Self::Coupled { first: zeros(shape)?, second: zeros(&shape[shape.len() - 1..])? },
            Method::Muon => Self::Muon { momentum: zeros(shape)? },
        })
    }

    /// By the prefix of their group in checkpoints.
    pub fn groups(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::AdamW { first, second } | Self::Coupled { first, second } => vec![("first.", first), ("second.", second)],
            Self::Muon { momentum } => vec![("momentum.", momentum)],
        }
    }

    /// The same, to change.
    pub fn groups_mut(&mut self) -> Vec<(&'static str, &mut Tensor)> {
        match self {
            Self::AdamW { first, second } | Self::Coupled { first, second } => vec![("first.", first), ("second.", second)],
            Self::Muon { momentum } => vec![("momentum.", momentum)],
        }
    }
}
