//! Rotary positions.

use crate::engine::angles::Angles;
use crate::model::Decoder;
use candle_core::{D, Device, Result, Tensor};

/// Cosines and sines of each position's angles, on a device. (t, 1, r)
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    cosines: Tensor,
    sines: Tensor,
}

impl Rotation {
    /// Of the first `time` positions; `None` for a model without rotary positions.
    pub fn new(decoder: &Decoder, time: usize, device: &Device) -> Result<Option<Self>> {
        let Angles { cosines, sines } = Angles::new(decoder, time);
        if cosines.is_empty() {
            return Ok(None);
        }
        let on_device = |angles: Vec<f32>| {
            let pairs = angles.len() / time;
            Tensor::from_vec(angles, (time, 1, pairs), device)
        };
        Ok(Some(Self { cosines: on_device(cosines)?, sines: on_device(sines)? }))
    }

    /// The rotation back.
    pub fn inverse(&self) -> Result<Self> {
        Ok(Self { cosines: self.cosines.clone(), sines: self.sines.neg()? })
    }

    /// Turns the first dims of each head: the i-th of r pairs is the dims i and r + i. x (b, t, heads, c)
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (pairs, width) = (self.cosines.dim(D::Minus1)?, x.dim(D::Minus1)?);
        let part = |first: usize, dims: usize| x.narrow(D::Minus1, first, dims)?.contiguous();
        let (low, high) = (part(0, pairs)?, part(pairs, pairs)?);
        let turned_low = low.broadcast_mul(&self.cosines)?.sub(&high.broadcast_mul(&self.sines)?)?;
        let turned_high = high.broadcast_mul(&self.cosines)?.add(&low.broadcast_mul(&self.sines)?)?;
        if width == 2 * pairs {
            return Tensor::cat(&[turned_low, turned_high], D::Minus1);
        }
        Tensor::cat(&[turned_low, turned_high, part(2 * pairs, width - 2 * pairs)?], D::Minus1)
    }
}
