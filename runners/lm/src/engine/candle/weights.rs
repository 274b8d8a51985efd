//! The parameters of a model on a device.

use crate::model::{Decoder, Map, Model, Parameters, Role, TensorSpec, Tensors};
use candle_core::{DType, Device, Result, Tensor, Var};

/// Trainable parameters in float32, one variable for each tensor of [`Decoder::tensors`], in that order.
pub(crate) struct Weights {
    decoder: Decoder,
    specs: Vec<TensorSpec>,
    device: Device,
    vars: Vec<Var>,
}

impl Weights {
    /// Those of `model`, copied to `device`.
    pub fn upload(model: &Model, device: &Device) -> Result<Self> {
        let each = model.parameters().each();
        let vars = each.map(|(spec, numbers)| Var::from_slice(numbers, &*spec.shape, device)).collect::<Result<_>>()?;
        let decoder = model.decoder().clone();
        Ok(Self { specs: decoder.tensors().list(), decoder, device: device.clone(), vars })
    }

    /// A model of the present numbers, on the host; waits for the device.
    pub fn download(&self) -> Result<Model> {
        let mut parameters = Parameters::zeros(&self.decoder);
        for ((_, numbers), var) in parameters.each_mut().zip(&self.vars) {
            numbers.copy_from_slice(&var.as_detached_tensor().flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(Model::from_parameters(self.decoder.clone(), parameters))
    }

    /// The model's shape.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Where the numbers are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The variables.
    pub fn vars(&self) -> &[Var] {
        &self.vars
    }

    /// What each variable is.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// The same numbers in other storage.
    pub fn copy(&self) -> Result<Self> {
        let vars = self.vars.iter().map(|var| Var::from_tensor(&var.as_detached_tensor())).collect::<Result<_>>()?;
        Ok(Self { decoder: self.decoder.clone(), specs: self.specs.clone(), device: self.device.clone(), vars })
    }

    /// Takes the numbers of `other`, a model of the same shape on the same device.
    pub fn set_from(&self, other: &Self) -> Result<()> {
        self.vars.iter().zip(&other.vars).try_for_each(|(var, other)| var.set(other))
    }

    /// Takes the numbers of parameters of the same shapes.
    pub fn set(&self, parameters: &Parameters) -> Result<()> {
        let each = parameters.each().zip(&self.vars);
        each.into_iter().try_for_each(|((_, numbers), var)| var.set(&Tensor::from_slice(numbers, var.shape(), &self.device)?))
    }

    /// The token embedding (v, d).
    pub fn embedding(&self) -> &Var {
        &self.vars[self.place(Role::Embedding).expect("every model has one")]
    }

    /// The output matrix (v, d): the embedding where it is tied.
    pub fn unembedding(&self) -> &Var {
        &self.vars[self.output_place()]
    }

    /// A linear map of a block, from 0, by rows, outside of any graph. -> (outputs, inputs), contiguous
    pub fn rows(&self, map: Map, block: usize) -> Result<Tensor> {
        let columns = self.decoder.columns(map);
        let matrix = self.vars[self.matrix_place(map, block)].as_detached_tensor();
        matrix.narrow(1, columns.start, columns.len())?.t()?.contiguous()
    }

    /// The tensors by what they do, as variables of candle's graph or outside of it.
    pub(super) fn tensors(&self, graph: Graph) -> Tensors<Tensor> {
        let mut vars = self.vars.iter();
        self.decoder.tensors().map(|_| {
            let var = vars.next().expect("a variable for each tensor");
            match graph {
                Graph::Kept => var.as_tensor().clone(),
                Graph::None => var.as_detached_tensor(),
            }
        })
    }

    /// Zeros in the shape of a variable.
    pub(super) fn zeros(&self, place: usize) -> Result<Tensor> {
        Tensor::zeros(self.vars[place].shape(), DType::F32, &self.device)
    }

    /// The first variable of a role.
    pub(super) fn place(&self, role: Role) -> Option<usize> {
        self.specs.iter().position(|spec| spec.role == role)
    }

    /// Where the output matrix is.
    pub(super) fn output_place(&self) -> usize {
        self.place(Role::Unembedding).or_else(|| self.place(Role::Embedding)).expect("every model has one")
    }

    /// Where the matrix is in which a linear map of a block lies.
    pub(super) fn matrix_place(&self, map: Map, block: usize) -> usize {
        let is_it = |(_, spec): &(usize, &TensorSpec)| spec.role == Role::Matrix(map.matrix());
        self.specs.iter().enumerate().filter(is_it).nth(block).expect("a block of the model").0
    }
}

/// Whether candle remembers how tensors were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Graph {
    Kept,
    None,
}
