//! A model on its engine, as measurements see it: passes forward only, whose results are in memory.

use super::activations::Activations;
use super::batch::{BatchError, Keep};
use super::candle::Weights;
use super::{candle, kernels};
use crate::model::{Decoder, Model};
use regatta_core::Site;
use regatta_kernels::Precision;
use std::borrow::Cow;

/// A model that is measured.
#[derive(Clone, Copy)]
pub struct Measured<'a>(On<'a>);

#[derive(Clone, Copy)]
enum On<'a> {
    Kernels(&'a Model),
    Candle(&'a Weights),
}

impl<'a> From<&'a Model> for Measured<'a> {
    fn from(model: &'a Model) -> Self {
        Self(On::Kernels(model))
    }
}

impl<'a> From<&'a Weights> for Measured<'a> {
    fn from(weights: &'a Weights) -> Self {
        Self(On::Candle(weights))
    }
}

impl<'a> Measured<'a> {
    /// Its shape.
    pub fn decoder(self) -> &'a Decoder {
        match self.0 {
            On::Kernels(model) => model.decoder(),
            On::Candle(weights) => weights.decoder(),
        }
    }

    /// The model in memory; a copy of it where it is on a device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn model(self) -> candle_core::Result<Cow<'a, Model>> {
        match self.0 {
            On::Kernels(model) => Ok(Cow::Borrowed(model)),
            On::Candle(weights) => weights.download().map(Cow::Owned),
        }
    }

    /// Another model, on the engine of this one.
    pub(crate) fn beside(self, model: Model) -> candle_core::Result<Beside> {
        match self.0 {
            On::Kernels(_) => Ok(Beside::Kernels(model)),
            On::Candle(weights) => Weights::upload(&model, weights.device()).map(Beside::Candle),
        }
    }

    /// A pass for batches of `sequences` sequences of `time` tokens.
    pub(crate) fn pass(self, sequences: usize, time: usize, keep: Keep) -> candle_core::Result<Forward<'a>> {
        match self.0 {
            On::Kernels(model) => {
                Ok(Forward::Kernels(model, Box::new(kernels::Pass::new(model.decoder(), sequences, time, keep))))
            }
            On::Candle(weights) => {
                let pass = candle::Pass::new(weights, sequences, time, keep, Precision::Float32)?;
                Ok(Forward::Candle(weights, Box::new(pass)))
            }
        }
    }
}

/// A model beside one that is measured; see [`Measured::beside`].
pub(crate) enum Beside {
    Kernels(Model),
    Candle(Weights),
}

impl Beside {
    pub fn measured(&self) -> Measured<'_> {
        match self {
            Self::Kernels(model) => model.into(),
            Self::Candle(weights) => weights.into(),
        }
    }
}

/// A pass forward of a model that is measured.
pub(crate) enum Forward<'a> {
    Kernels(&'a Model, Box<kernels::Pass>),
    Candle(&'a Weights, Box<candle::Pass>),
}

impl Forward<'_> {
    /// Sequences, and tokens of each.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Kernels(_, pass) => pass.shape(),
            Self::Candle(_, pass) => pass.shape(),
        }
    }

    /// Takes token ids (b·t) through the model.
    ///
    /// # Errors
    /// When they do not fit the model, or the device fails.
    pub fn forward(&mut self, ids: &[u32]) -> Result<(), BatchError> {
        match self {
            Self::Kernels(model, pass) => pass.forward(model, ids, None),
            Self::Candle(weights, pass) => pass.forward(weights, ids, None, None),
        }
    }

    /// The cross-entropy of each token (b·t), nats.
    ///
    /// # Errors
    /// When the device fails; so for all below.
    pub fn losses(&mut self, targets: &[u32]) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Kernels(model, pass) => Ok(pass.losses(model, targets)),
            Self::Candle(weights, pass) => pass.losses(weights, targets)?.to_vec1(),
        }
    }

    /// The logits of each token (b·t, v).
    pub fn logits(&self) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Kernels(model, pass) => Ok(pass.logits(model)),
            Self::Candle(weights, pass) => pass.logits(weights)?.flatten_all()?.to_vec1(),
        }
    }

    /// Activations of a site at a layer (b·t, d), counted as places count layers.
    pub fn at(&self, site: Site, layer: usize) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Kernels(_, pass) => Activations::at(&**pass, site, layer)?.into_floats(),
            Self::Candle(_, pass) => Activations::at(&**pass, site, layer)?.into_floats(),
        }
    }
}
