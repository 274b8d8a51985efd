//! Post-hoc transforms of a cloud: affine maps that are fitted on one cloud and applied to any.

use crate::points::{Points, dot};
use crate::spectrum::rounding_of_float32;
use crate::{Error, Result};
use regatta_core::kernels::{Matrix, MatrixMut, Onto, gram, product, times};
use regatta_core::maths::symmetric_eigen_of;

/// `x ↦ (x - shift)·matrix`.
///
/// Below, λ are the variances (n - 1) of the fitted cloud along its principal components V, largest first. Of two components
/// of one variance, which comes first is left to rounding; a component points where its largest number is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    shift: Vec<f64>,
    /// (d, k), row after row; `None` for the unit matrix.
    matrix: Option<Vec<f64>>,
    dims: usize,
}

impl Transform {
    /// `x - mean`: the mean is subtracted.
    pub fn centre(points: &Points) -> Self {
        Self { shift: points.mean(), matrix: None, dims: points.dims() }
    }

    /// `(x - mean)·V_k λ_k^(-1/2)`: the first `dims` principal components, all where it is `None`, each of variance 1.
    /// Components whose variance is within float32 rounding error become 0: scaled up, they would be noise.
    ///
    /// BERT-whitening, where k < d its "whitening-k": Su, Cao, Liu, Ou, "Whitening sentence representations for better semantics
    /// and faster retrieval", 2021, arXiv:2103.15316, algorithm 1. Deviation: variances with n - 1, as numpy's cov has them.
    ///
    /// # Shapes
    /// points (n, d); the map takes (m, d) -> (m, dims)
    ///
    /// # Errors
    /// When `dims` exceeds d or is 0, or the eigenvectors do not converge.
    pub fn pca_whiten(points: &Points, dims: Option<usize>) -> Result<Self> {
        let dims = dims.unwrap_or(points.dims());
        if dims == 0 {
            return Err(Error::NotPoints { found: vec![points.count(), 0] });
        }
        let Components { mean, vectors, variances, least } = Components::of(points, dims)?;
        let scales: Vec<f64> = variances.iter().map(|&variance| inverse_root(variance, least)).collect();
        let scaled = vectors.chunks_exact(dims).flat_map(|row| row.iter().zip(&scales).map(|(v, scale)| v * scale)).collect();
        Ok(Self { shift: mean, matrix: Some(scaled), dims })
    }

    /// `(x - mean)·V λ^(-1/2) Vᵀ`: variance 1 in all directions, and of all maps that do so the one that moves points least.
    /// Components without variance become 0, as in [`pca_whiten`](Self::pca_whiten).
    ///
    /// Kessy, Lewin, Strimmer, "Optimal whitening and decorrelation", The American Statistician 72, 2018, arXiv:1512.00809,
    /// table 1.
    ///
    /// # Shapes
    /// points (n, d); the map takes (m, d) -> (m, d)
    ///
    /// # Errors
    /// When the eigenvectors do not converge.
    pub fn zca_whiten(points: &Points) -> Result<Self> {
        let Components { mean, vectors, variances, least } = Components::of(points, points.dims())?;
        let matrix = back_and_forth(&vectors, |k| inverse_root(variances[k], least), points.dims());
        Ok(Self { shift: mean, matrix: Some(matrix), dims: points.dims() })
    }

    /// `(x - mean)·(1 - V_D V_Dᵀ)`: all but the mean and the top D = `components` principal components, `⌈d/100⌉` where it is
    /// `None`.
    ///
    /// Mu, Viswanath, "All-but-the-top: simple and effective postprocessing for word representations", ICLR 2018,
    /// arXiv:1702.01417, algorithm 1; D near d/100 is what its authors advise, there without a rounding.
    ///
    /// # Shapes
    /// points (n, d); the map takes (m, d) -> (m, d)
    ///
    /// # Errors
    /// When `components` exceeds d, or the eigenvectors do not converge.
    pub fn all_but_the_top(points: &Points, components: Option<usize>) -> Result<Self> {
        let d = points.dims();
        let components = components.unwrap_or(d.div_ceil(100));
        if components == 0 {
            return Ok(Self::centre(points));
        }
        let Components { mean, vectors, .. } = Components::of(points, components)?;
        let mut matrix = back_and_forth(&vectors, |_| -1.0, d);
        matrix.iter_mut().step_by(d + 1).for_each(|x| *x += 1.0);
        Ok(Self { shift: mean, matrix: Some(matrix), dims: d })
    }

    /// The map of each point. (m, d) -> (m, k)
    ///
    /// # Errors
    /// When the points have other dims than those it was fitted on, or what comes is beyond float32.
    pub fn apply(&self, points: &Points) -> Result<Points> {
        let d = self.shift.len();
        if points.dims() != d {
            return Err(Error::Unequal { what: "dims, as fitted on", expected: d, found: points.dims() });
        }
        let centred = points.less(&self.shift);
        let Some(matrix) = &self.matrix else { return Ok(centred) };
        let mut out = vec![0.0; points.count() * self.dims];
        times(centred.numbers(), Matrix::new(matrix, d, self.dims), &mut out, |_, _| {});
        Points::new(out, self.dims)
    }
}

/// The principal components of a cloud.
struct Components {
    mean: Vec<f64>,
    /// (d, k), a component a column, that of the largest variance first.
    vectors: Vec<f64>,
    /// (k)
    variances: Vec<f64>,
    /// Variances up to this are rounding.
    least: f64,
}

impl Components {
    /// The first k.
    fn of(points: &Points, k: usize) -> Result<Self> {
        let d = points.dims();
        if k > d {
            return Err(Error::TooLarge { what: "a number of principal components", most: d, found: k });
        }
        let mean = points.mean();
        let degrees = (points.count() as f64 - 1.0).max(1.0); // the variance of a single point is 0
        let mut covariance = gram(points.less(&mean).numbers(), d);
        covariance.iter_mut().for_each(|x| *x /= degrees);
        let (values, columns) = symmetric_eigen_of(&covariance, d)?;
        let mut vectors = vec![0.0; d * k];
        for component in 0..k {
            let column = || columns.iter().skip(d - 1 - component).step_by(d); // the largest is the last
            let largest = column().fold(0.0, |most: f64, &x| if x.abs() > most.abs() { x } else { most });
            vectors.iter_mut().skip(component).step_by(k).zip(column()).for_each(|(to, x)| *to = x * largest.signum());
        }
        let total: f64 = points.sums(1, |row, sum| sum[0] += dot(row, row))[0];
        let least = rounding_of_float32(total) / degrees;
        Ok(Self { mean, vectors, variances: values.into_iter().rev().take(k).collect(), least })
    }
}

fn inverse_root(variance: f64, least: f64) -> f64 {
    if variance > least { 1.0 / variance.sqrt() } else { 0.0 }
}

/// `V diag(scale) Vᵀ`. (d, k) -> (d, d)
fn back_and_forth(vectors: &[f64], scale: impl Fn(usize) -> f64, d: usize) -> Vec<f64> {
    let k = vectors.len() / d;
    let scaled: Vec<f64> = vectors.iter().enumerate().map(|(at, v)| v * scale(at % k)).collect();
    let mut matrix = vec![0.0; d * d];
    let (left, right) = (Matrix::new(&scaled, d, k), Matrix::new(vectors, d, k).transposed());
    product(MatrixMut::new(&mut matrix, d, d), Onto::Replace, 1.0, left, right);
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normals, same_on_all_threads};

    fn check(transform: &Transform, numbers: &[f64], dims: usize, expected: &[f64]) {
        let found = transform.apply(&Points::new(numbers.to_vec(), dims).unwrap()).unwrap();
        let near = found.numbers().iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12);
        assert!(found.numbers().len() == expected.len() && near, "{found:?}, expected {expected:?}");
    }

    /// Mean (5, 1), variance 8 along (1, 0) and 2 along (0, 1).
    fn cross() -> Points {
        let half = 3f64.sqrt(); // 2·(2√3)²/3 = 8 and 2·(√3)²/3 = 2
        Points::new(vec![5.0 + 2.0 * half, 1.0, 5.0 - 2.0 * half, 1.0, 5.0, 1.0 + half, 5.0, 1.0 - half], 2).unwrap()
    }

    #[test]
    fn fitted_on_one_cloud_and_applied_to_another() {
        let point = [9.0, 4.0]; // (4, 3) beyond the mean
        check(&Transform::centre(&cross()), &point, 2, &[4.0, 3.0]);
        let (first, second) = (4.0 / 8f64.sqrt(), 3.0 / 2f64.sqrt());
        check(&Transform::pca_whiten(&cross(), None).unwrap(), &point, 2, &[first, second]);
        check(&Transform::pca_whiten(&cross(), Some(1)).unwrap(), &point, 2, &[first]);
        check(&Transform::zca_whiten(&cross()).unwrap(), &point, 2, &[first, second]);
        check(&Transform::all_but_the_top(&cross(), None).unwrap(), &point, 2, &[0.0, 3.0]);
        check(&Transform::all_but_the_top(&cross(), Some(0)).unwrap(), &point, 2, &[4.0, 3.0]);
        check(&Transform::all_but_the_top(&cross(), Some(2)).unwrap(), &point, 2, &[0.0, 0.0]);
    }

    #[test]
    fn a_whitened_cloud_has_the_unit_covariance() {
        let sheared: Vec<f64> = normals(300, 3).rows().flat_map(|x| [x[0] + 9.0, x[0] + 0.1 * x[1], 4.0 * x[2] - x[1]]).collect();
        let points = Points::new(sheared, 3).unwrap();
        for transform in [Transform::pca_whiten(&points, None).unwrap(), Transform::zca_whiten(&points).unwrap()] {
            let white = transform.apply(&points).unwrap();
            let covariance: Vec<f64> = gram(white.centred().numbers(), 3).iter().map(|x| x / 299.0).collect();
            let unit = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
            assert!(covariance.iter().zip(unit).all(|(found, expected)| (found - expected).abs() < 1e-9), "{covariance:?}");
        }
    }

    #[test]
    fn directions_without_variance_become_zero() {
        let flat = Points::new(vec![1.0, 7.0, 3.0, 7.0], 2).unwrap(); // variance 2 along (1, 0)
        check(&Transform::zca_whiten(&flat).unwrap(), &[4.0, 99.0], 2, &[2f64.sqrt(), 0.0]);
        check(&Transform::pca_whiten(&flat, None).unwrap(), &[4.0, 99.0], 2, &[2f64.sqrt(), 0.0]);
        let lone = Points::new(vec![1.0, 7.0], 2).unwrap();
        check(&Transform::zca_whiten(&lone).unwrap(), &[4.0, 99.0], 2, &[0.0, 0.0]);
        check(&Transform::centre(&lone), &[4.0, 99.0], 2, &[3.0, 92.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |found: Result<Transform>| found.unwrap_err().to_string();
        let most = "expected a number of principal components of at most 2, found 3";
        assert_eq!(refused(Transform::pca_whiten(&cross(), Some(3))), most);
        assert_eq!(refused(Transform::all_but_the_top(&cross(), Some(3))), most);
        assert!(Transform::pca_whiten(&cross(), Some(0)).is_err());
        let error = Transform::centre(&cross()).apply(&normals(4, 3)).unwrap_err().to_string();
        assert_eq!(error, "expected 2 dims, as fitted on, found 3");
    }

    #[test]
    fn threads_change_nothing() {
        let points = normals(3_000, 12);
        same_on_all_threads(|| Transform::zca_whiten(&points).unwrap().apply(&points).unwrap());
    }
}
