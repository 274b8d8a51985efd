//! SIGReg's value and gradient together, on the float32 points of one group.
//!
//! With `θ = dt·x`, the turn of a knot is made of those two and four knots before it, cosines and sines alike (Chebyshev):
//! ```text
//! cos((j + 2)θ) = 2 cos(2θ) cos(jθ) - cos((j - 2)θ)
//! ```
//! and the gradient's series `Σ_j p_j exp(ijθ)` is summed by the same recurrence backwards (Clenshaw 1955), odd and even knots
//! apart, so that a knot costs two multiplications each way. Rounding grows with the square of the recurrence's steps: they are
//! half of what they would be from each knot to the next, and turns are started afresh every 16 knots.

use crate::knots::Knot;
use rayon::prelude::*;
use regatta_core::kernels::elementary::{TurnsPerUnit, sine_cosine};
use regatta_core::kernels::{Matrix, MatrixMut, Onto, Panels, product_of_panels, with_scratch};
use regatta_core::simd::{LANES, Lanes, Register, Simd, load, store};
use regatta_core::{Draw, FloatCloud, Kernel, Result, candle, vectorize};

/// Rows that one task takes: float32 sums are no longer than that, and sums of those are in float64.
const ROWS: usize = 512;
/// Rows whose sums are made together, so that those stay in registers and turns in the nearest cache.
const TOGETHER: usize = 16;
/// Eights of knots from one exact turn to the next.
const RUN: usize = 2;

/// At eight knots, a number for cosine and sine each, or a coefficient of each, as they lie in memory.
type Eight = [Stored; 8];

/// A [`Turn`] in memory.
#[derive(Clone, Copy)]
struct Stored {
    cos: Register,
    sin: Register,
}

impl Stored {
    const ZERO: Self = Self { cos: Register::ZERO, sin: Register::ZERO };
}

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
    /// To the knot before each run but the first.
    runs: Vec<TurnsPerUnit>,
}

impl Kernel for Slices {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        match cloud.dims() == self.dims {
            true => cloud.each_group(|points, gradient| Ok(self.penalty(points, gradient))),
            false => Err(candle::Error::msg(format!("expected points of {} dims, found {}", self.dims, cloud.dims())).into()),
        }
    }
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
        let runs = (8 * RUN..knots.len() - 1).step_by(8 * RUN).map(turns).collect();
        Self { count, directions: Panels::of(rows), across: Panels::of(rows.transposed()), dims, step: turns(1), runs, knots }
    }

    /// The mean over slices of the statistic of one group. points (n, d), gradient (n, d)
    fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
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
                sums(self, x)
            })
            .collect();

        let (value, coefficients) = self.coefficients(&parts, n);
        let rows = x.par_chunks_mut(ROWS * k).zip(gradient.par_chunks_mut(ROWS * self.dims)).with_max_len(1);
        rows.for_each(|(x, gradient)| {
            slopes(self, x, &coefficients);
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

    /// What leads to the knot before each run: nothing, before the first one.
    fn runs(&self) -> impl Iterator<Item = Option<&TurnsPerUnit>> {
        std::iter::once(None).chain(self.runs.iter().map(Some))
    }

    /// Sum of the statistics over slices, and the coefficients of their mean's gradient. -> (registers of slices, eights)
    ///
    /// With C and S the means of cosine and sine the statistic is `n Σ w [(C - φ)² + S²]`, and along x its slope
    /// `Σ 2wt [S cos(t x) - (C - φ) sin(t x)] = Re Σ p_j exp(ijθ)`, `p_j = 2wt (S + i (C - φ))`; over k in the mean.
    fn coefficients(&self, parts: &[Vec<Eight>], n: usize) -> (f64, Vec<Eight>) {
        let eights = self.eights();
        let mut values = [0f64; LANES];
        let mut coefficients = vec![[Stored::ZERO; 8]; parts[0].len()];
        for (at, eight) in coefficients.iter_mut().enumerate() {
            let slices = LANES.min(self.count - at / eights * LANES);
            for (place, (p, knot)) in eight.iter_mut().zip(&self.knots[8 * (at % eights) + 1..]).enumerate() {
                let mean = |of: fn(&Stored) -> Register| {
                    let mut total = [0f64; LANES];
                    for part in parts {
                        total.iter_mut().zip(of(&part[at][place]).0).for_each(|(total, x)| *total += f64::from(x));
                    }
                    total.map(|total| total / n as f64)
                };
                let (sine, off) = (mean(|sum| sum.sin), mean(|sum| sum.cos).map(|cosine| cosine - knot.target));
                let values = values.iter_mut().zip(off.iter().zip(&sine)).take(slices);
                values.for_each(|(value, (off, sine))| *value += knot.weight * (off * off + sine * sine));
                let slope = 2.0 * knot.weight * knot.t / self.count as f64;
                let slopes = |of: [f64; LANES]| Register(of.map(|of| (slope * of) as f32));
                *p = Stored { cos: slopes(sine), sin: slopes(off) };
            }
        }
        (n as f64 * values.iter().sum::<f64>(), coefficients)
    }
}

vectorize! {
    /// Sums over rows of cosine and sine at each knot. x (rows, k') -> (registers of slices, eights)
    fn sums(slices: &Slices, x: &[f32]) -> Vec<Eight> = sums_with;

    /// Turns each projection into the slope of the statistic along it. x (rows, k'), coefficients (registers of slices, eights)
    fn slopes(slices: &Slices, x: &mut [f32], coefficients: &[Eight]) = slopes_with;
}

#[inline(always)]
fn sums_with<S: Simd>(slices: &Slices, x: &[f32]) -> Vec<Eight> {
    let k = slices.padded();
    let mut sums = vec![[Stored::ZERO; 8]; k / LANES * slices.eights()];
    let mut room = [Turns::<S>::NONE; TOGETHER];
    for rows in x.chunks(TOGETHER * k) {
        for (block, sums) in sums.chunks_exact_mut(slices.eights()).enumerate() {
            for (run, sums) in slices.runs().zip(sums.chunks_mut(RUN)) {
                let turns = turns(slices, rows, block, run, &mut room);
                let (last, earlier) = sums.split_last_mut().expect("a chunk");
                for eight in earlier {
                    let mut kept = loaded(eight); // in registers
                    for turns in &mut *turns {
                        let mut own = turns.clone();
                        own.add_eight(&mut kept);
                        *turns = own;
                    }
                    *eight = stored(&kept);
                }
                let mut kept = loaded(last);
                for turns in turns {
                    turns.clone().add_eight(&mut kept); // where they go on to is of no use
                }
                *last = stored(&kept);
            }
        }
    }
    sums
}

/// By loops, like all that follows: what a closure computes may be compiled without the instructions of its caller.
#[inline(always)]
fn loaded<S: Simd>(eight: &Eight) -> [Turn<S>; 8] {
    let mut turns = [Turn::ZERO; 8];
    for (turn, stored) in turns.iter_mut().zip(eight) {
        *turn = Turn::load(*stored);
    }
    turns
}

#[inline(always)]
fn stored<S: Simd>(turns: &[Turn<S>; 8]) -> Eight {
    let mut eight = [Stored::ZERO; 8];
    for (stored, turn) in eight.iter_mut().zip(turns) {
        *stored = turn.store();
    }
    eight
}

/// At a run's start, of a register of each row, in the room's first places.
#[inline(always)]
fn turns<'a, S: Simd>(
    slices: &Slices,
    rows: &[f32],
    block: usize,
    run: Option<&TurnsPerUnit>,
    room: &'a mut [Turns<S>; TOGETHER],
) -> &'a mut [Turns<S>] {
    let rows = rows.chunks_exact(slices.padded());
    let turns = &mut room[..rows.len()];
    for (turns, row) in turns.iter_mut().zip(rows) {
        *turns = Turns::of(load(&row[block * LANES..]), &slices.step, run);
    }
    turns
}

#[inline(always)]
fn slopes_with<S: Simd>(slices: &Slices, x: &mut [f32], coefficients: &[Eight]) {
    let k = slices.padded();
    let mut room = [Turns::<S>::NONE; TOGETHER];
    for rows in x.chunks_mut(TOGETHER * k) {
        for (block, coefficients) in coefficients.chunks_exact(slices.eights()).enumerate() {
            let mut slopes = [Lanes::<S>::ZERO; TOGETHER];
            for (run, eights) in slices.runs().zip(coefficients.chunks(RUN)) {
                let turns = turns(slices, rows, block, run, &mut room);
                for (slope, turns) in slopes.iter_mut().zip(turns) {
                    *slope += turns.series(eights);
                }
            }
            for (row, slope) in rows.chunks_exact_mut(k).zip(&slopes) {
                store(&mut row[block * LANES..(block + 1) * LANES], *slope);
            }
        }
    }
}

/// `exp(iα)`, or another complex number, for each slice of a register.
#[derive(Clone, Copy)]
struct Turn<S: Simd> {
    cos: Lanes<S>,
    sin: Lanes<S>,
}

impl<S: Simd> Turn<S> {
    const ZERO: Self = Self { cos: Lanes::ZERO, sin: Lanes::ZERO };
    const ONE: Self = Self { cos: Lanes::ONE, sin: Lanes::ZERO };

    #[inline(always)]
    fn of(x: Lanes<S>, turns: &TurnsPerUnit) -> Self {
        let (sin, cos) = sine_cosine(x, turns);
        Self { cos, sin }
    }

    #[inline(always)]
    fn load(stored: Stored) -> Self {
        Self { cos: stored.cos.into(), sin: stored.sin.into() }
    }

    #[inline(always)]
    fn store(self) -> Stored {
        Stored { cos: self.cos.into(), sin: self.sin.into() }
    }

    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        Self { cos: self.real(other), sin: self.cos.mul_add(other.sin, self.sin * other.cos) }
    }

    /// The real part of the product.
    #[inline(always)]
    fn real(&self, other: &Self) -> Lanes<S> {
        self.cos.mul_sub(other.cos, self.sin * other.sin)
    }

    #[inline(always)]
    fn squared(&self) -> Self {
        Self { cos: (self.cos - self.sin) * (self.cos + self.sin), sin: (self.sin + self.sin) * self.cos }
    }

    /// `exp(-iα)`
    #[inline(always)]
    fn back(&self) -> Self {
        Self { cos: self.cos, sin: -self.sin }
    }

    /// `factor·self - other`
    #[inline(always)]
    fn scaled_less(&self, factor: Lanes<S>, other: &Self) -> Self {
        Self { cos: factor.mul_sub(self.cos, other.cos), sin: factor.mul_sub(self.sin, other.sin) }
    }

    #[inline(always)]
    fn minus(&self, other: &Self) -> Self {
        Self { cos: self.cos - other.cos, sin: self.sin - other.sin }
    }
}

/// Where a register of numbers stands among the knots of a run.
#[derive(Clone)]
struct Turns<S: Simd> {
    /// `2 cos(2θ)`
    twice: Lanes<S>,
    /// At the next two knots.
    next: [Turn<S>; 2],
    /// And at the two before them.
    last: [Turn<S>; 2],
}

impl<S: Simd> Turns<S> {
    const NONE: Self = Self { twice: Lanes::ZERO, next: [Turn::ZERO; 2], last: [Turn::ZERO; 2] };

    /// At a run's start. `step` is one knot; `run` leads to the knot before the run, where it is not the first.
    #[inline(always)]
    fn of(x: Lanes<S>, step: &TurnsPerUnit, run: Option<&TurnsPerUnit>) -> Self {
        let one = Turn::of(x, step);
        let two = one.squared();
        let mut turns = Self { twice: two.cos + two.cos, next: [one, two], last: [one.back(), Turn::ONE] };
        if let Some(run) = run {
            let start = Turn::of(x, run);
            for turn in turns.next.iter_mut().chain(&mut turns.last) {
                *turn = start.times(turn);
            }
        }
        turns
    }

    /// Adds the turns at the next eight knots to their sums.
    #[inline(always)]
    fn add_eight(&mut self, sums: &mut [Turn<S>; 8]) {
        for sums in sums.as_chunks_mut::<2>().0 {
            for (sum, turn) in sums.iter_mut().zip(&self.next) {
                sum.cos += turn.cos;
                sum.sin += turn.sin;
            }
            let [odd, even] = &self.next;
            let beyond = [odd.scaled_less(self.twice, &self.last[0]), even.scaled_less(self.twice, &self.last[1])];
            (self.next, self.last) = (beyond, self.next);
        }
    }

    /// The real part of a run's series `Σ_j p_j exp(ijθ)`: with `b_j = p_j + 2 cos(2θ) b_(j+2) - b_(j+4)`, odd and even knots
    /// apart, it is that of `b_j exp(ijθ) - b_(j+2) exp(i(j-2)θ)` at the first two.
    #[inline(always)]
    fn series(&self, eights: &[Eight]) -> Lanes<S> {
        let [mut b, mut beyond] = [[Turn::ZERO; 2]; 2];
        for p in eights.as_flattened().as_chunks::<2>().0.iter().rev() {
            let odd = b[0].scaled_less(self.twice, &beyond[0].minus(&Turn::load(p[0])));
            let even = b[1].scaled_less(self.twice, &beyond[1].minus(&Turn::load(p[1])));
            (b, beyond) = ([odd, even], b);
        }
        let odd = b[0].real(&self.next[0]) - beyond[0].real(&self.last[0]);
        let even = b[1].real(&self.next[1]) - beyond[1].real(&self.last[1]);
        odd + even
    }
}
