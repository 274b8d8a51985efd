//! Products of bfloat16 tiles: the interface of a unit that computes them, and an emulation in plain Rust.
//!
//! A tile is 16 rows of 64 bytes. `TDPBF16PS` adds the product of two tiles to a tile of 16 x 16 float32 sums. Each row of the left
//! tile is 16 pairs of bfloat16 terms; row k of the right tile holds pair k of each of 16 columns. Intel's definition (Software
//! Developer's Manual, volume 2, TDPBF16PS):
//!
//! ```text
//! for each row m:
//!     even[n] = odd[n] = 0                                 for each column n
//!     for each pair k, in order, and each column n:
//!         even[n] = fma(left[m][2k],     right[k][2n],     even[n])
//!         odd[n]  = fma(left[m][2k + 1], right[k][2n + 1], odd[n])
//!     sum[m][n] = sum[m][n] + (even[n] + odd[n])           for each column n
//! ```
//!
//! Every operation rounds once, to nearest even. Denormal inputs and results become zeros of the same sign. MXCSR is neither read
//! nor written.

use super::Register;

/// Rows of a tile, and sums per row.
pub(crate) const SIDE: usize = 16;

/// 16 rows of 16 pairs of bfloat16 numbers, the first of a pair in the lower half.
pub(crate) type Tile = [Register<u32>; SIDE];

/// Two by two tiles of sums.
pub(crate) type Sums = [[[Register; SIDE]; 2]; 2];

/// One column of tiles of the right factor: tile `step` begins `step * SIDE` rows after the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TileColumn<'a> {
    /// Registers from the first row of the first tile on.
    pub registers: &'a [Register<u32>],
    /// Distance between rows, in registers.
    pub stride: usize,
}

impl TileColumn<'_> {
    fn tile(&self, step: usize) -> Tile {
        std::array::from_fn(|row| self.registers[(step * SIDE + row) * self.stride])
    }

    /// Whether the registers hold `steps` tiles.
    pub fn holds(&self, steps: usize) -> bool {
        steps == 0 || (steps * SIDE - 1) * self.stride < self.registers.len()
    }
}

/// A unit that multiplies tiles.
pub(crate) trait TileUnit {
    /// `sums[i][j] += left[i]·right[j]`, tile by tile. The sums start at 0 if `fresh`.
    ///
    /// # Panics
    /// When the two rows of `left` differ in length, or `right` holds fewer tiles.
    fn multiply(&mut self, sums: &mut Sums, fresh: bool, left: [&[Tile]; 2], right: [TileColumn<'_>; 2]);
}

/// The number of tiles per factor. Panics if the factors do not have the same number.
pub(crate) fn steps(left: [&[Tile]; 2], right: [TileColumn<'_>; 2]) -> usize {
    let steps = left[0].len();
    assert!(left[1].len() == steps && right.iter().all(|right| right.holds(steps)), "{steps} tiles of each factor");
    steps
}

/// The definition in plain Rust: for tests, and to check the instruction before it is used.
///
/// It differs from x86 in one detail: a result just below the smallest normal number that rounds up to it is kept here. x86 detects
/// underflow as if the exponent were unbounded.
#[derive(Debug)]
pub(crate) struct Emulated;

impl TileUnit for Emulated {
    fn multiply(&mut self, sums: &mut Sums, fresh: bool, left: [&[Tile]; 2], right: [TileColumn<'_>; 2]) {
        let steps = steps(left, right);
        for (sums, left) in sums.iter_mut().zip(left) {
            for (sums, right) in sums.iter_mut().zip(right) {
                if fresh {
                    *sums = [Register::ZERO; SIDE];
                }
                (0..steps).for_each(|step| add_product(sums, &left[step], &right.tile(step)));
            }
        }
    }
}

fn add_product(sums: &mut [Register; SIDE], left: &Tile, right: &Tile) {
    for (sums, left) in sums.iter_mut().zip(left) {
        let mut chains = [[0f32; 2]; SIDE];
        for (&left, right) in left.0.iter().zip(right) {
            let left = halves(left);
            for (chain, &right) in chains.iter_mut().zip(&right.0) {
                let right = halves(right);
                *chain = [0, 1].map(|half| flushed(left[half].mul_add(right[half], chain[half])));
            }
        }
        for (sum, [even, odd]) in sums.0.iter_mut().zip(chains) {
            *sum = flushed(flushed(*sum) + flushed(even + odd));
        }
    }
}

/// Both numbers of a pair, with denormals flushed to zero.
fn halves(pair: u32) -> [f32; 2] {
    [pair << 16, pair & 0xffff_0000].map(|bits| flushed(f32::from_bits(bits)))
}

/// x, or 0 of the same sign if x is denormal.
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// Whether a unit agrees with the definition on two by two tiles and two steps, with numbers of all magnitudes, cancellation,
/// denormals, underflow, overflow and both zeros.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))] // other architectures have no other unit
pub(crate) fn is_as_defined(unit: &mut impl TileUnit) -> bool {
    const STEPS: usize = 2;
    let mut state = 1u32;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut number = |tiny: bool| match draw() % 512 {
        0..=3 => 0x0000,
        4..=7 => 0x8000,
        8..=15 => draw() % 0x80,                     // denormal
        16..=23 => 0x8000 + draw() % 0x80,           // denormal
        24..=31 => 0x2000 + draw() % 0x80,           // 2^-63 to 2^-62
        32..=255 if tiny => 0x2000 + draw() % 0x80,  // products of two are normal
        256..=511 if tiny => 0x9f80 + draw() % 0x80, // -2^-64 to -2^-63: products of two are denormal
        32..=39 => 0x9f80 + draw() % 0x80,
        40 if !tiny => 0x7f00 + draw() % 0x80,              // 2^127 and more
        _ => (draw() & 0x8000) | (0x3e00 + draw() % 0x300), // 2^-3 to 2^3, of both signs
    };
    let mut tile = |tiny: fn(usize, usize) -> bool| -> Tile {
        let mut pair = |row, column| number(tiny(row, column)) | (number(tiny(row, column)) << 16);
        std::array::from_fn(|row| Register(std::array::from_fn(|column| pair(row, column))))
    };
    let mut left = || -> [Tile; STEPS] { std::array::from_fn(|_| tile(|row, _| row == 2)) };
    let left = [left(), left()];
    let mut right = || tile(|_, column| column == 3);
    let registers = [right(), right(), right(), right()].concat(); // two columns of tiles, row by row
    let right = [0, 1].map(|column| TileColumn { registers: &registers[column..], stride: 2 });
    let mut before: Sums = [[[Register([0.375; SIDE]); SIDE]; 2]; 2];
    before[0][1][2].0[3] = f32::from_bits(1);
    before[1][0][2].0[3] = -0.0;
    before[1][0][7].0[2] = -f32::MAX;
    [true, false].into_iter().all(|fresh| {
        let [mut found, mut expected] = [before; 2];
        unit.multiply(&mut found, fresh, [&left[0], &left[1]], right);
        Emulated.multiply(&mut expected, fresh, [&left[0], &left[1]], right);
        let all = |sums: &Sums| sums.as_flattened().as_flattened().iter().flat_map(|row| row.0).collect::<Vec<f32>>();
        let same = |(x, y): (&f32, &f32)| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
        all(&found).iter().zip(&all(&expected)).all(same)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplies pairs in row 0 of the left tile and column 0 of the right tile, and adds the products to `before`.
    fn check(pairs: &[([f32; 2], [f32; 2])], before: f32, expected: f32) {
        let pack = |[first, second]: [f32; 2]| (first.to_bits() >> 16) | (second.to_bits() & 0xffff_0000);
        let (mut left, mut right) = ([Register::<u32>::NO_BITS; SIDE], [Register::<u32>::NO_BITS; SIDE]);
        for (k, &(x, y)) in pairs.iter().enumerate() {
            (left[0].0[k], right[k].0[0]) = (pack(x), pack(y));
        }
        let mut sums = [Register::ZERO; SIDE];
        sums[0].0[0] = before;
        add_product(&mut sums, &left, &right);
        assert_eq!(sums[0].0[0].to_bits(), expected.to_bits(), "{}, expected {expected}", sums[0].0[0]);
        assert!(sums[0].0[1..].iter().chain(&sums[1].0).all(|x| *x == 0.0));
    }

    #[test]
    fn products_are_summed_in_the_order_of_the_definition() {
        check(&[([2.0, 3.0], [5.0, 7.0])], 100.0, 131.0); // 10 + 21
        let big = 2f32.powi(24); // big + 1 rounds to big
        check(&[([big, 1.0], [1.0, 1.0]), ([-big, 0.0], [1.0, 1.0])], 0.0, 1.0); // even: big - big, odd: 1
        check(&[([big, -big], [1.0, 1.0]), ([1.0, 0.0], [1.0, 1.0])], 0.0, 0.0); // even: big + 1 = big
        check(&[([1.0, 1.0], [1.0, 1.0])], big, big + 2.0); // 1 + 1 is computed before the sum
        let step = 1.0 + 2f32.powi(-7); // its square takes 15 bits: exact before it is added
        check(&[([-1.0, 0.0], [1.0, 0.0]), ([step, 0.0], [step, 0.0])], 0.0, 2f32.powi(-6) + 2f32.powi(-14));
    }

    #[test]
    fn denormals_are_zeros() {
        let (least, half) = (f32::MIN_POSITIVE, f32::MIN_POSITIVE / 2.0);
        check(&[([least, 0.0], [1.0, 0.0])], 0.0, least);
        check(&[([half, 0.0], [4.0, 0.0])], 0.0, 0.0); // a factor
        check(&[([least, 0.0], [0.5, 0.0])], 0.0, 0.0); // a product
        check(&[([least, -1.5 * least], [1.0, 1.0])], 0.0, 0.0); // the sum of two: -0, and 0 - 0 = 0
        check(&[([1.5 * least, 0.0], [1.0, 0.0])], -least, 0.0); // the last sum
        check(&[], -half, 0.0); // the initial sum
        check(&[], -least, -least);
    }

    /// The check that is made before the instruction is used.
    #[test]
    fn a_unit_that_differs_in_one_bit_is_detected() {
        struct Wrong(usize);
        impl TileUnit for Wrong {
            fn multiply(&mut self, sums: &mut Sums, fresh: bool, left: [&[Tile]; 2], right: [TileColumn<'_>; 2]) {
                let (right, fresh) = if self.0 == 1 { ([right[1], right[0]], fresh) } else { (right, fresh || self.0 == 2) };
                Emulated.multiply(sums, fresh, left, right);
                if self.0 == 3 {
                    let last = &mut sums[1][1][15].0[15];
                    *last = f32::from_bits(last.to_bits() ^ 1);
                }
            }
        }
        assert!(is_as_defined(&mut Emulated));
        assert!(is_as_defined(&mut Wrong(0)));
        assert!((1..4).all(|fault| !is_as_defined(&mut Wrong(fault))));
    }

    /// Compares the instruction, where this machine has it, bit for bit.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_instruction_agrees_with_its_definition() {
        use crate::simd::{Level, amx, available};
        if available().contains(&Level::Amx) {
            assert!(is_as_defined(&mut amx::Amx::configure().expect("available")));
        }
    }
}
