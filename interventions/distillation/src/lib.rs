//! Knowledge distillation: the model learns from the next-token distribution of a trained model, its teacher.
//!
//! For the logits x of the model and y of the teacher at a token, and a temperature T:
//! ```text
//! p = softmax(y / T)    q = softmax(x / T)    objective = T² · mean over tokens of Σ_v p_v (log p_v - log q_v)
//! ```
//! Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 2. The gradient with
//! respect to x_v is `T (q_v - p_v)` divided by the number of tokens. Without the factor T², gradients would shrink as 1/T²; with
//! it, a given weight has about the same effect at every temperature (section 2, and 2.1 for high temperatures).
//!
//! The teacher is a checkpoint of any model family with the model's vocabulary and a context at least as long as the training
//! sequences. It sees the same batches, without dropout, and is not trained.
//!
//! # Deviations from the paper
//!
//! - The paper minimises the cross-entropy between p and q. The divergence differs from it by the teacher's entropy, a constant:
//!   its gradients are the same, and it is 0 if the distributions agree.
//! - The paper takes a weighted average of the two objectives, with the smaller weight on the hard labels. Here the
//!   language-modelling cross-entropy keeps weight 1, and `weight` times the divergence is added.
//!
//! # Related findings
//!
//! Liu et al. 2026, arXiv:2602.00217, report that the hidden states of small models condense (their cosines stay high) while those
//! of large models do not, and that distillation from a large model does not transfer its geometry. `evaluate.diagnostics` records
//! the student's mean cosine per layer, with and without a teacher; `regatta diagnose` prints the teacher's.
//!
//! # Shapes
//! logits (b, t, v) of both models -> scalar
//!
//! # Units
//! Nats per token, times T².

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
    summary: "trains against the next-token distribution of a teacher checkpoint",
    paper: "Hinton et al., \"Distilling the Knowledge in a Neural Network\", 2015, arXiv:1503.02531, section 2",
    formula: "weight · T² · mean over tokens of KL(softmax(teacher / T) ‖ softmax(model / T))",
    /// KL divergence between a teacher's next-token distribution and the model's.
    pub struct Distillation {
        /// Checkpoint folder of the teacher, a model with the same vocabulary. Required.
        pub teacher: PathBuf = PathBuf::new(),
        /// Temperature T. Above 1 it flattens both distributions, which gives the teacher's small probabilities more influence.
        pub temperature: Positive = Positive::new(2.0),
        /// Weight of the objective in the loss; at 0 no teacher is loaded.
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

/// Computes value and gradient one token at a time, without intermediate tensors.
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
    let largest = logits.detach().max_keepdim(D::Minus1)?;
    let shifted = (logits.broadcast_sub(&largest)? / temperature)?;
    Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
}

vectorize! {
    /// Returns `T² KL(p ‖ q)` of one token and writes its gradient with respect to x, `T (q - p)`. x, y, gradient (v)
    fn divergence(x: &[f32], y: &[f32], temperature: f32, gradient: &mut [f32]) -> f32 = divergence_with;
}

#[inline(always)]
fn divergence_with<S: Simd>(x: &[f32], y: &[f32], temperature: f32, gradient: &mut [f32]) -> f32 {
    let splat = Lanes::<S>::splat;
    let inverse_temperature = temperature.recip();
    let (max_x, max_y) = (max_with::<S>(x), max_with::<S>(y));
    let (sum_x, sum_y) = (
        sum_of_exponentials_with::<S>(x, max_x, inverse_temperature),
        sum_of_exponentials_with::<S>(y, max_y, inverse_temperature),
    );
    let log_sum_ratio = splat(libm::logf(sum_x) - libm::logf(sum_y));
    let mut values = Lanes::ZERO;
    for ((gradient, x), y) in gradient.chunks_mut(LANES).zip(x.chunks(LANES)).zip(y.chunks(LANES)) {
        let x = (load_or(x, f32::NEG_INFINITY) - splat(max_x)) * splat(inverse_temperature);
        let y = (load_or(y, f32::NEG_INFINITY) - splat(max_y)) * splat(inverse_temperature);
        let (q, p) = (exps(x) / splat(sum_x), exps(y) / splat(sum_y));
        let log_ratio = y - x + log_sum_ratio; // log p - log q
        values += p.simd_eq(Lanes::ZERO).select(Lanes::ZERO, p * log_ratio);
        store(gradient, splat(temperature) * (q - p));
    }
    temperature * temperature * total(values)
}

#[cfg(test)]
mod tests;
