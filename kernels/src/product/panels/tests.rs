//! Products with packed factors, against their definition.

use super::super::product;
use super::super::testing::{SHAPES, by_definition, numbers, storage_orders};
use super::*;

#[test]
fn products_of_all_shapes_and_transposes_agree_with_the_definition() {
    for shape @ (m, k, n) in SHAPES {
        let (a, b, bias) = (numbers(m * k, 13), numbers(k * n, 11), numbers(n, 5));
        for (left, right) in storage_orders(&a, &b, shape) {
            let expected = |initial: &dyn Fn(usize) -> f32, scale: f32| by_definition(left, right, initial, scale);
            let mut out = vec![3.0; m * n];
            product(MatrixMut::new(&mut out, m, n), Onto::Add, 2.0, left, right);
            assert!(out == expected(&|_| 3.0, 2.0), "{m} x {k} x {n}");
            product(MatrixMut::new(&mut out, m, n), Onto::Replace, 0.5, left, right);
            assert!(out == expected(&|_| 0.0, 0.5), "{m} x {k} x {n}");
            let mut panels = Panels::default();
            for precision in [Precision::Float32, Precision::BFloat16] {
                panels.pack(right, precision);
                affine(MatrixMut::new(&mut out, m, n), left, &panels, &bias);
                assert!(out == expected(&|column| bias[column], 1.0), "{m} x {k} x {n} {precision:?}");
                product_of_panels(MatrixMut::new(&mut out, m, n), Onto::Add, 2.0, left, &panels);
                assert!(out == expected(&|column| bias[column], 3.0), "{m} x {k} x {n} {precision:?}");
            }
        }
    }
}

#[test]
fn a_product_without_terms_is_0_or_the_bias() {
    let mut out = [7.0; 6];
    product(MatrixMut::new(&mut out, 2, 3), Onto::Replace, 1.0, Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3));
    assert_eq!(out, [0.0; 6]);
    let mut panels = Panels::default();
    for precision in [Precision::Float32, Precision::BFloat16] {
        panels.pack(Matrix::new(&[], 0, 3), precision);
        affine(MatrixMut::new(&mut out, 2, 3), Matrix::new(&[], 2, 0), &panels, &[1.0, 2.0, 3.0]);
        assert_eq!(out, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }
    product(MatrixMut::new(&mut [], 0, 3), Onto::Replace, 1.0, Matrix::new(&[], 0, 2), Matrix::new(&[1.0; 6], 2, 3));
}

#[test]
fn packing_once_or_per_product_gives_the_same_bytes() {
    let (m, k, n) = (40, 700, 90);
    let third = |x: Vec<f32>| -> Vec<f32> { x.iter().map(|x| x / 3.0).collect() };
    let (a, b) = (third(numbers(m * k, 1013)), third(numbers(k * n, 1009)));
    let (left, right) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
    let (mut once, mut again) = (vec![0.0; m * n], vec![0.0; m * n]);
    product(MatrixMut::new(&mut once, m, n), Onto::Replace, 1.0, left, right);
    product_of_panels(MatrixMut::new(&mut again, m, n), Onto::Replace, 1.0, left, &Panels::of(right));
    assert_eq!(once, again);
}

#[test]
fn some_columns_of_a_left_factor_are_read_in_both_directions() {
    let (a, b) = (numbers(9 * 12, 13), numbers(9 * 20, 11)); // the last 7 of 12 columns, transposed: (7, 9)·(9, 20)
    let sum = |i: usize, j: usize| (0..9).map(|p| a[p * 12 + 5 + i] * b[p * 20 + j]).sum::<f32>();
    let expected: Vec<f32> = (0..7 * 20).map(|index| sum(index / 20, index % 20)).collect();
    let (mut panels, mut out) = (Panels::default(), vec![0.0; 7 * 20]);
    for precision in [Precision::Float32, Precision::BFloat16] {
        panels.pack(Matrix::new(&b, 9, 20), precision);
        let left = Matrix::part(&a[5..], 9, 7, 12).transposed();
        product_of_panels(MatrixMut::new(&mut out, 7, 20), Onto::Replace, 1.0, left, &panels);
        assert_eq!(out, expected, "{precision:?}");
    }
}

#[test]
fn products_with_a_part_agree_with_the_definition() {
    let (rows, columns) = (39, 150); // the last of three panels, or of ten, is narrower
    let (a, b) = (numbers(5 * rows, 13), numbers(rows * columns, 11));
    let mut panels = Panels::default();
    for precision in [Precision::Float32, Precision::BFloat16] {
        panels.pack(Matrix::new(&b, rows, columns), precision);
        for (of_rows, n) in [(0..39, 150), (8..30, 16), (0..2, 64), (16..39, 1), (38..39, 130), (10..20, 149), (4..4, 80)] {
            let k = of_rows.len();
            let left = Matrix::part(&a, 5, k, rows);
            let sum = |i: usize, j: usize| (0..k).map(|p| a[i * rows + p] * b[(of_rows.start + p) * columns + j]).sum::<f32>();
            let expected: Vec<f32> = (0..5 * n).map(|index| sum(index / n, index % n)).collect();
            let mut out = vec![7.0; 5 * n];
            product_of_panels(MatrixMut::new(&mut out, 5, n), Onto::Replace, 1.0, left, panels.part(of_rows.clone(), n));
            assert_eq!(out, expected, "{precision:?} {of_rows:?} x {n}");
        }
    }
}

#[test]
fn squares_of_columns_are_the_diagonal_of_a_product() {
    let (k, n) = (1_101, 150);
    let b: Vec<f32> = numbers(k * n, 1009).into_iter().map(|x| x / 3.0).collect();
    let (x, mut out) = (Matrix::new(&b, k, n), vec![0.0; n * n]);
    product(MatrixMut::new(&mut out, n, n), Onto::Replace, 1.0, x.transposed(), x);
    let diagonal: Vec<f32> = out.into_iter().step_by(n + 1).collect();
    assert_eq!(Panels::of(x).column_squares(), diagonal);
    assert_eq!(Panels::of(Matrix::new(&[], 0, 2)).column_squares(), [0.0; 2]);
}

#[test]
#[should_panic(expected = "0..5 x 4 of (4, 4)")]
fn a_part_larger_than_its_matrix_is_refused() {
    let _ = Panels::of(Matrix::new(&[0.0; 16], 4, 4)).part(0..5, 4);
}

#[test]
#[should_panic(expected = "two rows are one term")]
fn a_part_that_splits_a_pair_is_refused() {
    let mut panels = Panels::default();
    panels.pack(Matrix::new(&[0.0; 16], 4, 4), Precision::BFloat16);
    let _ = panels.part(1..4, 4);
}

#[test]
fn products_in_bfloat16_are_those_of_rounded_factors() {
    let (m, k, n) = (7, 1_101, 20); // an odd number of terms, more than check_shapes in one run
    let (a, b) = (numbers(m * k, 1013), numbers(k * n, 1009)); // up to 506: above 256, bfloat16 has even integers only
    let rounded = |x: &f32| f64::from(if x.abs() > 256.0 { (x / 2.0).round_ties_even() * 2.0 } else { *x });
    let sum = |i: usize, j: usize| (0..k).map(|p| rounded(&a[i * k + p]) * rounded(&b[p * n + j])).sum::<f64>();
    let (mut panels, mut out) = (Panels::default(), vec![0.0; m * n]);
    panels.pack(Matrix::new(&b, k, n), Precision::BFloat16);
    product_of_panels(MatrixMut::new(&mut out, m, n), Onto::Replace, 1.0, Matrix::new(&a, m, k), &panels);
    for (index, found) in out.iter().enumerate() {
        let expected = sum(index / n, index % n);
        assert!((f64::from(*found) - expected).abs() < 2.0, "{index}: {found}, expected {expected}"); // of sums up to 6e7
    }
}
