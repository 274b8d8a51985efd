//! Elementary functions of sixteen float32 numbers at a time, without function calls and without branches per lane.

use super::vector::{ROUND, polynomial};
use crate::simd::{Bits, Lanes, Simd};
use std::f32::consts::{FRAC_PI_2, LN_2, PI, SQRT_2};

/// `arccos(x)` of x in [-1, 1], within 4e-7.
///
/// Abramowitz and Stegun, 4.4.46: `sqrt(1 - x)` times a polynomial for x >= 0, and `π - arccos(-x)` for x < 0.
#[inline(always)]
pub fn arccos<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    const SERIES: [f32; 8] =
        [-0.001_262_491_1, 0.006_670_09, -0.017_088_126, 0.030_891_88, -0.050_174_305, 0.088_978_99, -0.214_598_8, FRAC_PI_2];
    let all = Lanes::splat;
    let size = x.abs();
    let angle = (all(1.0) - size).sqrt() * polynomial(&SERIES, size);
    x.simd_lt(Lanes::ZERO).select(all(PI) - angle, angle)
}

/// `ln(x)` of a normal x above 0, within 2e-7 relative, or 1e-7 absolute near 1. NaN stays NaN.
///
/// Splits x into 2^n·m with m in [sqrt(1/2), sqrt(2)] and evaluates the polynomial of Cephes' logf at m - 1.
#[inline(always)]
pub fn ln<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    const SERIES: [f32; 9] = [
        7.037_683_6e-2,
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        0.333_333_3,
    ];
    let all = Lanes::splat;
    let bits = x.to_bits();
    let mantissa = Lanes::from_bits((bits & Bits::splat(0x007f_ffff)) | Bits::splat(0x3f80_0000)); // from 1 to 2
    let large = mantissa.simd_gt(all(SQRT_2));
    let m = large.select(all(0.5) * mantissa, mantissa) - all(1.0);
    let n = (bits >> 23).to_floats() - large.select(all(126.0), all(127.0));
    let square = m * m;
    let whole = polynomial(&SERIES, m).mul_add(square * m, all(-0.5).mul_add(square, m));
    let whole = n.mul_add(all(LN_2), whole);
    x.is_nan().select(x, whole)
}

/// Full turns (of 2π) per unit of x, as the sum of two floats. With one float, the product with x would be rounded before its whole
/// turns are subtracted, and lose digits.
#[derive(Debug, Clone, Copy)]
pub struct TurnsPerUnit {
    high: f32,
    low: f32,
}

impl TurnsPerUnit {
    /// From the number of turns per unit.
    pub fn new(turns: f64) -> Self {
        let quarters = 4.0 * turns;
        let high = quarters as f32;
        Self { high, low: (quarters - f64::from(high)) as f32 }
    }
}

/// Sine and cosine of `2π·turns·x`, within 2e-7 up to 2¹⁴ turns. Far beyond, results are meaningless numbers in [-1, 1]. NaN
/// stays NaN.
///
/// The polynomials of Cephes' sinf and cosf after reduction to the nearest quarter turn. The reduction is skipped where all angles
/// are small.
#[inline(always)]
pub fn sine_cosine<S: Simd>(x: Lanes<S>, turns: &TurnsPerUnit) -> (Lanes<S>, Lanes<S>) {
    let all = Lanes::splat;
    let (high, low) = (all(turns.high), all(turns.low));
    if (x * high).abs().simd_lt(all(0.5)).all() {
        return sine_cosine_of_quarter(x.mul_add(low, x * high));
    }
    let shifted = x.mul_add(high, all(ROUND));
    let nearest = shifted - all(ROUND);
    let part = x.mul_add(low, x.mul_sub(high, nearest)); // of a quarter, from -1/2 to 1/2
    let (sine, cosine) = sine_cosine_of_quarter(all(1.0).fast_min(all(-1.0).fast_max(part)));
    // Sine and cosine are exchanged after an odd number of quarters; bit 1 of the number, and of the number plus 1, is their sign.
    let quarters = shifted.to_bits();
    let odd = (quarters & Bits::splat(1)).simd_eq(Bits::splat(1));
    let sign = |quarters: Bits<S>| (quarters & Bits::splat(2)) << 30;
    let of_sine = odd.select(cosine, sine).to_bits() ^ sign(quarters);
    let of_cosine = odd.select(sine, cosine).to_bits() ^ sign(quarters + Bits::splat(1));
    (Lanes::from_bits(of_sine), Lanes::from_bits(of_cosine))
}

/// Sine and cosine of `part` quarter turns, `part` in [-1/2, 1/2].
#[inline(always)]
fn sine_cosine_of_quarter<S: Simd>(part: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let all = Lanes::splat;
    let angle = part * all(FRAC_PI_2);
    let square = angle * angle;
    let s = square.mul_add(all(-1.951_529_6e-4), all(8.332_161e-3));
    let s = square.mul_add(s, all(-1.666_665_5e-1));
    let sine = (s * square).mul_add(angle, angle);
    let c = square.mul_add(all(2.443_315_7e-5), all(-1.388_731_6e-3));
    let c = square.mul_add(c, all(4.166_664_6e-2));
    let cosine = (square * square).mul_add(c, square.mul_add(all(-0.5), all(1.0)));
    (sine, cosine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::sets::Portable;

    /// `count` floats evenly spaced over [low, high].
    fn between(low: f32, high: f32, count: usize) -> impl Iterator<Item = f32> {
        (0..=count).map(move |i| low + (high - low) * i as f32 / count as f32)
    }

    #[test]
    fn arccos_is_accurate_everywhere() {
        let arccos = |x: f32| super::arccos(Lanes::<Portable>::splat(x)).to_array()[7];
        for x in between(-1.0, 1.0, 100_000) {
            assert!((f64::from(arccos(x)) - f64::from(x).acos()).abs() < 4e-7, "{x}");
        }
        assert_eq!(arccos(1.0), 0.0);
        assert!(arccos(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_accurate_everywhere() {
        let ln = |x: f32| super::ln(Lanes::<Portable>::splat(x)).to_array()[7];
        for exponent in between(-69.0, 69.0, 100_000) {
            let x = exponent.exp();
            let exact = f64::from(x).ln();
            assert!((f64::from(ln(x)) - exact).abs() < 2e-7 * exact.abs().max(0.5), "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(f32::NAN).is_nan());
    }

    fn one(turns: f32) -> (f32, f32) {
        let (sine, cosine) = sine_cosine(Lanes::<Portable>::splat(turns), &TurnsPerUnit::new(1.0));
        (sine.to_array()[3], cosine.to_array()[3])
    }

    #[test]
    fn sine_and_cosine_are_accurate_everywhere() {
        for turns in between(-3.0, 3.0, 100_000).chain(between(-16_384.0, 16_384.0, 100_000)) {
            let (sine, cosine) = one(turns);
            let angle = f64::from(turns).fract() * std::f64::consts::TAU;
            assert!((f64::from(sine) - angle.sin()).abs() < 2e-7, "{turns}: {sine}");
            assert!((f64::from(cosine) - angle.cos()).abs() < 2e-7, "{turns}: {cosine}");
        }
        assert_eq!([0.0, 0.25, 0.5, -0.25, 1.0].map(one), [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (0.0, 1.0)]);
        assert!(one(f32::NAN).0.is_nan() && one(f32::INFINITY).1.is_nan());
        assert!(one(3e7).0.abs() <= 1.0 && one(-1e30).1.abs() <= 1.0);
    }

    #[test]
    fn large_angles_in_other_lanes_do_not_change_small_ones() {
        let turns = TurnsPerUnit::new(0.3);
        let small: [f32; 16] = std::array::from_fn(|i| 0.05 * (i as f32 - 7.5));
        let (sines, cosines) = sine_cosine(Lanes::<Portable>::from(small), &turns);
        let mut mixed = small;
        mixed[15] = 40.0;
        let (others, more) = sine_cosine(Lanes::<Portable>::from(mixed), &turns);
        assert_eq!(sines.to_array()[..15], others.to_array()[..15]);
        assert_eq!(cosines.to_array()[..15], more.to_array()[..15]);
    }

    #[test]
    fn turns_per_unit_are_more_precise_than_a_float() {
        let per_unit = 0.029_841_551_829_730_04; // not a float32
        let x: [f32; 16] = std::array::from_fn(|i| (i * i) as f32 * 1_234.5 - 9e4);
        let (sines, cosines) = sine_cosine(Lanes::<Portable>::from(x), &TurnsPerUnit::new(per_unit));
        for ((x, sine), cosine) in x.iter().zip(sines.to_array()).zip(cosines.to_array()) {
            let angle = std::f64::consts::TAU * per_unit * f64::from(*x);
            assert!((f64::from(sine) - angle.sin()).abs() < 3e-7, "{x}: {sine}");
            assert!((f64::from(cosine) - angle.cos()).abs() < 3e-7, "{x}: {cosine}");
        }
    }
}
