//! BYOL for a causal model: a small predictor maps the last hidden state of each token to the next token's hidden state in a target
//! network, an exponential moving average (EMA) of the model.
//!
//! For the last hidden states z of the model and y of the target network, (b, t, d) each, and a predictor f:
//! ```text
//! objective = 2 - 2 · mean over sequences and positions s < t - 1 of cos(f(z_s), y_{s+1})
//! f(z)      = GELU(z W1 + b1) W2 + b2,  or z W + b if `hidden` is 0
//! target   <- τ·target + (1 - τ)·model, after each step
//! ```
//! Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020, arXiv:2006.07733, equation 1 (the EMA update; τ is `decay`) and
//! equation 2 (the squared distance between unit vectors, which is 2 - 2·cos). y is a constant in the backward pass. The loss
//! itself does not penalise collapse: in the paper, the predictor and the slow target network prevent it. `evaluate.diagnostics`
//! shows whether they do in a study.
//!
//! # Deviations from the paper
//!
//! - There are no augmentations: the second view of a token is the next position in the target network. The model is causal, so it
//!   has to predict that state and cannot copy it.
//! - There is no projector: the predictor's input is the last hidden state, after the final norm.
//! - The predictor has no batch norm, and uses GELU (tanh approximation) in place of ReLU.
//! - The loss is not symmetrised: the paper adds the same term with the two views exchanged.
//! - τ is constant: the paper increases it to 1.
//! - The target network averages the full-precision weights, before any rounding. It runs without dropout, the model with dropout.
//!
//! # Shapes
//! last hidden states (b, t, d) of both models -> scalar
//!
//! # Units
//! A squared distance between unit vectors, from 0 to 4.
//!
//! # Errors
//! `objective` returns an error for sequences of fewer than two tokens.

use regatta_core::candle::{DType, Device};
use regatta_core::maths::{gelu_of, matmul, mean_all, sum_last, unit};
use regatta_core::number::{Count, Fraction, NonNegative};
use regatta_core::{
    Action, Companion, CompanionObjective, Compared, Draw, Error, Intervention, Outputs, Result, Tensor, intervention, typetag,
};

/// Standard deviation of the predictor's initial weights, equal to the model's.
const INITIAL_STD: f64 = 0.02;

intervention! {
    name: "byol",
    summary: "predicts the next hidden state of an EMA copy of the model (BYOL)",
    paper: "Grill et al., \"Bootstrap Your Own Latent\", NeurIPS 2020, arXiv:2006.07733, equations 1 and 2",
    formula: "weight · (2 - 2 mean cos(f(z_s), y_{s+1})), y the hidden states of an EMA of the model",
    variants: [Byol { hidden: Count::new(0), ..Byol::default() }],
    /// Squared distance between the predicted and the actual next hidden state of an EMA copy of the model.
    pub struct Byol {
        /// Decay τ of the EMA copy, per step.
        pub decay: Fraction = Fraction::new(0.99),
        /// Hidden size of the predictor; at 0 the predictor is a single linear layer.
        pub hidden: Count<0, 65_536> = Count::new(512),
        /// Weight of the objective in the loss; at 0 no copy or predictor is created.
        pub weight: NonNegative = NonNegative::new(1.0),
    }
}

#[typetag::serde(name = "byol")]
impl Intervention for Byol {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::Objective(self))
    }
}

impl CompanionObjective for Byol {
    fn weight(&self) -> f64 {
        self.weight.get()
    }

    fn companion(&self) -> Companion {
        Companion::MovingAverage { decay: self.decay.get() }
    }

    fn compared(&self) -> Compared {
        Compared::LastHiddenState
    }

    fn parameters(&self, dims: usize, draw: &mut Draw) -> Result<Vec<Tensor>> {
        let sizes = match self.hidden.get() {
            0 => vec![dims, dims],
            hidden => vec![dims, hidden, dims],
        };
        let mut tensors = Vec::new();
        for (index, size) in sizes.windows(2).enumerate() {
            let weights = draw.split(index as u64).normals(size, DType::F32, &Device::Cpu)?;
            tensors.extend([(weights * INITIAL_STD)?, Tensor::zeros(size[1], DType::F32, &Device::Cpu)?]);
        }
        Ok(tensors)
    }

    fn objective(&self, outputs: &Outputs<'_>, parameters: &[Tensor]) -> Result<Tensor> {
        let (_, t, d) = outputs.own.dims3()?;
        if t < 2 {
            let message = format!("expected sequences of at least 2 tokens, found {t}");
            return Err(Error::Tensor(regatta_core::candle::Error::msg(message)));
        }
        let current = outputs.own.narrow(1, 0, t - 1)?.contiguous()?.reshape(((), d))?; // (b·(t-1), d)
        let next = outputs.companion.narrow(1, 1, t - 1)?.contiguous()?.reshape(((), d))?;
        let predicted = match parameters {
            [weights, biases] => linear(&current, weights, biases)?,
            [first, first_biases, second, second_biases] => {
                linear(&gelu_of(&linear(&current, first, first_biases)?)?, second, second_biases)?
            }
            other => {
                let message = format!("expected 2 or 4 predictor tensors, found {}", other.len());
                return Err(Error::Tensor(regatta_core::candle::Error::msg(message)));
            }
        };
        let cosines = sum_last(&(unit(&predicted)? * unit(&next.detach())?)?)?;
        Ok(((mean_all(&cosines)? * -2.0)? + 2.0)?)
    }
}

/// `x W + b`. x (n, i), W (i, o), b (o) -> (n, o)
fn linear(x: &Tensor, weights: &Tensor, biases: &Tensor) -> Result<Tensor> {
    Ok(matmul(x, weights)?.broadcast_add(biases)?)
}

#[cfg(test)]
mod tests;
