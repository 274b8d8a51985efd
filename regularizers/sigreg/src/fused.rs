//! SIGReg's value and gradient together, on the float32 points of one group.
//!
//! A row of projections is worked on 16 slices at a time, which fill a vector register. With `turn = exp(i dt x)`, the knots'
//! `exp(i t_j x)` are its powers; they are started afresh every 32 knots, before rounding adds up.

use crate::epps_pulley::Knot;
use rayon::prelude::*;
use regatta_core::maths::elementary::sine_cosine_of_turns;
use regatta_core::maths::vector::fused;
use regatta_core::maths::{Matrix, MatrixMut, Onto, product};

/// Rows that one task takes: float32 sums are no longer than that, and sums of those are in float64.
const ROWS: usize = 128;
const LANES: usize = 16;
/// Knots from one exact power to the next.
const RUN: usize = 32;

/// Unit directions, and the knots along each.
pub struct Slices<'a> {
    /// Directions (k, d), row after row.
    directions: &'a [f32],
    /// The same, (d, k).
    across: Vec<f32>,
    dims: usize,
    knots: Vec<Knot>,
    /// Turns of the first knot but 0, for x = 1.
    step: f64,
}

impl<'a> Slices<'a> {
    pub fn new(directions: &'a [f32], dims: usize, knots: Vec<Knot>) -> Self {
        let count = directions.len() / dims;
        let mut across = vec![0.0; directions.len()];
        for first in (0..count).step_by(LANES) {
            for dim in 0..dims {
                for slice in first..(first + LANES).min(count) {
                    across[dim * count + slice] = directions[slice * dims + dim];
                }
            }
        }
        let step = knots[1].t / std::f64::consts::TAU;
        Self { directions, across, dims, knots, step }
    }

    /// The mean over slices of the statistic of one group. points (n, d), gradient (n, d)
    pub fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
        let slices = self.directions.len() / self.dims;
        let n = points.len() / self.dims;
        let width = slices.next_multiple_of(LANES); // slices that fill up a register see points at 0, and are left out
        let mut x = vec![0f32; n * width];
        let rows = x.par_chunks_mut(ROWS * width).zip(points.par_chunks(ROWS * self.dims)).with_max_len(1);
        let parts: Vec<Vec<f32>> = rows
            .map(|(x, points)| {
                let count = points.len() / self.dims;
                let (left, right) = (Matrix::new(points, count, self.dims), Matrix::new(&self.across, self.dims, slices));
                product(MatrixMut::part(x, count, slices, width), Onto::Replace, 1.0, left, right);
                self.sums(x, width)
            })
            .collect();

        let (value, coefficients) = self.coefficients(&parts, n, slices, width);
        let rows = x.par_chunks_mut(ROWS * width).zip(gradient.par_chunks_mut(ROWS * self.dims)).with_max_len(1);
        rows.for_each(|(x, gradient)| {
            self.slopes(x, width, &coefficients);
            let count = gradient.len() / self.dims;
            let (left, right) = (Matrix::part(x, count, slices, width), Matrix::new(self.directions, slices, self.dims));
            product(MatrixMut::new(gradient, count, self.dims), Onto::Replace, 1.0, left, right);
        });
        value / slices as f64
    }

    /// Sums over rows of cosine and sine at each knot. x (rows, width) -> (knots, 2, width)
    fn sums(&self, x: &[f32], width: usize) -> Vec<f32> {
        let mut sums = vec![0f32; self.knots.len() * 2 * width];
        for first in (0..width).step_by(LANES) {
            for rows in x.chunks(4 * width) {
                match rows.len() / width {
                    4 => self.add_rows::<4>(rows, width, first, &mut sums),
                    _ => rows.chunks_exact(width).for_each(|row| self.add_rows::<1>(row, width, first, &mut sums)),
                }
            }
        }
        sums
    }

    /// Adds some rows of one register's slices: together, so that each sum is fetched and stored once for all of them.
    #[inline(always)]
    fn add_rows<const R: usize>(&self, rows: &[f32], width: usize, first: usize, sums: &mut [f32]) {
        let x: [[f32; LANES]; R] = std::array::from_fn(|row| lanes(&rows[row * width + first..]));
        let turns = x.map(|x| Lanes::of_turns(x, self.step));
        for (run, sums) in sums.chunks_mut(RUN * 2 * width).enumerate() {
            let mut powers = x.map(|x| Lanes::of_turns(x, self.step * (run * RUN) as f64));
            for sums in sums.chunks_exact_mut(2 * width) {
                let (re, im) = sums.split_at_mut(width);
                let (re, im) = (&mut re[first..first + LANES], &mut im[first..first + LANES]);
                for lane in 0..LANES {
                    re[lane] += powers.iter().map(|power| power.re[lane]).sum::<f32>();
                    im[lane] += powers.iter().map(|power| power.im[lane]).sum::<f32>();
                }
                powers.iter_mut().zip(&turns).for_each(|(power, turn)| *power = power.times(turn));
            }
        }
    }

    /// Sum of the statistics over slices, and the coefficients p_j of the gradient. -> (knots, 2, width)
    ///
    /// With C and S the means of cosine and sine the statistic is `n Σ w [(C - φ)² + S²]`, and along x its slope
    /// `Σ 2wt [S cos(t x) - (C - φ) sin(t x)] = Re Σ p_j turn^j`, `p_j = 2wt (S + i (C - φ))`.
    fn coefficients(&self, parts: &[Vec<f32>], n: usize, slices: usize, width: usize) -> (f64, Vec<f32>) {
        let mut value = 0.0;
        let mut coefficients = vec![0f32; self.knots.len() * 2 * width];
        for (index, (knot, p)) in self.knots.iter().zip(coefficients.chunks_exact_mut(2 * width)).enumerate() {
            let slope = 2.0 * knot.weight * knot.t / slices as f64;
            let (re, im) = p.split_at_mut(width);
            let mean = |at: usize| parts.iter().map(|part| f64::from(part[at])).sum::<f64>() / n as f64;
            for slice in 0..slices {
                let at = index * 2 * width + slice;
                let (off, sine) = (mean(at) - knot.target, mean(at + width));
                value += n as f64 * knot.weight * (off * off + sine * sine);
                (re[slice], im[slice]) = ((slope * sine) as f32, (slope * off) as f32);
            }
        }
        (value, coefficients)
    }

    /// Turns each projection into the slope of the statistic along it. x (rows, width)
    fn slopes(&self, x: &mut [f32], width: usize, coefficients: &[f32]) {
        for first in (0..width).step_by(LANES) {
            for row in x.chunks_exact_mut(width) {
                let x: [f32; LANES] = lanes(&row[first..]);
                let turn = Lanes::of_turns(x, self.step);
                let mut slope = [0f32; LANES];
                for (run, p) in coefficients.chunks(RUN * 2 * width).enumerate() {
                    let mut sum = Lanes { re: [0.0; LANES], im: [0.0; LANES] };
                    for p in p.chunks_exact(2 * width).rev() {
                        sum = sum.times(&turn); // Horner
                        let (re, im): ([f32; LANES], [f32; LANES]) = (lanes(&p[first..]), lanes(&p[width + first..]));
                        for lane in 0..LANES {
                            sum.re[lane] += re[lane];
                            sum.im[lane] += im[lane];
                        }
                    }
                    let start = Lanes::of_turns(x, self.step * (run * RUN) as f64);
                    let sum = sum.times(&start);
                    (0..LANES).for_each(|lane| slope[lane] += sum.re[lane]);
                }
                row[first..first + LANES].copy_from_slice(&slope);
            }
        }
    }
}

fn lanes(x: &[f32]) -> [f32; LANES] {
    std::array::from_fn(|lane| x[lane])
}

/// A complex number per lane.
#[derive(Clone, Copy)]
struct Lanes {
    re: [f32; LANES],
    im: [f32; LANES],
}

impl Lanes {
    /// `exp(2πi·step·x)`
    #[inline(always)]
    fn of_turns(x: [f32; LANES], step: f64) -> Self {
        let high = step as f32;
        let low = (step - f64::from(high)) as f32;
        let mut turns = Self { re: [1.0; LANES], im: [0.0; LANES] };
        if step > 0.0 {
            for lane in 0..LANES {
                // What the product loses is less than a turn's parts that float32 tells apart, but whole turns would hide it.
                let whole = (x[lane] * high).round_ties_even();
                let part = fused(x[lane], low, fused(x[lane], high, -whole));
                (turns.im[lane], turns.re[lane]) = sine_cosine_of_turns(part);
            }
        }
        turns
    }

    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        let mut product = *self;
        for lane in 0..LANES {
            product.re[lane] = fused(self.re[lane], other.re[lane], -(self.im[lane] * other.im[lane]));
            product.im[lane] = fused(self.re[lane], other.im[lane], self.im[lane] * other.re[lane]);
        }
        product
    }
}
