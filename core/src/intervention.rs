//! The trait of what changes training without being a penalty of a cloud.

use crate::{Draw, ObjectiveKernel, Result};
use candle_core::Tensor;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A change of training. Declare the struct with [`intervention!`](crate::intervention) and implement this under
/// `#[typetag::serde(name = "...")]`: the name is the word that users type.
///
/// A training step is one function of the runner's, and an intervention may act at the places that the methods below name, in
/// the order in which the step comes to them. Each does nothing by default: an intervention implements the one that it is
/// about, and a step pays for no other. Like a regularizer it sees no label, no optimizer and no other plugin; state, where
/// there is any, is the runner's, which keeps and restores it.
#[typetag::serde]
pub trait Intervention: Debug + Send + Sync {
    /// Every how many steps the token embedding is drawn anew, its optimizer's moments set to 0, and its learning rate taken
    /// through the study's schedule from the start.
    fn forgets_embedding_every(&self) -> Option<NonZeroUsize> {
        None
    }

    /// Whether [`Self::round`] does anything.
    fn rounds(&self) -> bool {
        false
    }

    /// Rounds the weights of a linear layer, `inputs` rows of `outputs` numbers, that the model uses in place of those that are
    /// trained. Gradients go straight through: those of the rounded weights update the trained ones. What is measured and
    /// exported is the rounded model.
    fn round(&self, _weights: &mut [f32], _inputs: usize, _outputs: usize) {}

    /// Whether [`Self::perturb`] does anything.
    fn perturbs(&self) -> bool {
        false
    }

    /// Changes the embeddings of one sequence of a training batch, token and position together and before dropout, by an amount
    /// that does not depend on them. embeddings (t·dims)
    fn perturb(&self, _embeddings: &mut [f32], _dims: usize, _draw: &mut Draw) {}

    /// Another model that the batch goes through too, without dropout.
    fn companion(&self) -> Option<Companion> {
        None
    }

    /// Parameters of its own for a model of `dims` dims, as they start. Trained by the runner's optimizer beside the model's,
    /// without weight decay on vectors, and kept in checkpoints.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn parameters(&self, _dims: usize, _draw: &mut Draw) -> Result<Vec<Tensor>> {
        Ok(Vec::new())
    }

    /// Its fields that hold the path of a checkpoint folder, by name. The runner makes them absolute, relative paths starting from
    /// the study's file; and the checkpoint's files, not its path, are part of what a trial is.
    fn folders(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        Vec::new()
    }

    /// What [`Self::objective`] is computed from; `None` where there is none.
    fn compares(&self) -> Option<Compared> {
        None
    }

    /// What [`Self::objective`] counts for in the loss. At 0 it is not computed, and neither companion nor parameters are made.
    fn weight(&self) -> f64 {
        1.0
    }

    /// A scalar (shape `[]`) of which [`Self::weight`] times is added to the loss, and whose gradient in the `own` output and in
    /// `parameters` the runner takes. Both outputs are as [`Self::compares`] says; `companion` is a constant.
    ///
    /// # Errors
    /// When a tensor operation fails.
    fn objective(&self, _outputs: &Outputs<'_>, _parameters: &[Tensor]) -> Result<Tensor> {
        Err(crate::Error::Tensor(candle_core::Error::Msg("an intervention that compares nothing has no objective".into())))
    }

    /// A faster way to value and gradient of [`Self::objective`], which the runner takes where the outputs are float32 on the CPU
    /// and there are no parameters. It computes the same objective, and the conformance kit compares the two.
    fn kernel(&self) -> Option<&dyn ObjectiveKernel> {
        None
    }
}

/// A second model.
#[derive(Debug, Clone, PartialEq)]
pub enum Companion {
    /// A checkpoint folder, which does not change.
    Checkpoint(PathBuf),
    /// A slow copy of the model itself: after each step `copy <- decay·copy + (1 - decay)·model`.
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
