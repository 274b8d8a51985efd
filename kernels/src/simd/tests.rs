//! Compares every operation of every instruction set of this machine with plain Rust, bit for bit.

use super::sealed::Operations;
use super::sets::Portable;
use super::*;

/// Ordinary and special floats, in groups of sixteen.
fn floats() -> Vec<[f32; 16]> {
    let ends =
        [0.0, -0.0, 1.0, -1.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, 1e-41, -3e-45, f32::MAX, f32::MIN];
    let others = (0..500u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9))).filter(|x| !x.is_nan());
    let all: Vec<f32> = ends.into_iter().chain(others).collect();
    (0..40).map(|first| std::array::from_fn(|i| all[(first * 13 + i * 7) % all.len()])).collect()
}

/// Equality of bits, except that all NaN are equal.
fn same(x: f32, y: f32) -> bool {
    x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan()
}

struct Check;

impl<S: Simd> Kernel<S> for Check {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let numbers = floats();
        for (index, (x, y)) in numbers.iter().zip(numbers.iter().skip(1)).enumerate() {
            let z = numbers[(index + 5) % numbers.len()];
            let (own, plain) = (results::<S>(*x, *y, z), results::<Portable>(*x, *y, z));
            for (operation, (own, plain)) in own.iter().zip(&plain).enumerate() {
                assert!(own.iter().zip(plain).all(|(own, plain)| same(*own, *plain)), "{operation}: {x:?} {y:?} {z:?}");
            }
        }
        let (x, y, z) = ([3.0f64, 1e300, -0.5, 0.1, 7.0, 1e-310, f64::INFINITY, 2.0], [1.0 / 3.0; 8], [1e-17f64; 8]);
        assert_eq!(doubles::<S>(x, y, z), doubles::<Portable>(x, y, z));
        let square: [[f32; 8]; 8] = std::array::from_fn(|i| std::array::from_fn(|j| (8 * i + j) as f32));
        assert_eq!(S::transpose(square), std::array::from_fn(|i| std::array::from_fn(|j| (8 * j + i) as f32)));
        assert!((Lanes::<S>::ONE.simd_eq(Lanes::splat(1.0))).all() && !Lanes::<S>::ONE.simd_eq(Lanes::ZERO).all());
    }
}

/// The result of each operation.
#[inline(always)]
fn results<S: Simd>(x: [f32; 16], y: [f32; 16], z: [f32; 16]) -> Vec<[f32; 16]> {
    let (x, y, z) = (Lanes::<S>::from(x), Lanes::<S>::from(y), Lanes::<S>::from(z));
    let chosen = |mask: Mask<S>| mask.select(x, y);
    let bits = |bits: Bits<S>| Lanes::<S>::from_bits(bits);
    let (a, b) = (x.to_bits(), y.to_bits());
    let lanes = [
        x + y,
        x - y,
        x * y,
        x / y,
        -x,
        x.abs(),
        x.sqrt(),
        x.mul_add(y, z),
        x.mul_sub(y, z),
        x.fast_min(y),
        x.fast_max(y),
        chosen(x.simd_lt(y)),
        chosen(x.simd_gt(y)),
        chosen(x.simd_eq(y)),
        chosen(x.is_nan()),
        chosen(a.simd_eq(b)),
        bits(a + b),
        bits(a & b),
        bits(a | b),
        bits(a ^ b),
        bits(a << 9),
        bits(a >> 9),
        bits(x.simd_lt(z).select_bits(a, b)),
        a.to_floats(),
        Lanes::from_bits(Bits::from(Bits::<S>::splat(7).to_array())),
    ];
    lanes.map(Lanes::to_array).to_vec()
}

#[inline(always)]
fn doubles<S: Simd>(x: [f64; 8], y: [f64; 8], z: [f64; 8]) -> Vec<[u64; 8]> {
    let (x, y, z) = (Doubles::<S>::from(x), Doubles::<S>::from(y), Doubles::<S>::from(z));
    [x + y, x * y, x.mul_add(y, z), x + Doubles::splat(2.0), Doubles::ZERO].map(|x| x.to_array().map(f64::to_bits)).to_vec()
}

#[test]
fn every_operation_agrees_with_plain_rust() {
    Portable::run(Check);
    #[cfg(target_arch = "x86_64")]
    for level in available() {
        match level {
            Level::Avx2 => sets::Avx2::run(Check),
            Level::Avx512 => sets::Avx512::run(Check),
            Level::Avx512Bf16 => sets::Avx512Bf16::run(Check),
            Level::Portable | Level::Amx => {}
        }
    }
}

#[inline(always)]
fn sum_with<S: Simd>(x: &[f32], times: &dyn Fn(f32) -> f32) -> f32 {
    times(total(x.chunks(LANES).map(load::<S>).fold(Lanes::ZERO, |sums, x| sums + x)))
}

crate::vectorize! {
    /// A function of a slice and a closure.
    fn sum(x: &[f32], times: &dyn Fn(f32) -> f32) -> f32 = sum_with;
}

#[test]
fn a_vectorized_function_calls_its_kernel() {
    let x: Vec<f32> = (1..=20).map(|i| i as f32).collect();
    assert_eq!(sum(&x, &|sum| 2.0 * sum), 420.0);
}

#[test]
fn fewer_than_sixteen_numbers_are_padded() {
    let mut few = [1.0, 2.0, 3.0];
    assert_eq!(total(load::<Portable>(&few)), 6.0);
    let more = load::<Portable>(&few) + Lanes::ONE;
    store(&mut few, more);
    assert_eq!(few, [2.0, 3.0, 4.0]);
    assert_eq!(load_or::<Portable>(&[1.0], 9.0).to_array()[15], 9.0);
}
