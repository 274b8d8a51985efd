//! Sixteen float32 lanes.

use super::Simd;
use std::fmt;
use std::ops::{Add, AddAssign, BitAnd, BitOr, BitXor, Div, Mul, Neg, Shl, Shr, Sub};

/// Numbers in [`Lanes`].
pub const LANES: usize = 16;

/// Sixteen numbers in memory, with the alignment of a 64-byte register.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C, align(64))]
pub struct Register<T = f32>(pub [T; LANES]);

impl Register {
    /// Numbers per register.
    pub const COUNT: usize = LANES;

    /// All 0.
    pub const ZERO: Self = Self([0.0; LANES]);
}

impl Register<u32> {
    /// All 0.
    pub const NO_BITS: Self = Self([0; LANES]);
}

/// Sixteen float32 lanes: one 64-byte register, two 32-byte registers, or an array.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Lanes<S: Simd>(pub(super) S::F32);

/// The bits of sixteen lanes, or sixteen 32-bit integers.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bits<S: Simd>(pub(super) S::U32);

/// The result of a comparison in each lane.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Mask<S: Simd>(S::Mask);

/// Loads the first sixteen numbers, padded with zeros if there are fewer.
#[inline(always)]
pub fn load<S: Simd>(x: &[f32]) -> Lanes<S> {
    load_or(x, 0.0)
}

/// Loads the first sixteen numbers, padded with `rest` if there are fewer.
#[inline(always)]
pub fn load_or<S: Simd>(x: &[f32], rest: f32) -> Lanes<S> {
    match x.first_chunk::<LANES>() {
        Some(whole) => Lanes::from(*whole), // by way of `padded`, whole steps were 4% slower
        None => {
            let mut padded = [rest; LANES];
            padded[..x.len()].copy_from_slice(x);
            Lanes::from(padded)
        }
    }
}

/// The first `N` numbers, padded with `rest` if there are fewer.
#[inline(always)]
pub(crate) fn padded<T: Copy, const N: usize>(x: &[T], rest: T) -> [T; N] {
    match x.first_chunk() {
        Some(whole) => *whole,
        None => {
            let mut padded = [rest; N];
            padded[..x.len()].copy_from_slice(x);
            padded
        }
    }
}

/// Writes the lanes to the first sixteen numbers, or to all of them if there are fewer.
#[inline(always)]
pub fn store<S: Simd>(x: &mut [f32], lanes: Lanes<S>) {
    match x.first_chunk_mut::<LANES>() {
        Some(whole) => *whole = lanes.to_array(),
        None => x.copy_from_slice(&lanes.to_array()[..x.len()]),
    }
}

/// Sum of the lanes, in order.
#[inline(always)]
pub fn total<S: Simd>(lanes: Lanes<S>) -> f32 {
    lanes.to_array().iter().sum()
}

impl<S: Simd> Lanes<S> {
    /// All 0.
    pub const ZERO: Self = Self(S::ZERO);

    /// All 1.
    pub const ONE: Self = Self(S::ONE);

    /// The same number in all lanes.
    #[inline(always)]
    pub fn splat(x: f32) -> Self {
        Self(S::splat(x))
    }

    /// The numbers, the first lane first.
    #[inline(always)]
    pub fn to_array(self) -> [f32; LANES] {
        S::to_array(self.0)
    }

    /// `self·by + to`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, by: Self, to: Self) -> Self {
        Self(S::mul_add(self.0, by.0, to.0))
    }

    /// `self·by - less`, rounded once.
    #[inline(always)]
    pub fn mul_sub(self, by: Self, less: Self) -> Self {
        Self(S::mul_sub(self.0, by.0, less.0))
    }

    /// The minimum; `other` where either is NaN.
    #[inline(always)]
    pub fn fast_min(self, other: Self) -> Self {
        Self(S::min(self.0, other.0))
    }

    /// The maximum; `other` where either is NaN.
    #[inline(always)]
    pub fn fast_max(self, other: Self) -> Self {
        Self(S::max(self.0, other.0))
    }

    /// The square root.
    #[inline(always)]
    pub fn sqrt(self) -> Self {
        Self(S::sqrt(self.0))
    }

    /// The absolute value.
    #[inline(always)]
    pub fn abs(self) -> Self {
        Self::from_bits(self.to_bits() & Bits::splat(0x7fff_ffff))
    }

    /// `self < other`
    #[inline(always)]
    pub fn simd_lt(self, other: Self) -> Mask<S> {
        Mask(S::lt(self.0, other.0))
    }

    /// `self > other`
    #[inline(always)]
    pub fn simd_gt(self, other: Self) -> Mask<S> {
        Mask(S::lt(other.0, self.0))
    }

    /// `self = other`
    #[inline(always)]
    pub fn simd_eq(self, other: Self) -> Mask<S> {
        Mask(S::eq(self.0, other.0))
    }

    /// Whether each lane is NaN.
    #[inline(always)]
    pub fn is_nan(self) -> Mask<S> {
        Mask(S::unordered(self.0, self.0))
    }

    /// The bits of each lane.
    #[inline(always)]
    pub fn to_bits(self) -> Bits<S> {
        Bits(S::to_bits(self.0))
    }

    /// The floats with these bits.
    #[inline(always)]
    pub fn from_bits(bits: Bits<S>) -> Self {
        Self(S::from_bits(bits.0))
    }
}

impl<S: Simd> Bits<S> {
    /// The same bits in all lanes.
    #[inline(always)]
    pub fn splat(x: u32) -> Self {
        Self(S::splat_u32(x))
    }

    /// The numbers, the first lane first.
    #[inline(always)]
    pub fn to_array(self) -> [u32; LANES] {
        S::to_array_u32(self.0)
    }

    /// `self = other`
    #[inline(always)]
    pub fn simd_eq(self, other: Self) -> Mask<S> {
        Mask(S::eq_u32(self.0, other.0))
    }

    /// Converts signed integers to the nearest float.
    #[inline(always)]
    pub fn to_floats(self) -> Lanes<S> {
        Lanes(S::to_floats(self.0))
    }
}

impl<S: Simd> Mask<S> {
    /// `held` where the comparison holds, `not` where it does not.
    #[inline(always)]
    pub fn select(self, held: Lanes<S>, not: Lanes<S>) -> Lanes<S> {
        Lanes(S::select(self.0, held.0, not.0))
    }

    /// [`select`](Self::select) for bits.
    #[inline(always)]
    pub fn select_bits(self, held: Bits<S>, not: Bits<S>) -> Bits<S> {
        Bits(S::select_u32(self.0, held.0, not.0))
    }

    /// Whether the comparison holds in all lanes.
    #[inline(always)]
    pub fn all(self) -> bool {
        S::all(self.0)
    }
}

impl<S: Simd> From<[f32; LANES]> for Lanes<S> {
    #[inline(always)]
    fn from(x: [f32; LANES]) -> Self {
        Self(S::from_array(x))
    }
}

impl<S: Simd> From<Register> for Lanes<S> {
    #[inline(always)]
    fn from(x: Register) -> Self {
        Self(S::from_array(x.0))
    }
}

impl<S: Simd> From<Lanes<S>> for Register {
    #[inline(always)]
    fn from(x: Lanes<S>) -> Self {
        Self(x.to_array())
    }
}

impl<S: Simd> From<[u32; LANES]> for Bits<S> {
    #[inline(always)]
    fn from(x: [u32; LANES]) -> Self {
        Self(S::from_array_u32(x))
    }
}

macro_rules! operators {
    ($type:ident: $($trait:ident $method:ident $operation:ident),+) => { $(
        impl<S: Simd> $trait for $type<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(S::$operation(self.0, other.0))
            }
        }
    )+ };
}

operators! { Lanes: Add add add, Sub sub sub, Mul mul mul, Div div div }
operators! { Bits: Add add add_u32, BitAnd bitand and, BitOr bitor or, BitXor bitxor xor }

impl<S: Simd> AddAssign for Lanes<S> {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl<S: Simd> Neg for Lanes<S> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self::from_bits(self.to_bits() ^ Bits::splat(0x8000_0000))
    }
}

impl<S: Simd> Shl<u32> for Bits<S> {
    type Output = Self;

    #[inline(always)]
    fn shl(self, by: u32) -> Self {
        Self(S::shl(self.0, by))
    }
}

impl<S: Simd> Shr<u32> for Bits<S> {
    type Output = Self;

    #[inline(always)]
    fn shr(self, by: u32) -> Self {
        Self(S::shr(self.0, by))
    }
}

impl<S: Simd> fmt::Debug for Lanes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_array().fmt(f)
    }
}

impl<S: Simd> fmt::Debug for Bits<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_array().fmt(f)
    }
}
