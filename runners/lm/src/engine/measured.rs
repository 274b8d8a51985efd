//! A model on its engine, as measurements see it: passes forward only, whose results are in memory.

use super::batch::{BatchError, Keep};
use super::kernels::Pass;
use crate::model::{Decoder, Model};
use std::borrow::Cow;

/// A model that is measured.
#[derive(Clone, Copy)]
pub enum Measured<'a> {
    /// By kernels.
    Kernels(&'a Model),
}

impl<'a> From<&'a Model> for Measured<'a> {
    fn from(model: &'a Model) -> Self {
        Self::Kernels(model)
    }
}

impl<'a> Measured<'a> {
    /// Its shape.
    pub fn decoder(self) -> &'a Decoder {
        match self {
            Self::Kernels(model) => model.decoder(),
        }
    }

    /// The model in memory; a copy of it where it is on a device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn model(self) -> candle_core::Result<Cow<'a, Model>> {
        match self {
            Self::Kernels(model) => Ok(Cow::Borrowed(model)),
        }
    }

    /// Another model, on the engine of this one.
    pub(crate) fn beside(self, model: Model) -> candle_core::Result<Beside> {
        match self {
            Self::Kernels(_) => Ok(Beside::Kernels(model)),
        }
    }

    /// A pass for batches of `sequences` sequences of `time` tokens.
    pub(crate) fn pass(self, sequences: usize, time: usize, keep: Keep) -> candle_core::Result<Forward<'a>> {
        match self {
            Self::Kernels(model) => Ok(Forward::Kernels(model, Box::new(Pass::new(model.decoder(), sequences, time, keep)))),
        }
    }
}

/// A model beside one that is measured; see [`Measured::beside`].
pub(crate) enum Beside {
    Kernels(Model),
}

impl Beside {
    pub fn measured(&self) -> Measured<'_> {
        match self {
            Self::Kernels(model) => Measured::Kernels(model),
        }
    }
}

/// A pass forward of a model that is measured.
pub(crate) enum Forward<'a> {
    Kernels(&'a Model, Box<Pass>),
}

impl Forward<'_> {
    /// Sequences, and tokens of each.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Kernels(_, pass) => pass.shape(),
        }
    }

    /// Takes token ids (b·t) through the model.
    ///
    /// # Errors
    /// When they do not fit the model, or the device fails.
    pub fn forward(&mut self, ids: &[u32]) -> Result<(), BatchError> {
        match self {
            Self::Kernels(model, pass) => pass.forward(model, ids, None),
        }
    }

    /// The cross-entropy of each token (b·t), nats.
    ///
    /// # Errors
    /// When the device fails; so for all below.
    pub fn losses(&mut self, targets: &[u32]) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Kernels(model, pass) => Ok(pass.losses(model, targets)),
        }
    }

    /// The logits of each token (b·t, v).
    pub fn logits(&self) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Kernels(model, pass) => Ok(pass.logits(model)),
        }
    }

    /// Activations of a site at a layer (b·t, d), counted as places count layers.
    pub fn at(&self, site: regatta_core::Site, layer: usize) -> candle_core::Result<Vec<f32>> {
        match self {
            Self::Kernels(_, pass) => super::activations::Activations::at(&**pass, site, layer)?.into_floats(),
        }
    }
}
