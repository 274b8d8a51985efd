//! Sums of float64 numbers in eight running sums, in the same order on every machine.

use crate::simd::{Doubles, Simd};

pub use crate::simd::DOUBLES as LANES;

/// A chunk of eight numbers.
pub type Chunk = [f64; LANES];

/// The sum of eight numbers, added in pairs.
#[inline(always)]
pub fn total(x: Chunk) -> f64 {
    ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}

/// Dot product; the rest after the last whole chunk goes to the first lanes.
#[inline(always)]
pub fn dot<S: Simd>(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = Doubles::<S>::ZERO;
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in x.iter().zip(y) {
        sums = Doubles::from(*x).mul_add(Doubles::from(*y), sums);
    }
    let mut sums = sums.to_array();
    for ((sum, x), y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum = x.mul_add(*y, *sum);
    }
    total(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::sets::Portable;

    #[test]
    fn sums_of_lengths_that_are_not_multiples_of_8() {
        let x: Vec<f64> = (1..=13).map(f64::from).collect();
        assert_eq!(dot::<Portable>(&x, &x), 819.0);
        assert_eq!(total([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), 36.0);
        assert_eq!(dot::<Portable>(&[], &[]), 0.0);
    }
}
