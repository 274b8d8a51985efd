//! SIGReg's value and gradient together, on the float32 points of one group.
//!
//! With `θ = dt·x`, the knots `t_j x = jθ` but the first, whose term is always 0, are taken in fours around the centres
//! `c = 4g + 5/2`. The products of a centre's cosine and sine with those of `hθ`, for `h = 1/2` and `3/2`, serve two knots each:
//! ```text
//! cos((c ± h)θ) = cos(cθ) cos(hθ) ∓ sin(cθ) sin(hθ)
//! sin((c ± h)θ) = sin(cθ) cos(hθ) ± cos(cθ) sin(hθ)
//! ```
//! so that their sums over points cost one operation a number, and from centre to centre it is one turn by 4θ. The gradient's
//! series in the knots is summed by the same products. Turns are started afresh every 32 knots, before rounding adds up.

use crate::epps_pulley::Knot;
use rayon::prelude::*;
use regatta_core::maths::elementary::{TurnsPerUnit, sine_cosine};
use regatta_core::maths::vector::{LANES, Lanes, load, store};
use regatta_core::maths::{Matrix, MatrixMut, Onto, Panels, product_of_panels, with_scratch};

/// Rows that one task takes: float32 sums are no longer than that, and sums of those are in float64.
const ROWS: usize = 512;
/// Rows worked on together, so that sums stay in registers and turns in the nearest cache.
const TOGETHER: usize = 16;
/// Fours of knots from one exact turn to the next.
const RUN: usize = 8;

/// For each of h = 1/2 and 3/2, a number for each of (cos c cos h, sin c sin h, sin c cos h, cos c sin h), or a coefficient of it.
type Four = [[Lanes; 4]; 2];

const ZERO: Four = [[Lanes::ZERO; 4]; 2];

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
    /// From the middle between two knots to the next knot.
    half: TurnsPerUnit,
    /// The first centre of each run but the first.
    runs: Vec<TurnsPerUnit>,
}

impl Slices {
    /// Of directions (k, d), row after row.
    pub fn new(directions: &[f32], dims: usize, knots: Vec<Knot>) -> Self {
        let count = directions.len() / dims;
        let padded = count.next_multiple_of(LANES);
        let mut rows = directions.to_vec();
        rows.resize(padded * dims, 0.0);
        let rows = Matrix::new(&rows, padded, dims);
        let step = knots[1].t / std::f64::consts::TAU;
        let runs = (4 * RUN..knots.len()).step_by(4 * RUN).map(|knot| TurnsPerUnit::new(step * (knot as f64 + 2.5))).collect();
        Self {
            count,
            directions: Panels::of(rows),
            across: Panels::of(rows.transposed()),
            dims,
            knots,
            half: TurnsPerUnit::new(0.5 * step),
            runs,
        }
    }

    /// The mean over slices of the statistic of one group. points (n, d), gradient (n, d)
    pub fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
        with_scratch(points.len() / self.dims * self.padded(), |x| self.penalty_through(points, x, gradient))
    }

    /// The same; x (n, k') takes the projections, and then the slopes along each.
    fn penalty_through(&self, points: &[f32], x: &mut [f32], gradient: &mut [f32]) -> f64 {
        let (n, k) = (points.len() / self.dims, self.padded());
        let rows = x.par_chunks_mut(ROWS * k).zip(points.par_chunks(ROWS * self.dims)).with_max_len(1);
        let parts: Vec<Vec<Four>> = rows
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

    /// How many fours of knots, the last one perhaps with knots of no weight.
    fn fours(&self) -> usize {
        (self.knots.len() - 1).div_ceil(4)
    }

    /// What starts each run: the first one starts with the first centre.
    fn runs(&self) -> impl Iterator<Item = Option<&TurnsPerUnit>> {
        std::iter::once(None).chain(self.runs.iter().map(Some))
    }

    /// Sums over rows of the products at each four of knots. x (rows, k') -> (registers of slices, fours)
    fn sums(&self, x: &[f32]) -> Vec<Four> {
        let k = self.padded();
        let mut sums = vec![ZERO; k / LANES * self.fours()];
        let mut room = [Turns::NONE; TOGETHER];
        for rows in x.chunks(TOGETHER * k) {
            for (block, sums) in sums.chunks_exact_mut(self.fours()).enumerate() {
                let turns = self.turns(rows.chunks_exact(k).map(|row| load(&row[block * LANES..])), &mut room);
                for (run, sums) in self.runs().zip(sums.chunks_mut(RUN)) {
                    start(run, turns);
                    sums.iter_mut().enumerate().for_each(|(place, four)| turn_and_sum(four, turns, place > 0));
                }
            }
        }
        sums
    }

    /// Turns of each number, in the room's first places.
    fn turns<'a>(&self, x: impl Iterator<Item = Lanes>, room: &'a mut [Turns; TOGETHER]) -> &'a mut [Turns] {
        let mut count = 0;
        for (turns, x) in room.iter_mut().zip(x) {
            *turns = Turns::of(x, &self.half);
            count += 1;
        }
        &mut room[..count]
    }

    /// Sum of the statistics over slices, and the coefficients of the gradient's series. -> (registers of slices, fours)
    ///
    /// With C and S the means of cosine and sine the statistic is `n Σ w [(C - φ)² + S²]`, and along x its slope
    /// `Σ 2wt [S cos(t x) - (C - φ) sin(t x)] = Re Σ p_j exp(ijθ)`, `p_j = 2wt (S + i (C - φ))`; two knots around a centre have
    /// `p₋ exp(-ihθ) + p₊ exp(ihθ) = (p₊ + p₋) cos(hθ) + i (p₊ - p₋) sin(hθ)`.
    fn coefficients(&self, parts: &[Vec<Four>], n: usize) -> (f64, Vec<Four>) {
        let n = n as f64;
        let mut value = 0.0;
        let mut coefficients = vec![ZERO; parts[0].len()];
        for (at, four) in coefficients.iter_mut().enumerate() {
            let (first_slice, first_knot) = (at / self.fours() * LANES, 4 * (at % self.fours()) + 1);
            for (half, coefficients) in four.iter_mut().enumerate() {
                let mut totals = [[0f64; LANES]; 4];
                for part in parts {
                    for (totals, sums) in totals.iter_mut().zip(&part[at][half]) {
                        totals.iter_mut().zip(sums.to_array()).for_each(|(total, sum)| *total += f64::from(sum));
                    }
                }
                let [below, above] = [first_knot + 1 - half, first_knot + 2 + half].map(|knot| self.knots.get(knot));
                let mut found = [[0f32; LANES]; 4];
                for lane in 0..LANES.min(self.count - first_slice) {
                    let [cc, ss, sc, cs] = totals.map(|total| total[lane] / n);
                    let below = self.term(below, [cc + ss, sc - cs]);
                    let above = self.term(above, [cc - ss, sc + cs]);
                    value += n * (below.value + above.value);
                    let (p, q) = (below.slope, above.slope);
                    let series = [q[0] + p[0], p[1] - q[1], q[1] + p[1], q[0] - p[0]];
                    found.iter_mut().zip(series).for_each(|(found, number)| found[lane] = number as f32);
                }
                *coefficients = found.map(Lanes::from);
            }
        }
        (value, coefficients)
    }

    /// Of a knot whose means of cosine and sine are these; nothing of one that only fills up a four.
    fn term(&self, knot: Option<&Knot>, [cosine, sine]: [f64; 2]) -> Term {
        let Some(knot) = knot else { return Term { value: 0.0, slope: [0.0; 2] } };
        let off = cosine - knot.target;
        let slope = 2.0 * knot.weight * knot.t / self.count as f64;
        Term { value: knot.weight * (off * off + sine * sine), slope: [slope * sine, slope * off] }
    }

    /// Turns each projection into the slope of the statistic along it. x (rows, k'), coefficients (registers of slices, fours)
    fn slopes(&self, x: &mut [f32], coefficients: &[Four]) {
        let k = self.padded();
        let mut room = [Turns::NONE; TOGETHER];
        for rows in x.chunks_mut(TOGETHER * k) {
            for (block, coefficients) in coefficients.chunks_exact(self.fours()).enumerate() {
                let place = block * LANES..(block + 1) * LANES;
                let turns = self.turns(rows.chunks_exact(k).map(|row| load(&row[place.clone()])), &mut room);
                let mut slopes = [Lanes::ZERO; TOGETHER];
                for (run, fours) in self.runs().zip(coefficients.chunks(RUN)) {
                    let mut series = [Turn::ZERO; TOGETHER];
                    let last_first = fours.iter().rev().enumerate();
                    last_first.for_each(|(place, four)| turn_and_add(four, &mut series, turns, place > 0));
                    start(run, turns);
                    for ((slope, series), turns) in slopes.iter_mut().zip(&series).zip(&*turns) {
                        *slope += series.times(&turns.centre).cos;
                    }
                }
                for (row, slope) in rows.chunks_exact_mut(k).zip(&slopes) {
                    store(&mut row[place.clone()], *slope);
                }
            }
        }
    }
}

/// What a knot adds to the statistic.
struct Term {
    /// `w [(C - φ)² + S²]`
    value: f64,
    /// p, its real and imaginary part.
    slope: [f64; 2],
}

/// Brings each centre to the first one of a run.
fn start(run: Option<&TurnsPerUnit>, turns: &mut [Turns]) {
    if let Some(run) = run {
        turns.iter_mut().for_each(|turns| turns.centre = Turn::of(turns.x, run));
    }
}

/// Adds the products of all numbers to the sums at a four of knots; `on` goes on to its centre from the one before.
fn turn_and_sum(four: &mut Four, turns: &mut [Turns], on: bool) {
    let mut sums = *four; // in registers
    for turns in turns {
        if on {
            turns.centre = turns.centre.times(&turns.four);
        }
        let Turns { fine, centre, .. } = turns;
        for ([cc, ss, sc, cs], h) in sums.iter_mut().zip(&*fine) {
            *cc = centre.cos.mul_add(h.cos, *cc);
            *ss = centre.sin.mul_add(h.sin, *ss);
            *sc = centre.sin.mul_add(h.cos, *sc);
            *cs = centre.cos.mul_add(h.sin, *cs);
        }
    }
    *four = sums;
}

/// Horner: `on` brings each series to the centre before, and what the knots around it contribute is added.
fn turn_and_add(four: &Four, series: &mut [Turn], turns: &[Turns], on: bool) {
    let four = *four; // in registers
    for (series, turns) in series.iter_mut().zip(turns) {
        let mut sum = if on { series.times(&turns.four) } else { Turn::ZERO };
        for ([re_cos, re_sin, im_cos, im_sin], h) in four.iter().zip(&turns.fine) {
            sum.cos = h.cos.mul_add(*re_cos, h.sin.mul_add(*re_sin, sum.cos));
            sum.sin = h.cos.mul_add(*im_cos, h.sin.mul_add(*im_sin, sum.sin));
        }
        *series = sum;
    }
}

/// `exp(iα)`, or another complex number, for each slice of a register.
#[derive(Clone, Copy)]
struct Turn {
    cos: Lanes,
    sin: Lanes,
}

impl Turn {
    const ZERO: Self = Self { cos: Lanes::ZERO, sin: Lanes::ZERO };

    #[inline(always)]
    fn of(x: Lanes, turns: &TurnsPerUnit) -> Self {
        let (sin, cos) = sine_cosine(x, turns);
        Self { cos, sin }
    }

    #[inline(always)]
    fn times(&self, other: &Self) -> Self {
        Self { cos: self.cos.mul_sub(other.cos, self.sin * other.sin), sin: self.cos.mul_add(other.sin, self.sin * other.cos) }
    }
}

/// What the knots' turns of a register of numbers are made of.
#[derive(Clone, Copy)]
struct Turns {
    x: Lanes,
    /// Half a knot, and one and a half.
    fine: [Turn; 2],
    /// Four knots: from one centre to the next.
    four: Turn,
    /// Two and a half knots at first: the first centre.
    centre: Turn,
}

impl Turns {
    const NONE: Self = Self { x: Lanes::ZERO, fine: [Turn::ZERO; 2], four: Turn::ZERO, centre: Turn::ZERO };

    /// `half` is half a knot.
    #[inline(always)]
    fn of(x: Lanes, half: &TurnsPerUnit) -> Self {
        let half = Turn::of(x, half);
        let one = half.times(&half);
        let two = one.times(&one);
        Self { x, fine: [half, half.times(&one)], four: two.times(&two), centre: two.times(&half) }
    }
}
