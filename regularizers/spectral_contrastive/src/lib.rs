//! The spectral contrastive loss: the views of a point agree, and the views of different points are uncorrelated.
//!
//! For a group of n points and a second view of them, with points longer than sqrt(μ) shortened to that, `z_i` and `y_i`:
//! ```text
//! (-2 mean_i z_i·y_i + mean_{i≠j} (z_i·y_j)²) / μ
//! ```
//! HaoChen, Wei, Gaidon, Ma, "Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss", NeurIPS 2021,
//! arXiv:2106.04156, as in the authors' code, which shortens long points and divides by μ. Its least value over unrestricted
//! points factorises the graph of which points are views of one another. Deviations: points are hidden states, without a projector;
//! the second view is another dropout mask's. The gradient jumps where a point's norm is sqrt(μ).
//!
//! With more points than dims, the sum over pairs is `tr(ZᵀZ YᵀY)` less that over i = j: the kernel needs no (n, n) matrix, and its
//! cost is linear in n.
//!
//! # Shapes
//! points and view (g, n, d) -> scalar, by way of (g, n, n); the kernel by way of (d, d), or (n, n) where that is smaller
//!
//! # Errors
//! Of a cloud without a second view.

use regatta_core::kernels::{Matrix, MatrixMut, Onto, TINY_SQUARE, gram, product, times, vector};
use regatta_core::maths::{matmul, off_diagonal};
use regatta_core::number::Positive;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, regularizer, typetag};

regularizer! {
    name: "spectral_contrastive",
    summary: "two views of a point agree, and views of different points are uncorrelated",
    paper: "HaoChen et al., \"Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss\", \
            NeurIPS 2021, arXiv:2106.04156",
    formula: "(-2 mean_i z_i·y_i + mean_{i≠j} (z_i·y_j)²) / mu, z and y both views, each point at most sqrt(mu) long (needs \
              train.dropout)",
    expects: "two views of all tokens of a batch, at any scale (train.dropout)",
    /// Both views of a point agree, and others' are uncorrelated.
    pub struct SpectralContrastive {
        /// μ, the largest squared norm of a point; longer ones are shortened (authors' code: 1).
        pub mu: Positive = Positive::new(1.0),
    }
}

#[typetag::serde(name = "spectral_contrastive")]
impl Regularizer for SpectralContrastive {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let (mu, n) = (self.mu.get(), cloud.count() as f64);
        let views = cloud.both_views()?; // (g, n, d) each
        let (z, y) = (self.shortened(views[0])?, self.shortened(views[1])?);
        let own = (&z * &y)?.sum(2)?.mean(1)?; // (g)
        let squares = off_diagonal(&matmul(&z, &y.transpose(1, 2)?)?.sqr()?, 0.0)?; // (g, n, n)
        let others = (squares.sum((1, 2))? / (n * (n - 1.0)))?; // (g)
        Ok(((others - (own * 2.0)?)?.mean_all()? / mu)?)
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn needs_view(&self) -> bool {
        true
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for SpectralContrastive {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        cloud.each_group_of_views(|views, gradients| Ok(self.fused(views, d, gradients)))
    }
}

impl SpectralContrastive {
    /// Points longer than sqrt(μ) at that length. (g, n, d) -> (g, n, d)
    fn shortened(&self, points: &Tensor) -> Result<Tensor> {
        let norms = (points.sqr()?.sum_keepdim(2)? + TINY_SQUARE)?.sqrt()?; // (g, n, 1)
        Ok(points.broadcast_div(&(norms / self.mu.get().sqrt())?.maximum(1.0)?)?)
    }

    /// Value and gradients together, on the float32 points of one group. points, view and their gradients (n, d)
    fn fused(&self, views: [&[f32]; 2], d: usize, gradients: [&mut [f32]; 2]) -> f64 {
        let (mu, n) = (self.mu.get(), (views[0].len() / d) as f64);
        let [z, y] = views.map(|points| Shortened::new(points, d, mu.sqrt() as f32));
        let [of_z, of_y] = gradients;
        let pairs = n * (n - 1.0);
        let all = all_products([&z.points, &y.points], d, [&mut *of_z, &mut *of_y]);

        // The derivative with respect to `z_i·y_i`: that of the first mean, minus the pair's own part of all products.
        let scale = (2.0 / (mu * pairs)) as f32; // of half the gradient of all squares
        let (mut own, mut own_squares) = (0f64, 0f64);
        let rows = of_z.chunks_exact_mut(d).zip(of_y.chunks_exact_mut(d));
        for ((of_z, of_y), (z, y)) in rows.zip(z.points.chunks_exact(d).zip(y.points.chunks_exact(d))) {
            let product = f64::from(vector::dot(z, y));
            own += product;
            own_squares += product * product;
            let along = (-2.0 / (mu * n) - 2.0 * product / (mu * pairs)) as f32;
            for ((of_z, of_y), (z, y)) in of_z.iter_mut().zip(of_y).zip(z.iter().zip(y)) {
                *of_z = scale * *of_z + along * y;
                *of_y = scale * *of_y + along * z;
            }
        }
        z.backward(of_z);
        y.backward(of_y);
        (-2.0 * own / n + (all - own_squares) / pairs) / mu
    }
}

/// `Σ_ij (z_i·y_j)²`, and half of its gradients, written. points and gradients (n, d)
fn all_products([z, y]: [&[f32]; 2], d: usize, [of_z, of_y]: [&mut [f32]; 2]) -> f64 {
    let n = z.len() / d;
    if n < d {
        let mut products = vec![0f32; n * n];
        product(MatrixMut::new(&mut products, n, n), Onto::Replace, 1.0, Matrix::new(z, n, d), Matrix::new(y, n, d).transposed());
        times(&products, Matrix::new(y, n, d), of_z, |_, _| {});
        product(MatrixMut::new(of_y, n, d), Onto::Replace, 1.0, Matrix::new(&products, n, n).transposed(), Matrix::new(z, n, d));
        return sum_of_products(&products, &products, n);
    }
    let [of_points, of_view] = [gram(z, d), gram(y, d)]; // ZᵀZ, YᵀY
    times(z, Matrix::new(&of_view, d, d), of_z, |_, _| {});
    times(y, Matrix::new(&of_points, d, d), of_y, |_, _| {});
    sum_of_products(&of_points, &of_view, d)
}

/// Rows are summed in float32, and those in float64. x, y (rows, columns)
fn sum_of_products(x: &[f32], y: &[f32], columns: usize) -> f64 {
    x.chunks_exact(columns).zip(y.chunks_exact(columns)).map(|(x, y)| f64::from(vector::dot(x, y))).sum()
}

/// Points at most so long, and by what each was multiplied.
struct Shortened {
    points: Vec<f32>,
    dims: usize,
    factors: Vec<f32>,
    /// The largest length.
    most: f32,
}

impl Shortened {
    fn new(points: &[f32], dims: usize, most: f32) -> Self {
        let mut points = points.to_vec();
        let factors = points.chunks_exact_mut(dims).map(|point| {
            let factor = 1.0 / (vector::dot(point, point).sqrt() / most).max(1.0);
            vector::scale(point, factor);
            factor
        });
        let factors = factors.collect();
        Self { points, dims, factors, most }
    }

    /// Turns a gradient with respect to these points into one with respect to those before, in place: of a point that was
    /// shortened, what is along it falls out.
    fn backward(&self, gradient: &mut [f32]) {
        let rows = gradient.chunks_exact_mut(self.dims).zip(self.points.chunks_exact(self.dims));
        for ((row, point), factor) in rows.zip(&self.factors).filter(|(_, factor)| **factor < 1.0) {
            let along = -vector::dot(row, point) / (self.most * self.most);
            vector::add_multiple(row, along, point);
            vector::scale(row, *factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::candle::Device;

    fn check<const N: usize>(mu: f64, points: [[f64; 2]; N], view: [[f64; 2]; N], expected: f64) {
        let tensor = |points: [[f64; 2]; N]| Tensor::new(&[points], &Device::Cpu).unwrap();
        let cloud = Cloud::with_view(tensor(points), tensor(view)).unwrap();
        let regularizer = SpectralContrastive { mu: Positive::new(mu) };
        let found = regularizer.penalty(&cloud, &mut Draw::new(0, "test", 0, 0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((found - expected).abs() < 1e-12, "{regularizer:?}: {found}, expected {expected}");
    }

    #[test]
    fn long_points_are_shortened_and_short_ones_stay() {
        let axes = [[1.0, 0.0], [0.0, 1.0]];
        check(1.0, axes, axes, -2.0); // each its own view, and nothing of the other
        check(1.0, [[5.0, 0.0], [0.0, 3.0]], axes, -2.0);
        check(1.0, [[0.5, 0.0], [0.0, 1.0]], axes, -2.0 * (0.5 + 1.0) / 2.0);
        // (3, 4) has length 5: whole where μ = 25. Products: own 3 and 2, others 4 and 0
        check(25.0, [[3.0, 4.0], [0.0, 2.0]], axes, (-2.0 * 2.5 + (16.0 + 0.0) / 2.0) / 25.0);
        check(1.0, [[3.0, 4.0], [0.0, 2.0]], axes, -2.0 * 0.8 + 0.64 / 2.0); // (0.6, 0.8) and (0, 1)
    }

    #[test]
    fn kernel_agrees_with_tensor_operations() {
        for mu in [1.0, 16.0] {
            regatta_core::conformance::kernel_agrees(&SpectralContrastive { mu: Positive::new(mu) }, 1e-5);
        }
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::conforms::<SpectralContrastive>();
    }
}
