//! The kernel: value and gradient for one group of float32 points. Nearest neighbours come from the products of pairs; their
//! distances are recomputed from differences, since a product of nearly equal points loses the digits of a small distance.

use crate::EPSILON;
use regatta_core::kernels::{Pairs, Scaled, vector};
use regatta_core::libm;
use regatta_core::simd::Simd;
use regatta_core::vectorize;

/// points (n, d), gradient (n, d)
pub fn value_and_gradient(points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
    let scaled = Scaled::new(points.to_vec(), d, 0.0);
    let u = scaled.points();
    let n = points.len() / d;
    let mut sum = 0.0;
    for (i, j) in nearest(&Pairs::products(u, d)).into_iter().enumerate() {
        let (point, neighbour) = (i * d..(i + 1) * d, j * d..(j + 1) * d);
        let distance = vector::sum_of(&u[point], &u[neighbour], |x, y| (x - y) * (x - y)).sqrt();
        sum += libm::log(f64::from(distance) + EPSILON);
        if distance == 0.0 {
            continue;
        }
        let scale = 1.0 / (n as f32 * (distance + EPSILON as f32) * distance);
        push(gradient, u, scale, d, [i, j]);
    }
    scaled.backward(gradient, 1.0);
    -sum / n as f64
}

vectorize! {
    /// Adds `scale·(u_j - u_i)` to the gradient of point i and subtracts it from that of point j. gradient, u (n, d)
    fn push(gradient: &mut [f32], u: &[f32], scale: f32, d: usize, pair: [usize; 2]) = push_with;

    /// Finds the largest product in each column and its row, the first one on ties. q (rows, columns)
    fn largest_of_columns(q: &[f32], products: &mut [f32], rows: &mut [u32]) = largest_of_columns_with;
}

#[inline(always)]
fn push_with<S: Simd>(gradient: &mut [f32], u: &[f32], scale: f32, d: usize, [i, j]: [usize; 2]) {
    let (i, j) = (i * d..(i + 1) * d, j * d..(j + 1) * d);
    let (u_i, u_j) = (&u[i.clone()], &u[j.clone()]);
    let [grad_i, grad_j] = gradient.get_disjoint_mut([i, j]).expect("two points");
    for ((grad_i, grad_j), (u, v)) in grad_i.iter_mut().zip(grad_j).zip(u_i.iter().zip(u_j)) {
        let push = scale * (v - u);
        *grad_i += push;
        *grad_j -= push;
    }
}

#[inline(always)]
fn largest_of_columns_with<S: Simd>(q: &[f32], products: &mut [f32], rows: &mut [u32]) {
    for (row, values) in (0..).zip(q.chunks_exact(products.len())) {
        for ((largest, at), &q) in products.iter_mut().zip(&mut *rows).zip(values) {
            *at = if q > *largest { row } else { *at };
            *largest = if q > *largest { q } else { *largest };
        }
    }
}

/// The index of each point's nearest neighbour, the point of the largest product; the first one on ties.
fn nearest(pairs: &Pairs<'_>) -> Vec<usize> {
    let unknown = Nearest { product: f32::NEG_INFINITY, point: 0 };
    let mut found = vec![unknown; pairs.count()];
    let mut panels: Vec<_> = found.chunks_mut(pairs.panel()).collect();
    pairs.visit(&mut panels, |block, here, there| {
        let columns = block.columns.len();
        for (row, nearest) in block.q.chunks_exact(columns).zip(here.iter_mut()) {
            let product = vector::max(row);
            let column = row.iter().position(|&q| q == product).unwrap_or(0); // NaN equals nothing, not even itself
            nearest.update(product, block.columns.start + column);
        }
        if let Some(there) = there {
            let (mut products, mut rows) = (vec![f32::NEG_INFINITY; columns], vec![0u32; columns]);
            largest_of_columns(block.q, &mut products, &mut rows);
            let candidates = there.iter_mut().zip(products.iter().zip(&rows));
            candidates.for_each(|(nearest, (&product, &row))| nearest.update(product, block.rows.start + row as usize));
        }
    });
    found.iter().map(|nearest| nearest.point).collect()
}

#[derive(Clone)]
struct Nearest {
    product: f32,
    point: usize,
}

impl Nearest {
    fn update(&mut self, product: f32, point: usize) {
        if product > self.product || (product == self.product && point < self.point) {
            *self = Self { product, point };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coordinates are small integers, so products are exact and often tie.
    #[test]
    fn neighbours_are_found_across_panels() {
        let points: Vec<f32> = (0..1800).map(|i| ((i * i) % 83) as f32 - 41.0).collect();
        let pairs = Pairs::products(&points, 3);
        assert!(pairs.count() > 2 * pairs.panel());
        let point = |i: usize| &points[3 * i..3 * i + 3];
        let first_of_largest = |i: usize| {
            let others = (0..600).filter(|&j| j != i).rev(); // max_by returns the last of equal elements
            others.max_by(|&j, &k| vector::dot(point(i), point(j)).total_cmp(&vector::dot(point(i), point(k)))).unwrap()
        };
        assert_eq!(nearest(&pairs), (0..600).map(first_of_largest).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_neighbour_wins_ties() {
        let corners = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0]; // each has two neighbours at cosine 0
        assert_eq!(nearest(&Pairs::products(&corners, 2)), [1, 0, 1, 0]);
    }
}
