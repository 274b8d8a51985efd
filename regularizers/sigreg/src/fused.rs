//! SIGReg's value and gradient together, on the float32 points of one group.
//!
//! With `θ = dt·x`, the turn of the next knot is made of those of the last two, cosines and sines alike (Chebyshev):
//! ```text
//! cos((j + 1)θ) = 2 cos(θ) cos(jθ) - cos((j - 1)θ)
//! ```
//! and the gradient's series `Σ_j p_j exp(ijθ)` is summed by the same recurrence backwards (Clenshaw 1955), so that a knot costs
//! two multiplications each way. Turns are started afresh every 16 knots, before rounding adds up: an error grows as j².

use crate::epps_pulley::Knot;
use rayon::prelude::*;
use regatta_core::maths::elementary::{TurnsPerUnit, sine_cosine};
use regatta_core::maths::vector::{LANES, Lanes, load};
use regatta_core::maths::{Matrix, MatrixMut, Onto, Panels, product_of_panels, with_scratch};

/// Rows that one task takes: float32 sums are no longer than that, and sums of those are in float64.
const ROWS: usize = 512;
/// Rows whose sums are made together, so that those stay in registers and turns in the nearest cache.
const TOGETHER: usize = 16;
/// Eights of knots from one exact turn to the next.
const RUN: usize = 2;

/// At eight knots, a number for cosine and sine each, or a coefficient of each.
type Eight = [Turn; 8];

/// Unit directions, and the knots along each.
pub struct Slices {
    /// How many: k.
    count: usize,
    /// Directions (k', d), with zeros up to a whole number of registers k'.
    directions: Panels,
    /// The same, (d, k').
    across: Panels,
    dims: usize,
    knots: Vec<Knot>,
    /// From one knot to the next.
    step: TurnsPerUnit,
    /// To the knot before each run but the first, and to the one before that.
    runs: Vec<[TurnsPerUnit; 2]>,
}

impl Slices {
    /// Of directions (k, d), row after row.
    pub fn new(directions: &[f32], dims: usize, knots: Vec<Knot>) -> Self {
        let count = directions.len() / dims;
        let padded = count.next_multiple_of(LANES);
        let mut rows = directions.to_vec();
        rows.resize(padded * dims, 0.0);
        let rows = Matrix::new(&rows, padded, dims);
        let turns = |knot: usize| TurnsPerUnit::new(knots[1].t / std::f64::consts::TAU * knot as f64);
        let runs = (8 * RUN..knots.len() - 1).step_by(8 * RUN).map(|before| [turns(before), turns(before - 1)]).collect();
        Self { count, directions: Panels::of(rows), across: Panels::of(rows.transposed()), dims, step: turns(1), runs, knots }
    }

    /// The mean over slices of the statistic of one group. points (n, d), gradient (n, d)
    pub fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
        with_scratch(points.len() / self.dims * self.padded(), |x| self.penalty_through(points, x, gradient))
    }

    /// The same; x (n, k') takes the projections, and then the slopes along each.
    fn penalty_through(&self, points: &[f32], x: &mut [f32], gradient: &mut [f32]) -> f64 {
        let (n, k) = (points.len() / self.dims, self.padded());
        let rows = x.par_chunks_mut(ROWS * k).zip(points.par_chunks(ROWS * self.dims)).with_max_len(1);
        let parts: Vec<Vec<Eight>> = rows
            .map(|(x, points)| {
                let count = points.len() / self.dims;
                let points = Matrix::new(points, count, self.dims);
                product_of_panels(MatrixMut::new(x, count, k), Onto::Replace, 1.0, points, &self.across);
                self.sums(x)
            })
            .collect();

        let (value, coefficients) = self.coefficients(&parts, n);
        let rows = x.par_chunks_mut(ROWS * k).zip(gradient.par_chunks_mut(ROWS * self.dims)).with_max_len(1);
        rows.for_each(|(x, gradient)| {
            self.slopes(x, &coefficients);
            let count = gradient.len() / self.dims;
            let (gradient, slopes) = (MatrixMut::new(gradient, count, self.dims), Matrix::new(x, count, k));
            product_of_panels(gradient, Onto::Replace, 1.0, slopes, &self.directions);
        });
        value / self.count as f64
    }

    /// How many slices with those of zeros: k'.
    fn padded(&self) -> usize {
        self.directions.shape().0
    }

    /// How many eights of knots after the first, whose term is always 0; the last one perhaps with knots of no weight.
    fn eights(&self) -> usize {
        (self.knots.len() - 1).div_ceil(8)
    }

    /// What starts each run: the first one starts with knot 0.
    fn runs(&self) -> impl Iterator<Item = Option<&[TurnsPerUnit; 2]>> {
        std::iter::once(None).chain(self.runs.iter().map(Some))
    }

    /// Sums over rows of cosine and sine at each knot. x (rows, k') -> (registers of slices, eights)
    fn sums(&self, x: &[f32]) -> Vec<Eight> {
        let k = self.padded();
        let mut sums = vec![[Turn::ZERO; 8]; k / LANES * self.eights()];
        let mut room = [Turns::NONE; TOGETHER];
        for rows in x.chunks(TOGETHER * k) {
            for (block, sums) in sums.chunks_exact_mut(self.eights()).enumerate() {
                let x = rows.chunks_exact(k).map(|row| load(&row[block * LANES..]));
                let turns = room.iter_mut().zip(x).map(|(turns, x)| *turns = Turns::of(x, &self.step)).count();
                let turns = &mut room[..turns];
                for (run, sums) in self.runs().zip(sums.chunks_mut(RUN)) {
                    turns.iter_mut().for_each(|turns| turns.start(run));
                    sums.iter_mut().for_each(|eight| turn_and_sum(eight, turns));
                }
            }
        }
        sums
    }

    /// Sum of the statistics over slices, and the coefficients of the gradient's series. -> (registers of slices, eights)
    ///
    /// With C and S the means of cosine and sine the statistic is `n Σ w [(C - φ)² + S²]`, and along x its slope
    /// `Σ 2wt [S cos(t x) - (C - φ) sin(t x)] = Re Σ p_j exp(ijθ)`, `p_j = 2wt (S + i (C - φ))`, over n.
    fn coefficients(&self, parts: &[Vec<Eight>], n: usize) -> (f64, Vec<Eight>) {
        let eights = self.eights();
        let mut values = [0f64; LANES];
        let mut coefficients = vec![[Turn::ZERO; 8]; parts[0].len()];
        for (at, eight) in coefficients.iter_mut().enumerate() {
            let slices = LANES.min(self.count - at / eights * LANES);
            for (place, (p, knot)) in eight.iter_mut().zip(&self.knots[8 * (at % eights) + 1..]).enumerate() {
                let mean = |of: fn(&Turn) -> Lanes| {
                    let mut total = [0f64; LANES];
                    for part in parts {
                        total.iter_mut().zip(of(&part[at][place]).to_array()).for_each(|(total, x)| *total += f64::from(x));
                    }
                    total.map(|total| total / n as f64)
                };
                let (sine, off) = (mean(|sum| sum.sin), mean(|sum| sum.cos).map(|cosine| cosine - knot.target));
                let values = values.iter_mut().zip(off.iter().zip(&sine)).take(slices);
                values.for_each(|(value, (off, sine))| *value += knot.weight * (off * off + sine * sine));
                let slope = 2.0 * knot.weight * knot.t / self.count as f64;
                let slopes = |of: [f64; LANES]| Lanes::from(of.map(|of| (slope * of) as f32));
                *p = Turn { cos: slopes(sine), sin: slopes(off) };
            }
        }
        (n as f64 * values.iter().sum::<f64>(), coefficients)
    }

    /// Turns each projection into the slope of the statistic along it. x (rows, k'), coefficients (registers of slices, eights)
    fn slopes(&self, x: &mut [f32], coefficients: &[Eight]) {
        for row in x.chunks_exact_mut(self.padded()) {
            let (registers, _) = row.as_chunks_mut::<LANES>();
            for (x, coefficients) in registers.iter_mut().zip(coefficients.chunks_exact(self.eights())) {
                let mut turns = Turns::of(Lanes::from(*x), &self.step);
                let mut slope = Lanes::ZERO;
                for (run, eights) in self.runs().zip(coefficients.chunks(RUN)) {
                    turns.start(run);
                    slope += turns.series(eights);
                }
                *x = slope.to_array();
            }
        }
    }
}

/// Adds the turns at the next eight knots to their sums.
fn turn_and_sum(eight: &mut Eight, turns: &mut [Turns]) {
    let mut sums = *eight; // in registers
    for turns in turns {
        let [mut last, mut before] = turns.last;
        for sum in &mut sums {
            (last, before) = (last.scaled_less(turns.twice, &before), last);
            sum.cos += last.cos;
            sum.sin += last.sin;
        }
        turns.last = [last, before];
    }
    *eight = sums;
}

/// `exp(iα)`, or another complex number, for each slice of a register.
#[derive(Clone, Copy)]
struct Turn {
    cos: Lanes,
    sin: Lanes,
}

impl Turn {
    const ZERO: Self = Self { cos: Lanes::ZERO, sin: Lanes::ZERO };
    const ONE: Self = Self { cos: Lanes::ONE, sin: Lanes::ZERO };

    #[inline(always)]
    fn of(x: Lanes, turns: &TurnsPerUnit) -> Self {
        let (sin, cos) = sine_cosine(x, turns);
        Self { cos, sin }
    }

    /// `factor·self - other`
    #[inline(always)]
    fn scaled_less(&self, factor: Lanes, other: &Self) -> Self {
        Self { cos: factor.mul_sub(self.cos, other.cos), sin: factor.mul_sub(self.sin, other.sin) }
    }

    #[inline(always)]
    fn minus(&self, other: &Self) -> Self {
        Self { cos: self.cos - other.cos, sin: self.sin - other.sin }
    }

    /// The real part of the product.
    #[inline(always)]
    fn real(&self, other: &Self) -> Lanes {
        self.cos.mul_sub(other.cos, self.sin * other.sin)
    }
}

/// What the knots' turns of a register of numbers are made of.
#[derive(Clone, Copy)]
struct Turns {
    x: Lanes,
    /// `2 cos θ`
    twice: Lanes,
    /// At the last knot and at the one before: at first those at 0 and -1.
    last: [Turn; 2],
}

impl Turns {
    const NONE: Self = Self { x: Lanes::ZERO, twice: Lanes::ZERO, last: [Turn::ZERO; 2] };

    /// `step` is one knot.
    #[inline(always)]
    fn of(x: Lanes, step: &TurnsPerUnit) -> Self {
        let Turn { cos, sin } = Turn::of(x, step);
        Self { x, twice: cos + cos, last: [Turn::ONE, Turn { cos, sin: -sin }] }
    }

    /// Goes to the knots before a run, where it is not the first.
    #[inline(always)]
    fn start(&mut self, run: Option<&[TurnsPerUnit; 2]>) {
        if let Some(last) = run {
            self.last = last.each_ref().map(|turns| Turn::of(self.x, turns));
        }
    }

    /// The real part of a run's series `Σ_j p_j exp(ijθ)`: with `b_j = p_j + 2 cos(θ) b_(j+1) - b_(j+2)` down to the knot before
    /// the run, where p is 0, it is that of `b_0 exp(i·0) - b_1 exp(-iθ)`, counted from there.
    #[inline(always)]
    fn series(&self, eights: &[Eight]) -> Lanes {
        let [mut next, mut after] = [Turn::ZERO; 2];
        for p in eights.as_flattened().iter().rev() {
            (next, after) = (next.scaled_less(self.twice, &after.minus(p)), next);
        }
        let first = next.scaled_less(self.twice, &after);
        let [last, before] = &self.last;
        first.real(last) - next.real(before)
    }
}
