//! Knowledge distillation: the model learns from the next-token distribution of a trained one, its teacher.
//!
//! For logits x of the model and y of the teacher at a token, and a temperature T:
//! ```text
//! p = softmax(y / T)    q = softmax(x / T)    objective = T² · mean over tokens of Σ_v p_v (log p_v - log q_v)
//! ```
//! Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 2. The gradient in x_v is
//! `T (q_v - p_v)` over the number of tokens. The factor T² keeps it from shrinking as 1/T², so that a weight means about the same
//! at every temperature (section 2, and 2.1 for high temperatures).
//!
//! The teacher is a checkpoint folder: a model of any family with the model's vocabulary and as many positions as a training
//! sequence has tokens. It sees the same batch, without dropout, and does not change.
//!
//! # Deviations from the paper
//!
//! - The paper's objective is the cross-entropy of q under p. The divergence is that minus the teacher's entropy, a constant: 0
//!   means agreement, and gradients are the same.
//! - The paper takes a weighted average of the two objectives, with the smaller weight on the labels' one. Here the language model's
//!   cross-entropy keeps weight 1, and `weight` times the divergence is added to it.
//!
//! # Claims about it
//!
//! Liu et al. 2026, arXiv:2602.00217, report that the cosines between a small model's hidden states stay high (they condense) where
//! a large model's do not, and that distilling the large model does not transfer its geometry. In a study, `evaluate.diagnostics`
//! shows the mean cosine by layer of the student with and without a teacher; `regatta diagnose` shows the teacher's.
//!
//! # Shapes
//! logits (b, t, v) of both models -> scalar

use rayon::prelude::*;
use regatta_core::candle::D;
use regatta_core::kernels::vector::{exps, max_with, sum_of_exponentials_with};
use regatta_core::libm;
use regatta_core::number::{NonNegative, Positive};
use regatta_core::simd::{LANES, Lanes, Simd, load_or, store, total};
use regatta_core::{
    Action, Companion, CompanionObjective, Compared, FloatOutputs, Intervention, ObjectiveKernel, Outputs, Result, Tensor,
    intervention, typetag, vectorize,
};
use std::path::PathBuf;

intervention! {
    name: "distillation",
    summary: "learns from the next-token distribution of a teacher, a trained checkpoint",
    paper: "Hinton et al., \"Distilling the Knowledge in a Neural Network\", 2015, arXiv:1503.02531, section 2",
    formula: "weight T² mean over tokens of KL(softmax(teacher / T) ‖ softmax(model / T))",
    /// Divergence of the model's next-token distribution from a teacher's.
    pub struct Distillation {
        /// Checkpoint folder of the teacher: a model with the same vocabulary; it has no default.
        pub teacher: PathBuf = PathBuf::new(),
        /// Temperature T: above 1 it flattens both distributions, so that the teacher's small probabilities count.
        pub temperature: Positive = Positive::new(2.0),
        /// Factor in the loss; at 0 there is no teacher.
        pub weight: NonNegative = NonNegative::new(1.0),
    }
}

#[typetag::serde(name = "distillation")]
impl Intervention for Distillation {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::Objective(self))
    }

    fn folders(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        vec![("teacher", &mut self.teacher)]
    }
}

impl CompanionObjective for Distillation {
    fn weight(&self) -> f64 {
        self.weight.get()
    }

    fn companion(&self) -> Companion {
        Companion::Checkpoint(self.teacher.clone())
    }

    fn compared(&self) -> Compared {
        Compared::Logits
    }

    fn objective(&self, outputs: &Outputs<'_>, _: &[Tensor]) -> Result<Tensor> {
        let (own, teacher) = (outputs.own, outputs.companion.detach()); // (b, t, v)
        let temperature = self.temperature.get();
        let [log_q, log_p] = [log_softmax(own, temperature)?, log_softmax(&teacher, temperature)?];
        let divergences = (log_p.exp()? * (log_p - log_q)?)?.sum(D::Minus1)?; // (b, t)
        Ok((divergences.mean_all()? * (temperature * temperature))?)
    }

    fn kernel(&self) -> Option<&dyn ObjectiveKernel> {
        Some(self)
    }
}

/// Value and gradient together, one token at a time, without the tensors in between.
impl ObjectiveKernel for Distillation {
    fn objectives(&self, outputs: FloatOutputs<'_>) -> Result<Vec<f64>> {
        let (width, own, companion) = (outputs.width.max(1), outputs.own, outputs.companion);
        let temperature = self.temperature.get() as f32;
        let rows = own.numbers.par_chunks_exact(width).zip(companion.par_chunks_exact(width));
        let rows = rows.zip(own.gradient.par_chunks_exact_mut(width));
        Ok(rows.map(|((x, y), gradient)| f64::from(divergence(x, y, temperature, gradient))).collect())
    }
}

/// `log softmax(x / T)` of each row. (b, t, v) -> (b, t, v)
fn log_softmax(logits: &Tensor, temperature: f64) -> Result<Tensor> {
    let most = logits.detach().max_keepdim(D::Minus1)?;
    let shifted = (logits.broadcast_sub(&most)? / temperature)?;
    Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
}

vectorize! {
    /// `T² KL(p ‖ q)` of one token, and its gradient `T (q - p)` in x. x, y, gradient (v)
    fn divergence(x: &[f32], y: &[f32], temperature: f32, gradient: &mut [f32]) -> f32 = divergence_with;
}

#[inline(always)]
fn divergence_with<S: Simd>(x: &[f32], y: &[f32], temperature: f32, gradient: &mut [f32]) -> f32 {
    let all = Lanes::<S>::splat;
    let rate = temperature.recip();
    let (most_x, most_y) = (max_with::<S>(x), max_with::<S>(y));
    let (sum_x, sum_y) = (sum_of_exponentials_with::<S>(x, most_x, rate), sum_of_exponentials_with::<S>(y, most_y, rate));
    let between = all(libm::logf(sum_x) - libm::logf(sum_y));
    let mut values = Lanes::ZERO;
    for ((gradient, x), y) in gradient.chunks_mut(LANES).zip(x.chunks(LANES)).zip(y.chunks(LANES)) {
        let x = (load_or(x, f32::NEG_INFINITY) - all(most_x)) * all(rate);
        let y = (load_or(y, f32::NEG_INFINITY) - all(most_y)) * all(rate);
        let (q, p) = (exps(x) / all(sum_x), exps(y) / all(sum_y));
        let log_ratio = y - x + between; // log p - log q
        values += p.simd_eq(Lanes::ZERO).select(Lanes::ZERO, p * log_ratio);
        store(gradient, all(temperature) * (q - p));
    }
    temperature * temperature * total(values)
}

#[cfg(test)]
mod tests;
