//! Optimizers on a device: the rules of [`crate::optimizer`], in float32, without a word to the host.
//!
//! | file | what |
//! |---|---|
//! | `bucket` | tensors of one rule, end to end in one, so that an update of many small tensors takes few kernels |
//! | `moments` | what a bucket keeps, and its layout in checkpoints |
//! | `adamw`, `muon` | an update of a bucket |
//!
//! A step gathers each bucket's gradients and weights (a copy per tensor), updates them by some 15 kernels, and copies each tensor
//! back: nothing in candle updates in place.

mod adamw;
mod bucket;
mod moments;
mod muon;

use crate::model::{Decoder, Parameters, Role};
use crate::optimizer::{Method, Pace, Rules};
use crate::spec::{OptimizerSpec, TrainSpec};
use bucket::{Bucket, buckets};
use candle_core::{Device, Result, Tensor, Var};
use moments::Moments;

/// An optimizer, and its state on a device.
#[derive(Debug)]
pub(crate) struct Optimizer {
    rules: Rules,
    updates: i32,
    buckets: Vec<Bucket>,
    newton_schulz: muon::NewtonSchulz,
}

impl Optimizer {
    /// The study's, for a model of this shape.
    ///
    /// # Errors
    /// Here and below, when the device fails, as where it has too little memory.
    pub fn new(decoder: &Decoder, train: &TrainSpec, device: &Device) -> Result<Self> {
        Self::of(Rules::of_model(decoder, train), device)
    }

    /// For parameters of interventions.
    pub fn of_own(parameters: &Parameters, train: &TrainSpec, device: &Device) -> Result<Self> {
        Self::of(Rules::of_own(parameters, train), device)
    }

    fn of(rules: Rules, device: &Device) -> Result<Self> {
        let buckets = buckets(&rules, device)?;
        Ok(Self { updates: 0, buckets, newton_schulz: muon::NewtonSchulz::new(device)?, rules })
    }

    /// One update of every parameter: by the schedule's `factor` of its learning rate, and its gradient times `clip`, the factor of
    /// clipping; of the token embedding at a pace of its own, where it has one.
    ///
    /// # Shapes
    /// `vars` and `gradients` one for each tensor of the model (or own parameter), in order, each of its shape
    pub fn step(&mut self, vars: &[Var], gradients: &[Tensor], factor: f64, clip: f64, embedding: Option<Pace>) -> Result<()> {
        self.updates = self.updates.saturating_add(1);
        let body = Pace { factor, updates: self.updates };
        for bucket in &mut self.buckets {
            let rule = &self.rules.each[bucket.members[0]];
            let pace = rule.pace(body, embedding);
            let gradient = bucket.gathered(|index| gradients[index].detach())?;
            let weights = bucket.gathered(|index| vars[index].as_detached_tensor())?;
            let rates = || rule.rates(&self.rules.spec, pace, clip);
            let updated = match (&mut bucket.moments, &self.rules.spec) {
                (Moments::AdamW { first, second }, _) => adamw::update(rates(), &weights, gradient, first, second)?,
                (Moments::Coupled { first, second }, _) => adamw::update_coupled(rates(), &weights, gradient, first, second)?,
                (Moments::Muon { momentum }, OptimizerSpec::Muon(spec)) => {
                    let (lr, decay, maps) = (rule.lr * pace.factor, rule.decay, &rule.maps);
                    let update = muon::Update { spec, lr, decay, clip, maps, newton_schulz: &self.newton_schulz };
                    update.make(&weights, gradient, momentum)?
                }
                (Moments::Muon { .. }, _) => unreachable!("a momentum is Muon's alone"),
            };
            bucket.scatter(&updated, vars)?;
        }
        Ok(())
    }

    /// How many updates were made.
    #[cfg(test)]
    pub fn updates(&self) -> usize {
        usize::try_from(self.updates).unwrap_or(0)
    }

    /// Sets what is known of the token embedding's gradients to 0.
    pub fn forget_embedding(&mut self) -> Result<()> {
        for bucket in &mut self.buckets {
            if self.rules.each[bucket.members[0]].tensor.role == Role::Embedding {
                bucket.moments.groups_mut().into_iter().try_for_each(|(_, kept)| kept.zeros_like().map(|zeros| *kept = zeros))?;
            }
        }
        Ok(())
    }

    /// What has to be kept in checkpoints, by group, downloaded: names, shapes and order are those of
    /// [`crate::optimizer::Optimizer::state`].
    pub fn state(&self) -> Result<Vec<(&'static str, Parameters)>> {
        let mut groups = self.rules.state().into_groups();
        for (group, parameters) in &mut groups {
            let mut places: Vec<_> = parameters.each_mut().map(|(spec, numbers)| (&*spec.name, numbers)).collect();
            for bucket in &self.buckets {
                let Some((_, kept)) = bucket.moments.groups().into_iter().find(|(name, _)| name == group) else { continue };
                let numbers = kept.flatten_all()?.to_vec1::<f32>()?;
                let mut rest = &numbers[..];
                for &member in &bucket.members {
                    let name = &*self.rules.each[member].tensor.name;
                    let place = places.iter_mut().find(|(place, _)| *place == name).map(|(_, numbers)| &mut **numbers);
                    let place = place.expect("a place for each tensor of the group");
                    place.copy_from_slice(rest.split_off(..place.len()).expect("as many numbers as the tensors have"));
                }
            }
        }
        Ok(groups)
    }

    /// Goes on from what [`Self::state`] gave, in its order, after so many updates.
    pub fn restore(&mut self, state: impl IntoIterator<Item = Parameters>, updates: usize) -> Result<()> {
        let names: Vec<&'static str> = self.rules.state().into_groups().into_iter().map(|(name, _)| name).collect();
        for (group, parameters) in names.into_iter().zip(state) {
            for bucket in &mut self.buckets {
                let Some((_, kept)) = bucket.moments.groups_mut().into_iter().find(|(name, _)| *name == group) else { continue };
                let of = |&member: &usize| parameters.get(&self.rules.each[member].tensor.name).unwrap_or_default();
                let numbers = bucket.members.iter().flat_map(of).copied().collect();
                *kept = Tensor::from_vec(numbers, kept.shape(), kept.device())?;
            }
        }
        self.updates = i32::try_from(updates).unwrap_or(i32::MAX);
        Ok(())
    }
}

/// Bytes that an update needs beside weights, gradients and state: some tensors as large as the largest bucket.
pub(crate) fn working_bytes(decoder: &Decoder, train: &TrainSpec) -> u128 {
    let rules = Rules::of_model(decoder, train);
    let of = |members: Vec<usize>| {
        let tensors = match rules.each[members[0]].method {
            Method::Muon => 9,
            Method::AdamW | Method::Coupled if members.len() > 1 => 6,
            Method::AdamW | Method::Coupled => 5, // the weights are where they are
        };
        4 * tensors * bucket::numbers(&rules, &members) as u128
    };
    bucket::members(&rules).into_iter().map(of).max().unwrap_or(0)
}

#[cfg(test)]
mod tests;
