//! Interventions: changes to training that are not penalties on a cloud.

use crate::{Draw, ObjectiveKernel, Result};
use candle_core::Tensor;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A change to training. Declare the struct with [`intervention!`](crate::intervention) and implement this trait under
/// `#[typetag::serde(name = "...")]`, where the name is what users write in YAML.
///
/// The training step is a single function in the runner, and [`Action`] lists the points in it at which an intervention may act.
/// Each intervention acts at one point; an arm may list several interventions. An intervention never sees the
/// optimizer, other plugins or labels; a gate sees how often each token occurred among them. The runner owns all state, checkpoints it and restores it.
#[typetag::serde]
pub trait Intervention: Debug + Send + Sync {
    /// Where it acts and what it does there, or `None` if its settings turn it off. The result depends only on the settings.
    fn action(&self) -> Option<Action<'_>>;

    /// The fields that hold paths of checkpoint folders, with their names. The runner resolves relative paths against the folder
    /// of the study's file. A trial's identity includes the checkpoint's files, not its path.
    fn folders(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        Vec::new()
    }
}

/// A point in the training step at which an intervention may act. Variants are in the order of execution.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Before the step: every `every` steps the token embedding is re-initialised, its optimizer moments are set to 0, and its
    /// learning-rate schedule restarts.
    EmbeddingReset {
        /// Steps between resets. With steps counted from 0, the first reset is before step `every`.
        every: NonZeroUsize,
        /// Factor of the embedding's learning rate, above 0; 1 is that of the study.
        lr_factor: f64,
    },
    /// In the forward pass: adds noise to the embeddings of each training sequence.
    EmbeddingNoise(&'a dyn EmbeddingNoise),
    /// In the forward and backward passes: linear layers use rounded weights.
    WeightRounding(&'a dyn WeightRounding),
    /// After the penalties: adds an objective to the loss that compares the model's output with a second model's.
    Objective(&'a dyn CompanionObjective),
    /// With the cross-entropy: adds `weight` times the mean over tokens of the squared log-normaliser of the logits,
    /// `(ln Σ_v exp(logit_v))²`, to the loss. It sees the logits that the cross-entropy sees, after their cap.
    LogNormalizer {
        /// Its factor in the loss, above 0.
        weight: f64,
    },
    /// In the backward pass of the cross-entropy: scales rows of the gradient of the output matrix.
    OutputGate(&'a dyn OutputGate),
    /// After the optimizer's update: changes the output matrix in place.
    OutputUpdate(&'a dyn OutputUpdate),
}

/// Gates on the gradient of the output matrix, chosen by how often each token occurred lately.
///
/// Token i of a batch, with target y_i, adds `(p_iv - [v = y_i]) h_i` to the gradient of row v, p_iv its probability of token v and
/// h_i its last hidden state. A gate scales what tokens with other targets add to a row: those that push it away. All other
/// gradients are left alone, those of the hidden states too.
pub trait OutputGate: Debug + Send + Sync {
    /// Steps whose targets are counted, the current one included.
    fn memory(&self) -> NonZeroUsize;

    /// The gated rows of a step. All other rows keep their gradient.
    ///
    /// # Shapes
    /// counts (v): how often each token was a target in the last `steps` steps, which are fewer than [`Self::memory`] at the start
    fn gates(&self, counts: &[u64], steps: usize) -> Vec<RowGate>;
}

/// The gates of a row of the output matrix; 1 lets its gradient through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowGate {
    /// The row's token.
    pub token: u32,
    /// Factor of what tokens add whose target is a token without gates.
    pub from_others: f32,
    /// Factor of what tokens add whose target is another gated token.
    pub from_gated: f32,
}

/// A change of the output matrix after each update of the optimizer, such as a projection.
pub trait OutputUpdate: Debug + Send + Sync {
    /// Changes the matrix, which is the token embedding where the two are tied. Moments of the optimizer are left alone. A step without
    /// an update leaves the matrix alone.
    ///
    /// # Shapes
    /// matrix (vocabulary, dims), a row per token
    fn apply(&self, matrix: &mut [f32], dims: usize);

    /// The changed matrix, by operations on the tensor's own device: a new float32 tensor of its shape, [`Self::apply`] up to
    /// rounding. Where there is none, a matrix on a GPU goes to the host and back after each update.
    ///
    /// # Errors
    /// Returns an error if a tensor operation fails.
    fn apply_on_device(&self, _matrix: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// Noise on embeddings, during training only.
pub trait EmbeddingNoise: Debug + Send + Sync {
    /// Writes the noise of one sequence. The runner adds it to the sum of token and position embeddings, before dropout, and treats
    /// it as a constant in the backward pass. Each sequence, step and view gets its own draw.
    ///
    /// # Shapes
    /// noise (t·dims), initially zeros
    fn noise(&self, noise: &mut [f32], dims: usize, draw: &mut Draw);
}

/// Rounding of linear weights, as in quantisation-aware training.
pub trait WeightRounding: Debug + Send + Sync {
    /// Rounds the weights of one linear layer in place. Gradients are straight-through: the gradient with respect to the rounded
    /// weights updates the full-precision ones. Evaluation and export use the rounded weights.
    ///
    /// # Shapes
    /// weights (inputs, outputs)
    fn round(&self, weights: &mut [f32], inputs: usize, outputs: usize);

    /// The rounded weights, by operations on the tensor's own device: a new float32 tensor of their shape. It is what [`Self::round`]
    /// gives up to the last digits of a scale, which move a weight at a tie by a whole step. Where there is none, weights on a GPU go
    /// to the host and back after each update.
    ///
    /// # Errors
    /// Returns an error if a tensor operation fails.
    fn round_on_device(&self, _weights: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// An objective that compares the model's outputs with those of a second model, its companion.
pub trait CompanionObjective: Debug + Send + Sync {
    /// The weight of the objective in the loss. At 0 the objective is not computed, and no companion or parameters are created.
    fn weight(&self) -> f64;

    /// The second model. It sees the same batches as the model, without dropout.
    fn companion(&self) -> Companion;

    /// The output that is compared between the two models.
    fn compared(&self) -> Compared;

    /// The objective, a scalar (shape `[]`). The runner adds [`Self::weight`] times its value to the loss and differentiates it
    /// with respect to `outputs.own` and `parameters`. `outputs.companion` is a constant.
    ///
    /// # Errors
    /// Returns an error if the shapes do not fit or a tensor operation fails.
    fn objective(&self, outputs: &Outputs<'_>, parameters: &[Tensor]) -> Result<Tensor>;

    /// Initial values of the objective's own trainable parameters, for hidden states of size `dims`. The runner's optimizer trains
    /// them together with the model, without weight decay on vectors, and saves them in checkpoints.
    ///
    /// # Errors
    /// Returns an error if a tensor operation fails.
    fn parameters(&self, _dims: usize, _draw: &mut Draw) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    /// An optional kernel that computes [`Self::objective`] and its gradient faster, for an objective without parameters. The
    /// runner uses it when the outputs are float32 on the CPU. The conformance kit compares it with [`Self::objective`].
    fn kernel(&self) -> Option<&dyn ObjectiveKernel> {
        None
    }
}

/// The second model of a [`CompanionObjective`].
#[derive(Debug, Clone, PartialEq)]
pub enum Companion {
    /// A frozen model from a checkpoint folder, which must be one of [`Intervention::folders`].
    Checkpoint(PathBuf),
    /// An exponential moving average (EMA) of the model's weights, updated after each step:
    /// `average <- decay·average + (1 - decay)·model`.
    MovingAverage {
        /// The decay of the EMA, in [0, 1).
        decay: f64,
    },
}

/// An output of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The logits. (b, t, v)
    Logits,
    /// The hidden states after the final norm. (b, t, d)
    LastHiddenState,
}

/// Outputs of the model and of its companion for the same batch.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The model's output.
    pub own: &'a Tensor,
    /// The companion's output, a constant.
    pub companion: &'a Tensor,
}
