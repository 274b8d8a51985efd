//! Eight float64 lanes, for products.

use super::Simd;
use std::ops::{Add, Mul};

/// Numbers in [`Doubles`]; these have as many bytes as [`Lanes`](super::Lanes).
pub const DOUBLES: usize = 8;

/// Eight float64 lanes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Doubles<S: Simd>(S::F64);

impl<S: Simd> Doubles<S> {
    /// All 0.
    pub const ZERO: Self = Self(S::ZERO_F64);

    /// The same number in all lanes.
    #[inline(always)]
    pub fn splat(x: f64) -> Self {
        Self(S::splat_f64(x))
    }

    /// The numbers, the first lane first.
    #[inline(always)]
    pub fn to_array(self) -> [f64; DOUBLES] {
        S::to_array_f64(self.0)
    }

    /// `self·by + to`, rounded once.
    #[inline(always)]
    pub fn mul_add(self, by: Self, to: Self) -> Self {
        Self(S::mul_add_f64(self.0, by.0, to.0))
    }
}

impl<S: Simd> From<[f64; DOUBLES]> for Doubles<S> {
    #[inline(always)]
    fn from(x: [f64; DOUBLES]) -> Self {
        Self(S::from_array_f64(x))
    }
}

impl<S: Simd> Add for Doubles<S> {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(S::add_f64(self.0, other.0))
    }
}

impl<S: Simd> Mul for Doubles<S> {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(S::mul_f64(self.0, other.0))
    }
}
