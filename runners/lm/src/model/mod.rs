//! What a model is: a decoder's options, the table of its tensors, and their numbers.
//!
//! | file | what |
//! |---|---|
//! | `options` | what may differ between decoders |
//! | `family`, `defaults` | the families, and the options of each |
//! | `decoder` | all options of a model, and the table of tensors that they ask for |
//! | `tensors` | a tensor's name, shape, role and first value; something of each tensor by what it does |
//! | `maps` | the linear maps that share a matrix |
//! | `parameters` | all numbers in one buffer |
//! | `initial` | fresh weights |
//! | `model` | a decoder with its parameters |
//! | `flops` | operations of a step, by formula |

mod decoder;
mod defaults;
mod family;
mod flops;
mod initial;
mod maps;
#[allow(clippy::module_inception)] // the file of the type that the folder is about
mod model;
mod options;
mod parameters;
mod tensors;

pub use decoder::Decoder;
pub use defaults::Sizes;
pub use family::Family;
pub use maps::Map;
pub use model::Model;
pub use options::{Biases, Mlp, NormKind, NormPlacement, Positions, QkNorm, Rotary, RotaryScaling};
pub use parameters::Parameters;
pub use tensors::{Affine, AttentionTensors, BlockTensors, Init, Matrix, MlpTensors, Role, TensorSpec, Tensors};

#[cfg(test)]
pub(crate) mod testing;
