//! Value and gradient together, on the float32 points of one group.
//!
//! Pairs are seen a block at a time, by `-‖u_i - u_j‖² / 2` from products. Of two directions that lie much nearer to each other than
//! to the mean, a product keeps few digits of the distance, and such a pair has a large weight. It is set aside, and computed in
//! float64 from the difference of its directions: there are few, but where directions have gathered in clusters.

use regatta_core::kernels::elementary::ln;
use regatta_core::kernels::vector::{add_multiple, dot};
use regatta_core::kernels::{Block, PairTerm, Pairs, Pull, Scaled, TINY_SQUARE, centred_rows};
use regatta_core::simd::{LANES, Lanes, Simd, load_or, store, total};
use regatta_core::vectorize;

/// A pair is near where its squared distance and ε are together below this part of a point's squared distance from the mean: closer
/// ones would lose digits that matter, and beside an ε above it a distance matters little.
const NEAR: f32 = 1.0 / 32.0;

/// What of the sums belongs to a panel of points.
struct Panel<'a> {
    pull: Pull<'a>,
    energy: f64,
    /// Of near pairs: `Σ_j W_ij (u_j - u_i)`, W the derivative of their term. (points, d), or empty where there are none
    of_near: Vec<f32>,
}

/// Which pairs are near, and the directions of their points in float64.
struct Directions<'a> {
    /// (n, d)
    points: &'a [f32],
    dims: usize,
    /// (n)
    norms: Vec<f64>,
    /// q of a near pair is above that of its row. (n)
    limits: Vec<f32>,
}

/// `mean_{i≠j}` of a term, which has the same ε, of the unit vectors. points (n, d), gradient (n, d)
pub fn mean_energy(points: &[f32], d: usize, epsilon: f32, term: &impl PairTerm, gradient: &mut [f32]) -> f64 {
    let unit = Scaled::new(points.to_vec(), d, 0.0);
    let u = centred_rows(unit.points(), d); // distances in a narrow cone keep their digits
    let pairs = Pairs::distances(&u, d);
    let n = pairs.count() as f64;
    let directions = Directions {
        points,
        dims: d,
        norms: points.chunks_exact(d).map(norm).collect(),
        limits: u.chunks_exact(d).map(|u| 0.5 * (epsilon - NEAR * dot(u, u))).collect(),
    };

    let pulls = pairs.pulls(gradient);
    let mut panels: Vec<_> = pulls.into_iter().map(|pull| Panel { pull, energy: 0.0, of_near: Vec::new() }).collect();
    pairs.visit(&mut panels, |block, here, there| visit(block, &directions, term, here, there));
    panels.iter_mut().enumerate().for_each(|(index, panel)| pairs.settle(index, &mut panel.pull, 2.0));
    let energy: f64 = panels.iter().map(|panel| panel.energy).sum();

    let of_near: Vec<Vec<f32>> = panels.into_iter().map(|panel| panel.of_near).collect();
    let rows = gradient.chunks_mut(pairs.panel() * d).zip(&of_near);
    rows.filter(|(_, near)| !near.is_empty()).for_each(|(rows, near)| add_multiple(rows, 2.0, near));
    unit.backward(gradient, (1.0 / (n * (n - 1.0))) as f32);
    energy / (n * (n - 1.0))
}

fn norm(point: &[f32]) -> f64 {
    (point.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() + TINY_SQUARE).sqrt()
}

/// Adds a block to the panels of its rows and columns.
fn visit(
    block: Block<'_>,
    directions: &Directions<'_>,
    term: &impl PairTerm,
    here: &mut Panel<'_>,
    mut there: Option<&mut Panel<'_>>,
) {
    let mut near = Vec::new();
    let mut energy = weigh(block.q, &directions.limits[block.rows.clone()], term, &mut near);
    block.pull(1.0, &mut here.pull);
    if let Some(there) = &mut there {
        block.pull_columns(1.0, &mut there.pull);
    }
    if !near.is_empty() {
        let d = directions.dims;
        let of_rows = room(&mut here.of_near, block.rows.len() * d);
        let of_columns = there.map(|there| room(&mut there.of_near, block.columns.len() * d)).unwrap_or_default();
        energy += repel_near(&near, [block.rows.start, block.columns.start], directions, term, [of_rows, of_columns]);
    }
    here.energy += block.multiplicity() * energy;
}

/// The numbers, zeros at first.
fn room(numbers: &mut Vec<f32>, len: usize) -> &mut [f32] {
    numbers.resize(len, 0.0);
    numbers
}

vectorize! {
    /// Replaces each q by the derivative of its term, and sums the values. Pairs that are near are noted by row and column, and count as
    /// none. q (rows, columns), limits (rows): q of a near pair is above
    fn weigh(q: &mut [f32], limits: &[f32], term: &impl PairTerm, near: &mut Vec<[usize; 2]>) -> f64 = weigh_with;

    /// The sum of the terms of near pairs, by row and column after `first`. The pull on both points of each is added, or on that of
    /// its row alone where the columns have no room. pulls (rows, d) and (columns, d)
    fn repel_near(
        near: &[[usize; 2]],
        first: [usize; 2],
        directions: &Directions<'_>,
        term: &impl PairTerm,
        pulls: [&mut [f32]; 2],
    ) -> f64 = repel_near_with;
}

#[inline(always)]
fn weigh_with<S: Simd>(q: &mut [f32], limits: &[f32], term: &impl PairTerm, near: &mut Vec<[usize; 2]>) -> f64 {
    let none = Lanes::<S>::splat(f32::NEG_INFINITY);
    let columns = q.len() / limits.len();
    let mut all = 0.0;
    for ((row, q), limit) in q.chunks_exact_mut(columns).enumerate().zip(limits) {
        let mut sums = Lanes::<S>::ZERO;
        for (first, chunk) in (0..).step_by(LANES).zip(q.chunks_mut(LANES)) {
            let all_are_far = load_or::<S>(chunk, f32::NEG_INFINITY).simd_lt(Lanes::splat(*limit)).all();
            if !all_are_far {
                set_aside(chunk, *limit, row, first, near);
            }
            let q = load_or(chunk, f32::NEG_INFINITY);
            let (value, derivative) = term.of(q);
            let absent = q.simd_eq(none);
            store(chunk, absent.select(Lanes::ZERO, derivative));
            sums += absent.select(Lanes::ZERO, value);
        }
        all += f64::from(total(sums));
    }
    all
}

/// NaN is near, so that it reaches the sum.
fn set_aside(chunk: &mut [f32], limit: f32, row: usize, first: usize, near: &mut Vec<[usize; 2]>) {
    for (column, q) in (first..).zip(chunk) {
        let is_far = *q < limit;
        if !is_far {
            near.push([row, column]);
            *q = f32::NEG_INFINITY;
        }
    }
}

#[inline(always)]
fn repel_near_with<S: Simd>(
    near: &[[usize; 2]],
    first: [usize; 2],
    directions: &Directions<'_>,
    term: &impl PairTerm,
    [row_pulls, column_pulls]: [&mut [f32]; 2],
) -> f64 {
    let d = directions.dims;
    let mut apart = vec![0f64; d]; // u_j - u_i
    let mut energy = 0.0;
    for [row, column] in near {
        let square = directions.difference([first[0] + row, first[1] + column], &mut apart);
        let (value, derivative) = term.of(Lanes::<S>::splat((-0.5 * square) as f32));
        let derivative = f64::from(derivative.to_array()[0]);
        energy += f64::from(value.to_array()[0]);
        let pulls = row_pulls[row * d..(row + 1) * d].iter_mut();
        pulls.zip(&apart).for_each(|(pull, apart)| *pull += (derivative * apart) as f32);
        if let Some(pulls) = column_pulls.get_mut(column * d..(column + 1) * d) {
            pulls.iter_mut().zip(&apart).for_each(|(pull, apart)| *pull -= (derivative * apart) as f32);
        }
    }
    energy
}

impl Directions<'_> {
    /// `u_j - u_i`, and its squared norm.
    #[inline(always)]
    fn difference(&self, [i, j]: [usize; 2], apart: &mut [f64]) -> f64 {
        let d = self.dims;
        let rows = self.points[i * d..(i + 1) * d].iter().zip(&self.points[j * d..(j + 1) * d]);
        let (own, other) = (1.0 / self.norms[i], 1.0 / self.norms[j]);
        apart.iter_mut().zip(rows).for_each(|(apart, (x, y))| *apart = f64::from(*y) * other - f64::from(*x) * own);
        apart.iter().map(|x| x * x).sum()
    }
}

/// `-log(ε - 2q) / 2`
pub struct Logarithm {
    pub epsilon: f32,
}

/// `(ε - 2q)^(-1/2)`
pub struct InverseRoot {
    pub epsilon: f32,
}

/// `1 / (ε - 2q)`
pub struct Inverse {
    pub epsilon: f32,
}

/// `ε - 2q`
#[inline(always)]
fn square<S: Simd>(q: Lanes<S>, epsilon: f32) -> Lanes<S> {
    q.mul_add(Lanes::splat(-2.0), Lanes::splat(epsilon))
}

impl PairTerm for Logarithm {
    #[inline(always)]
    fn of<S: Simd>(&self, q: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        let square = square(q, self.epsilon);
        (Lanes::splat(-0.5) * ln(square), Lanes::ONE / square)
    }
}

impl PairTerm for InverseRoot {
    #[inline(always)]
    fn of<S: Simd>(&self, q: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        let inverse = Lanes::ONE / square(q, self.epsilon);
        let root = inverse.sqrt();
        (root, root * inverse)
    }
}

impl PairTerm for Inverse {
    #[inline(always)]
    fn of<S: Simd>(&self, q: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
        let inverse = Lanes::ONE / square(q, self.epsilon);
        (inverse, Lanes::splat(2.0) * inverse * inverse)
    }
}
