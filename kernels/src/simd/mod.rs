//! Vector instructions selected at run time: one program for every processor, with the same bytes on each.
//!
//! A kernel is an `#[inline(always)]` function that is generic over [`Simd`]. [`vectorize!`](crate::vectorize) declares an ordinary
//! function that compiles the kernel once per instruction set and calls the fastest version that this machine has:
//!
//! ```
//! use regatta_kernels::simd::{LANES, Lanes, Simd, load, total};
//!
//! #[inline(always)]
//! fn sum_of_squares_with<S: Simd>(x: &[f32]) -> f32 {
//!     let mut sums = Lanes::<S>::ZERO;
//!     for x in x.chunks(LANES) {
//!         let x = load(x);
//!         sums = x.mul_add(x, sums);
//!     }
//!     total(sums)
//! }
//!
//! regatta_kernels::vectorize! {
//!     /// Σ x².
//!     pub fn sum_of_squares(x: &[f32]) -> f32 = sum_of_squares_with;
//! }
//!
//! assert_eq!(sum_of_squares(&[3.0, 4.0]), 25.0);
//! ```
//!
//! [`Lanes`] always holds sixteen numbers, in one register, in two, or in an array. Every operation on them is rounded once, as
//! IEEE 754 specifies. The order of a sum therefore depends on the kernel and not on the machine, and results have the same bytes
//! at every level. Plain loops in a kernel are compiled for the instruction set too; the compiler never reorders their sums.
//!
//! Write operations on lanes in loops and in `#[inline(always)]` functions, not in closures. A closure that the compiler does not
//! inline is compiled without the instructions, and each operation in it becomes a call: the same bytes, but slow.
//!
//! | file | contents |
//! |---|---|
//! | `level` | the instruction sets that this machine has, and the selected one |
//! | `lanes` | sixteen float32 numbers, their bits and comparisons |
//! | `doubles` | eight float64 numbers |
//! | `portable`, `x86` | the operations, in plain Rust and in intrinsics |
//! | `tile_unit` | products of bfloat16 tiles, as defined, in plain Rust |
//! | `amx` | products of bfloat16 tiles by AMX |
//!
//! Existing crates do not meet these requirements: `wide` selects instructions at compile time, the number of lanes of `pulp`
//! depends on the machine, and `fearless_simd` rounds a multiply-add once or twice, whichever is faster.

#[cfg(target_arch = "x86_64")]
mod amx;
mod doubles;
mod lanes;
mod level;
mod portable;
mod tile_unit;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(crate) use amx::Amx;
pub use doubles::{DOUBLES, Doubles};
pub(crate) use lanes::padded;
pub use lanes::{Bits, LANES, Lanes, Mask, Register, load, load_or, store, total};
pub use level::{Level, LevelError, VARIABLE, available, choose, level};
pub(crate) use sealed::Kernel;
#[cfg(test)]
pub(crate) use tile_unit::Emulated;
pub(crate) use tile_unit::{SIDE, Sums, Tile, TileColumn, TileUnit};

/// The instruction sets, for [`vectorize!`](crate::vectorize) alone. Using a set that the machine lacks is undefined behaviour.
#[doc(hidden)]
pub mod sets {
    pub use super::portable::Portable;
    #[cfg(target_arch = "x86_64")]
    pub use super::x86::{Avx2, Avx512, Avx512Bf16};
}

/// An instruction set: the operations behind [`Lanes`] and [`Doubles`].
///
/// Kernels are generic over it and never name an implementation. The trait is sealed.
pub trait Simd: sealed::Operations {}

/// An instruction set that multiplies pairs of bfloat16 numbers.
pub(crate) trait DotBf16: Simd {
    /// `sum + x0·y0 + x1·y1` per lane, where each 32-bit lane of x and y holds two bfloat16 numbers.
    fn dot_bf16(x: Bits<Self>, y: Bits<Self>, sum: Lanes<Self>) -> Lanes<Self>;
}

pub(crate) mod sealed {
    use std::fmt::Debug;

    /// A loop as a value that is compiled for an instruction set. This crate's matrix products use it in place of
    /// [`vectorize!`](crate::vectorize).
    pub trait Kernel<S: Operations> {
        /// The type of the result.
        type Output;

        /// Runs the loop. Implementations must be `#[inline(always)]`, or they are compiled without the instructions.
        fn run(self) -> Self::Output;
    }

    /// Operations on all lanes, each rounded once. Comparisons with NaN are false.
    #[allow(missing_docs)] // documented on the methods of `Lanes`, `Bits`, `Mask` and `Doubles`
    pub trait Operations: Copy + Debug + Default + Send + Sync + 'static {
        type F32: Copy + Send + Sync;
        type U32: Copy + Send + Sync;
        type Mask: Copy + Send + Sync;
        type F64: Copy + Send + Sync;

        /// Runs a kernel compiled with the instructions of this set.
        fn run<K: Kernel<Self>>(kernel: K) -> K::Output;

        const ZERO: Self::F32;
        const ONE: Self::F32;
        const ZERO_F64: Self::F64;

        fn splat(x: f32) -> Self::F32;
        fn from_array(x: [f32; 16]) -> Self::F32;
        fn to_array(x: Self::F32) -> [f32; 16];
        fn add(x: Self::F32, y: Self::F32) -> Self::F32;
        fn sub(x: Self::F32, y: Self::F32) -> Self::F32;
        fn mul(x: Self::F32, y: Self::F32) -> Self::F32;
        fn div(x: Self::F32, y: Self::F32) -> Self::F32;
        fn sqrt(x: Self::F32) -> Self::F32;
        /// `xy + z`, rounded once.
        fn mul_add(x: Self::F32, y: Self::F32, z: Self::F32) -> Self::F32;
        /// `xy - z`, rounded once.
        fn mul_sub(x: Self::F32, y: Self::F32, z: Self::F32) -> Self::F32;
        /// `if x < y { x } else { y }`
        fn min(x: Self::F32, y: Self::F32) -> Self::F32;
        /// `if x > y { x } else { y }`
        fn max(x: Self::F32, y: Self::F32) -> Self::F32;
        fn lt(x: Self::F32, y: Self::F32) -> Self::Mask;
        fn eq(x: Self::F32, y: Self::F32) -> Self::Mask;
        fn unordered(x: Self::F32, y: Self::F32) -> Self::Mask;
        fn select(mask: Self::Mask, x: Self::F32, y: Self::F32) -> Self::F32;
        fn all(mask: Self::Mask) -> bool;

        /// The transpose of an 8 x 8 matrix.
        fn transpose(rows: [[f32; 8]; 8]) -> [[f32; 8]; 8];

        fn to_bits(x: Self::F32) -> Self::U32;
        fn from_bits(x: Self::U32) -> Self::F32;
        fn splat_u32(x: u32) -> Self::U32;
        fn from_array_u32(x: [u32; 16]) -> Self::U32;
        fn to_array_u32(x: Self::U32) -> [u32; 16];
        fn add_u32(x: Self::U32, y: Self::U32) -> Self::U32;
        fn and(x: Self::U32, y: Self::U32) -> Self::U32;
        fn or(x: Self::U32, y: Self::U32) -> Self::U32;
        fn xor(x: Self::U32, y: Self::U32) -> Self::U32;
        fn shl(x: Self::U32, by: u32) -> Self::U32;
        fn shr(x: Self::U32, by: u32) -> Self::U32;
        fn eq_u32(x: Self::U32, y: Self::U32) -> Self::Mask;
        fn select_u32(mask: Self::Mask, x: Self::U32, y: Self::U32) -> Self::U32;
        /// Converts signed integers to the nearest float.
        fn to_floats(x: Self::U32) -> Self::F32;

        fn splat_f64(x: f64) -> Self::F64;
        fn from_array_f64(x: [f64; 8]) -> Self::F64;
        fn to_array_f64(x: Self::F64) -> [f64; 8];
        fn add_f64(x: Self::F64, y: Self::F64) -> Self::F64;
        fn mul_f64(x: Self::F64, y: Self::F64) -> Self::F64;
        fn mul_add_f64(x: Self::F64, y: Self::F64, z: Self::F64) -> Self::F64;
    }
}

/// Declares functions that are compiled for every instruction set and call the version for this machine.
///
/// After `=` comes the path of an `#[inline(always)]` function with the same arguments, whose first generic parameter is a
/// [`Simd`](crate::simd::Simd). See [`simd`](crate::simd) for an example.
#[macro_export]
macro_rules! vectorize {
    ($(
        $(#[$meta:meta])*
        $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? = $($body:ident)::+;
    )+) => { $(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name($($argument: $type),*) $(-> $output)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($argument: $type),*) $(-> $output)? {
                $($body)::+::<$crate::simd::sets::Avx512>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($argument: $type),*) $(-> $output)? {
                $($body)::+::<$crate::simd::sets::Avx2>($($argument),*)
            }
            match $crate::simd::level() {
                // SAFETY: `level` returns only levels whose instructions this machine has.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above; the levels above this one include its instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx512 | $crate::simd::Level::Avx512Bf16 | $crate::simd::Level::Amx => unsafe {
                    avx512($($argument),*)
                },
                _ => $($body)::+::<$crate::simd::sets::Portable>($($argument),*),
            }
        }
    )+ };
}

#[cfg(test)]
mod tests;
