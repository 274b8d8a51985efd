//! What a regularizer sees.

use crate::{Error, Result};
use candle_core::Tensor;

/// Points `[groups, points, dims]`, floats, at least two points a group.
///
/// A penalty is computed for each group by itself and averaged over the groups. The dtype is the trainer's (f32); tests and
/// the conformance kit also pass f64, so a penalty works in the dtype of its cloud.
#[derive(Debug, Clone)]
pub struct Cloud {
    points: Tensor,
}

impl Cloud {
    /// A cloud of `points` `[g, n, d]`.
    ///
    /// # Errors
    /// When the tensor has another rank, fewer than two points, or no dims.
    pub fn new(points: Tensor) -> Result<Self> {
        match points.dims() {
            [g, n, d] if *g >= 1 && *n >= 2 && *d >= 1 => Ok(Self { points }),
            found => Err(Error::NotACloud { found: found.to_vec() }),
        }
    }

    /// The points `[g, n, d]`; gradients flow back through them.
    pub fn points(&self) -> &Tensor {
        &self.points
    }

    /// How many groups: g.
    pub fn groups(&self) -> usize {
        self.points.dims()[0]
    }

    /// How many points a group has: n, at least 2.
    pub fn count(&self) -> usize {
        self.points.dims()[1]
    }

    /// How many dims a point has: d.
    pub fn dims(&self) -> usize {
        self.points.dims()[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn a_lone_point_is_no_cloud() {
        let refused = |shape: &[usize]| Cloud::new(Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()).is_err();
        assert!(refused(&[4, 1, 8]));
        assert!(refused(&[4, 8]));
        assert!(!refused(&[1, 2, 1]));
    }
}
