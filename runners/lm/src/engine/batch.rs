//! What a pass keeps of a batch, what perturbs its embeddings, and what comes from elsewhere than the loss in the backward pass.

use super::gates::Gates;
use crate::model::Map;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a pass remembers of the activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The last only, for losses and logits.
    Last,
    /// All hidden states.
    HiddenStates,
    /// All that the backward pass needs.
    ForBackward {
        /// And what attention and MLP of each block add to the residual stream.
        contributions: bool,
    },
}

/// Changes the embeddings (t·d) of the sequence of this number in the batch.
pub(crate) type Perturb<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync);

/// Gradients of activations and of weights that come from elsewhere than the loss, each shaped as what it is of. `N` is how an
/// engine has the numbers of one.
#[derive(Debug)]
pub struct Upstream<N = Vec<f32>> {
    /// By entry of the hidden states.
    pub hidden_states: BTreeMap<usize, N>,
    /// Of what attention adds to the residual stream, by block from 0.
    pub attention: BTreeMap<usize, N>,
    /// Of what the MLP adds, by block from 0.
    pub mlp: BTreeMap<usize, N>,
    /// Of the embedding matrix (v, d).
    pub embedding: Option<N>,
    /// Of the output matrix (v, d).
    pub unembedding: Option<N>,
    /// Of a linear map of a block, from 0: its rows, one for each output (outputs, inputs).
    pub weights: BTreeMap<(Map, usize), N>,
    /// Of the logits (b·t, v), on their way to the final norm's output and to the output matrix.
    pub logits: Option<N>,
    /// Factor of the mean squared log-normaliser of the logits, which is added to the loss: none where it is 0.
    pub normalizers: f64,
    /// Gates on the gradient that the output matrix has of the loss and of `logits`.
    pub gates: Option<Arc<Gates>>,
}

impl<N> Default for Upstream<N> {
    fn default() -> Self {
        Self {
            hidden_states: BTreeMap::new(),
            attention: BTreeMap::new(),
            mlp: BTreeMap::new(),
            embedding: None,
            unembedding: None,
            weights: BTreeMap::new(),
            logits: None,
            normalizers: 0.0,
            gates: None,
        }
    }
}

impl<N> Upstream<N> {
    /// The same gradients in the numbers that `of` makes of each.
    ///
    /// # Errors
    /// When `of` fails.
    pub(crate) fn map<M, E>(self, mut of: impl FnMut(N) -> Result<M, E>) -> Result<Upstream<M>, E> {
        fn each<K: Ord, N, M, E>(map: BTreeMap<K, N>, of: &mut impl FnMut(N) -> Result<M, E>) -> Result<BTreeMap<K, M>, E> {
            map.into_iter().map(|(key, numbers)| Ok((key, of(numbers)?))).collect()
        }
        let of = &mut of;
        Ok(Upstream {
            hidden_states: each(self.hidden_states, of)?,
            attention: each(self.attention, of)?,
            mlp: each(self.mlp, of)?,
            embedding: self.embedding.map(&mut *of).transpose()?,
            unembedding: self.unembedding.map(&mut *of).transpose()?,
            weights: each(self.weights, of)?,
            logits: self.logits.map(of).transpose()?,
            normalizers: self.normalizers,
            gates: self.gates,
        })
    }
}

/// Why a batch cannot go through a model.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// More tokens than positions.
    #[error("a sequence of {found} tokens in a model of {positions} positions")]
    TooLong {
        /// Tokens of a sequence.
        found: usize,
        /// Positions of the model.
        positions: usize,
    },
    /// A token without an embedding.
    #[error("token {found} in a vocabulary of {vocabulary}")]
    UnknownToken {
        /// The token.
        found: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Tensor(Box<candle_core::Error>),
}

impl From<candle_core::Error> for BatchError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(Box::new(error))
    }
}
