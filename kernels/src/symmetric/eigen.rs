//! Eigenvalues and eigenvectors of a symmetric matrix: those of its tridiagonal form by the implicit QL method (Press, Teukolsky,
//! Vetterling, Flannery, "Numerical Recipes", 11.3), whose rotations are kept and applied many at a time.

use super::FactorisationError;
use super::Tridiagonal;
use super::lanes::{Chunk, LANES};
use super::tridiagonal::power_of_two;
use crate::simd::{Doubles, Simd};
use crate::vectorize;

/// Iterations in which an eigenvalue must be found; two are usual.
const ITERATIONS: usize = 60;
/// Beside a largest entry of about 1, as good as zero: its square is not yet rounded to zero.
const NEGLIGIBLE: f64 = 1e-140;

/// The eigenvalues in increasing order. (d, d) -> (d)
///
/// # Errors
/// When they do not converge.
pub fn eigenvalues(matrix: &[f64], d: usize) -> Result<Vec<f64>, FactorisationError> {
    let mut values = of_tridiagonal(&Tridiagonal::of(matrix, d), |_| ())?;
    values.sort_by(f64::total_cmp);
    Ok(values)
}

/// The eigenvalues in increasing order, and the eigenvectors: column k is that of eigenvalue k. (d, d) -> (d), (d, d)
///
/// # Errors
/// As [`eigenvalues`].
pub fn eigen(matrix: &[f64], d: usize) -> Result<(Vec<f64>, Vec<f64>), FactorisationError> {
    let basis = Tridiagonal::of(matrix, d);
    let mut strips = to_strips(&basis.basis(), d);
    let mut pending = Rotations::default();
    let values = of_tridiagonal(&basis, |sweep| {
        pending.push(sweep);
        if pending.turns.len() > MOST_PENDING {
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

/// Rotations of the coordinates `from` and on, from the last pair, of the coordinates `from + turns.len() - 1` and the next, to
/// the first: cosine and sine.
struct Sweep<'a> {
    from: usize,
    turns: &'a [[f64; 2]],
}

/// Eigenvalues in the order in which they are found; `give` gets the rotations of each sweep.
fn of_tridiagonal(matrix: &Tridiagonal, mut give: impl FnMut(Sweep<'_>)) -> Result<Vec<f64>, FactorisationError> {
    let d = matrix.diagonal.len();
    let (mut diagonal, mut beside) = (matrix.diagonal.clone(), matrix.beside.clone());
    let (scale, unscale) = power_of_two(diagonal.iter().chain(&beside));
    diagonal.iter_mut().chain(&mut beside).for_each(|x| *x *= scale);
    beside.push(0.0);
    let mut turns = Vec::with_capacity(d);
    for first in 0..d {
        for iteration in 0.. {
            let small = |i: &usize| {
                let beside: f64 = beside[*i];
                beside.abs() <= f64::EPSILON * (diagonal[*i].abs() + diagonal[i + 1].abs()).max(NEGLIGIBLE / f64::EPSILON)
            };
            let last = (first..d - 1).find(small).unwrap_or(d - 1);
            if last == first {
                break;
            }
            if iteration == ITERATIONS {
                return Err(FactorisationError("the eigenvalues did not converge"));
            }
            turns.clear();
            sweep(&mut diagonal[first..=last], &mut beside[first..=last], &mut turns);
            let from = last - turns.len();
            give(Sweep { from, turns: &turns });
        }
    }
    diagonal.iter_mut().for_each(|x| *x *= unscale);
    Ok(diagonal)
}

/// One implicit QL step with Wilkinson's shift of a block of two rows or more that does not split. `turns` gets its rotations, from
/// the last pair on; where a part splits off they end early.
fn sweep(diagonal: &mut [f64], beside: &mut [f64], turns: &mut Vec<[f64; 2]>) {
    let last = diagonal.len() - 1;
    let half = (diagonal[1] - diagonal[0]) / (2.0 * beside[0]);
    let root = (half * half + 1.0).sqrt();
    let mut g = diagonal[last] - diagonal[0] + beside[0] / (half + if half < 0.0 { -root } else { root });
    let (mut sine, mut cosine, mut p) = (1.0, 1.0, 0.0);
    for i in (0..last).rev() {
        let (f, b) = (sine * beside[i], cosine * beside[i]);
        let r = (f * f + g * g).sqrt();
        beside[i + 1] = r;
        if r < 1e-10 * NEGLIGIBLE {
            diagonal[i + 1] -= p;
            beside[last] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = diagonal[i + 1] - p;
        let t = (diagonal[i] - g) * sine + 2.0 * cosine * b;
        p = sine * t;
        diagonal[i + 1] = g + p;
        g = cosine * t - b;
        turns.push([cosine, sine]);
    }
    diagonal[0] -= p;
    beside[0] = g;
    beside[last] = 0.0;
}

/// Coordinates that are rotated side by side, in two chunks.
const STRIP: usize = 2 * LANES;
type Strip = [Chunk; 2];
/// Rotations that are kept before they are applied.
const MOST_PENDING: usize = 1 << 16;

/// From the columns of a matrix: of [`STRIP`] rows, one strip of d entries, then of the next; the last is padded with zeros.
fn to_strips(matrix: &[f64], d: usize) -> Vec<Strip> {
    let mut strips = vec![[[0f64; LANES]; 2]; d.div_ceil(STRIP) * d];
    for (i, row) in matrix.chunks_exact(d).enumerate() {
        let strip = &mut strips[i / STRIP * d..][..d];
        strip.iter_mut().zip(row).for_each(|(entry, x)| entry.as_flattened_mut()[i % STRIP] = *x);
    }
    strips
}

/// Sweeps in turn.
#[derive(Default)]
struct Rotations {
    /// The first coordinate of each sweep, and where its rotations end in `turns`.
    sweeps: Vec<(usize, usize)>,
    turns: Vec<[f64; 2]>,
}

impl Rotations {
    fn push(&mut self, sweep: Sweep<'_>) {
        self.turns.extend(sweep.turns);
        self.sweeps.push((sweep.from, self.turns.len()));
    }

    /// Applies them, and forgets them: a strip stays in the cache for all of them.
    fn apply(&mut self, strips: &mut [Strip], d: usize) {
        strips.chunks_exact_mut(d).for_each(|strip| rotate(strip, &self.sweeps, &self.turns));
        self.sweeps.clear();
        self.turns.clear();
    }
}

vectorize! {
    /// Applies sweeps to a strip.
    fn rotate(strip: &mut [Strip], sweeps: &[(usize, usize)], turns: &[[f64; 2]]) = rotate_with;
}

#[inline(always)]
fn rotate_with<S: Simd>(strip: &mut [Strip], sweeps: &[(usize, usize)], turns: &[[f64; 2]]) {
    let mut start = 0;
    for &(from, end) in sweeps {
        let turns = &turns[start..end];
        start = end;
        let entries = &mut strip[from..][..turns.len() + 1];
        let mut x = entries[turns.len()].map(Doubles::<S>::from);
        for (i, [cosine, sine]) in (0..turns.len()).rev().zip(turns) {
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

    /// `M V = V Λ`, `VᵀV = I`, and the eigenvalues are those expected, all beside the largest.
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
    fn small_ones_by_hand() {
        check(&[-3.0], &[-3.0]);
        check(&[2.0, 1.0, 1.0, 2.0], &[1.0, 3.0]);
        check(&[0.0, 1e-200, 1e-200, 1.0], &[0.0, 1.0]);
        check(&[0.0; 9], &[0.0; 3]);
        check(&built(4, |i, j| if i == j { [4.0, 0.25, 1e-9, 1e9][i] } else { 0.0 }), &[1e-9, 0.25, 4.0, 1e9]);
    }

    /// `2 - 2 cos(kπ / (d + 1))` of a path.
    #[test]
    fn a_path() {
        for d in [5, 40, 131] {
            let matrix = built(d, |i, j| [2.0, -1.0, 0.0][i.abs_diff(j).min(2)]);
            let expected: Vec<f64> = (1..=d).map(|k| 2.0 - 2.0 * (k as f64 * PI / (d + 1) as f64).cos()).collect();
            check(&matrix, &expected);
        }
    }

    /// `I + 11ᵀ`: d + 1 once, 1 otherwise; and powers of it beside zeros, at scales whose squares overflow.
    #[test]
    fn repeated_ones() {
        for scale in [1.0, 1e-290, 1e290] {
            let mut expected = vec![scale; 60];
            expected[59] *= 61.0;
            check(&built(60, |i, j| if i == j { 2.0 * scale } else { scale }), &expected);
            check(&built(9, |_, _| scale), &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0 * scale]);
        }
    }

    /// Of full rank, of less, and clustered within 1e-10.
    #[test]
    fn the_same_as_faer() {
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
