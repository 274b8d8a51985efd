//! The trait of what changes training without being a penalty on a cloud.

use crate::{Draw, ObjectiveKernel, Result};
use candle_core::Tensor;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A change of training. Declare the struct with [`intervention!`](crate::intervention) and implement this under
/// `#[typetag::serde(name = "...")]`: the name is the word that users type.
///
/// A training step is one function of the runner's, and [`Action`] lists the places at which it lets an intervention act. An
/// intervention acts at one of them; an arm lists as many interventions as it needs. Like a regularizer, an intervention sees no
/// label, no optimizer and no other plugin. State, where there is any, belongs to the runner, which keeps and restores it.
#[typetag::serde]
pub trait Intervention: Debug + Send + Sync {
    /// Where it acts, with what it does there; `None` where these settings turn it off. The place depends on the settings alone.
    fn action(&self) -> Option<Action<'_>>;

    /// Its fields that hold the path of a checkpoint folder, by name. The runner makes them absolute (a relative path starts from
    /// the study's file), and the checkpoint's files, not its path, are part of a trial's identity.
    fn folders(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        Vec::new()
    }
}

/// A place at which a training step lets an intervention act, in the order in which the step comes to them.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Before the step: every `every` steps the token embedding is drawn anew, its optimizer's moments are set to 0, and its
    /// learning rate goes through the study's schedule from the start.
    EmbeddingReset {
        /// Steps from one reset to the next; the first is before step `every`, counted from 0.
        every: NonZeroUsize,
    },
    /// In the forward pass: noise is added to the embeddings of each training sequence.
    EmbeddingNoise(&'a dyn EmbeddingNoise),
    /// In the forward and backward pass: linear layers compute with rounded weights.
    WeightRounding(&'a dyn WeightRounding),
    /// After the penalties: an objective that compares the model's output with a companion's is added to the loss.
    Objective(&'a dyn CompanionObjective),
}

/// Noise on embeddings, in training alone.
pub trait EmbeddingNoise: Debug + Send + Sync {
    /// Writes the noise of one sequence. The runner adds it to the sum of token and position embeddings, before dropout, so
    /// gradients go back as if it were not there. Each sequence, step and view has a draw of its own.
    ///
    /// # Shapes
    /// noise (t·dims), zeros at first
    fn noise(&self, noise: &mut [f32], dims: usize, draw: &mut Draw);
}

/// Weights that the model computes with in place of the trained ones.
pub trait WeightRounding: Debug + Send + Sync {
    /// Rounds the weights of one linear layer in place. Gradients go straight through: those of the rounded weights update the
    /// trained ones. What is measured and exported is the rounded model.
    ///
    /// # Shapes
    /// weights (inputs, outputs)
    fn round(&self, weights: &mut [f32], inputs: usize, outputs: usize);
}

/// An objective that compares the model with a second one.
pub trait CompanionObjective: Debug + Send + Sync {
    /// Its factor in the loss. At 0 the objective is not computed, and neither companion nor parameters are made.
    fn weight(&self) -> f64;

    /// The second model, which the batch goes through too, without dropout.
    fn companion(&self) -> Companion;

    /// Which output of both models is compared.
    fn compared(&self) -> Compared;

    /// A scalar (shape `[]`). The runner adds [`Self::weight`] times it to the loss, and takes its gradient in the `own` output
    /// and in `parameters`. `companion` is a constant.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn objective(&self, outputs: &Outputs<'_>, parameters: &[Tensor]) -> Result<Tensor>;

    /// Initial values of parameters of its own, for a model of `dims` dims. The runner's optimizer trains them beside the model's,
    /// without weight decay on vectors, and checkpoints keep them.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn parameters(&self, _dims: usize, _draw: &mut Draw) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    /// A faster way to value and gradient of [`Self::objective`], for an objective without parameters. The runner takes it where
    /// the outputs are float32 on the CPU, and the conformance kit compares the two.
    fn kernel(&self) -> Option<&dyn ObjectiveKernel> {
        None
    }
}

/// A second model.
#[derive(Debug, Clone, PartialEq)]
pub enum Companion {
    /// A checkpoint folder, which does not change; one of [`Intervention::folders`].
    Checkpoint(PathBuf),
    /// A moving average (EMA) of the model itself: after each step `average <- decay·average + (1 - decay)·model`.
    MovingAverage {
        /// In [0, 1).
        decay: f64,
    },
}

/// An output of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// (b, t, v)
    Logits,
    /// After the final norm. (b, t, d)
    LastHiddenState,
}

/// One output of the model and of its companion for the same batch.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The model's.
    pub own: &'a Tensor,
    /// The companion's; no gradient reaches it.
    pub companion: &'a Tensor,
}
