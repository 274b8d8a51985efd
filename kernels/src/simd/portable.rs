//! The operations in plain Rust, for any processor.
//!
//! `mul_add` is one instruction where the target has it (aarch64), and a correctly rounded library function elsewhere.

use super::sealed::Operations;
use super::{Kernel, Simd};
use std::array::from_fn;

/// Declares functions that consist of one expression.
macro_rules! operations {
    ($(fn $name:ident($($x:ident: $type:ty),+) -> $out:ty = $body:expr;)+) => { $(
        #[inline(always)]
        fn $name($($x: $type),+) -> $out {
            $body
        }
    )+ };
}

/// Lanes as arrays.
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

    operations! {
        fn splat(x: f32) -> [f32; 16] = [x; 16];
        fn from_array(x: [f32; 16]) -> [f32; 16] = x;
        fn to_array(x: [f32; 16]) -> [f32; 16] = x;
        fn add(x: [f32; 16], y: [f32; 16]) -> [f32; 16] = from_fn(|i| x[i] + y[i]);
        fn sub(x: [f32; 16], y: [f32; 16]) -> [f32; 16] = from_fn(|i| x[i] - y[i]);
        fn mul(x: [f32; 16], y: [f32; 16]) -> [f32; 16] = from_fn(|i| x[i] * y[i]);
        fn div(x: [f32; 16], y: [f32; 16]) -> [f32; 16] = from_fn(|i| x[i] / y[i]);
        fn sqrt(x: [f32; 16]) -> [f32; 16] = x.map(f32::sqrt);
        fn mul_add(x: [f32; 16], y: [f32; 16], z: [f32; 16]) -> [f32; 16] = from_fn(|i| x[i].mul_add(y[i], z[i]));
        fn mul_sub(x: [f32; 16], y: [f32; 16], z: [f32; 16]) -> [f32; 16] = from_fn(|i| x[i].mul_add(y[i], -z[i]));
        fn min(x: [f32; 16], y: [f32; 16]) -> [f32; 16] = from_fn(|i| if x[i] < y[i] { x[i] } else { y[i] });
        fn max(x: [f32; 16], y: [f32; 16]) -> [f32; 16] = from_fn(|i| if x[i] > y[i] { x[i] } else { y[i] });
        fn lt(x: [f32; 16], y: [f32; 16]) -> [bool; 16] = from_fn(|i| x[i] < y[i]);
        fn eq(x: [f32; 16], y: [f32; 16]) -> [bool; 16] = from_fn(|i| x[i] == y[i]);
        fn unordered(x: [f32; 16], y: [f32; 16]) -> [bool; 16] = from_fn(|i| x[i].is_nan() || y[i].is_nan());
        fn select(mask: [bool; 16], x: [f32; 16], y: [f32; 16]) -> [f32; 16] = from_fn(|i| if mask[i] { x[i] } else { y[i] });
        fn all(mask: [bool; 16]) -> bool = mask.into_iter().all(|held| held);
        fn transpose(rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] = from_fn(|i| from_fn(|j| rows[j][i]));
        fn to_bits(x: [f32; 16]) -> [u32; 16] = x.map(f32::to_bits);
        fn from_bits(x: [u32; 16]) -> [f32; 16] = x.map(f32::from_bits);
        fn splat_u32(x: u32) -> [u32; 16] = [x; 16];
        fn from_array_u32(x: [u32; 16]) -> [u32; 16] = x;
        fn to_array_u32(x: [u32; 16]) -> [u32; 16] = x;
        fn add_u32(x: [u32; 16], y: [u32; 16]) -> [u32; 16] = from_fn(|i| x[i].wrapping_add(y[i]));
        fn and(x: [u32; 16], y: [u32; 16]) -> [u32; 16] = from_fn(|i| x[i] & y[i]);
        fn or(x: [u32; 16], y: [u32; 16]) -> [u32; 16] = from_fn(|i| x[i] | y[i]);
        fn xor(x: [u32; 16], y: [u32; 16]) -> [u32; 16] = from_fn(|i| x[i] ^ y[i]);
        fn shl(x: [u32; 16], by: u32) -> [u32; 16] = x.map(|x| x << by);
        fn shr(x: [u32; 16], by: u32) -> [u32; 16] = x.map(|x| x >> by);
        fn eq_u32(x: [u32; 16], y: [u32; 16]) -> [bool; 16] = from_fn(|i| x[i] == y[i]);
        fn select_u32(mask: [bool; 16], x: [u32; 16], y: [u32; 16]) -> [u32; 16] = from_fn(|i| if mask[i] { x[i] } else { y[i] });
        fn to_floats(x: [u32; 16]) -> [f32; 16] = x.map(|x| x as i32 as f32);
        fn splat_f64(x: f64) -> [f64; 8] = [x; 8];
        fn from_array_f64(x: [f64; 8]) -> [f64; 8] = x;
        fn to_array_f64(x: [f64; 8]) -> [f64; 8] = x;
        fn add_f64(x: [f64; 8], y: [f64; 8]) -> [f64; 8] = from_fn(|i| x[i] + y[i]);
        fn mul_f64(x: [f64; 8], y: [f64; 8]) -> [f64; 8] = from_fn(|i| x[i] * y[i]);
        fn mul_add_f64(x: [f64; 8], y: [f64; 8], z: [f64; 8]) -> [f64; 8] = from_fn(|i| x[i].mul_add(y[i], z[i]));
    }
}

/// Like the instruction, except for denormals (below 1.2e-38), which the instruction treats as 0.
#[cfg(test)]
impl super::DotBf16 for Portable {
    fn dot_bf16(x: super::Bits<Self>, y: super::Bits<Self>, sum: super::Lanes<Self>) -> super::Lanes<Self> {
        let upper = |x: u32| f32::from_bits(x & 0xffff_0000);
        let lower = |x: u32| f32::from_bits(x << 16);
        let (x, y, sum) = (x.to_array(), y.to_array(), sum.to_array());
        super::Lanes::from(from_fn(|i| lower(x[i]).mul_add(lower(y[i]), upper(x[i]).mul_add(upper(y[i]), sum[i]))))
    }
}
