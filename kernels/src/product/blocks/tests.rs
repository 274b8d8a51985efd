//! Whole products by the emulated unit, which test everything but the instruction itself on every machine.

use super::super::bfloat16::round;
use super::super::panels::with_tiles::{pairs_of, product};
use super::super::testing::{SHAPES, by_definition, numbers, storage_orders};
use super::*;
use crate::simd::Emulated;
use crate::simd::sets::Portable;

#[test]
fn products_of_all_shapes_and_transposes_agree_with_the_definition() {
    for shape @ (m, k, n) in SHAPES {
        let (a, b, bias) = (numbers(m * k, 13), numbers(k * n, 11), numbers(n, 5));
        for (left, right) in storage_orders(&a, &b, shape) {
            let expected = |initial: &dyn Fn(usize) -> f32, scale: f32| by_definition(left, right, initial, scale);
            let panels = pairs_of(right);
            let mut out = vec![3.0; m * n];
            let mut check = |initial: Initial<'_, f32>, scale: f32, expected: Vec<f32>| {
                product(&mut Emulated, MatrixMut::new(&mut out, m, n), initial, scale, left, &panels);
                assert!(out == expected, "{m} x {k} x {n}");
            };
            check(Initial::Output, 2.0, expected(&|_| 3.0, 2.0));
            check(Initial::Zero, 0.5, expected(&|_| 0.0, 0.5));
            check(Initial::Row(&bias), 1.0, expected(&|column| bias[column], 1.0));
            check(Initial::Output, 2.0, expected(&|column| bias[column], 3.0));
        }
    }
}

#[test]
fn products_of_rounded_factors_are_close_to_float64() {
    let third = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| x / 300.0).collect() };
    for shape @ (m, k, n) in SHAPES {
        let (a, b) = (third(numbers(m * k, 1013)), third(numbers(k * n, 1009)));
        for (left, right) in storage_orders(&a, &b, shape) {
            let mut out = vec![f32::NAN; m * n];
            product(&mut Emulated, MatrixMut::new(&mut out, m, n), Initial::Zero, 1.0, left, &pairs_of(right));
            for (index, &found) in out.iter().enumerate() {
                let rounded = |x: f32| f64::from(round::<Portable>(Lanes::splat(x)).to_array()[0]);
                let term = |p: usize| rounded(left.at(index / n, p)) * rounded(right.at(p, index % n));
                let (sum, size) = (0..k).fold((0.0, 0.0), |(sum, size), p| (sum + term(p), size + term(p).abs()));
                let bound = size * 2f64.powi(-24) * (k as f64 / 2.0 + 4.0).min(80.0); // 16 terms per chain, then one sum per tile
                assert!((f64::from(found) - sum).abs() <= bound, "{m} x {k} x {n}: {found}, expected {sum}");
            }
        }
    }
}

#[test]
fn products_with_a_part_agree_with_the_definition() {
    let (rows, columns) = (39, 150);
    let (a, mut b) = (numbers(37 * rows, 13), numbers(rows * columns, 11));
    for (of_rows, n) in [(0..38, 140), (8..30, 16), (0..2, 64), (16..38, 1), (10..20, 149), (4..4, 80)] {
        b[38 * columns..].fill(f32::NAN); // numbers outside the part must not reach its sums
        let panels = pairs_of(Matrix::new(&b, rows, columns));
        let k = of_rows.len();
        let left = Matrix::part(&a, 37, k, rows);
        let sum = |i: usize, j: usize| (0..k).map(|p| a[i * rows + p] * b[(of_rows.start + p) * columns + j]).sum::<f32>();
        // the rows of the product are 3 numbers apart
        let inside = |index: usize| index % (n + 3) < n;
        let expected = (0..37 * (n + 3)).map(|index| if inside(index) { sum(index / (n + 3), index % (n + 3)) } else { 7.0 });
        let mut out = vec![7.0; 37 * (n + 3)];
        let to = MatrixMut::part(&mut out, 37, n, n + 3);
        product(&mut Emulated, to, Initial::Zero, 1.0, left, panels.part(of_rows.clone(), n));
        assert_eq!(out, expected.collect::<Vec<_>>(), "{of_rows:?} x {n}");
    }
}

#[test]
fn columns_of_a_left_factor_are_read_transposed() {
    let (a, b) = (numbers(37 * 60, 13), numbers(37 * 20, 11)); // the last 41 of 60 columns, transposed: (41, 37)·(37, 20)
    let sum = |i: usize, j: usize| (0..37).map(|p| a[p * 60 + 19 + i] * b[p * 20 + j]).sum::<f32>();
    let expected: Vec<f32> = (0..41 * 20).map(|index| sum(index / 20, index % 20)).collect();
    let mut out = vec![0.0; 41 * 20];
    let left = Matrix::part(&a[19..], 37, 41, 60).transposed();
    let right = pairs_of(Matrix::new(&b, 37, 20));
    product(&mut Emulated, MatrixMut::new(&mut out, 41, 20), Initial::Zero, 1.0, left, &right);
    assert_eq!(out, expected);
}

#[test]
fn products_without_terms_rows_or_columns() {
    let mut out = [7.0; 6];
    let (left, right) = (Matrix::new(&[], 2, 0), pairs_of(Matrix::new(&[], 0, 3)));
    product(&mut Emulated, MatrixMut::new(&mut out, 2, 3), Initial::Row(&[1.0, 2.0, 3.0]), 1.0, left, &right);
    assert_eq!(out, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    let right = pairs_of(Matrix::new(&[1.0; 6], 2, 3));
    product(&mut Emulated, MatrixMut::new(&mut [], 0, 3), Initial::Zero, 1.0, Matrix::new(&[], 0, 2), &right);
    let right = pairs_of(Matrix::new(&[], 2, 0));
    product(&mut Emulated, MatrixMut::new(&mut [], 3, 0), Initial::Zero, 1.0, Matrix::new(&[1.0; 6], 3, 2), &right);
}

#[test]
fn denormal_factors_and_products_are_zeros() {
    let (tiny, least) = (f32::MIN_POSITIVE / 2.0, f32::MIN_POSITIVE);
    let a = [tiny, least, 1.0, 0.0, least, 0.0]; // (2, 3)
    let b = [8.0, 0.5, 3.0]; // tiny·8 is normal, least·0.5 is not
    let mut out = [0.0; 2];
    let right = pairs_of(Matrix::new(&b, 3, 1));
    product(&mut Emulated, MatrixMut::new(&mut out, 2, 1), Initial::Zero, 1.0, Matrix::new(&a, 2, 3), &right);
    assert_eq!(out, [3.0, 0.0]);
    product(
        &mut Emulated,
        MatrixMut::new(&mut out, 2, 1),
        Initial::Zero,
        2f32.powi(120),
        Matrix::new(&a[..2], 2, 1),
        &pairs_of(Matrix::new(&[1.0], 1, 1)),
    );
    assert_eq!(out, [0.0, 2f32.powi(-6)]);
}

/// Compares the instruction, where this machine has it, with its emulation, bit for bit; also in products at this machine's level.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_instruction_gives_the_bytes_of_its_emulation() {
    use super::super::{Onto, Panels, Precision, product_of_panels};
    use crate::simd::{Amx, Level, level};

    let Some(mut amx) = Amx::configure() else { return };
    let third = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| x / 300.0).collect() };
    for shape @ (m, k, n) in SHAPES {
        let (a, b) = (third(numbers(m * k, 1013)), third(numbers(k * n, 1009)));
        for (left, right) in storage_orders(&a, &b, shape) {
            let panels = pairs_of(right);
            let [mut found, mut expected] = [vec![0.5; m * n], vec![0.5; m * n]];
            product(&mut amx, MatrixMut::new(&mut found, m, n), Initial::Output, 3.0, left, &panels);
            product(&mut Emulated, MatrixMut::new(&mut expected, m, n), Initial::Output, 3.0, left, &panels);
            assert!(found == expected, "{m} x {k} x {n}");
            if level() == Level::Amx {
                let mut panels = Panels::default();
                panels.pack(right, Precision::BFloat16);
                found.fill(0.5);
                drop(amx); // a product configures the tiles of its thread itself
                product_of_panels(MatrixMut::new(&mut found, m, n), Onto::Add, 3.0, left, &panels);
                amx = Amx::configure().expect("as initial");
                assert!(found == expected, "{m} x {k} x {n}");
            }
        }
    }
}
