//! A model on its engine, as measurements see it: passes forward only, whose results are in memory.

use super::activations::Activations;
use super::batch::{BatchError, Keep};
use super::candle::Weights;
use super::{candle, kernels};
use crate::device::Compute;
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
    pub(crate) fn beside(self, model: Model) -> candle_core::Result<Resident> {
        match self.0 {
            On::Kernels(_) => Ok(Resident(Owned::Kernels(model))),
            On::Candle(weights) => Ok(Resident(Owned::Candle(Weights::upload(&model, weights.device())?))),
        }
    }

    /// A pass for batches of `sequences` sequences of `time` tokens.
    ///
    /// # Errors
    /// When the device fails.
    pub fn pass(self, sequences: usize, time: usize, keep: Keep) -> candle_core::Result<Forward<'a>> {
        match self.0 {
            On::Kernels(model) => {
                Ok(Forward(Passing::Kernels(model, Box::new(kernels::Pass::new(model.decoder(), sequences, time, keep)))))
            }
            On::Candle(weights) => {
                let pass = candle::Pass::new(weights, sequences, time, keep, Precision::Float32)?;
                Ok(Forward(Passing::Candle(weights, Box::new(pass))))
            }
        }
    }
}

/// A model on an engine, to measure it.
pub struct Resident(Owned);

enum Owned {
    Kernels(Model),
    Candle(Weights),
}

impl Resident {
    /// `model` on the engine that computes there.
    ///
    /// # Errors
    /// When the device fails, as where it has too little memory.
    pub fn new(compute: &Compute, model: Model) -> candle_core::Result<Self> {
        Ok(Self(match compute {
            Compute::Kernels => Owned::Kernels(model),
            Compute::Candle(device) => Owned::Candle(Weights::upload(&model, device)?),
        }))
    }

    /// The model, as measurements take it.
    pub fn measured(&self) -> Measured<'_> {
        match &self.0 {
            Owned::Kernels(model) => model.into(),
            Owned::Candle(weights) => weights.into(),
        }
    }
}

/// A pass forward of a model that is measured.
pub struct Forward<'a>(Passing<'a>);

enum Passing<'a> {
    Kernels(&'a Model, Box<kernels::Pass>),
    Candle(&'a Weights, Box<candle::Pass>),
}

impl Forward<'_> {
    /// Sequences, and tokens of each.
    pub fn shape(&self) -> (usize, usize) {
        match &self.0 {
            Passing::Kernels(_, pass) => pass.shape(),
            Passing::Candle(_, pass) => pass.shape(),
        }
    }

    /// Takes token ids (b·t) through the model.
    ///
    /// # Errors
    /// When they do not fit the model, or the device fails.
    pub fn forward(&mut self, ids: &[u32]) -> Result<(), BatchError> {
        match &mut self.0 {
            Passing::Kernels(model, pass) => pass.forward(model, ids, None),
            Passing::Candle(weights, pass) => pass.forward(weights, ids, None, None),
        }
    }

    /// The cross-entropy of each token (b·t), nats.
    ///
    /// # Errors
    /// When the device fails; so for all below.
    pub fn losses(&mut self, targets: &[u32]) -> candle_core::Result<Vec<f32>> {
        match &mut self.0 {
            Passing::Kernels(model, pass) => Ok(pass.losses(model, targets)),
            Passing::Candle(weights, pass) => pass.losses(weights, targets)?.to_vec1(),
        }
    }

    /// The logits of each token (b·t, v).
    pub fn logits(&self) -> candle_core::Result<Vec<f32>> {
        match &self.0 {
            Passing::Kernels(model, pass) => Ok(pass.logits(model)),
            Passing::Candle(weights, pass) => pass.logits(weights)?.flatten_all()?.to_vec1(),
        }
    }

    /// Activations of a site at a layer (b·t, d), counted as places count layers.
    pub fn at(&self, site: Site, layer: usize) -> candle_core::Result<Vec<f32>> {
        match &self.0 {
            Passing::Kernels(_, pass) => Activations::at(&**pass, site, layer)?.into_floats(),
            Passing::Candle(_, pass) => Activations::at(&**pass, site, layer)?.into_floats(),
        }
    }
}
