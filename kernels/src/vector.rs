//! Loops over float32 slices: sums in sixteen lanes, maxima and exponentials.
//!
//! Each exists twice: as a function that selects this machine's instructions, and as the inlined loop itself, named `..._with`, for
//! kernels that are compiled for an instruction set already.

use crate::simd::{Bits, LANES, Lanes, Simd, load_or, store, total};

/// Sum of `term(x_i, y_i)`, in sixteen running sums, which are faster and more accurate than one.
#[inline(always)]
pub fn sum_of_with<S: Simd>(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (x_lanes, y_lanes) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f32 = x_lanes.remainder().iter().zip(y_lanes.remainder()).map(|(&x, &y)| term(x, y)).sum();
    for (x, y) in x_lanes.zip(y_lanes) {
        for lane in 0..LANES {
            lanes[lane] += term(x[lane], y[lane]);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// Sum of the numbers.
#[inline(always)]
pub fn sum_with<S: Simd>(x: &[f32]) -> f32 {
    sum_of_with::<S>(x, x, |x, _| x)
}

/// Dot product.
#[inline(always)]
pub fn dot_with<S: Simd>(x: &[f32], y: &[f32]) -> f32 {
    sum_of_with::<S>(x, y, |x, y| x * y)
}

/// Maximum; -inf of an empty slice.
#[inline(always)]
pub fn max_with<S: Simd>(x: &[f32]) -> f32 {
    let mut lanes = Lanes::<S>::splat(f32::NEG_INFINITY);
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        lanes = Lanes::from(*chunk).fast_max(lanes);
    }
    let larger = |most: f32, &x: &f32| if x > most { x } else { most };
    lanes.to_array().iter().fold(rest.iter().fold(f32::NEG_INFINITY, larger), larger)
}

/// A polynomial of x, highest power first (Horner).
#[inline(always)]
pub(super) fn polynomial<S: Simd>(coefficients: &[f32], x: Lanes<S>) -> Lanes<S> {
    let (first, rest) = coefficients.split_first().expect("coefficients");
    let mut p = Lanes::splat(*first);
    for next in rest {
        p = p.mul_add(x, Lanes::splat(*next));
    }
    p
}

/// Adding 1.5·2²³ rounds a float32 to an integer, which is then in the lowest bits.
pub(super) const ROUND: f32 = 12_582_912.0;

/// ln 2 as the sum of two floats. The first has few digits, so that its product with a small integer is exact.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// Polynomial for `(e^r - 1 - r)/r²`, r in [-ln 2/2, ln 2/2]: the coefficients of Cephes' expf, highest power first.
const SERIES: [f32; 6] = [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];

/// `e^x`, within 2e-7 relative; 0 below -87.3 and clamped above 88.3. NaN stays NaN.
///
/// Splits x into n·ln 2 + r, evaluates a polynomial for e^r and adds n to the exponent bits.
#[inline(always)]
pub fn exps<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let all = Lanes::splat;
    let clamped = all(88.3).fast_min(x); // NaN where x is
    let shifted = clamped.mul_add(all(std::f32::consts::LOG2_E), all(ROUND));
    let n = shifted - all(ROUND);
    let r = n.mul_add(all(-LN_2[1]), n.mul_add(all(-LN_2[0]), clamped));
    let e = polynomial(&SERIES, r).mul_add(r * r, r) + all(1.0);
    let power = Lanes::from_bits((shifted.to_bits() + Bits::splat(127)) << 23);
    x.simd_lt(all(-87.3)).select(Lanes::ZERO, e * power)
}

/// [`exps`] of a single number.
#[inline(always)]
pub fn exp_with<S: Simd>(x: f32) -> f32 {
    exps(Lanes::<S>::splat(x)).to_array()[0]
}

/// `x = exp(x - shift)` in place, and the sum of the results: a softmax's numerators and denominator.
#[inline(always)]
pub fn exponentials_with<S: Simd>(x: &mut [f32], shift: f32) -> f32 {
    let mut sums = Lanes::<S>::ZERO;
    for chunk in x.chunks_mut(LANES) {
        let e = exps(load_or(chunk, f32::NEG_INFINITY) - Lanes::splat(shift));
        sums += e;
        store(chunk, e);
    }
    total(sums)
}

/// `Σ exp(rate·(x - shift))`
#[inline(always)]
pub fn sum_of_exponentials_with<S: Simd>(x: &[f32], shift: f32, rate: f32) -> f32 {
    let mut sums = Lanes::<S>::ZERO;
    for x in x.chunks(LANES) {
        sums += exps(Lanes::splat(rate) * (load_or(x, f32::NEG_INFINITY) - Lanes::splat(shift)));
    }
    total(sums)
}

/// `x *= factor`
#[inline(always)]
pub fn scale_with<S: Simd>(x: &mut [f32], factor: f32) {
    x.iter_mut().for_each(|x| *x *= factor);
}

/// `x += by`
#[inline(always)]
pub fn shift_with<S: Simd>(x: &mut [f32], by: f32) {
    x.iter_mut().for_each(|x| *x += by);
}

/// `x += y`
#[inline(always)]
pub fn add_with<S: Simd>(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// `x += factor·y`, rounded twice.
#[inline(always)]
pub fn add_multiple_with<S: Simd>(x: &mut [f32], factor: f32, y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += factor * y);
}

crate::vectorize! {
    /// `x *= factor`
    pub fn scale(x: &mut [f32], factor: f32) = scale_with;

    /// `x += by`
    pub fn shift(x: &mut [f32], by: f32) = shift_with;

    /// `x += y`
    pub fn add(x: &mut [f32], y: &[f32]) = add_with;

    /// `x += factor·y`, rounded twice.
    pub fn add_multiple(x: &mut [f32], factor: f32, y: &[f32]) = add_multiple_with;

    /// Sum of the numbers, in sixteen running sums.
    pub fn sum(x: &[f32]) -> f32 = sum_with;

    /// Dot product, in sixteen running sums.
    pub fn dot(x: &[f32], y: &[f32]) -> f32 = dot_with;

    /// Sum of `term(x_i, y_i)`, in sixteen running sums.
    pub fn sum_of(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 = sum_of_with;

    /// Maximum; -inf of an empty slice.
    pub fn max(x: &[f32]) -> f32 = max_with;

    /// [`exps`] of a single number.
    pub fn exp(x: f32) -> f32 = exp_with;

    /// `x = exp(x - shift)` in place, and the sum of the results: a softmax's numerators and denominator.
    pub fn exponentials(x: &mut [f32], shift: f32) -> f32 = exponentials_with;

    /// `Σ exp(rate·(x - shift))`
    pub fn sum_of_exponentials(x: &[f32], shift: f32, rate: f32) -> f32 = sum_of_exponentials_with;
}

crate::vectorize! {
    /// The sum of each row, in 32 running sums: the order of candle on processors with AVX2. x (rows, columns), sums (rows)
    pub fn sums_of_rows(x: &[f32], columns: usize, sums: &mut [f32]) = sums_of_rows_with;
}

#[inline(always)]
fn sums_of_rows_with<S: Simd>(x: &[f32], columns: usize, sums: &mut [f32]) {
    if columns == 0 {
        return sums.fill(0.0);
    }
    for (sum, row) in sums.iter_mut().zip(x.chunks_exact(columns)) {
        let mut running = [0f32; 32];
        let (whole, rest) = row.as_chunks::<32>();
        for chunk in whole {
            for lane in 0..32 {
                running[lane] += chunk[lane];
            }
        }
        let mut folded = [0f32; 8];
        for lane in 0..8 {
            folded[lane] = (running[lane] + running[8 + lane]) + (running[16 + lane] + running[24 + lane]);
        }
        let [a, b, c, d] = [0, 1, 2, 3].map(|lane| folded[lane] + folded[4 + lane]);
        *sum = rest.iter().fold((a + b) + (c + d), |sum, x| sum + x);
    }
}

crate::vectorize! {
    /// Adds each row of points (n, d) to sums (d).
    fn add_rows(sums: &mut [f64], points: &[f32]) = add_rows_with;
}

#[inline(always)]
fn add_rows_with<S: Simd>(sums: &mut [f64], points: &[f32]) {
    for row in points.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
}

/// The mean of the rows, summed in order in float64, so that rows that nearly cancel keep their digits. points (n, dims) -> (dims)
pub fn mean_row(points: &[f32], dims: usize) -> Vec<f64> {
    let (mut mean, rows) = (vec![0f64; dims], (points.len() / dims) as f64);
    add_rows(&mut mean, points);
    mean.iter_mut().for_each(|sum| *sum /= rows);
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::load;
    use crate::simd::sets::Portable;

    fn sixteen(x: &[f32]) -> Lanes<Portable> {
        exps(load(x))
    }

    #[test]
    fn exp_is_accurate_everywhere() {
        for step in -8_700..8_800 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2e-7, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    /// float32 cannot hold 2²⁴ + 1, so what rounding loses reveals the order. Of 35 numbers, 32 start a running sum each and 3 are added
    /// at the end.
    #[test]
    fn rows_are_summed_in_32_running_sums() {
        const LARGE: f32 = 16_777_216.0;
        let mut row = [0f32; 35];
        (row[0], row[8], row[16], row[24]) = (LARGE, 1.0, 1.0, 1.0); // (2²⁴ + 1) + (1 + 1) = 2²⁴ + 2
        (row[4], row[12]) = (-LARGE, 3.0); // -2²⁴ + 3, added to it: 5
        (row[32], row[33], row[34]) = (LARGE, 1.0, -LARGE); // 2²⁴ + 5 is rounded to 2²⁴ + 4, and with 1 again: 4
        let mut sums = [7.0; 2];
        sums_of_rows(&[row, [1.0; 35]].concat(), 35, &mut sums);
        assert_eq!(sums, [4.0, 35.0]);
        sums_of_rows(&[], 0, &mut sums);
        assert_eq!(sums, [0.0; 2]);
    }

    #[test]
    fn lanes_agree_with_single_numbers() {
        let ends = [f32::NEG_INFINITY, f32::INFINITY, f32::MIN, f32::MAX, -0.0, 88.3, -87.3, 1e-30];
        let numbers: Vec<f32> = (0..40_000).map(|step| (step - 20_000) as f32 / 199.0).chain(ends).collect();
        for numbers in numbers.chunks(LANES) {
            let mut found = numbers.to_vec();
            store(&mut found, sixteen(numbers));
            let expected: Vec<f32> = numbers.iter().map(|&x| exp(x)).collect();
            assert_eq!(found, expected, "{numbers:?}");
        }
        assert!(sixteen(&[f32::NAN; LANES]).to_array().iter().all(|x| x.is_nan()));
    }

    #[test]
    fn exponentials_and_their_sum_by_hand() {
        let mut x: Vec<f32> = (0..19).map(|i| if i == 18 { 3f32.ln() } else { 0.0 }).collect();
        assert!((sum_of_exponentials(&x, 0.0, 1.0) - 21.0).abs() < 1e-5);
        assert!((exponentials(&mut x, 2f32.ln()) - 10.5).abs() < 1e-5);
        assert!(x[..18].iter().all(|x| (x - 0.5).abs() < 1e-6) && (x[18] - 1.5).abs() < 1e-6, "{x:?}");
    }

    #[test]
    fn the_mean_of_rows_that_nearly_cancel_by_hand() {
        assert_eq!(mean_row(&[1e8, 3.0, 2.0, 5.0, -1e8 + 8.0, 1.0], 2), [10.0 / 3.0, 3.0]);
    }

    #[test]
    fn sums_and_maxima_of_lengths_that_are_not_multiples_of_16() {
        let x: Vec<f32> = (1..=37).map(|i| i as f32).collect();
        assert_eq!(sum(&x), 703.0);
        assert_eq!(dot(&x, &x), 17_575.0);
        assert_eq!(max(&x), 37.0);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }
}
