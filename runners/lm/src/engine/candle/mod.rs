//! A pass over a batch in candle's differentiable operations, on any device that candle knows.
//!
//! Activations are (b·t, d). Blocks are differentiated one at a time, from the last to the first, so that what a block remembers is
//! freed before the next is differentiated. The output layer is outside of candle's graph: logits are made a few rows at a time,
//! and their gradients at once. Nothing waits for the device: all numbers stay there.
//!
//! | file | what |
//! |---|---|
//! | `weights` | the parameters of a model on a device |
//! | `pass` | a batch's way from token ids to the final norm, and what the pass keeps |
//! | `backward` | the backward pass |
//! | `embedding`, `norm`, `rotary`, `attention`, `mlp`, `output` | a part of the model each |
//! | `block` | how attention and MLP meet in the residual stream |
//! | `state` | a model in training: what a step asks of this engine |
//! | `passes` | the pass of a step, and that of its second view |
//! | `optimizer` | updates of the parameters |
//! | `second`, `own` | second models and parameters of interventions |
//! | `masks` | dropout's masks, uploaded |
//! | `memory` | bytes that a pass needs, by its shape |
//! | `product` | matrix products, in a precision |
//! | `known` | operations whose result and gradient are known without candle's graph |

mod attention;
mod backward;
mod block;
#[cfg(test)]
mod counted;
mod embedding;
mod known;
mod masks;
pub(crate) mod memory;
mod mlp;
mod norm;
pub(crate) mod optimizer;
mod output;
mod own;
mod pass;
mod passes;
mod product;
mod rotary;
mod second;
mod state;
#[cfg(test)]
mod tests;
mod weights;

#[cfg(test)]
pub(crate) use backward::Backward;
pub(crate) use pass::Pass;
pub(crate) use state::State;
pub(crate) use weights::Weights;
