//! SIGReg's value and gradient together, on the float32 points of one group.
//!
//! With `turn = exp(i dt x)`, the knots' `exp(i t_j x)` are its powers; they are started afresh every 32 knots, before rounding
//! adds up. A row of projections is worked on in blocks of slices, side by side: plain loops, which become vector instructions.

use crate::epps_pulley::Knot;
use rayon::prelude::*;
use regatta_core::maths::elementary::sine_cosine_of_turns;
use regatta_core::maths::vector::fused;
use regatta_core::maths::{Matrix, MatrixMut, Onto, product};

/// Rows that one task takes: float32 sums are no longer than that, and sums of those are in float64.
const ROWS: usize = 128;
/// Slices worked on side by side: their sums at all knots stay in the nearest cache.
const BLOCK: usize = 128;
/// Knots from one exact power to the next.
const RUN: usize = 32;
/// Knots taken together, while their powers are in registers.
const STEP: usize = 4;

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
        const TILE: usize = 16; // numbers of a cache line
        for first in (0..count).step_by(TILE) {
            for dim in 0..dims {
                for slice in first..(first + TILE).min(count) {
                    across[dim * count + slice] = directions[slice * dims + dim];
                }
            }
        }
        let step = knots[1].t / std::f64::consts::TAU;
        Self { directions, across, dims, knots, step }
    }

    /// The mean over slices of the statistic of one group. points (n, d), gradient (n, d)
    pub fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
        let (n, k) = (points.len() / self.dims, self.count());
        let mut x = vec![0f32; n * k];
        let rows = x.par_chunks_mut(ROWS * k).zip(points.par_chunks(ROWS * self.dims)).with_max_len(1);
        let parts: Vec<Vec<f32>> = rows
            .map(|(x, points)| {
                let count = points.len() / self.dims;
                let (left, right) = (Matrix::new(points, count, self.dims), Matrix::new(&self.across, self.dims, k));
                product(MatrixMut::new(x, count, k), Onto::Replace, 1.0, left, right);
                self.sums(x)
            })
            .collect();

        let (value, coefficients) = self.coefficients(&parts, n);
        let rows = x.par_chunks_mut(ROWS * k).zip(gradient.par_chunks_mut(ROWS * self.dims)).with_max_len(1);
        rows.for_each(|(x, gradient)| {
            self.slopes(x, &coefficients);
            let count = gradient.len() / self.dims;
            let (left, right) = (Matrix::new(x, count, k), Matrix::new(self.directions, k, self.dims));
            product(MatrixMut::new(gradient, count, self.dims), Onto::Replace, 1.0, left, right);
        });
        value / k as f64
    }

    /// How many slices: k.
    fn count(&self) -> usize {
        self.directions.len() / self.dims
    }

    /// Sums over rows of cosine and sine at each knot. x (rows, k) -> (knots, 2, k)
    fn sums(&self, x: &[f32]) -> Vec<f32> {
        let k = self.count();
        let mut sums = vec![0f32; self.knots.len() * 2 * k];
        let mut block = vec![Complex::ZERO; self.knots.len()];
        let mut room = [[Complex::ZERO; 2]; 2];
        for first in (0..k).step_by(BLOCK) {
            let width = BLOCK.min(k - first);
            block.fill(Complex::ZERO);
            for rows in x.chunks(2 * k) {
                let rows = rows.split_at(k);
                let [turns, powers] = &mut room;
                if rows.1.is_empty() {
                    let ([turn, _], [power, _]) = (turns, powers);
                    let row = [&rows.0[first..first + width]];
                    self.add_powers(row, &mut block, std::array::from_mut(turn), std::array::from_mut(power));
                } else {
                    let rows = [&rows.0[first..first + width], &rows.1[first..first + width]];
                    self.add_powers(rows, &mut block, turns, powers);
                }
            }
            for (sums, knot) in sums.chunks_exact_mut(2 * k).zip(&block) {
                sums[first..first + width].copy_from_slice(&knot.re[..width]);
                sums[k + first..k + first + width].copy_from_slice(&knot.im[..width]);
            }
        }
        sums
    }

    /// Adds the powers of some rows to the sums at all knots.
    fn add_powers<const R: usize>(
        &self,
        rows: [&[f32]; R],
        sums: &mut [Complex],
        turns: &mut [Complex; R],
        powers: &mut [Complex; R],
    ) {
        turns.iter_mut().zip(rows).for_each(|(turn, x)| turn.become_turns(x, self.step));
        for (run, sums) in sums.chunks_mut(RUN).enumerate() {
            powers.iter_mut().zip(rows).for_each(|(power, x)| power.become_turns(x, self.step * (run * RUN) as f64));
            let (steps, rest) = sums.as_chunks_mut::<STEP>();
            steps.iter_mut().for_each(|sums| add_and_turn(sums, powers, turns));
            rest.iter_mut().for_each(|sum| add_and_turn(std::array::from_mut(sum), powers, turns));
        }
    }

    /// Sum of the statistics over slices, and the coefficients p_j of the gradient. -> (knots, 2, k)
    ///
    /// With C and S the means of cosine and sine the statistic is `n Σ w [(C - φ)² + S²]`, and along x its slope
    /// `Σ 2wt [S cos(t x) - (C - φ) sin(t x)] = Re Σ p_j turn^j`, `p_j = 2wt (S + i (C - φ))`.
    fn coefficients(&self, parts: &[Vec<f32>], n: usize) -> (f64, Vec<f32>) {
        let k = self.count();
        let mut totals = vec![0f64; self.knots.len() * 2 * k];
        parts.iter().for_each(|part| totals.iter_mut().zip(part).for_each(|(total, sum)| *total += f64::from(*sum)));
        let mut value = 0.0;
        let mut coefficients = vec![0f32; totals.len()];
        let knots = totals.chunks_exact(2 * k).zip(coefficients.chunks_exact_mut(2 * k));
        for (knot, (totals, p)) in self.knots.iter().zip(knots) {
            let slope = 2.0 * knot.weight * knot.t / k as f64;
            let ((cosines, sines), (re, im)) = (totals.split_at(k), p.split_at_mut(k));
            for slice in 0..k {
                let (off, sine) = (cosines[slice] / n as f64 - knot.target, sines[slice] / n as f64);
                value += n as f64 * knot.weight * (off * off + sine * sine);
                (re[slice], im[slice]) = ((slope * sine) as f32, (slope * off) as f32);
            }
        }
        (value, coefficients)
    }

    /// Turns each projection into the slope of the statistic along it. x (rows, k), coefficients (knots, 2, k)
    fn slopes(&self, x: &mut [f32], coefficients: &[f32]) {
        let k = self.count();
        let (mut turn, mut start, mut sum) = (Complex::ZERO, Complex::ZERO, Complex::ZERO);
        for first in (0..k).step_by(BLOCK) {
            let width = BLOCK.min(k - first);
            let coefficients = coefficients.chunks_exact(2 * k);
            let block: Vec<Complex> =
                coefficients.map(|p| Complex::of(&p[first..first + width], &p[k + first..k + first + width])).collect();
            for row in x.chunks_exact_mut(k) {
                let x = &mut row[first..first + width];
                turn.become_turns(x, self.step);
                let mut slopes = [0f32; BLOCK];
                for (run, p) in block.chunks(RUN).enumerate() {
                    sum.re.fill(0.0);
                    sum.im.fill(0.0);
                    let (rest, steps) = p.as_rchunks::<STEP>();
                    steps.iter().rev().for_each(|p| turn_and_add(p, &mut sum, &turn)); // Horner
                    rest.iter().rev().for_each(|p| turn_and_add(std::array::from_ref(p), &mut sum, &turn));
                    start.become_turns(x, self.step * (run * RUN) as f64);
                    for (lane, slope) in slopes.iter_mut().enumerate() {
                        *slope += fused(sum.re[lane], start.re[lane], -(sum.im[lane] * start.im[lane]));
                    }
                }
                x.copy_from_slice(&slopes[..width]);
            }
        }
    }
}

/// A complex number for each slice of a block.
#[derive(Clone, Copy)]
struct Complex {
    re: [f32; BLOCK],
    im: [f32; BLOCK],
}

impl Complex {
    const ZERO: Self = Self { re: [0.0; BLOCK], im: [0.0; BLOCK] };

    fn of(re: &[f32], im: &[f32]) -> Self {
        let mut numbers = Self::ZERO;
        numbers.re[..re.len()].copy_from_slice(re);
        numbers.im[..im.len()].copy_from_slice(im);
        numbers
    }

    /// Becomes `exp(2πi·step·x)`. Where x is large, a product rounded before its whole turns are taken off would lose digits.
    #[inline(never)]
    fn become_turns(&mut self, x: &[f32], step: f64) {
        if step == 0.0 {
            self.re.fill(1.0);
            self.im.fill(0.0);
            return;
        }
        let high = step as f32;
        let low = (step - f64::from(high)) as f32;
        for ((re, im), &x) in self.re.iter_mut().zip(&mut self.im).zip(x) {
            let whole = (x * high).round_ties_even();
            (*im, *re) = sine_cosine_of_turns(fused(x, low, fused(x, high, -whole)));
        }
    }
}

/// Adds the powers of all rows to the sum of each knot, with a turn after each.
#[inline(never)] // apart, the compiler knows that these do not overlap
fn add_and_turn<const K: usize, const R: usize>(sums: &mut [Complex; K], powers: &mut [Complex; R], turns: &[Complex; R]) {
    for lane in 0..BLOCK {
        for row in 0..R {
            let (mut re, mut im) = (powers[row].re[lane], powers[row].im[lane]);
            let (c, s) = (turns[row].re[lane], turns[row].im[lane]);
            for sum in sums.iter_mut() {
                sum.re[lane] += re;
                sum.im[lane] += im;
                (re, im) = (fused(re, c, -(im * s)), fused(re, s, im * c));
            }
            (powers[row].re[lane], powers[row].im[lane]) = (re, im);
        }
    }
}

/// From the last coefficient to the first: times the turn, plus the coefficient.
#[inline(never)]
fn turn_and_add<const K: usize>(coefficients: &[Complex; K], sum: &mut Complex, turn: &Complex) {
    for lane in 0..BLOCK {
        let (mut re, mut im) = (sum.re[lane], sum.im[lane]);
        let (c, s) = (turn.re[lane], turn.im[lane]);
        for p in coefficients.iter().rev() {
            (re, im) = (fused(re, c, fused(-im, s, p.re[lane])), fused(re, s, fused(im, c, p.im[lane])));
        }
        (sum.re[lane], sum.im[lane]) = (re, im);
    }
}
