//! Value and gradient together, on the float32 points of one group.

use regatta_core::kernels::{Matrix, TINY_SQUARE, centred_rows, gram, times, vector};
use regatta_core::{Draw, FloatCloud, Kernel, Result, candle};

/// A sketch, or none.
pub struct Sketched {
    sketch: Option<Sketch>,
}

struct Sketch {
    /// (d, k)
    numbers: Vec<f32>,
    dims: usize,
    width: usize,
}

impl Sketched {
    /// Points as they are.
    pub fn none() -> Self {
        Self { sketch: None }
    }

    /// Points times a sketch (dims, width).
    pub fn by(sketch: &[f32], dims: usize, width: usize) -> Self {
        Self { sketch: Some(Sketch { numbers: sketch.to_vec(), dims, width }) }
    }
}

impl Kernel for Sketched {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        match &self.sketch {
            None => cloud.each_group(|points, gradient| Ok(distance_from_identity(&centred_rows(points, d), d, gradient))),
            Some(sketch) if sketch.dims == d => cloud.each_group(|points, gradient| Ok(sketch.penalty(points, gradient))),
            Some(sketch) => Err(candle::Error::msg(format!("expected points of {} dims, found {d}", sketch.dims)).into()),
        }
    }
}

impl Sketch {
    /// points (n, d), gradient (n, d)
    fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
        let Self { numbers, dims, width } = self;
        let sketch = Matrix::new(numbers, *dims, *width);
        let count = points.len() / dims;
        let (mut y, mut grad_y) = (vec![0f32; count * width], vec![0f32; count * width]);
        times(&centred_rows(points, *dims), sketch, &mut y, |_, _| {});
        let value = distance_from_identity(&y, *width, &mut grad_y);
        times(&grad_y, sketch.transposed(), gradient, |_, _| {});
        value
    }
}

/// `‖C - I‖_F` of centred points, and its gradient; that is `2/(n - 1) y (C - I) / ‖C - I‖`, since dC = (dyᵀy + yᵀdy) / (n - 1).
/// y, gradient (n, k)
fn distance_from_identity(y: &[f32], k: usize, gradient: &mut [f32]) -> f64 {
    let degrees = (y.len() / k - 1) as f64;
    let mut excess = gram(y, k); // (n - 1)·C, then C - I, then the derivative
    let mut squares = TINY_SQUARE;
    for (index, row) in excess.chunks_exact_mut(k).enumerate() {
        vector::scale(row, (1.0 / degrees) as f32);
        row[index] -= 1.0;
        squares += f64::from(vector::dot(row, row));
    }
    let distance = squares.sqrt();
    vector::scale(&mut excess, (2.0 / (degrees * distance)) as f32);
    times(y, Matrix::new(&excess, k, k), gradient, |_, _| {});
    distance
}
