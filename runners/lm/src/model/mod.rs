//! What a model is: a decoder's options and tensors, its numbers, and how checkpoints hold them.
//!
//! | file | what |
//! |---|---|
//! | `decoder` | the options, and the table of tensors that they ask for |
//! | `tensors` | a tensor's name, shape, role and start; something of each tensor by what it does |
//! | `families` | defaults for the options; Hugging Face's `config.json` and tensor names |
//! | `parameters` | all numbers in one buffer |
//! | `initial` | fresh weights |
//! | `flops` | operations of a step, by formula |
//! | `checkpoint` | folders in Hugging Face's layout, in and out |

mod checkpoint;
mod decoder;
mod families;
mod flops;
mod initial;
#[allow(clippy::module_inception)] // the one in the room that has its name
mod model;
mod parameters;
mod tensors;

pub use checkpoint::{CheckpointError, weight_files};
pub use decoder::{Biases, Decoder, Map, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary, RotaryScaling, Sizes};
pub use families::Family;
pub use model::Model;
pub use parameters::Parameters;
pub use tensors::{Affine, AttentionTensors, BlockTensors, Init, Matrix, MlpTensors, Role, TensorSpec, Tensors};

#[cfg(test)]
pub(crate) mod testing;
