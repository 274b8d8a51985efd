//! BYOL for a causal model: a small predictor maps the last hidden state of each token to that of the next one in a slow copy of
//! the model, its target.
//!
//! For the last hidden states z of the model and y of the copy, (b, t, d) each, and a predictor f:
//! ```text
//! objective = 2 - 2 · mean over sequences and positions s < t - 1 of cos(f(z_s), y_{s+1})        copy <- τ·copy + (1 - τ)·model
//! f(z) = GELU(z W1 + b1) W2 + b2        or, where `hidden` is 0, z W + b
//! ```
//! Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020, arXiv:2006.07733, equations 1 (the copy, of which τ is `decay`) and 2
//! (the squared distance of unit vectors, which is 2 - 2·cos). No gradient reaches y. Nothing in the loss keeps all states from
//! collapsing to one: in the paper, predictor and slow target together prevent it. `evaluate.diagnostics` shows whether they do
//! here.
//!
//! # Deviations from the paper
//!
//! - There are no augmentations: the second view of a token is the next position, as the copy sees it. The model learns to predict
//!   ahead; since it is causal, it cannot look the answer up.
//! - There is no projector between model and predictor: the last hidden state, after the final norm, is compared.
//! - The predictor has no batch norm, and GELU (its tanh form) in place of ReLU.
//! - The loss is not symmetrised: the paper adds the same with its two views exchanged.
//! - τ is constant: the paper lets it rise to 1.
//! - The copy averages the trained weights, before any rounding, and sees the batch without dropout; the model itself sees it with
//!   dropout.
//!
//! # Shapes
//! last hidden states (b, t, d) of both models -> scalar

use regatta_core::candle::{D, DType, Device};
use regatta_core::maths::{gelu_of, matmul, unit};
use regatta_core::number::{Count, Fraction, NonNegative};
use regatta_core::{
    Action, Companion, CompanionObjective, Compared, Draw, Error, Intervention, Outputs, Result, Tensor, intervention, typetag,
};

/// Standard deviation of the predictor's first weights: that of the model's.
const DEVIATION: f64 = 0.02;

intervention! {
    name: "byol",
    summary: "predicts the next hidden state of a slow copy of the model (BYOL)",
    paper: "Grill et al., \"Bootstrap Your Own Latent\", NeurIPS 2020, arXiv:2006.07733, equations 1 and 2",
    formula: "weight (2 - 2 mean cos(f(z_s), y_{s+1})), y of a moving average of the model",
    variants: [Byol { hidden: Count::new(0), ..Byol::default() }],
    /// Distance between a prediction and the next hidden state of a slow copy of the model.
    pub struct Byol {
        /// τ: what the copy keeps of itself at each step.
        pub decay: Fraction = Fraction::new(0.99),
        /// Hidden dims of the predictor; 0 makes it one linear map.
        pub hidden: Count<0, 65_536> = Count::new(512),
        /// Factor in the loss; at 0 there is neither copy nor predictor.
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
            tensors.extend([(weights * DEVIATION)?, Tensor::zeros(size[1], DType::F32, &Device::Cpu)?]);
        }
        Ok(tensors)
    }

    fn objective(&self, outputs: &Outputs<'_>, parameters: &[Tensor]) -> Result<Tensor> {
        let (_, t, d) = outputs.own.dims3()?;
        if t < 2 {
            let message = format!("expected sequences of at least two tokens, found {t}");
            return Err(Error::Tensor(regatta_core::candle::Error::msg(message)));
        }
        let present = outputs.own.narrow(1, 0, t - 1)?.contiguous()?.reshape(((), d))?; // (b·(t-1), d)
        let next = outputs.companion.narrow(1, 1, t - 1)?.contiguous()?.reshape(((), d))?;
        let predicted = match parameters {
            [weights, biases] => linear(&present, weights, biases)?,
            [first, first_biases, second, second_biases] => {
                linear(&gelu_of(&linear(&present, first, first_biases)?)?, second, second_biases)?
            }
            other => {
                let message = format!("expected the two or four tensors of a predictor, found {}", other.len());
                return Err(Error::Tensor(regatta_core::candle::Error::msg(message)));
            }
        };
        let cosines = (unit(&predicted)? * unit(&next.detach())?)?.sum(D::Minus1)?;
        Ok(((cosines.mean_all()? * -2.0)? + 2.0)?)
    }
}

/// `x W + b`. x (n, i), W (i, o), b (o) -> (n, o)
fn linear(x: &Tensor, weights: &Tensor, biases: &Tensor) -> Result<Tensor> {
    Ok(matmul(x, weights)?.broadcast_add(biases)?)
}

#[cfg(test)]
mod tests;
