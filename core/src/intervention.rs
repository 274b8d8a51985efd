//! The trait of interventions: changes of training that are not penalties on a cloud.

use crate::{Draw, ObjectiveKernel, Result};
use candle_core::Tensor;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A change of training. Declare the struct with [`intervention!`](crate::intervention), and implement this trait under
/// `#[typetag::serde(name = "...")]` with the name that users write in a study.
///
/// A training step is one function of the runner. [`Action`] lists the places in it at which an intervention can act. An
/// intervention acts at one of them; an arm may list several interventions. Like a regularizer, an intervention sees no labels,
/// optimizer or other plugin. The runner keeps, saves and restores all state.
#[typetag::serde]
pub trait Intervention: Debug + Send + Sync {
    /// The place at which it acts and its action there, or `None` if its settings disable it. The place depends only on the
    /// settings.
    fn action(&self) -> Option<Action<'_>>;

    /// The fields that hold the path of a checkpoint folder, with their names. The runner makes the paths absolute; a relative path
    /// starts at the folder of the study's file. The checkpoint's files, not its path, are part of a trial's identity.
    fn folders(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        Vec::new()
    }
}

/// The places of a training step at which an intervention can act, in the order of the step.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Before the step: every `every` steps, the token embedding is reinitialised, its optimizer state is set to 0, and its
    /// learning rate restarts the study's schedule.
    EmbeddingReset {
        /// Steps between resets. The first reset is before step `every`, counted from 0.
        every: NonZeroUsize,
    },
    /// In the forward pass: noise is added to the embeddings of each training sequence.
    EmbeddingNoise(&'a dyn EmbeddingNoise),
    /// In the forward and backward pass: linear layers use rounded weights.
    WeightRounding(&'a dyn WeightRounding),
    /// After the penalties: an objective that compares the model's output with a companion's output is added to the loss.
    Objective(&'a dyn CompanionObjective),
}

/// Noise on embeddings, in training only.
pub trait EmbeddingNoise: Debug + Send + Sync {
    /// Writes the noise of one sequence. The runner adds it to the sum of token and position embeddings, before dropout; it does
    /// not change the gradient. Each sequence, step and view has its own draw.
    ///
    /// # Shapes
    /// noise (t·dims), zeros at first
    fn noise(&self, noise: &mut [f32], dims: usize, draw: &mut Draw);
}

/// Rounding of the weights that the model uses in place of the trained ones.
pub trait WeightRounding: Debug + Send + Sync {
    /// Rounds the weights of one linear layer in place. Gradients pass straight through: the gradients of the rounded weights
    /// update the trained weights. The rounded model is the one that is evaluated and exported.
    ///
    /// # Shapes
    /// weights (inputs, outputs)
    fn round(&self, weights: &mut [f32], inputs: usize, outputs: usize);
}

/// An objective that compares the model with a second model, its companion.
pub trait CompanionObjective: Debug + Send + Sync {
    /// The factor of the objective in the loss. If it is 0, the objective is not computed, and no companion or parameters exist.
    fn weight(&self) -> f64;

    /// The second model, which processes the same batch without dropout.
    fn companion(&self) -> Companion;

    /// The output of both models that is compared.
    fn compared(&self) -> Compared;

    /// The objective, a scalar (shape `[]`). The runner adds [`Self::weight`] times it to the loss, and takes the gradient with
    /// respect to the `own` output and `parameters`. `companion` is a constant.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn objective(&self, outputs: &Outputs<'_>, parameters: &[Tensor]) -> Result<Tensor>;

    /// Initial values of the objective's own trainable parameters, for a model of width `dims`. The optimizer trains them with the
    /// model's, without weight decay on vectors, and checkpoints include them.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn parameters(&self, _dims: usize, _draw: &mut Draw) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    /// A faster implementation of value and gradient of [`Self::objective`], for an objective without parameters. The runner uses
    /// it if the outputs are float32 on the CPU; the conformance kit compares the two.
    fn kernel(&self) -> Option<&dyn ObjectiveKernel> {
        None
    }
}

/// The second model of a [`CompanionObjective`].
#[derive(Debug, Clone, PartialEq)]
pub enum Companion {
    /// The model of a checkpoint folder, which stays constant. The folder must be one of [`Intervention::folders`].
    Checkpoint(PathBuf),
    /// An exponential moving average (EMA) of the model: after each step, `average <- decay·average + (1 - decay)·model`.
    MovingAverage {
        /// The decay, in [0, 1).
        decay: f64,
    },
}

/// An output of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The logits, (b, t, v).
    Logits,
    /// The last hidden state, after the final norm, (b, t, d).
    LastHiddenState,
}

/// One output of the model and the same output of its companion, for the same batch.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The model's output.
    pub own: &'a Tensor,
    /// The companion's output, a constant.
    pub companion: &'a Tensor,
}
