//! The numbers of an activation, or of its gradient, as an engine has them.

use crate::model::Parameters;
use candle_core::{Device, Result, Shape, Tensor, Var};
use regatta_kernels::vector;
use std::borrow::Cow;
use std::ops::Range;

/// Tensors by group, as checkpoints name them.
pub(crate) type Groups<'a> = Vec<(&'static str, Cow<'a, Parameters>)>;

/// Numbers of an activation or a matrix, or their gradient.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    /// In memory, row after row.
    Floats(Vec<f32>),
    /// On a device.
    Tensor(Tensor),
}

impl Numbers {
    /// A leaf of these numbers, whose gradient is taken.
    pub fn leaf(self, shape: impl Into<Shape>) -> Result<Var> {
        match self {
            Self::Floats(numbers) => Var::from_vec(numbers, shape, &Device::Cpu),
            Self::Tensor(tensor) => Var::from_tensor(&tensor.reshape(shape.into())?),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Floats(numbers) => numbers.len(),
            Self::Tensor(tensor) => tensor.elem_count(),
        }
    }

    /// Adds numbers of the same count.
    pub fn add(&mut self, other: Self) -> Result<()> {
        match (&mut *self, other) {
            (Self::Floats(sum), other) => vector::add(sum, &other.into_floats()?),
            (Self::Tensor(sum), other) => *sum = (&*sum + other.into_tensor(sum.device())?.reshape(sum.shape())?)?,
        }
        Ok(())
    }

    /// Some of so many rows.
    pub fn rows(&self, own: Range<usize>, rows: usize) -> Result<Self> {
        Ok(match self {
            Self::Floats(numbers) => {
                let width = numbers.len() / rows;
                Self::Floats(numbers[own.start * width..own.end * width].to_vec())
            }
            Self::Tensor(tensor) => Self::Tensor(tensor.reshape((rows, ()))?.narrow(0, own.start, own.len())?),
        })
    }

    /// Appends rows of the same width.
    pub fn extend(&mut self, other: Self) -> Result<()> {
        match (&mut *self, other) {
            (Self::Floats(numbers), other) => numbers.extend(other.into_floats()?),
            (Self::Tensor(tensor), other) => *tensor = Tensor::cat(&[&*tensor, &other.into_tensor(tensor.device())?], 0)?,
        }
        Ok(())
    }

    /// In memory; a copy from the device where they are on one.
    pub fn into_floats(self) -> Result<Vec<f32>> {
        match self {
            Self::Floats(numbers) => Ok(numbers),
            Self::Tensor(tensor) => tensor.flatten_all()?.to_vec1(),
        }
    }

    /// On a device; a copy to it where they are in memory.
    pub fn into_tensor(self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Floats(numbers) => {
                let count = numbers.len();
                Tensor::from_vec(numbers, count, device)
            }
            Self::Tensor(tensor) => Ok(tensor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_do_the_same() {
        let numbers = [0.5, -1.0, 2.0, 3.0, 4.0, 5.0];
        let tensor =
            |numbers: &[f32]| Numbers::Tensor(Tensor::from_slice(numbers, (numbers.len() / 2, 2), &Device::Cpu).unwrap());
        let floats = |numbers: &[f32]| Numbers::Floats(numbers.to_vec());
        for (mut one, other) in [(floats(&numbers), tensor(&numbers)), (tensor(&numbers), floats(&numbers))] {
            one.add(other.clone()).unwrap();
            assert_eq!(one.rows(1..3, 3).unwrap().into_floats().unwrap(), [4.0, 6.0, 8.0, 10.0]);
            assert_eq!(one.clone().leaf((1, 2, 3)).unwrap().dims(), [1, 2, 3]);
            let more = match one {
                Numbers::Floats(_) => floats(&[7.0, 8.0]),
                Numbers::Tensor(_) => tensor(&[7.0, 8.0]),
            };
            one.extend(more).unwrap();
            assert_eq!(one.into_floats().unwrap(), [1.0, -2.0, 4.0, 6.0, 8.0, 10.0, 7.0, 8.0]);
        }
    }
}
