//! Loops over float32 slices that the compiler turns into vector instructions: sums in lanes, and an exponential without a call.

const LANES: usize = 16;

/// Sum of the numbers, in `LANES` running sums: faster than one, and closer.
#[inline]
pub fn sum(x: &[f32]) -> f32 {
    sum_of(x, x, |x, _| x)
}

/// Sum of products.
#[inline]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    sum_of(x, y, |x, y| x * y)
}

/// Sum of `term(x_i, y_i)`.
#[inline]
pub fn sum_of(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
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

/// Sums of both numbers of `terms(x_i)`.
#[inline]
pub fn pair_of_sums(x: &[f32], terms: impl Fn(f32) -> (f32, f32)) -> (f32, f32) {
    let (mut first, mut second) = ([0f32; LANES], [0f32; LANES]);
    let chunks = x.chunks_exact(LANES);
    for (lane, &x) in chunks.remainder().iter().enumerate() {
        (first[lane], second[lane]) = terms(x);
    }
    for chunk in chunks {
        for lane in 0..LANES {
            let (one, other) = terms(chunk[lane]);
            first[lane] += one;
            second[lane] += other;
        }
    }
    (first.iter().sum(), second.iter().sum())
}

/// Largest number; -inf of none.
#[inline]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder().iter().fold(f32::NEG_INFINITY, |most, &x| if x > most { x } else { most });
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    lanes.iter().fold(rest, |most, &x| if x > most { x } else { most })
}

/// `a·b + c`, rounded once where the machine has an instruction for it. Elsewhere `f32::mul_add` would be a call that costs a
/// hundred times as much, so there it is rounded twice.
#[inline(always)]
pub fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// `e^x`, within 2e-7 relative; 0 below -87.3 and clamped above 88.3. NaN stays NaN.
///
/// Splits x into n·ln 2 + r, takes a polynomial of e^r and puts n into the exponent bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2^23: adding it rounds to a whole number, which the lowest bits then hold
    let clamped = if x > 88.3 { 88.3 } else { x };
    let shifted = fused(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fused(n, 2.121_944_4e-4, fused(n, -0.693_359_4, clamped)); // ln 2 in two parts
    let p = fused(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = fused(p, r, 8.333_452e-3);
    let p = fused(p, r, 4.166_579_6e-2);
    let p = fused(p, r, 1.666_666_5e-1);
    let p = fused(p, r, 5e-1);
    let e = fused(p, r * r, r) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.3 { 0.0 } else { e * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        for step in -8_700..8_800 {
            let x = step as f32 / 100.0;
            let exact = f64::from(x).exp();
            assert!((f64::from(exp(x)) / exact - 1.0).abs() < 2e-7, "{x}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_of_uneven_lengths() {
        let x: Vec<f32> = (1..=37).map(|i| i as f32).collect();
        assert_eq!(sum(&x), 703.0);
        assert_eq!(dot(&x, &x), 17_575.0);
        assert_eq!(max(&x), 37.0);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }
}
