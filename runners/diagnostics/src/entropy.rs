//! Differential entropy, from distances to nearest neighbours.

use crate::Result;
use crate::pairs::block_products;
use crate::points::{Points, dot};
use crate::spectrum::Spectrum;
use rayon::prelude::*;
use regatta_core::libm;
use std::f64::consts::{LN_2, PI};

/// Which neighbour: the third, as a compromise between noise (few) and bias (many).
const NEIGHBOUR: usize = 3;

/// Differential entropy in nats by Kozachenko and Leonenko's estimate, with ε_i the distance of point i to its k-th nearest
/// neighbour, k = 3, V_d the volume of the unit ball and ψ the digamma function:
/// ```text
/// H = ψ(n) - ψ(k) + ln V_d + d/n Σ_i ln ε_i
/// ```
/// Higher is more spread; it falls by `d ln 2` where all points are scaled by 1/2. `None` where the points have no density or
/// too few to guess one: n ≤ k, points that lie in fewer than d dims ([`Spectrum::spans`]; n < d for one), or k + 1 that coincide.
///
/// Kozachenko, Leonenko, "Sample estimate of the entropy of a random vector", Problems of Information Transmission 23, 1987; for
/// k > 1 Kraskov et al., "Estimating mutual information", Physical Review E 69, 2004, eq. 20, ε there being twice ours. Its
/// bias grows with d: compare clouds of the same n and d.
///
/// # Shapes
/// points (n, d) -> number
///
/// # Errors
/// When the singular values do not converge.
pub fn differential_entropy(points: &Points) -> Result<Option<f64>> {
    Ok(spread(points, &Spectrum::of(points)?))
}

/// As [`differential_entropy`], of points whose spectrum is known: n²·d products, and no (n, n) matrix.
pub(crate) fn spread(points: &Points, spectrum: &Spectrum) -> Option<f64> {
    let (n, d) = (points.count(), points.dims());
    if n <= NEIGHBOUR || !spectrum.spans() {
        return None;
    }
    let centred = points.centred(); // a common offset would cost digits
    let squares: Vec<f64> = centred.rows().map(|row| dot(row, row)).collect();
    let panels: Vec<f64> = (0..n.div_ceil(ROWS)).into_par_iter().map(|panel| log_squares(&centred, &squares, panel)).collect();
    let mean_log = 0.5 * panels.iter().sum::<f64>() / n as f64;
    let entropy = digamma(n) - digamma(NEIGHBOUR) + log_ball(d) + d as f64 * mean_log;
    entropy.is_finite().then_some(entropy)
}

/// Rows of a block of distances, and its columns.
const ROWS: usize = 128;
const COLUMNS: usize = 512;

/// `Σ ln ε_i²` over the points of a panel; -inf where k + 1 points coincide.
fn log_squares(points: &Points, squares: &[f64], panel: usize) -> f64 {
    let rows = panel * ROWS..((panel + 1) * ROWS).min(points.count());
    let mut nearest = vec![[(f64::INFINITY, usize::MAX); NEIGHBOUR]; rows.len()];
    let mut products = vec![0.0; ROWS * COLUMNS];
    for first in (0..points.count()).step_by(COLUMNS) {
        let columns = first..(first + COLUMNS).min(points.count());
        let products = &mut products[..rows.len() * columns.len()];
        block_products(points, &rows, &columns, products);
        for ((i, products), nearest) in rows.clone().zip(products.chunks_exact(columns.len())).zip(&mut nearest) {
            for ((j, product), square) in columns.clone().zip(products).zip(&squares[columns.clone()]) {
                let distance = square - 2.0 * product; // less ‖x_i‖², which is the same for all
                if distance < nearest[NEIGHBOUR - 1].0 && j != i {
                    insert(nearest, (distance, j));
                }
            }
        }
    }
    // Differences of products lose the digits of small distances; those that matter are taken again from the points.
    let exact = |i: usize, j: usize| points.row(i).iter().zip(points.row(j)).map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
    let farthest = |i: usize, nearest: &[(f64, usize)]| nearest.iter().map(|&(_, j)| exact(i, j)).fold(0.0, f64::max);
    rows.zip(&nearest).map(|(i, nearest)| libm::log(farthest(i, nearest))).sum()
}

/// Puts a neighbour in its place among the nearest, nearest first, and drops the last.
fn insert(nearest: &mut [(f64, usize); NEIGHBOUR], new: (f64, usize)) {
    let place = nearest.partition_point(|old| old.0 <= new.0);
    nearest[place..].rotate_right(1);
    nearest[place] = new;
}

/// `ψ(n) = -γ + Σ_{m<n} 1/m`
fn digamma(n: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    (1..n).map(|m| 1.0 / m as f64).sum::<f64>() - EULER
}

/// `ln V_d`, by `V_0 = 1`, `V_1 = 2`, `V_d = V_{d-2}·2π/d`.
fn log_ball(d: usize) -> f64 {
    let start = if d.is_multiple_of(2) { 0.0 } else { LN_2 };
    start + (1..=d).filter(|k| k % 2 == d % 2 && *k > 1).map(|k| libm::log(2.0 * PI / k as f64)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normals, same_on_all_threads};

    fn entropy(numbers: &[f64], dims: usize) -> Option<f64> {
        differential_entropy(&Points::new(numbers.to_vec(), dims).unwrap()).unwrap()
    }

    #[test]
    fn five_points_on_a_line() {
        // third neighbours of 0, 1, 2, 3, 4 are 3, 2, 2, 2 and 3 away; ψ(5) - ψ(3) = 1/3 + 1/4; V_1 = 2
        let expected = 7.0 / 12.0 + 2f64.ln() + (2.0 * 3f64.ln() + 3.0 * 2f64.ln()) / 5.0;
        assert!((entropy(&[0.0, 1.0, 2.0, 3.0, 4.0], 1).unwrap() - expected).abs() < 1e-12);
        assert!((entropy(&[100.0, 101.0, 102.0, 103.0, 104.0], 1).unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn balls() {
        for (d, volume) in [(1, 2.0), (2, PI), (3, 4.0 * PI / 3.0), (4, PI * PI / 2.0)] {
            assert!((log_ball(d) - f64::ln(volume)).abs() < 1e-12, "{d}");
        }
    }

    #[test]
    fn blocks_are_all_neighbours() {
        let points = normals(700, 3); // several panels, and two blocks of columns
        let distance = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt();
        let third = |x: &[f64]| {
            let mut distances: Vec<f64> = points.rows().map(|y| distance(x, y)).collect();
            distances.sort_by(f64::total_cmp);
            distances[3] // the first is the point itself
        };
        let mean_log = points.rows().map(|x| third(x).ln()).sum::<f64>() / 700.0;
        let expected = digamma(700) - digamma(3) + (4.0 * PI / 3.0).ln() + 3.0 * mean_log;
        let found = differential_entropy(&points).unwrap().unwrap();
        assert!((found - expected).abs() < 1e-10, "{found}, expected {expected}");
    }

    #[test]
    fn a_normal_cloud_has_about_its_entropy() {
        let found = differential_entropy(&normals(4_000, 2)).unwrap().unwrap();
        assert!((found - (2.0 * PI * std::f64::consts::E).ln()).abs() < 0.05, "{found}"); // ln 2πe for two dims of variance 1; 0.02 of luck
    }

    #[test]
    fn what_has_no_density() {
        assert_eq!(entropy(&[1.0, 2.0, 3.0], 1), None); // too few
        assert_eq!(entropy(&[1.0, 2.0, 2.0, 4.0, 3.0, 6.0, 4.0, 8.0], 2), None); // on a line
        assert_eq!(entropy(&[1.0, 1.0, 1.0, 1.0, 5.0], 1), None); // four coincide
        assert!(entropy(&[1.0, 1.0, 1.0, 5.0, 6.0], 1).is_some());
        assert_eq!(entropy(&[0.0; 10], 2), None);
        assert_eq!(entropy(&[0.3; 10], 1), None);
    }

    #[test]
    fn threads_change_nothing() {
        let points = normals(700, 6);
        same_on_all_threads(|| differential_entropy(&points).unwrap());
    }
}
