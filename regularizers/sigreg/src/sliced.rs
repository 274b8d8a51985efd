//! The tests on ranks and moments, value and gradient together, a slice at a time: the float32 points of one group are projected
//! to slices that each lie in one piece, and each value is then replaced by the derivative with respect to it.

use crate::normal::{divergence, squared_excess};
use crate::normality::{LEAST_VARIANCE, Test, midpoint};
use rayon::prelude::*;
use regatta_core::kernels::{Matrix, MatrixMut, Onto, Panels, product_of_panels, with_scratch};
use regatta_core::simd::{LANES, Simd};
use regatta_core::{Draw, FloatCloud, Kernel, Result, candle, libm, vectorize};

/// Slices that one task takes.
const TOGETHER: usize = 16;
/// Rows of the gradient that one task takes.
const ROWS: usize = 256;

/// Unit directions, and the test along each.
pub struct Sliced {
    /// (k, d)
    directions: Vec<f32>,
    /// The same, packed.
    panels: Panels,
    dims: usize,
    test: Test,
}

impl Kernel for Sliced {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        if cloud.dims() != self.dims {
            let message = format!("expected points of {} dims, found {}", self.dims, cloud.dims());
            return Err(candle::Error::msg(message).into());
        }
        cloud.each_group(|points, gradient| Ok(self.penalty(points, gradient)))
    }
}

/// What a task ranks with.
struct Room {
    /// Of each value, its bits above the number of its point.
    keys: Vec<u64>,
    /// Where keys are on their way through the sort.
    other: Vec<u64>,
    /// Of each rank.
    midpoints: Vec<f32>,
    /// Of each point's rank.
    of_points: Vec<f32>,
}

impl Room {
    fn new(n: usize) -> Self {
        let midpoints = (0..n).map(|rank| midpoint(rank, n) as f32).collect();
        Self { keys: vec![0; n], other: vec![0; n], midpoints, of_points: vec![0.0; n] }
    }
}

impl Sliced {
    /// Of directions (k, d), row after row.
    pub fn new(directions: Vec<f32>, dims: usize, test: Test) -> Self {
        let panels = Panels::of(Matrix::new(&directions, directions.len() / dims, dims));
        Self { directions, panels, dims, test }
    }

    /// The mean over slices of the statistic of one group. points (n, d), gradient (n, d)
    fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
        let (n, k, d) = (points.len() / self.dims, self.directions.len() / self.dims, self.dims);
        let of_midpoints = if self.test == Test::AndersonDarling { entropy_of_midpoints(n) } else { 0.0 };
        with_scratch(n * k, |x| {
            let across = Panels::of(Matrix::new(points, n, d).transposed()); // (d, n)
            let tasks = x.par_chunks_mut(TOGETHER * n).zip(self.directions.par_chunks(TOGETHER * d)).with_max_len(1);
            let sums: Vec<f64> = tasks
                .map(|(x, directions)| {
                    let count = directions.len() / d;
                    let left = Matrix::new(directions, count, d);
                    product_of_panels(MatrixMut::new(x, count, n), Onto::Replace, 1.0, left, &across);
                    let mut room = Room::new(n);
                    let slices = x.chunks_exact_mut(n).zip(directions.chunks_exact(d));
                    slices.map(|(x, direction)| self.statistic(x, points, direction, &mut room)).sum()
                })
                .collect();
            let (x, mean) = (&*x, 1.0 / k as f32);
            gradient.par_chunks_mut(ROWS * d).enumerate().with_max_len(1).for_each(|(index, gradient)| {
                let rows = gradient.len() / d;
                let derivatives = Matrix::part(&x[index * ROWS..], k, rows, n).transposed(); // (rows, k)
                product_of_panels(MatrixMut::new(gradient, rows, d), Onto::Replace, mean, derivatives, &self.panels);
            });
            of_midpoints + sums.iter().sum::<f64>() / k as f64
        })
    }

    /// The statistic of one slice, whose values are replaced by the derivatives with respect to them; of anderson_darling without the part that
    /// depends on n alone. x (n)
    fn statistic(&self, x: &mut [f32], points: &[f32], direction: &[f32], room: &mut Room) -> f64 {
        if self.test == Test::JarqueBera {
            return jarque_bera(x);
        }
        rank(x, points, direction, room);
        match self.test {
            Test::AndersonDarling => 2.0 * divergence(x, &room.of_points),
            test => squared_excess(x, &mut room.of_points, test == Test::Watson),
        }
    }
}

/// `2 Σ_i H(midpoint_i) - n` with the entropy `H(t) = -t ln t - (1 - t) ln(1 - t)`: anderson_darling of values that lie at the
/// midpoints exactly. The rest of it is twice the sum of divergences from them.
fn entropy_of_midpoints(n: usize) -> f64 {
    let entropy = |t: f64| -t * libm::log(t) - (1.0 - t) * libm::log(1.0 - t);
    2.0 * (0..n).map(|rank| entropy(midpoint(rank, n))).sum::<f64>() - n as f64
}

/// Writes the midpoint of each value's rank, equal values in the order of their points.
fn rank(x: &[f32], points: &[f32], direction: &[f32], Room { keys, other, midpoints, of_points }: &mut Room) {
    keys.iter_mut().zip(x).zip(0u64..).for_each(|((key, x), point)| *key = u64::from(increasing_bits(*x)) << 32 | point);
    sort(keys, other);
    settle_near_ties(points, direction, keys);
    keys.iter().zip(midpoints).for_each(|(key, midpoint)| of_points[point_of(*key)] = *midpoint);
}

/// Sorts keys that are in the order of their points by the bits above. A radix sort of three digits takes half the time of the
/// standard library's sort for 2,048 values.
fn sort(keys: &mut Vec<u64>, other: &mut Vec<u64>) {
    const FEW: usize = 256;
    const BITS: u32 = 11;
    const SHIFTS: [u32; 3] = [32, 32 + BITS, 32 + 2 * BITS];
    if keys.len() < FEW {
        return keys.sort_unstable();
    }
    let digit = |key: u64, shift: u32| (key >> shift) as usize & ((1 << BITS) - 1);
    let mut places = [[0u32; 1 << BITS]; SHIFTS.len()];
    for key in keys.iter() {
        places.iter_mut().zip(SHIFTS).for_each(|(counts, shift)| counts[digit(*key, shift)] += 1);
    }
    for (places, shift) in places.iter_mut().zip(SHIFTS) {
        let mut next = 0;
        places.iter_mut().for_each(|count| next += std::mem::replace(count, next));
        for key in keys.iter() {
            let place = &mut places[digit(*key, shift)];
            other[*place as usize] = *key;
            *place += 1;
        }
        std::mem::swap(keys, other);
    }
}

/// Bits that are in the order of the numbers; 0 and -0 have the same.
fn increasing_bits(x: f32) -> u32 {
    let bits = (x + 0.0).to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

fn value_of(key: u64) -> f32 {
    let bits = (key >> 32) as u32;
    f32::from_bits(bits ^ if bits >> 31 == 1 { 1 << 31 } else { u32::MAX })
}

fn point_of(key: u64) -> usize {
    (key & u64::from(u32::MAX)) as usize
}

/// Puts neighbours that float32 may have exchanged in the order of their projections in float64: a rank is a whole number, and an
/// exchange would be seen in the derivatives. Where many are so near, the rounded points themselves tell no order, and it stays.
fn settle_near_ties(points: &[f32], direction: &[f32], keys: &mut [u64]) {
    let ends = value_of(keys[0]).abs().max(value_of(keys[keys.len() - 1]).abs());
    let tolerance = ends * 2f32.powi(-20);
    let near = |pair: &[u64]| value_of(pair[1]) - value_of(pair[0]) <= tolerance;
    if keys.windows(2).filter(|pair| near(pair)).count() > keys.len() / 16 {
        return;
    }
    let exact = |key: u64| {
        let point = &points[point_of(key) * direction.len()..][..direction.len()];
        point.iter().zip(direction).map(|(x, a)| f64::from(*x) * f64::from(*a)).sum::<f64>()
    };
    for first in 0..keys.len() - 1 {
        let pair = &mut keys[first..first + 2];
        if near(pair) {
            let [one, other] = [exact(pair[0]), exact(pair[1])];
            if other < one || other == one && point_of(pair[1]) < point_of(pair[0]) {
                pair.swap(0, 1);
            }
        }
    }
}

vectorize! {
    /// See [`jarque_bera`](crate::normality::jarque_bera); each x is replaced by the derivative with respect to it. x (n)
    fn jarque_bera(x: &mut [f32]) -> f64 = jarque_bera_with;
}

#[inline(always)]
fn jarque_bera_with<S: Simd>(x: &mut [f32]) -> f64 {
    let n = x.len() as f64;
    let first = f64::from(x[0]);
    let mean = first + power_sums::<S>(x, first)[0] / n; // of equal values, exactly that
    let [_, squares, cubes, fourths] = power_sums::<S>(x, mean);
    let raw_variance = squares / (n - 1.0);
    let variance = raw_variance.max(LEAST_VARIANCE);
    let deviation = variance.sqrt();
    let square = squares / (n * variance);
    let skewness = cubes / (n * variance * deviation);
    let kurtosis = fourths / (n * variance * variance);
    let value = n * mean * mean / variance
        + (n - 1.0) / 2.0 * (raw_variance - 1.0) * (raw_variance - 1.0)
        + n / 6.0 * (skewness * skewness + (kurtosis - 3.0) * (kurtosis - 3.0) / 4.0);

    // The derivative is a polynomial of y = (x - mean) / deviation.
    let (along_skewness, along_kurtosis) = (n * skewness / 3.0, n * (kurtosis - 3.0) / 12.0);
    let cubic = 4.0 * along_kurtosis / (n * deviation);
    let quadratic = 3.0 * along_skewness / (n * deviation);
    let constant = 2.0 * mean / variance - quadratic * square - cubic * skewness;
    let mut linear = 2.0 * (raw_variance - 1.0) * deviation;
    if raw_variance > LEAST_VARIANCE {
        let along_deviation =
            2.0 * n * mean * mean / variance + 3.0 * along_skewness * skewness + 4.0 * along_kurtosis * kurtosis;
        linear -= along_deviation / ((n - 1.0) * deviation);
    }
    for x in x.iter_mut() {
        let y = (f64::from(*x) - mean) / deviation;
        *x = (((cubic * y + quadratic) * y + linear) * y + constant) as f32;
    }
    value
}

/// The sums of `(x - about)` to the powers 1 to 4.
#[inline(always)]
fn power_sums<S: Simd>(x: &[f32], about: f64) -> [f64; 4] {
    let mut sums = [[0f64; LANES]; 4];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in chunk.iter().enumerate() {
            let apart = f64::from(*x) - about;
            let square = apart * apart;
            sums[0][lane] += apart;
            sums[1][lane] += square;
            sums[2][lane] += square * apart;
            sums[3][lane] += square * square;
        }
    }
    let mut totals = sums.map(|lanes| lanes.iter().sum::<f64>());
    for x in rest {
        let apart = f64::from(*x) - about;
        let powers = [apart, apart * apart, apart * apart * apart, apart * apart * apart * apart];
        totals.iter_mut().zip(powers).for_each(|(total, power)| *total += power);
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_values_and_then_of_the_points() {
        let x = [0.5, -2.0, 0.0, -0.0, 0.5, 1e-30, -1e9];
        let mut room = Room::new(7);
        rank(&x, &x, &[1.0], &mut room);
        let ranks: Vec<f32> = room.of_points.iter().map(|midpoint| midpoint * 7.0 + 0.5).collect();
        let expected = [6.0, 2.0, 3.0, 4.0, 7.0, 5.0, 1.0];
        assert!(ranks.iter().zip(expected).all(|(found, e)| (found - e).abs() < 1e-5), "{ranks:?}");
    }

    #[test]
    fn near_ties_are_settled_by_the_points() {
        let x: Vec<f32> = (0..40).map(|i| if i == 3 { 2.0 } else { i as f32 }).collect(); // 2 and 3 are equal, as rounded
        let mut points: Vec<f32> = x.iter().flat_map(|x| [*x, 0.0]).collect();
        let mut room = Room::new(40);
        rank(&x, &points, &[1.0, 0.5], &mut room);
        assert!(room.of_points[2] < room.of_points[3]);
        points[7] = -1e-9; // of point 3, below what float32 has beside 2
        rank(&x, &points, &[1.0, 0.5], &mut room);
        assert!(room.of_points[3] < room.of_points[2]);
    }

    #[test]
    fn many_values_are_sorted_as_few_are() {
        let numbers =
            (0..1_000u64).map(|i| (i * 7_919 % 501) as f32 * 10f32.powi((i % 41) as i32 - 20) * [1.0, -1.0][i as usize % 2]);
        let mut keys: Vec<u64> =
            numbers.zip(0..).map(|(x, point): (f32, u64)| u64::from(increasing_bits(x)) << 32 | point).collect();
        let mut expected = keys.clone();
        expected.sort_unstable();
        sort(&mut keys, &mut vec![0; 1_000]);
        assert_eq!(keys, expected);
        assert!(keys.windows(2).all(|pair| value_of(pair[0]) <= value_of(pair[1])) && value_of(keys[0]) < -1e20);
    }
}
