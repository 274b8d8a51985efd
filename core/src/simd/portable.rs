//! The operations in plain Rust, for any processor.
//!
//! `mul_add` is one instruction where the target has one (aarch64) and an exact function of the system's library elsewhere.

use super::sealed::Operations;
use super::{Kernel, Simd};
use std::array::from_fn;

/// Arrays, and loops over them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portable;

impl Simd for Portable {}

impl Operations for Portable {
    type F32 = [f32; 16];
    type U32 = [u32; 16];
    type Mask = [bool; 16];
    type F64 = [f64; 8];

    #[inline(always)]
    fn run<K: Kernel<Self>>(kernel: K) -> K::Output {
        kernel.run()
    }

    const ZERO: [f32; 16] = [0.0; 16];
    const ONE: [f32; 16] = [1.0; 16];
    const ZERO_F64: [f64; 8] = [0.0; 8];

    #[inline(always)]
    fn splat(x: f32) -> [f32; 16] {
        [x; 16]
    }

    #[inline(always)]
    fn from_array(x: [f32; 16]) -> [f32; 16] {
        x
    }

    #[inline(always)]
    fn to_array(x: [f32; 16]) -> [f32; 16] {
        x
    }

    #[inline(always)]
    fn add(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| x[i] + y[i])
    }

    #[inline(always)]
    fn sub(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| x[i] - y[i])
    }

    #[inline(always)]
    fn mul(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| x[i] * y[i])
    }

    #[inline(always)]
    fn div(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| x[i] / y[i])
    }

    #[inline(always)]
    fn sqrt(x: [f32; 16]) -> [f32; 16] {
        x.map(f32::sqrt)
    }

    #[inline(always)]
    fn mul_add(x: [f32; 16], y: [f32; 16], z: [f32; 16]) -> [f32; 16] {
        from_fn(|i| x[i].mul_add(y[i], z[i]))
    }

    #[inline(always)]
    fn mul_sub(x: [f32; 16], y: [f32; 16], z: [f32; 16]) -> [f32; 16] {
        from_fn(|i| x[i].mul_add(y[i], -z[i]))
    }

    #[inline(always)]
    fn min(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| if x[i] < y[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    fn max(x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| if x[i] > y[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    fn lt(x: [f32; 16], y: [f32; 16]) -> [bool; 16] {
        from_fn(|i| x[i] < y[i])
    }

    #[inline(always)]
    fn eq(x: [f32; 16], y: [f32; 16]) -> [bool; 16] {
        from_fn(|i| x[i] == y[i])
    }

    #[inline(always)]
    fn unordered(x: [f32; 16], y: [f32; 16]) -> [bool; 16] {
        from_fn(|i| x[i].is_nan() || y[i].is_nan())
    }

    #[inline(always)]
    fn select(mask: [bool; 16], x: [f32; 16], y: [f32; 16]) -> [f32; 16] {
        from_fn(|i| if mask[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    fn all(mask: [bool; 16]) -> bool {
        mask.into_iter().all(|held| held)
    }

    #[inline(always)]
    fn transpose(rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        from_fn(|i| from_fn(|j| rows[j][i]))
    }

    #[inline(always)]
    fn to_bits(x: [f32; 16]) -> [u32; 16] {
        x.map(f32::to_bits)
    }

    #[inline(always)]
    fn from_bits(x: [u32; 16]) -> [f32; 16] {
        x.map(f32::from_bits)
    }

    #[inline(always)]
    fn splat_u32(x: u32) -> [u32; 16] {
        [x; 16]
    }

    #[inline(always)]
    fn from_array_u32(x: [u32; 16]) -> [u32; 16] {
        x
    }

    #[inline(always)]
    fn to_array_u32(x: [u32; 16]) -> [u32; 16] {
        x
    }

    #[inline(always)]
    fn add_u32(x: [u32; 16], y: [u32; 16]) -> [u32; 16] {
        from_fn(|i| x[i].wrapping_add(y[i]))
    }

    #[inline(always)]
    fn and(x: [u32; 16], y: [u32; 16]) -> [u32; 16] {
        from_fn(|i| x[i] & y[i])
    }

    #[inline(always)]
    fn or(x: [u32; 16], y: [u32; 16]) -> [u32; 16] {
        from_fn(|i| x[i] | y[i])
    }

    #[inline(always)]
    fn xor(x: [u32; 16], y: [u32; 16]) -> [u32; 16] {
        from_fn(|i| x[i] ^ y[i])
    }

    #[inline(always)]
    fn shl(x: [u32; 16], by: u32) -> [u32; 16] {
        x.map(|x| x << by)
    }

    #[inline(always)]
    fn shr(x: [u32; 16], by: u32) -> [u32; 16] {
        x.map(|x| x >> by)
    }

    #[inline(always)]
    fn eq_u32(x: [u32; 16], y: [u32; 16]) -> [bool; 16] {
        from_fn(|i| x[i] == y[i])
    }

    #[inline(always)]
    fn select_u32(mask: [bool; 16], x: [u32; 16], y: [u32; 16]) -> [u32; 16] {
        from_fn(|i| if mask[i] { x[i] } else { y[i] })
    }

    #[inline(always)]
    fn to_floats(x: [u32; 16]) -> [f32; 16] {
        x.map(|x| x as i32 as f32)
    }

    #[inline(always)]
    fn splat_f64(x: f64) -> [f64; 8] {
        [x; 8]
    }

    #[inline(always)]
    fn from_array_f64(x: [f64; 8]) -> [f64; 8] {
        x
    }

    #[inline(always)]
    fn to_array_f64(x: [f64; 8]) -> [f64; 8] {
        x
    }

    #[inline(always)]
    fn add_f64(x: [f64; 8], y: [f64; 8]) -> [f64; 8] {
        from_fn(|i| x[i] + y[i])
    }

    #[inline(always)]
    fn mul_f64(x: [f64; 8], y: [f64; 8]) -> [f64; 8] {
        from_fn(|i| x[i] * y[i])
    }

    #[inline(always)]
    fn mul_add_f64(x: [f64; 8], y: [f64; 8], z: [f64; 8]) -> [f64; 8] {
        from_fn(|i| x[i].mul_add(y[i], z[i]))
    }
}

/// What the instruction computes, but for numbers below 1.2e-38, which it takes for 0.
#[cfg(test)]
impl super::DotBf16 for Portable {
    fn dot_bf16(x: super::Bits<Self>, y: super::Bits<Self>, sum: super::Lanes<Self>) -> super::Lanes<Self> {
        let upper = |x: u32| f32::from_bits(x & 0xffff_0000);
        let lower = |x: u32| f32::from_bits(x << 16);
        let (x, y, sum) = (x.to_array(), y.to_array(), sum.to_array());
        super::Lanes::from(from_fn(|i| lower(x[i]).mul_add(lower(y[i]), upper(x[i]).mul_add(upper(y[i]), sum[i]))))
    }
}
