//! The kernel: SIGReg's value and gradient for one group of float32 points.
//!
//! With `θ = dt·x`, the statistic needs the phasors `exp(ijθ)` at all knots j. Cosines and sines follow from those two and four
//! knots earlier (Chebyshev recurrence):
//! ```text
//! cos((j + 2)θ) = 2 cos(2θ) cos(jθ) - cos((j - 2)θ)
//! ```
//! The gradient's series `Σ_j p_j exp(ijθ)` is summed by the same recurrence in reverse (Clenshaw 1955). Odd and even knots are
//! separate recurrences. A knot costs two multiplications in each direction. The rounding error grows with the square of the number
//! of recurrence steps; steps of two knots halve that number, and the phasors are recomputed exactly every 16 knots.

use crate::knots::Knot;
use rayon::prelude::*;
use regatta_core::kernels::elementary::{TurnsPerUnit, sine_cosine};
use regatta_core::kernels::{Matrix, MatrixMut, Onto, Panels, product_of_panels, with_scratch};
use regatta_core::simd::{LANES, Lanes, Register, Simd, load, store};
use regatta_core::{Draw, FloatCloud, Kernel, Result, candle, vectorize};

/// Rows per task. Sums within a task are in float32, sums over tasks in float64.
const ROWS: usize = 512;
/// Rows per tile. The sums of a tile stay in registers and its phasors in L1 cache.
const TILE: usize = 16;
/// Octets of knots per run; the phasors are exact at the start of each run.
const RUN: usize = 2;
const _: () = assert!(RUN == 2, "`sums` stores no state after the second octet of a run");

/// Phasors, sums of phasors or coefficients at eight consecutive knots, in memory.
type Octet = [Stored; 8];

/// A [`Phasor`] in memory.
#[derive(Clone, Copy)]
struct Stored {
    cos: Register,
    sin: Register,
}

impl Stored {
    const ZERO: Self = Self { cos: Register::ZERO, sin: Register::ZERO };
}

/// The kernel for fixed directions: unit directions and the quadrature's knots.
pub struct Slices {
    /// The number of directions, k.
    count: usize,
    /// The directions, zero-padded to k', a whole number of registers. (k', d)
    directions: Panels,
    /// The directions, transposed. (d, k')
    transposed: Panels,
    dims: usize,
    knots: Vec<Knot>,
    /// The phase between consecutive knots.
    step: TurnsPerUnit,
    /// The phase at the knot before each run except the first.
    runs: Vec<TurnsPerUnit>,
}

impl Kernel for Slices {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        if cloud.dims() != self.dims {
            return Err(candle::Error::msg(format!("expected points of {} dims, found {}", self.dims, cloud.dims())).into());
        }
        cloud.each_group(|points, gradient| Ok(self.penalty(points, gradient)))
    }
}

impl Slices {
    /// directions (k, d), in row-major order
    pub fn new(mut directions: Vec<f32>, dims: usize, knots: Vec<Knot>) -> Self {
        let count = directions.len() / dims;
        let padded = count.next_multiple_of(LANES);
        directions.resize(padded * dims, 0.0);
        let rows = Matrix::new(&directions, padded, dims);
        let phase = |knot: usize| TurnsPerUnit::new(knots[1].t / std::f64::consts::TAU * knot as f64);
        let runs = (8 * RUN..knots.len() - 1).step_by(8 * RUN).map(phase).collect();
        let (directions, transposed) = (Panels::of(rows), Panels::of(rows.transposed()));
        Self { count, directions, transposed, dims, step: phase(1), runs, knots }
    }

    /// The mean of the statistic over slices for one group, with its gradient. points, gradient (n, d)
    fn penalty(&self, points: &[f32], gradient: &mut [f32]) -> f64 {
        with_scratch(points.len() / self.dims * self.padded(), |x| self.penalty_through(points, x, gradient))
    }

    /// [`Self::penalty`] with scratch memory x (n, k') for the projections, then for the gradients with respect to them.
    fn penalty_through(&self, points: &[f32], x: &mut [f32], gradient: &mut [f32]) -> f64 {
        let (n, k) = (points.len() / self.dims, self.padded());
        let rows = x.par_chunks_mut(ROWS * k).zip(points.par_chunks(ROWS * self.dims)).with_max_len(1);
        let parts: Vec<Vec<Octet>> = rows
            .map(|(x, points)| {
                let count = points.len() / self.dims;
                let points = Matrix::new(points, count, self.dims);
                product_of_panels(MatrixMut::new(x, count, k), Onto::Replace, 1.0, points, &self.transposed);
                sums(self, x)
            })
            .collect();

        let (value, coefficients) = self.coefficients(&parts, n);
        let rows = x.par_chunks_mut(ROWS * k).zip(gradient.par_chunks_mut(ROWS * self.dims)).with_max_len(1);
        rows.for_each(|(x, gradient)| {
            projection_gradients(self, x, &coefficients);
            let count = gradient.len() / self.dims;
            let (gradient, grad_x) = (MatrixMut::new(gradient, count, self.dims), Matrix::new(x, count, k));
            product_of_panels(gradient, Onto::Replace, 1.0, grad_x, &self.directions);
        });
        value / self.count as f64
    }

    /// The number of slices with padding, k'.
    fn padded(&self) -> usize {
        self.directions.shape().0
    }

    /// The number of octets of knots. The knot at 0 is left out, since its term is always 0; the last octet may be padded with
    /// knots of weight 0.
    fn octets(&self) -> usize {
        (self.knots.len() - 1).div_ceil(8)
    }

    /// The phase at the knot before each run, `None` for the first run.
    fn runs(&self) -> impl Iterator<Item = Option<&TurnsPerUnit>> {
        std::iter::once(None).chain(self.runs.iter().map(Some))
    }

    /// The sum of the statistics over slices, and the coefficients of the gradient of their mean. -> (registers of slices, octets)
    ///
    /// With the means C and S of cosine and sine, the statistic is `n Σ w [(C - φ)² + S²]`. Its derivative with respect to x is
    /// `Σ 2wt [S cos(t x) - (C - φ) sin(t x)] = Re Σ p_j exp(ijθ)` with `p_j = 2wt (S + i (C - φ))`, divided by k for the mean.
    fn coefficients(&self, parts: &[Vec<Octet>], n: usize) -> (f64, Vec<Octet>) {
        let octets = self.octets();
        let mut values = [0f64; LANES];
        let mut coefficients = vec![[Stored::ZERO; 8]; parts[0].len()];
        for (index, octet) in coefficients.iter_mut().enumerate() {
            let slices = LANES.min(self.count - index / octets * LANES);
            for (place, (p, knot)) in octet.iter_mut().zip(&self.knots[8 * (index % octets) + 1..]).enumerate() {
                let mean = |of: fn(&Stored) -> Register| {
                    let mut total = [0f64; LANES];
                    for part in parts {
                        total.iter_mut().zip(of(&part[index][place]).0).for_each(|(total, x)| *total += f64::from(x));
                    }
                    total.map(|total| total / n as f64)
                };
                let (sine, error) = (mean(|sum| sum.sin), mean(|sum| sum.cos).map(|cosine| cosine - knot.target));
                let values = values.iter_mut().zip(error.iter().zip(&sine)).take(slices);
                values.for_each(|(value, (error, sine))| *value += knot.weight * (error * error + sine * sine));
                let scale = 2.0 * knot.weight * knot.t / self.count as f64;
                let scaled = |numbers: [f64; LANES]| Register(numbers.map(|x| (scale * x) as f32));
                *p = Stored { cos: scaled(sine), sin: scaled(error) };
            }
        }
        (n as f64 * values.iter().sum::<f64>(), coefficients)
    }
}

vectorize! {
    /// Sums the phasors of all rows at each knot. x (rows, k') -> (registers of slices, octets)
    fn sums(slices: &Slices, x: &[f32]) -> Vec<Octet> = sums_with;

    /// Replaces each projection by the gradient of the statistic with respect to it. x (rows, k'), coefficients (registers of
    /// slices, octets)
    fn projection_gradients(slices: &Slices, x: &mut [f32], coefficients: &[Octet]) = projection_gradients_with;
}

#[inline(always)]
fn sums_with<S: Simd>(slices: &Slices, x: &[f32]) -> Vec<Octet> {
    let k = slices.padded();
    let mut sums = vec![[Stored::ZERO; 8]; k / LANES * slices.octets()];
    let mut phasors = [[Stored::ZERO; 2]; TILE]; // of one knot and at the start of the run
    let mut recurrences = [Recurrence::<S>::ZERO; TILE];
    for rows in x.chunks(TILE * k) {
        let count = rows.len() / k;
        for (register, sums) in sums.chunks_exact_mut(slices.octets()).enumerate() {
            for (run, sums) in slices.runs().zip(sums.chunks_mut(RUN)) {
                // Apart from the sums below, which fill the registers.
                for (phasors, row) in phasors.iter_mut().zip(rows.chunks_exact(k)) {
                    let x = load(&row[register * LANES..]);
                    phasors[0] = Phasor::<S>::of(x, &slices.step).store();
                    if let Some(run) = run {
                        phasors[1] = Phasor::<S>::of(x, run).store();
                    }
                }
                let (first, second) = sums.split_first_mut().expect("a chunk");
                let mut accumulators = loaded(first); // in registers
                for (recurrence, [one, start]) in recurrences.iter_mut().zip(&phasors[..count]) {
                    let mut advanced = Recurrence::new(Phasor::load(*one));
                    if run.is_some() {
                        advanced = advanced.turned(&Phasor::load(*start));
                    }
                    advanced.add_octet(&mut accumulators);
                    *recurrence = advanced;
                }
                *first = stored(&accumulators);
                for octet in second {
                    let mut accumulators = loaded(octet);
                    for recurrence in &recurrences[..count] {
                        recurrence.clone().add_octet(&mut accumulators); // the run ends here, so the new state is not stored
                    }
                    *octet = stored(&accumulators);
                }
            }
        }
    }
    sums
}

// From here on, loops replace closures: a closure may be compiled without its caller's SIMD instructions.

#[inline(always)]
fn loaded<S: Simd>(octet: &Octet) -> [Phasor<S>; 8] {
    let mut phasors = [Phasor::ZERO; 8];
    for (phasor, stored) in phasors.iter_mut().zip(octet) {
        *phasor = Phasor::load(*stored);
    }
    phasors
}

#[inline(always)]
fn stored<S: Simd>(phasors: &[Phasor<S>; 8]) -> Octet {
    let mut octet = [Stored::ZERO; 8];
    for (stored, phasor) in octet.iter_mut().zip(phasors) {
        *stored = phasor.store();
    }
    octet
}

#[inline(always)]
fn projection_gradients_with<S: Simd>(slices: &Slices, x: &mut [f32], coefficients: &[Octet]) {
    let k = slices.padded();
    for rows in x.chunks_mut(TILE * k) {
        for (register, coefficients) in coefficients.chunks_exact(slices.octets()).enumerate() {
            for row in rows.chunks_exact_mut(k) {
                let row = &mut row[register * LANES..(register + 1) * LANES];
                let projections = load(row);
                let mut gradients = Lanes::<S>::ZERO;
                for (run, octets) in slices.runs().zip(coefficients.chunks(RUN)) {
                    gradients += Recurrence::start(projections, &slices.step, run).series(octets);
                }
                store(row, gradients);
            }
        }
    }
}

/// A complex number for each slice of a register, usually a phasor `exp(iα)`.
#[derive(Clone, Copy)]
struct Phasor<S: Simd> {
    cos: Lanes<S>,
    sin: Lanes<S>,
}

impl<S: Simd> Phasor<S> {
    const ZERO: Self = Self { cos: Lanes::ZERO, sin: Lanes::ZERO };
    const ONE: Self = Self { cos: Lanes::ONE, sin: Lanes::ZERO };

    #[inline(always)]
    fn of(x: Lanes<S>, phase: &TurnsPerUnit) -> Self {
        let (sin, cos) = sine_cosine(x, phase);
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
    fn conjugate(&self) -> Self {
        Self { cos: self.cos, sin: -self.sin }
    }

    /// `factor·self - other`
    #[inline(always)]
    fn scaled_minus(&self, factor: Lanes<S>, other: &Self) -> Self {
        Self { cos: factor.mul_sub(self.cos, other.cos), sin: factor.mul_sub(self.sin, other.sin) }
    }

    #[inline(always)]
    fn minus(&self, other: &Self) -> Self {
        Self { cos: self.cos - other.cos, sin: self.sin - other.sin }
    }
}

/// The Chebyshev recurrence over the knots of a run, for one register of projections.
#[derive(Clone)]
struct Recurrence<S: Simd> {
    /// `2 cos(2θ)`
    factor: Lanes<S>,
    /// The phasors at the next two knots, an odd and an even one.
    next: [Phasor<S>; 2],
    /// The phasors at the two knots before those.
    previous: [Phasor<S>; 2],
}

impl<S: Simd> Recurrence<S> {
    const ZERO: Self = Self { factor: Lanes::ZERO, next: [Phasor::ZERO; 2], previous: [Phasor::ZERO; 2] };

    /// The state at the start of the first run. `one` is the phasor of one knot.
    #[inline(always)]
    fn new(one: Phasor<S>) -> Self {
        let two = one.squared();
        Self { factor: two.cos + two.cos, next: [one, two], previous: [one.conjugate(), Phasor::ONE] }
    }

    /// The state at the start of a later run. `start` is the phasor at the knot before the run.
    #[inline(always)]
    fn turned(self, start: &Phasor<S>) -> Self {
        let Self { factor, next: [one, two], previous: [before, zero] } = self; // arrays, not loops, stay in registers
        Self { factor, next: [start.times(&one), start.times(&two)], previous: [start.times(&before), start.times(&zero)] }
    }

    /// The state at the start of a run. `step` is the phase of one knot, `run` the phase at the knot before the run, except for the
    /// first run.
    #[inline(always)]
    fn start(x: Lanes<S>, step: &TurnsPerUnit, run: Option<&TurnsPerUnit>) -> Self {
        let first = Self::new(Phasor::of(x, step));
        if let Some(run) = run { first.turned(&Phasor::of(x, run)) } else { first }
    }

    /// Adds the phasors at the next eight knots to `sums` and advances by eight knots.
    #[inline(always)]
    fn add_octet(&mut self, sums: &mut [Phasor<S>; 8]) {
        for sums in sums.as_chunks_mut::<2>().0 {
            for (sum, phasor) in sums.iter_mut().zip(&self.next) {
                sum.cos += phasor.cos;
                sum.sin += phasor.sin;
            }
            let [odd, even] = &self.next;
            let following = [odd.scaled_minus(self.factor, &self.previous[0]), even.scaled_minus(self.factor, &self.previous[1])];
            (self.next, self.previous) = (following, self.next);
        }
    }

    /// The real part of a run's series `Σ_j p_j exp(ijθ)`, by Clenshaw's recurrence `b_j = p_j + 2 cos(2θ) b_(j+2) - b_(j+4)` over
    /// odd and even knots separately. The sum of each is `Re[b_j exp(ijθ) - b_(j+2) exp(i(j-2)θ)]` at its first knot j.
    #[inline(always)]
    fn series(&self, octets: &[Octet]) -> Lanes<S> {
        let [mut b, mut later] = [[Phasor::ZERO; 2]; 2]; // b_j and b_(j+2)
        for p in octets.as_flattened().as_chunks::<2>().0.iter().rev() {
            let odd = b[0].scaled_minus(self.factor, &later[0].minus(&Phasor::load(p[0])));
            let even = b[1].scaled_minus(self.factor, &later[1].minus(&Phasor::load(p[1])));
            (b, later) = ([odd, even], b);
        }
        let odd = b[0].real(&self.next[0]) - later[0].real(&self.previous[0]);
        let even = b[1].real(&self.next[1]) - later[1].real(&self.previous[1]);
        odd + even
    }
}
