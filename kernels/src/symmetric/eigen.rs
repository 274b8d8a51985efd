//! Eigenvalues and eigenvectors of a symmetric matrix, by the implicit QL method on its tridiagonal form (Press, Teukolsky,
//! Vetterling, Flannery, "Numerical Recipes", 11.3). Its Givens rotations are collected and applied many at a time.

use super::FactorisationError;
use super::Tridiagonal;
use super::lanes::{Chunk, LANES};
use super::tridiagonal::power_of_two;
use crate::simd::{Doubles, Simd};
use crate::vectorize;

/// The maximum number of iterations per eigenvalue; two are usual.
const ITERATIONS: usize = 60;
/// Numbers below it are treated as zero if the largest entry is about 1. Its square does not underflow.
const NEGLIGIBLE: f64 = 1e-140;

/// The eigenvalues in increasing order. (d, d) -> (d)
///
/// # Errors
/// When the eigenvalues do not converge.
pub fn eigenvalues(matrix: &[f64], d: usize) -> Result<Vec<f64>, FactorisationError> {
    let mut values = of_tridiagonal(&Tridiagonal::of(matrix, d), |_| ())?;
    values.sort_by(f64::total_cmp);
    Ok(values)
}

/// The eigenvalues in increasing order, and the eigenvectors: column k is that of eigenvalue k. (d, d) -> (d), (d, d)
///
/// # Errors
/// When the eigenvalues do not converge.
pub fn eigen(matrix: &[f64], d: usize) -> Result<(Vec<f64>, Vec<f64>), FactorisationError> {
    let basis = Tridiagonal::of(matrix, d);
    let mut strips = to_strips(&basis.basis(), d);
    let mut pending = Rotations::default();
    let values = of_tridiagonal(&basis, |sweep| {
        pending.push(sweep);
        if pending.givens.len() > MOST_PENDING {
            pending.apply(&mut strips, d);
        }
    })?;
    pending.apply(&mut strips, d);
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut vectors = vec![0f64; d * d];
    for (i, row) in vectors.chunks_exact_mut(d).enumerate() {
        let strip = &strips[i / STRIP * d..][..d];
        row.iter_mut().zip(&order).for_each(|(x, &k)| *x = strip[k].as_flattened()[i % STRIP]);
    }
    Ok((order.iter().map(|&k| values[k]).collect(), vectors))
}

/// The rotations of one QL step, as cosine and sine. They rotate adjacent coordinates, from the pair that starts at
/// `from + givens.len() - 1` down to the pair that starts at `from`.
struct Sweep<'a> {
    from: usize,
    givens: &'a [[f64; 2]],
}

/// Eigenvalues in the order in which they are found. `visit` gets the rotations of each step.
fn of_tridiagonal(matrix: &Tridiagonal, mut visit: impl FnMut(Sweep<'_>)) -> Result<Vec<f64>, FactorisationError> {
    let d = matrix.diagonal.len();
    let (mut diagonal, mut off_diagonal) = (matrix.diagonal.clone(), matrix.off_diagonal.clone());
    let (scale, unscale) = power_of_two(diagonal.iter().chain(&off_diagonal));
    diagonal.iter_mut().chain(&mut off_diagonal).for_each(|x| *x *= scale);
    off_diagonal.push(0.0);
    let mut givens = Vec::with_capacity(d);
    for first in 0..d {
        for iteration in 0.. {
            let small = |i: &usize| {
                let off_diagonal: f64 = off_diagonal[*i];
                off_diagonal.abs() <= f64::EPSILON * (diagonal[*i].abs() + diagonal[i + 1].abs()).max(NEGLIGIBLE / f64::EPSILON)
            };
            let last = (first..d - 1).find(small).unwrap_or(d - 1);
            if last == first {
                break;
            }
            if iteration == ITERATIONS {
                return Err(FactorisationError("the eigenvalues did not converge"));
            }
            givens.clear();
            sweep(&mut diagonal[first..=last], &mut off_diagonal[first..=last], &mut givens);
            let from = last - givens.len();
            visit(Sweep { from, givens: &givens });
        }
    }
    diagonal.iter_mut().for_each(|x| *x *= unscale);
    Ok(diagonal)
}

/// One implicit QL step with Wilkinson's shift, on an unreduced block of at least two rows. The rotations are appended to `givens`,
/// from the last pair on. There are fewer of them if a part of the block splits off.
fn sweep(diagonal: &mut [f64], off_diagonal: &mut [f64], givens: &mut Vec<[f64; 2]>) {
    let last = diagonal.len() - 1;
    let half = (diagonal[1] - diagonal[0]) / (2.0 * off_diagonal[0]);
    let root = (half * half + 1.0).sqrt();
    let mut g = diagonal[last] - diagonal[0] + off_diagonal[0] / (half + if half < 0.0 { -root } else { root });
    let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
    for i in (0..last).rev() {
        let (f, b) = (sine * off_diagonal[i], cosine * off_diagonal[i]);
        let r = (f * f + g * g).sqrt();
        off_diagonal[i + 1] = r;
        if r < 1e-10 * NEGLIGIBLE {
            diagonal[i + 1] -= p;
            off_diagonal[last] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = diagonal[i + 1] - p;
        let t = (diagonal[i] - g) * sine + 2.0 * cosine * b;
        p = sine * t;
        diagonal[i + 1] = g + p;
        g = cosine * t - b;
        givens.push([cosine, sine]);
    }
    diagonal[0] -= p;
    off_diagonal[0] = g;
    off_diagonal[last] = 0.0;
}

/// Coordinates that are rotated together, in two chunks.
const STRIP: usize = 2 * LANES;
type Strip = [Chunk; 2];
/// The number of rotations above which they are applied.
const MOST_PENDING: usize = 1 << 16;

/// A matrix in strips: d entries for the first [`STRIP`] rows, one per column, then for the next rows, padded with zeros.
fn to_strips(matrix: &[f64], d: usize) -> Vec<Strip> {
    let mut strips = vec![[[0f64; LANES]; 2]; d.div_ceil(STRIP) * d];
    for (i, row) in matrix.chunks_exact(d).enumerate() {
        let strip = &mut strips[i / STRIP * d..][..d];
        strip.iter_mut().zip(row).for_each(|(entry, x)| entry.as_flattened_mut()[i % STRIP] = *x);
    }
    strips
}

/// Sweeps that have not been applied yet.
#[derive(Default)]
struct Rotations {
    /// The first coordinate of each sweep, and the end of its rotations in `givens`.
    sweeps: Vec<(usize, usize)>,
    givens: Vec<[f64; 2]>,
}

impl Rotations {
    fn push(&mut self, sweep: Sweep<'_>) {
        self.givens.extend(sweep.givens);
        self.sweeps.push((sweep.from, self.givens.len()));
    }

    /// Applies all rotations to each strip, which stays in the cache meanwhile, and clears them.
    fn apply(&mut self, strips: &mut [Strip], d: usize) {
        strips.chunks_exact_mut(d).for_each(|strip| rotate(strip, &self.sweeps, &self.givens));
        self.sweeps.clear();
        self.givens.clear();
    }
}

vectorize! {
    /// Applies the sweeps to one strip.
    fn rotate(strip: &mut [Strip], sweeps: &[(usize, usize)], givens: &[[f64; 2]]) = rotate_with;
}

#[inline(always)]
fn rotate_with<S: Simd>(strip: &mut [Strip], sweeps: &[(usize, usize)], givens: &[[f64; 2]]) {
    let mut start = 0;
    for &(from, end) in sweeps {
        let givens = &givens[start..end];
        start = end;
        let entries = &mut strip[from..][..givens.len() + 1];
        let mut x = entries[givens.len()].map(Doubles::<S>::from);
        for (i, [cosine, sine]) in (0..givens.len()).rev().zip(givens) {
            let (cosine, sine, back) = (Doubles::splat(*cosine), Doubles::splat(*sine), Doubles::splat(-sine));
            for half in 0..2 {
                let y = Doubles::from(entries[i][half]);
                entries[i + 1][half] = sine.mul_add(y, cosine * x[half]).to_array();
                x[half] = cosine.mul_add(y, back * x[half]);
            }
        }
        entries[0] = x.map(Doubles::to_array);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::{close, random_gram};
    use faer::{MatRef, Side};
    use std::f64::consts::PI;

    /// Checks `M V = V Λ`, `VᵀV = I` and the eigenvalues, with errors relative to the largest eigenvalue.
    fn check(matrix: &[f64], expected: &[f64]) {
        let d = expected.len();
        let (values, vectors) = eigen(matrix, d).unwrap();
        let tolerance = 1e-13 * expected.iter().fold(0f64, |most, x| most.max(x.abs()));
        close(&values, expected, tolerance);
        close(&eigenvalues(matrix, d).unwrap(), &values, 0.0);
        for k in 0..d {
            let column = |k: usize| vectors[k..].iter().step_by(d);
            for i in 0..d {
                let product: f64 = matrix[i * d..].iter().zip(column(k)).map(|(m, v)| m * v).sum();
                close(&[product], &[values[k] * vectors[i * d + k]], tolerance);
                let cosine: f64 = column(i).zip(column(k)).map(|(x, y)| x * y).sum();
                close(&[cosine], &[f64::from(u8::from(i == k))], 1e-13);
            }
        }
    }

    fn built(d: usize, entry: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..d * d).map(|place| entry(place / d, place % d)).collect()
    }

    #[test]
    fn small_matrices_by_hand() {
        check(&[-3.0], &[-3.0]);
        check(&[2.0, 1.0, 1.0, 2.0], &[1.0, 3.0]);
        check(&[0.0, 1e-200, 1e-200, 1.0], &[0.0, 1.0]);
        check(&[0.0; 9], &[0.0; 3]);
        check(&built(4, |i, j| if i == j { [4.0, 0.25, 1e-9, 1e9][i] } else { 0.0 }), &[1e-9, 0.25, 4.0, 1e9]);
    }

    /// The second difference matrix (Dirichlet Laplacian of a path) has the eigenvalues `2 - 2 cos(kπ / (d + 1))`.
    #[test]
    fn second_differences() {
        for d in [5, 40, 131] {
            let matrix = built(d, |i, j| [2.0, -1.0, 0.0][i.abs_diff(j).min(2)]);
            let expected: Vec<f64> = (1..=d).map(|k| 2.0 - 2.0 * (k as f64 * PI / (d + 1) as f64).cos()).collect();
            check(&matrix, &expected);
        }
    }

    /// `I + 11ᵀ` has eigenvalue d + 1 once and 1 otherwise, `11ᵀ` has d once and 0 otherwise; at scales whose squares overflow.
    #[test]
    fn repeated_eigenvalues() {
        for scale in [1.0, 1e-290, 1e290] {
            let mut expected = vec![scale; 60];
            expected[59] *= 61.0;
            check(&built(60, |i, j| if i == j { 2.0 * scale } else { scale }), &expected);
            check(&built(9, |_, _| scale), &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0 * scale]);
        }
    }

    /// Full rank, low rank, and eigenvalues clustered within 1e-10.
    #[test]
    fn agrees_with_faer() {
        let mut matrices: Vec<(usize, Vec<f64>)> =
            [(2, 4), (17, 34), (64, 128), (64, 5), (131, 262)].map(|(d, rank)| (d, random_gram(d, rank))).into();
        let mut clustered = random_gram(50, 100);
        (0..2500).for_each(|place| clustered[place] = 1e-10 * clustered[place] + f64::from(u8::from(place % 51 == 0)));
        matrices.push((50, clustered));
        for (d, matrix) in matrices {
            check(&matrix, &MatRef::from_row_major_slice(&matrix, d, d).self_adjoint_eigenvalues(Side::Lower).unwrap());
        }
    }
}
