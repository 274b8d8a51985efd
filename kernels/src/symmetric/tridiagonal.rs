//! Reduction of a symmetric matrix to tridiagonal form by Householder reflections, `M = Q T Qᵀ` (Golub and Van Loan, "Matrix
//! Computations", 8.3.1).
//!
//! Rows are eliminated from the last to the second, so that the remaining matrix always begins in the first column. All rows are
//! then read in whole chunks of eight with the same alignment. Each reflection reads and writes the remaining matrix once: one pass
//! applies the update of the previous reflection and multiplies by the vector of this one.

use super::lanes::{Chunk, LANES, dot, total};
use crate::simd::{Doubles, Simd};
use crate::vectorize;

/// Squares below it are treated as 0, in a matrix whose largest entry is about 1: they are far below its rounding errors.
const NEGLIGIBLE: f64 = 1e-280;

/// `M = Q T Qᵀ`, T tridiagonal, `Q = H_(d-1) ... H_2` a product of reflections `H_k = I - τ_k v_k v_kᵀ`.
#[derive(Debug)]
pub struct Tridiagonal {
    /// The diagonal of T, (d).
    pub diagonal: Vec<f64>,
    /// The first off-diagonal of T, (d - 1).
    pub off_diagonal: Vec<f64>,
    /// `v_k` in row k: k numbers, the last of which is 1, then zeros. (d, stride)
    pub vectors: Vec<f64>,
    /// `τ_k`, (d).
    pub factors: Vec<f64>,
    /// Numbers per row of `vectors`: d rounded up to a multiple of 8.
    pub stride: usize,
}

impl Tridiagonal {
    /// Reduces a finite symmetric matrix. (d, d), row-major
    pub fn of(matrix: &[f64], d: usize) -> Self {
        let stride = d.next_multiple_of(LANES);
        let (scale, unscale) = power_of_two(matrix.iter());
        let mut rest = vec![0f64; stride * stride];
        for (row, from) in rest.chunks_exact_mut(stride).zip(matrix.chunks_exact(d)) {
            row.iter_mut().zip(from).for_each(|(x, from)| *x = from * scale);
        }
        let mut found = Self {
            diagonal: vec![0.0; d],
            off_diagonal: vec![0.0; d.saturating_sub(1)],
            vectors: vec![0.0; (d + 1) * stride],
            factors: vec![0.0; d],
            stride,
        };
        reduce(&mut rest, &mut found);
        found.vectors.truncate(d * stride);
        found.diagonal.iter_mut().chain(&mut found.off_diagonal).for_each(|x| *x *= unscale);
        found
    }
}

/// A power of two that scales the largest entry to about 1, so that no square overflows, and its inverse. Both scale exactly.
pub fn power_of_two<'a>(numbers: impl Iterator<Item = &'a f64>) -> (f64, f64) {
    let most = numbers.fold(0f64, |most, x| most.max(x.abs()));
    let exponent = ((most.to_bits() >> 52) as i64 - 1023).clamp(-1000, 1000); // scales stay finite, also of a zero matrix
    let power = |exponent: i64| f64::from_bits(((exponent + 1023) as u64) << 52);
    (power(-exponent), power(exponent))
}

vectorize! {
    /// Reduces `rest`, whose rows and columns are padded with zeros to whole chunks.
    fn reduce(rest: &mut [f64], to: &mut Tridiagonal) = reduce_with;
}

#[inline(always)]
fn reduce_with<S: Simd>(rest: &mut [f64], to: &mut Tridiagonal) {
    let Tridiagonal { diagonal, off_diagonal, vectors, factors, stride } = to;
    let (d, stride) = (diagonal.len(), *stride);
    let mut w = vec![0f64; stride]; // -w of the previous reflection, whose update M - u wᵀ - w uᵀ is pending
    let mut y = vec![0f64; stride];
    let mut along = vec![[0f64; LANES]; stride];
    for k in (0..d).rev() {
        let (before, u) = vectors.split_at_mut((k + 1) * stride);
        let (v, u) = (&mut before[k * stride..], &mut u[..stride]);
        let row = &mut rest[k * stride..][..stride];
        add_outer_row(row, u[k], w[k], u, &w);
        diagonal[k] = row[k];
        if k < 2 {
            if k == 1 {
                off_diagonal[0] = row[0];
                diagonal[0] = (2.0 * u[0]).mul_add(w[0], rest[0]);
            }
            break;
        }
        let (factor, off) = reflection::<S>(&row[..k], v);
        (factors[k], off_diagonal[k - 1]) = (factor, off);
        let own = (u[k], w[k]);
        (u[k], w[k]) = (0.0, 0.0); // row k is done
        update_and_multiply::<S>(rest, stride, k, [&*u, &w, &*v], &mut y, &mut along);
        u[k] = own.0;
        y[k..].fill(0.0);
        let along = -0.5 * factor * dot::<S>(&y, v);
        for ((w, y), v) in w.iter_mut().zip(&y).zip(&*v) {
            *w = -factor * along.mul_add(*v, *y);
        }
    }
}

/// `row += u_k w + w_k u`.
#[inline(always)]
fn add_outer_row(row: &mut [f64], u_k: f64, w_k: f64, u: &[f64], w: &[f64]) {
    for ((x, u), w) in row.iter_mut().zip(u).zip(w) {
        *x = u_k.mul_add(*w, w_k.mul_add(*u, *x));
    }
}

/// The reflection that maps x to a multiple of the last axis. Writes v, whose last number is 1, and returns τ and the multiple.
#[inline(always)]
fn reflection<S: Simd>(x: &[f64], v: &mut [f64]) -> (f64, f64) {
    let (last, others) = x.split_last().expect("at least two numbers");
    let square = dot::<S>(others, others);
    if square < NEGLIGIBLE {
        return (0.0, *last); // v stays 0
    }
    let norm = (last * last + square).sqrt();
    let multiple = if *last > 0.0 { -norm } else { norm };
    let scale = 1.0 / (last - multiple);
    v.iter_mut().zip(others).for_each(|(v, x)| *v = x * scale);
    v[others.len()] = 1.0;
    ((multiple - last) / multiple, multiple)
}

/// Rows per pass over the vectors.
const ROWS: usize = 4;

/// `A += u wᵀ + w uᵀ`, then `y = A v`, on the first k rows. Only entries up to the chunk of the diagonal are stored.
#[inline(always)]
fn update_and_multiply<S: Simd>(
    a: &mut [f64],
    stride: usize,
    k: usize,
    [u, w, v]: [&[f64]; 3],
    y: &mut [f64],
    along: &mut [Chunk],
) {
    y.fill(0.0);
    for first in (0..k).step_by(ROWS) {
        let whole = first / LANES;
        let (r0, rows) = a[first * stride..][..ROWS * stride].split_at_mut(stride);
        let (r1, rows) = rows.split_at_mut(stride);
        let (r2, r3) = rows.split_at_mut(stride);
        let [r0, r1, r2, r3] = [r0, r1, r2, r3].map(|row| &mut row.as_chunks_mut::<LANES>().0[..=whole]);
        let [u_c, w_c, v_c] = [u, w, v].map(|x| &x.as_chunks::<LANES>().0[..=whole]);
        let own = |i: usize| [u, w, v].map(|x| Doubles::splat(x[first + i]));
        let (o0, o1, o2, o3) = (own(0), own(1), own(2), own(3));
        let zero = Doubles::<S>::ZERO;
        let (mut s0, mut s1, mut s2, mut s3) = (zero, zero, zero, zero);
        for (c, y) in y.as_chunks_mut::<LANES>().0[..whole].iter_mut().enumerate() {
            let vectors = [u_c[c], w_c[c], v_c[c]].map(Doubles::from);
            let mut across = Doubles::from(*y);
            row_chunk(&mut r0[c], o0, vectors, &mut s0, &mut across);
            row_chunk(&mut r1[c], o1, vectors, &mut s1, &mut across);
            row_chunk(&mut r2[c], o2, vectors, &mut s2, &mut across);
            row_chunk(&mut r3[c], o3, vectors, &mut s3, &mut across);
            *y = across.to_array();
        }
        let vectors = [u_c[whole], w_c[whole], v_c[whole]].map(Doubles::from);
        let mut unused = zero; // the diagonal's chunks hold both triangles, so nothing is added across
        row_chunk(&mut r0[whole], o0, vectors, &mut s0, &mut unused);
        row_chunk(&mut r1[whole], o1, vectors, &mut s1, &mut unused);
        row_chunk(&mut r2[whole], o2, vectors, &mut s2, &mut unused);
        row_chunk(&mut r3[whole], o3, vectors, &mut s3, &mut unused);
        along[first..].iter_mut().zip([s0, s1, s2, s3]).for_each(|(to, sums)| *to = sums.to_array());
    }
    y[..k].iter_mut().zip(along).for_each(|(y, sums)| *y += total(*sums));
}

/// Updates a chunk of row i, and adds its products with v to `sums` (for y_i) and with v_i to `across` (for the chunk's y).
#[inline(always)]
fn row_chunk<S: Simd>(
    row: &mut Chunk,
    [u_i, w_i, v_i]: [Doubles<S>; 3],
    [u, w, v]: [Doubles<S>; 3],
    sums: &mut Doubles<S>,
    across: &mut Doubles<S>,
) {
    let x = u_i.mul_add(w, w_i.mul_add(u, Doubles::from(*row)));
    *row = x.to_array();
    *sums = x.mul_add(v, *sums);
    *across = x.mul_add(v_i, *across);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// x = (3, 4) of the last row is mapped to (0, -5): T = HMH with H = I - 9/5 v vᵀ, v = (1/3, 1).
    #[test]
    fn a_matrix_of_three_rows_by_hand() {
        let found = Tridiagonal::of(&[1.0, 0.0, 3.0, 0.0, 2.0, 4.0, 3.0, 4.0, 7.0], 3);
        let [_, _, factor] = found.factors[..] else { panic!("three factors") };
        let v = &found.vectors[2 * found.stride..][..2];
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-14, "{found}, expected {expected}");
        near(factor, 1.8);
        near(v[0], 1.0 / 3.0);
        near(v[1], 1.0);
        // H = [[4, -3], [-3, -4]] / 5, HMH of [[1, 0], [0, 2]] = [[34, 12], [12, 41]] / 25
        [34.0 / 25.0, 41.0 / 25.0, 7.0].iter().zip(&found.diagonal).for_each(|(expected, found)| near(*found, *expected));
        [12.0 / 25.0, -5.0].iter().zip(&found.off_diagonal).for_each(|(expected, found)| near(*found, *expected));
    }

    #[test]
    fn a_tridiagonal_matrix_is_unchanged() {
        let found = Tridiagonal::of(&[1.0, 2.0, 0.0, 2.0, 3.0, 4.0, 0.0, 4.0, 5.0], 3);
        assert_eq!((found.diagonal, found.off_diagonal, found.factors), (vec![1.0, 3.0, 5.0], vec![2.0, 4.0], vec![0.0; 3]));
        assert_eq!(Tridiagonal::of(&[7.0], 1).diagonal, [7.0]);
        assert_eq!(Tridiagonal::of(&[1.0, 2.0, 2.0, 3.0], 2).off_diagonal, [2.0]);
    }

    #[test]
    fn scales_are_powers_of_two() {
        assert_eq!(power_of_two([3.0, -5.0].iter()), (0.25, 4.0));
        assert_eq!(power_of_two([0.0].iter()), (2f64.powi(1000), 2f64.powi(-1000)));
    }
}
