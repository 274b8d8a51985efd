//! Steps whose memory is measured, on the CPU.

use super::super::optimizer::Optimizer;
use super::super::{Pass, Weights};
use super::*;
use crate::engine::{Dropout, Keep, Upstream};
use crate::model::Model;
use crate::spec::TrainSpec;
use candle_core::Device;
use regatta_core::Draw;

/// Makes two steps of a fresh model, on batches of the setting's shape.
pub(crate) fn trained(setting: &Setting<'_>, train: &TrainSpec) {
    let (decoder, (b, t)) = (setting.decoder, setting.shape);
    let weights = Weights::upload(&Model::fresh(decoder.clone(), 0), &Device::Cpu).unwrap();
    let mut optimizer = Optimizer::new(decoder, train, &Device::Cpu).unwrap();
    let keep = Keep::ForBackward { contributions: false };
    let mut pass = Pass::new(&weights, b, t, keep, setting.precision).unwrap();
    pass.recompute(setting.recompute);
    let rate = train.dropout.get();
    let dropout = (rate > 0.0).then(|| Dropout::new(rate, Draw::new(0, "dropout", 0, 0)));
    let ids: Vec<u32> = (0..b * t).map(|i| (i * 7 % decoder.vocab_size) as u32).collect();
    for _ in 0..2 {
        pass.forward(&weights, &ids, dropout.as_ref(), None).unwrap();
        let back = pass.backward(&weights, Some((&ids, b * t)), &Upstream::default()).unwrap();
        optimizer.step(weights.vars(), &back.gradients, 1.0, 0.5, None).unwrap();
    }
}
