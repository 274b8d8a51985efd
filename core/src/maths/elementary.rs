//! Elementary functions of float32 numbers without a call or a branch, so that loops over them become vector instructions.

use super::vector::fused;
use std::f32::consts::{FRAC_PI_2, LN_2, PI, SQRT_2};

/// `arccos(x)` of x in [-1, 1], within 4e-7.
///
/// Abramowitz and Stegun, 4.4.46: `sqrt(1 - x)` times a polynomial for x from 0 on, and `π - arccos(-x)` below.
#[inline(always)]
pub fn arccos(x: f32) -> f32 {
    let size = x.abs();
    let p = fused(-0.001_262_491_1, size, 0.006_670_09);
    let p = fused(p, size, -0.017_088_126);
    let p = fused(p, size, 0.030_891_88);
    let p = fused(p, size, -0.050_174_305);
    let p = fused(p, size, 0.088_978_99);
    let p = fused(p, size, -0.214_598_8);
    let p = fused(p, size, FRAC_PI_2);
    let angle = (1.0 - size).sqrt() * p;
    if x < 0.0 { PI - angle } else { angle }
}

/// `ln(x)` of a normal x above 0, within 2e-7 relative or 1e-7 absolute near 1.
///
/// Splits x into 2^n·m with m from sqrt(1/2) to sqrt(2) and takes the polynomial of Cephes' logf of m - 1.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000); // from 1 to 2
    let large = mantissa > SQRT_2;
    let m = if large { 0.5 * mantissa } else { mantissa } - 1.0;
    let n = ((bits >> 23) as i32 - 127 + i32::from(large)) as f32;
    let p = fused(7.037_683_6e-2, m, -1.151_461e-1);
    let p = fused(p, m, 1.167_699_9e-1);
    let p = fused(p, m, -1.242_014_1e-1);
    let p = fused(p, m, 1.424_932_3e-1);
    let p = fused(p, m, -1.666_805_8e-1);
    let p = fused(p, m, 2.000_071_5e-1);
    let p = fused(p, m, -2.499_999_4e-1);
    let p = fused(p, m, 0.333_333_3);
    let square = m * m;
    let whole = fused(p, square * m, fused(-0.5, square, m));
    let whole = fused(n, LN_2, whole);
    if x.is_nan() { x } else { whole }
}

/// Sine and cosine of `turns·2π`, within 2e-7 of the exact ones for that float; beyond 2²³ turns a float is a whole number of
/// them. NaN stays NaN.
#[inline(always)]
pub fn sine_cosine_of_turns(turns: f32) -> (f32, f32) {
    let quarter = 4.0 * (turns - turns.round_ties_even()); // exact, from -2 to 2
    let nearest = quarter.round_ties_even();
    let angle = FRAC_PI_2 * (quarter - nearest); // from -π/4 to π/4
    let square = angle * angle;
    let s = fused(-1.951_529_6e-4, square, 8.332_161e-3);
    let s = fused(s, square, -1.666_665_5e-1);
    let sine = fused(s * square, angle, angle);
    let c = fused(2.443_315_7e-5, square, -1.388_731_6e-3);
    let c = fused(c, square, 4.166_664_6e-2);
    let cosine = fused(c, square * square, fused(-0.5, square, 1.0));
    // After an odd number of quarters they change places; after two the signs turn.
    let odd = nearest.abs() == 1.0;
    let (first, second) = if odd { (cosine, sine) } else { (sine, cosine) };
    let first = if nearest == -1.0 || nearest.abs() == 2.0 { -first } else { first };
    let second = if nearest == 1.0 || nearest.abs() == 2.0 { -second } else { second };
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` floats evenly spaced over [low, high].
    fn between(low: f32, high: f32, count: usize) -> impl Iterator<Item = f32> {
        (0..=count).map(move |i| low + (high - low) * i as f32 / count as f32)
    }

    #[test]
    fn arccos_is_close_everywhere() {
        for x in between(-1.0, 1.0, 100_000) {
            assert!((f64::from(arccos(x)) - f64::from(x).acos()).abs() < 4e-7, "{x}");
        }
        assert_eq!(arccos(1.0), 0.0);
        assert!(arccos(f32::NAN).is_nan());
    }

    #[test]
    fn ln_is_close_everywhere() {
        for exponent in between(-69.0, 69.0, 100_000) {
            let x = exponent.exp();
            let exact = f64::from(x).ln();
            assert!((f64::from(ln(x)) - exact).abs() < 2e-7 * exact.abs().max(0.5), "{x}");
        }
        assert_eq!(ln(1.0), 0.0);
        assert!(ln(f32::NAN).is_nan());
    }

    #[test]
    fn sine_and_cosine_are_close_everywhere() {
        for turns in between(-3.0, 3.0, 100_000).chain(between(-1e4, 1e4, 100_000)) {
            let (sine, cosine) = sine_cosine_of_turns(turns);
            let angle = f64::from(turns).fract() * std::f64::consts::TAU;
            assert!((f64::from(sine) - angle.sin()).abs() < 2e-7, "{turns}: {sine}");
            assert!((f64::from(cosine) - angle.cos()).abs() < 2e-7, "{turns}: {cosine}");
        }
        assert_eq!(sine_cosine_of_turns(0.0), (0.0, 1.0));
        assert_eq!(sine_cosine_of_turns(1e30), (0.0, 1.0));
        assert!(sine_cosine_of_turns(f32::NAN).0.is_nan() && sine_cosine_of_turns(f32::INFINITY).1.is_nan());
    }
}
