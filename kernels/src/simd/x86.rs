//! The operations in x86-64 intrinsics.
//!
//! # Safety
//! An intrinsic may run only on a processor that has its instruction. The sets below are used only by
//! [`vectorize!`](crate::vectorize) and by this crate's products. Both select a set by [`level`](super::level), which returns only
//! levels that were detected on this machine. This justifies each `unsafe` in this file. Nothing here accesses memory through
//! pointers.

use super::sealed::Operations;
use super::{Bits, DotBf16, Kernel, Lanes, Simd};
use std::arch::x86_64::*;
use std::mem::transmute;

/// AVX2 and FMA: two registers of eight.
#[derive(Debug, Clone, Copy, Default)]
pub struct Avx2;

impl Simd for Avx2 {}

/// Declares functions that consist of one expression.
macro_rules! operations {
    ($(fn $name:ident($($x:ident: $type:ty),+) -> $out:ty = $body:expr;)+) => { $(
        #[allow(unused_unsafe)]
        #[inline(always)]
        fn $name($($x: $type),+) -> $out {
            // SAFETY: see the module documentation.
            unsafe { $body }
        }
    )+ };
}

/// Applies an intrinsic to both registers.
macro_rules! both {
    ($operation:ident($x:expr)) => {
        [$operation($x[0]), $operation($x[1])]
    };
    ($operation:ident($x:expr, $y:expr)) => {
        [$operation($x[0], $y[0]), $operation($x[1], $y[1])]
    };
    ($operation:ident($x:expr, $y:expr, $z:expr)) => {
        [$operation($x[0], $y[0], $z[0]), $operation($x[1], $y[1], $z[1])]
    };
}

type Floats = [__m256; 2];
type Whole = [__m256i; 2];
type Wide = [__m256d; 2];

impl Operations for Avx2 {
    type F32 = Floats;
    type U32 = Whole;
    type Mask = Floats;
    type F64 = Wide;

    fn run<K: Kernel<Self>>(kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn run<K: Kernel<Avx2>>(kernel: K) -> K::Output {
            kernel.run()
        }
        unsafe { run(kernel) }
    }

    const ZERO: Floats = unsafe { transmute([0f32; 16]) };
    const ONE: Floats = unsafe { transmute([1f32; 16]) };
    const ZERO_F64: Wide = unsafe { transmute([0f64; 8]) };

    operations! {
        fn splat(x: f32) -> Floats = [_mm256_set1_ps(x); 2];
        fn from_array(x: [f32; 16]) -> Floats = transmute(x);
        fn to_array(x: Floats) -> [f32; 16] = transmute(x);
        fn add(x: Floats, y: Floats) -> Floats = both!(_mm256_add_ps(x, y));
        fn sub(x: Floats, y: Floats) -> Floats = both!(_mm256_sub_ps(x, y));
        fn mul(x: Floats, y: Floats) -> Floats = both!(_mm256_mul_ps(x, y));
        fn div(x: Floats, y: Floats) -> Floats = both!(_mm256_div_ps(x, y));
        fn sqrt(x: Floats) -> Floats = both!(_mm256_sqrt_ps(x));
        fn mul_add(x: Floats, y: Floats, z: Floats) -> Floats = both!(_mm256_fmadd_ps(x, y, z));
        fn mul_sub(x: Floats, y: Floats, z: Floats) -> Floats = both!(_mm256_fmsub_ps(x, y, z));
        fn min(x: Floats, y: Floats) -> Floats = both!(_mm256_min_ps(x, y));
        fn max(x: Floats, y: Floats) -> Floats = both!(_mm256_max_ps(x, y));
        fn lt(x: Floats, y: Floats) -> Floats = [_mm256_cmp_ps::<_CMP_LT_OQ>(x[0], y[0]), _mm256_cmp_ps::<_CMP_LT_OQ>(x[1], y[1])];
        fn eq(x: Floats, y: Floats) -> Floats = [_mm256_cmp_ps::<_CMP_EQ_OQ>(x[0], y[0]), _mm256_cmp_ps::<_CMP_EQ_OQ>(x[1], y[1])];
        fn unordered(x: Floats, y: Floats) -> Floats = [_mm256_cmp_ps::<_CMP_UNORD_Q>(x[0], y[0]), _mm256_cmp_ps::<_CMP_UNORD_Q>(x[1], y[1])];
        fn select(mask: Floats, x: Floats, y: Floats) -> Floats = both!(_mm256_blendv_ps(y, x, mask));
        fn all(mask: Floats) -> bool = _mm256_movemask_ps(_mm256_and_ps(mask[0], mask[1])) == 0xff;
        fn transpose(rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] = transpose(rows);
        fn to_bits(x: Floats) -> Whole = both!(_mm256_castps_si256(x));
        fn from_bits(x: Whole) -> Floats = both!(_mm256_castsi256_ps(x));
        fn splat_u32(x: u32) -> Whole = [_mm256_set1_epi32(x.cast_signed()); 2];
        fn from_array_u32(x: [u32; 16]) -> Whole = transmute(x);
        fn to_array_u32(x: Whole) -> [u32; 16] = transmute(x);
        fn add_u32(x: Whole, y: Whole) -> Whole = both!(_mm256_add_epi32(x, y));
        fn and(x: Whole, y: Whole) -> Whole = both!(_mm256_and_si256(x, y));
        fn or(x: Whole, y: Whole) -> Whole = both!(_mm256_or_si256(x, y));
        fn xor(x: Whole, y: Whole) -> Whole = both!(_mm256_xor_si256(x, y));
        fn shl(x: Whole, by: u32) -> Whole = both!(_mm256_sllv_epi32(x, Self::splat_u32(by)));
        fn shr(x: Whole, by: u32) -> Whole = both!(_mm256_srlv_epi32(x, Self::splat_u32(by)));
        fn eq_u32(x: Whole, y: Whole) -> Floats = Self::from_bits(both!(_mm256_cmpeq_epi32(x, y)));
        fn select_u32(mask: Floats, x: Whole, y: Whole) -> Whole = Self::to_bits(Self::select(mask, Self::from_bits(x), Self::from_bits(y)));
        fn to_floats(x: Whole) -> Floats = both!(_mm256_cvtepi32_ps(x));
        fn splat_f64(x: f64) -> Wide = [_mm256_set1_pd(x); 2];
        fn from_array_f64(x: [f64; 8]) -> Wide = transmute(x);
        fn to_array_f64(x: Wide) -> [f64; 8] = transmute(x);
        fn add_f64(x: Wide, y: Wide) -> Wide = both!(_mm256_add_pd(x, y));
        fn mul_f64(x: Wide, y: Wide) -> Wide = both!(_mm256_mul_pd(x, y));
        fn mul_add_f64(x: Wide, y: Wide, z: Wide) -> Wide = both!(_mm256_fmadd_pd(x, y, z));
    }
}

/// Transposes by interleaving single numbers, then pairs, then halves of rows.
#[inline(always)]
fn transpose(rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
    unsafe {
        let rows: [__m256; 8] = transmute(rows);
        let mut pairs = rows;
        for i in (0..8).step_by(2) {
            pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
            pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
        }
        let mut fours = rows;
        for i in [0, 4] {
            fours[i] = _mm256_shuffle_ps::<0x44>(pairs[i], pairs[i + 2]);
            fours[i + 1] = _mm256_shuffle_ps::<0xee>(pairs[i], pairs[i + 2]);
            fours[i + 2] = _mm256_shuffle_ps::<0x44>(pairs[i + 1], pairs[i + 3]);
            fours[i + 3] = _mm256_shuffle_ps::<0xee>(pairs[i + 1], pairs[i + 3]);
        }
        let mut eights = rows;
        for i in 0..4 {
            eights[i] = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
            eights[i + 4] = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
        }
        transmute(eights)
    }
}

/// AVX-512: one register of sixteen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Avx512;

/// AVX-512 with products of bfloat16.
#[derive(Debug, Clone, Copy, Default)]
pub struct Avx512Bf16;

macro_rules! sixteen {
    ($set:ident, $features:literal) => {
        impl Simd for $set {}

        impl Operations for $set {
            type F32 = __m512;
            type U32 = __m512i;
            type Mask = __mmask16;
            type F64 = __m512d;

            fn run<K: Kernel<Self>>(kernel: K) -> K::Output {
                #[target_feature(enable = $features)]
                fn run<K: Kernel<$set>>(kernel: K) -> K::Output {
                    kernel.run()
                }
                unsafe { run(kernel) }
            }

            const ZERO: __m512 = unsafe { transmute([0f32; 16]) };
            const ONE: __m512 = unsafe { transmute([1f32; 16]) };
            const ZERO_F64: __m512d = unsafe { transmute([0f64; 8]) };

            operations! {
                fn splat(x: f32) -> __m512 = _mm512_set1_ps(x);
                fn from_array(x: [f32; 16]) -> __m512 = transmute(x);
                fn to_array(x: __m512) -> [f32; 16] = transmute(x);
                fn add(x: __m512, y: __m512) -> __m512 = _mm512_add_ps(x, y);
                fn sub(x: __m512, y: __m512) -> __m512 = _mm512_sub_ps(x, y);
                fn mul(x: __m512, y: __m512) -> __m512 = _mm512_mul_ps(x, y);
                fn div(x: __m512, y: __m512) -> __m512 = _mm512_div_ps(x, y);
                fn sqrt(x: __m512) -> __m512 = _mm512_sqrt_ps(x);
                fn mul_add(x: __m512, y: __m512, z: __m512) -> __m512 = _mm512_fmadd_ps(x, y, z);
                fn mul_sub(x: __m512, y: __m512, z: __m512) -> __m512 = _mm512_fmsub_ps(x, y, z);
                fn min(x: __m512, y: __m512) -> __m512 = _mm512_min_ps(x, y);
                fn max(x: __m512, y: __m512) -> __m512 = _mm512_max_ps(x, y);
                fn lt(x: __m512, y: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, y);
                fn eq(x: __m512, y: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(x, y);
                fn unordered(x: __m512, y: __m512) -> __mmask16 = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, y);
                fn select(mask: __mmask16, x: __m512, y: __m512) -> __m512 = _mm512_mask_blend_ps(mask, y, x);
                fn all(mask: __mmask16) -> bool = mask == u16::MAX;
                fn transpose(rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] = transpose(rows);
                fn to_bits(x: __m512) -> __m512i = _mm512_castps_si512(x);
                fn from_bits(x: __m512i) -> __m512 = _mm512_castsi512_ps(x);
                fn splat_u32(x: u32) -> __m512i = _mm512_set1_epi32(x.cast_signed());
                fn from_array_u32(x: [u32; 16]) -> __m512i = transmute(x);
                fn to_array_u32(x: __m512i) -> [u32; 16] = transmute(x);
                fn add_u32(x: __m512i, y: __m512i) -> __m512i = _mm512_add_epi32(x, y);
                fn and(x: __m512i, y: __m512i) -> __m512i = _mm512_and_si512(x, y);
                fn or(x: __m512i, y: __m512i) -> __m512i = _mm512_or_si512(x, y);
                fn xor(x: __m512i, y: __m512i) -> __m512i = _mm512_xor_si512(x, y);
                fn shl(x: __m512i, by: u32) -> __m512i = _mm512_sllv_epi32(x, Self::splat_u32(by));
                fn shr(x: __m512i, by: u32) -> __m512i = _mm512_srlv_epi32(x, Self::splat_u32(by));
                fn eq_u32(x: __m512i, y: __m512i) -> __mmask16 = _mm512_cmpeq_epi32_mask(x, y);
                fn select_u32(mask: __mmask16, x: __m512i, y: __m512i) -> __m512i = _mm512_mask_blend_epi32(mask, y, x);
                fn to_floats(x: __m512i) -> __m512 = _mm512_cvtepi32_ps(x);
                fn splat_f64(x: f64) -> __m512d = _mm512_set1_pd(x);
                fn from_array_f64(x: [f64; 8]) -> __m512d = transmute(x);
                fn to_array_f64(x: __m512d) -> [f64; 8] = transmute(x);
                fn add_f64(x: __m512d, y: __m512d) -> __m512d = _mm512_add_pd(x, y);
                fn mul_f64(x: __m512d, y: __m512d) -> __m512d = _mm512_mul_pd(x, y);
                fn mul_add_f64(x: __m512d, y: __m512d, z: __m512d) -> __m512d = _mm512_fmadd_pd(x, y, z);
            }
        }
    };
}

sixteen!(Avx512, "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma");
sixteen!(Avx512Bf16, "avx512bf16,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma");

impl DotBf16 for Avx512Bf16 {
    #[inline(always)]
    fn dot_bf16(x: Bits<Self>, y: Bits<Self>, sum: Lanes<Self>) -> Lanes<Self> {
        Lanes(unsafe { _mm512_dpbf16_ps(sum.0, transmute::<__m512i, __m512bh>(x.0), transmute::<__m512i, __m512bh>(y.0)) })
    }
}
