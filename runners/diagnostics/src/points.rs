//! What everything here measures.

use crate::{Error, Result};
use rayon::prelude::*;
use regatta_core::Tensor;
use regatta_core::candle::{self, DType};
use regatta_core::maths::{is_float32_on_cpu, with_floats};

/// Points `[n, d]` in float64, row after row: at least one point and one dim, every number finite.
///
/// Every measure is made of sums over parts of the rows whose size is fixed, taken in their order: no result depends on
/// the number of threads.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    numbers: Vec<f64>,
    dims: usize,
}

/// Rows that one task takes.
pub(crate) const ROWS: usize = 256;

impl Points {
    /// Points from numbers, row after row.
    ///
    /// # Shapes
    /// numbers (n·d)
    ///
    /// # Errors
    /// When there is no point or no dim, when a row is cut short, and when a number is NaN, infinite or beyond float32.
    pub fn new(numbers: Vec<f64>, dims: usize) -> Result<Self> {
        if dims == 0 || numbers.is_empty() || !numbers.len().is_multiple_of(dims) {
            return Err(Error::NotPoints { found: vec![numbers.len(), dims] });
        }
        let legal = |x: &f64| x.abs() <= f64::from(f32::MAX); // false of NaN
        match numbers.iter().position(|x| !legal(x)) {
            Some(at) => Err(Error::NotFinite { point: at / dims, dim: at % dims, value: numbers[at] }),
            None => Ok(Self { numbers, dims }),
        }
    }

    /// The points of a tensor of floats, on any device.
    ///
    /// # Shapes
    /// tensor (n, d)
    ///
    /// # Errors
    /// As [`Points::new`]; and when the tensor has another rank.
    pub fn of(tensor: &Tensor) -> Result<Self> {
        let [_, dims] = *tensor.dims() else { return Err(Error::NotPoints { found: tensor.dims().to_vec() }) };
        if tensor.elem_count() == 0 {
            return Err(Error::NotPoints { found: tensor.dims().to_vec() });
        }
        let numbers = if is_float32_on_cpu(tensor) {
            with_floats([tensor], "points", |[floats]| floats.iter().map(|&x| f64::from(x)).collect())
        } else {
            float64(tensor)
        };
        Self::new(numbers.map_err(regatta_core::Error::from)?, dims)
    }

    /// How many points: n.
    pub fn count(&self) -> usize {
        self.numbers.len() / self.dims
    }

    /// How many dims: d.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// All numbers, row after row.
    pub fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    /// The points, one after the other.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.numbers.chunks_exact(self.dims)
    }

    /// The point of number `index`.
    ///
    /// # Panics
    /// When there is none.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.numbers[index * self.dims..][..self.dims]
    }

    /// The mean point. (n, d) -> (d)
    ///
    /// Summed is what the points are beyond the first, so that the mean of equal points is that point and no near one.
    pub fn mean(&self) -> Vec<f64> {
        let first = self.row(0);
        let beyond = self.sums(self.dims, |row, sums| {
            sums.iter_mut().zip(row.iter().zip(first)).for_each(|(sum, (x, first))| *sum += x - first);
        });
        let count = self.count() as f64;
        beyond.iter().zip(first).map(|(beyond, first)| first + beyond / count).collect()
    }

    /// The points less `shift`. (n, d), (d) -> (n, d)
    pub(crate) fn less(&self, shift: &[f64]) -> Self {
        let mut numbers = self.numbers.clone();
        numbers.par_chunks_mut(ROWS * self.dims).for_each(|rows| {
            rows.chunks_exact_mut(self.dims).for_each(|row| row.iter_mut().zip(shift).for_each(|(x, shift)| *x -= shift));
        });
        Self { numbers, dims: self.dims }
    }

    /// The points less their mean. (n, d) -> (n, d)
    pub fn centred(&self) -> Self {
        self.less(&self.mean())
    }

    /// The norm of each point. (n, d) -> (n)
    pub fn norms(&self) -> Vec<f64> {
        self.numbers.par_chunks(ROWS * self.dims).flat_map_iter(|rows| rows.chunks_exact(self.dims).map(norm)).collect()
    }

    /// `width` sums over the points: `add` adds what a point gives.
    pub(crate) fn sums(&self, width: usize, add: impl Fn(&[f64], &mut [f64]) + Sync) -> Vec<f64> {
        let part = |rows: &[f64]| {
            let mut sums = vec![0.0; width];
            rows.chunks_exact(self.dims).for_each(|row| add(row, &mut sums));
            sums
        };
        let parts: Vec<Vec<f64>> = self.numbers.par_chunks(ROWS * self.dims).map(part).collect();
        let mut total = vec![0.0; width];
        parts.iter().for_each(|part| total.iter_mut().zip(part).for_each(|(total, x)| *total += x));
        total
    }
}

/// `√Σ x²`
pub(crate) fn norm(point: &[f64]) -> f64 {
    dot(point, point).sqrt()
}

/// `Σ x y`
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// What a point is multiplied by to have norm 1; 0 of a zero vector, which stays one and so has cosine 0 with all.
pub(crate) fn to_unit(norm: f64) -> f64 {
    if norm > 0.0 { 1.0 / norm } else { 0.0 }
}

fn float64(tensor: &Tensor) -> candle::Result<Vec<f64>> {
    tensor.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    #[test]
    fn means_and_norms_by_hand() {
        let points = Points::new(vec![3.0, 4.0, 1.0, 0.0], 2).unwrap();
        assert_eq!(points.mean(), [2.0, 2.0]);
        assert_eq!(points.centred().numbers(), [1.0, 2.0, -1.0, -2.0]);
        assert_eq!(points.norms(), [5.0, 1.0]);
        let equal = Points::new([0.1, 0.7].repeat(3), 2).unwrap();
        assert_eq!(equal.centred().numbers(), [0.0; 6]); // where 0.1 + 0.1 + 0.1 is not 3·0.1
    }

    #[test]
    fn float32_and_float64_are_the_same_points() {
        let narrow = Tensor::new(&[[1f32, 2.5], [0.0, -3.0]], &Device::Cpu).unwrap();
        let wide = narrow.to_dtype(DType::F64).unwrap();
        assert_eq!(Points::of(&narrow).unwrap(), Points::of(&wide).unwrap());
        let across = narrow.t().unwrap(); // not contiguous
        assert_eq!(Points::of(&across).unwrap().numbers(), [1.0, 0.0, 2.5, -3.0]);
    }

    #[test]
    fn what_is_no_cloud_is_refused() {
        let refused = |numbers: &[f64], dims| Points::new(numbers.to_vec(), dims).unwrap_err().to_string();
        assert_eq!(refused(&[1.0], 0), "expected points [points, dims], at least one of each, found [1, 0]");
        assert_eq!(refused(&[], 2), "expected points [points, dims], at least one of each, found [0, 2]");
        assert_eq!(refused(&[1.0, 2.0, 3.0], 2), "expected points [points, dims], at least one of each, found [3, 2]");
        let finite = "expected finite numbers of the size of float32, found";
        assert_eq!(refused(&[1.0, 2.0, 3.0, f64::NAN], 2), format!("{finite} NaN in dim 1 of point 1"));
        assert_eq!(refused(&[f64::NEG_INFINITY, 2.0], 2), format!("{finite} -inf in dim 0 of point 0"));
        assert!(Points::new(vec![1e39], 1).is_err());
        let none = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(Points::of(&none).is_err() && Points::of(&none.unsqueeze(0).unwrap()).is_err());
    }
}
