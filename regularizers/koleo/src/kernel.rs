//! Value and gradient together, on the float32 points of one group: pairs say which neighbour is nearest, and only the n
//! differences from it are computed again, so that small distances keep their digits.

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
        let (here, there) = (i * d..(i + 1) * d, j * d..(j + 1) * d);
        let distance = vector::sum_of(&u[here], &u[there], |x, y| (x - y) * (x - y)).sqrt();
        sum += libm::log(f64::from(distance) + EPSILON);
        if distance == 0.0 {
            continue;
        }
        let slope = 1.0 / (n as f32 * (distance + EPSILON as f32) * distance);
        push(gradient, u, slope, d, [i, j]);
    }
    scaled.backward(gradient, 1.0);
    -sum / n as f64
}

vectorize! {
    /// Adds `slope·(u_j - u_i)` to the gradient of point i, and takes it from that of j. gradient, u (n, d)
    fn push(gradient: &mut [f32], u: &[f32], slope: f32, d: usize, pair: [usize; 2]) = push_with;

    /// The largest product of each column, and its row; the first of equals. q (rows, columns)
    fn largest_of_columns(q: &[f32], products: &mut [f32], rows: &mut [u32]) = largest_of_columns_with;
}

#[inline(always)]
fn push_with<S: Simd>(gradient: &mut [f32], u: &[f32], slope: f32, d: usize, [i, j]: [usize; 2]) {
    let (here, there) = (i * d..(i + 1) * d, j * d..(j + 1) * d);
    let (u_here, u_there) = (&u[here.clone()], &u[there.clone()]);
    let [of_here, of_there] = gradient.get_disjoint_mut([here, there]).expect("two points");
    for ((here, there), (u, v)) in of_here.iter_mut().zip(of_there).zip(u_here.iter().zip(u_there)) {
        let push = slope * (v - u);
        *here += push;
        *there -= push;
    }
}

#[inline(always)]
fn largest_of_columns_with<S: Simd>(q: &[f32], products: &mut [f32], rows: &mut [u32]) {
    for (row, values) in (0..).zip(q.chunks_exact(products.len())) {
        for ((most, at), &q) in products.iter_mut().zip(&mut *rows).zip(values) {
            *at = if q > *most { row } else { *at };
            *most = if q > *most { q } else { *most };
        }
    }
}

/// The other point of the largest product, for each point; the first of equals.
fn nearest(pairs: &Pairs<'_>) -> Vec<usize> {
    let unknown = Nearest { product: f32::NEG_INFINITY, point: 0 };
    let mut found = vec![unknown; pairs.count()];
    let mut panels: Vec<_> = found.chunks_mut(pairs.panel()).collect();
    pairs.visit(&mut panels, |block, here, there| {
        let columns = block.columns.len();
        for (row, nearest) in block.q.chunks_exact(columns).zip(here.iter_mut()) {
            let product = vector::max(row);
            let column = row.iter().position(|&q| q == product).unwrap_or(0); // none where all are NaN
            nearest.meet(product, block.columns.start + column);
        }
        if let Some(there) = there {
            let (mut products, mut rows) = (vec![f32::NEG_INFINITY; columns], vec![0u32; columns]);
            largest_of_columns(block.q, &mut products, &mut rows);
            let met = there.iter_mut().zip(products.iter().zip(&rows));
            met.for_each(|(nearest, (&product, &row))| nearest.meet(product, block.rows.start + row as usize));
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
    fn meet(&mut self, product: f32, point: usize) {
        if product > self.product || (product == self.product && point < self.point) {
            *self = Self { product, point };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, whose products are exact, with many equals among them.
    #[test]
    fn neighbours_are_found_across_panels() {
        let points: Vec<f32> = (0..1800).map(|i| ((i * i) % 83) as f32 - 41.0).collect();
        let pairs = Pairs::products(&points, 3);
        assert!(pairs.count() > 2 * pairs.panel());
        let point = |i: usize| &points[3 * i..3 * i + 3];
        let first_of_largest = |i: usize| {
            let others = (0..600).filter(|&j| j != i).rev(); // max_by keeps the last of equals
            others.max_by(|&j, &k| vector::dot(point(i), point(j)).total_cmp(&vector::dot(point(i), point(k)))).unwrap()
        };
        assert_eq!(nearest(&pairs), (0..600).map(first_of_largest).collect::<Vec<_>>());
    }

    #[test]
    fn of_equals_the_first_is_nearest() {
        let corners = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0, -1.0]; // two neighbours each, at a right angle
        assert_eq!(nearest(&Pairs::products(&corners, 2)), [1, 0, 1, 0]);
    }
}
