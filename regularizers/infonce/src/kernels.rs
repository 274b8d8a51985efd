//! Value and gradient of each form together, on the float32 points of one group.

use crate::contrast::contrastive;
use crate::{Form, InfoNce};
use regatta_core::kernels::vector::{exps, sum_of_with};
use regatta_core::kernels::{Block, Linear, Pairs, Scaled, Softmax, centred_rows, pair_log_sum_exp, pair_softmax};
use regatta_core::libm;
use regatta_core::simd::{LANES, Simd, load, store};
use regatta_core::{Draw, FloatCloud, Kernel, Regularizer, Result, vectorize};

/// The pairs are seen a block at a time.
impl Kernel for InfoNce {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        match self.needs_view() {
            true => cloud.each_group_of_views(|views, gradients| Ok(self.fused_views(views, d, gradients))),
            false => cloud.each_group(|points, gradient| Ok(self.fused(points, d, gradient))),
        }
    }
}

impl InfoNce {
    /// The forms of one view. points, gradient (n, d)
    fn fused(&self, points: &[f32], d: usize, gradient: &mut [f32]) -> f64 {
        let u = Scaled::new(points.to_vec(), d, 0.0);
        if self.form == Form::WangIsola {
            let value = uniformity(&u, d, self.t.get() as f32, gradient);
            u.backward(gradient, 1.0);
            value
        } else {
            negatives(&u, d, (1.0 / self.temperature()) as f32, gradient)
        }
    }

    /// The forms of two views. points, view and their gradients (n, d)
    fn fused_views(&self, views: [&[f32]; 2], d: usize, [u_slope, v_slope]: [&mut [f32]; 2]) -> f64 {
        let [u, v] = views.map(|points| Scaled::new(points.to_vec(), d, 0.0));
        let value = match self.form {
            Form::AlignUniform => self.align_uniform([&u, &v], d, [u_slope, v_slope]),
            _ => contrastive([&u, &v], d, (1.0 / self.temperature()) as f32, [u_slope, v_slope]),
        };
        u.backward(u_slope, 1.0);
        v.backward(v_slope, 1.0);
        value
    }

    /// The gradients are with respect to the unit vectors.
    fn align_uniform(&self, [u, v]: [&Scaled; 2], d: usize, [u_slope, v_slope]: [&mut [f32]; 2]) -> f64 {
        let t = self.t.get() as f32;
        let uniform = uniformity(u, d, t, u_slope) + uniformity(v, d, t, v_slope);
        let n = (u.points().len() / d) as f64;
        let weight = self.alignment.get() / n;
        let apart = align([u.points(), v.points()], d, weight as f32, u_slope, v_slope);
        weight * apart + uniform / 2.0
    }
}

vectorize! {
    /// `Σ ‖u_i - v_i‖²`; the gradients are halved, and that of `weight` times the sum is added. points, gradients (n, d)
    fn align(points: [&[f32]; 2], d: usize, weight: f32, u_slope: &mut [f32], v_slope: &mut [f32]) -> f64 = align_with;

    /// Replaces each q by what i gives j in its softmax, and j gives i.
    fn weigh(block: &mut Block<'_>, softmax: &Softmax) = weigh_with;
}

#[inline(always)]
fn align_with<S: Simd>([u, v]: [&[f32]; 2], d: usize, weight: f32, u_slope: &mut [f32], v_slope: &mut [f32]) -> f64 {
    let mut apart = 0.0;
    let rows = u_slope.chunks_exact_mut(d).zip(v_slope.chunks_exact_mut(d));
    for ((u_slope, v_slope), (u, v)) in rows.zip(u.chunks_exact(d).zip(v.chunks_exact(d))) {
        apart += f64::from(sum_of_with::<S>(u, v, |u, v| (u - v) * (u - v)));
        for ((u_slope, v_slope), (u, v)) in u_slope.iter_mut().zip(v_slope).zip(u.iter().zip(v)) {
            let pull = 2.0 * weight * (u - v);
            *u_slope = 0.5 * *u_slope + pull;
            *v_slope = 0.5 * *v_slope - pull;
        }
    }
    apart
}

#[inline(always)]
fn weigh_with<S: Simd>(block: &mut Block<'_>, softmax: &Softmax) {
    for (row, point) in block.q.chunks_exact_mut(block.columns.len()).zip(block.rows.clone()) {
        let one = softmax.one::<S>(point);
        for (chunk, first) in row.chunks_mut(LANES).zip(block.columns.clone().step_by(LANES)) {
            let q = load(chunk);
            store(chunk, exps(one.of(q)) + exps(softmax.each(first).of(q)));
        }
    }
}

/// wang_isola, with its gradient with respect to the unit vectors. The mean over i≠j is that over i<j.
fn uniformity(u: &Scaled, d: usize, t: f32, gradient: &mut [f32]) -> f64 {
    let centred = centred_rows(u.points(), d); // distances in a narrow cone keep their digits
    let pairs = Pairs::distances(&centred, d);
    let log_sum = pair_log_sum_exp(&pairs, 0.0, gradient, &Linear { rate: 2.0 * t }); // q is half the squared distance, below 0
    let n = pairs.count() as f64;
    log_sum - libm::log(n * (n - 1.0))
}

/// negatives, with its gradient with respect to the points.
fn negatives(u: &Scaled, d: usize, rate: f32, gradient: &mut [f32]) -> f64 {
    let pairs = Pairs::products(u.points(), d).kept();
    let softmax = pair_softmax(&pairs, rate);
    let mut pulls = pairs.pulls(gradient);
    pairs.visit(&mut pulls, |mut block, here, there| {
        weigh(&mut block, &softmax);
        block.pull(1.0, here);
        if let Some(there) = there {
            block.pull_columns(1.0, there);
        }
    });
    let n = pairs.count() as f64;
    pulls.iter_mut().enumerate().for_each(|(panel, pull)| pairs.settle(panel, pull, rate / n as f32));
    u.backward(gradient, 1.0);
    softmax.log_sums_exp().sum::<f64>() / n - libm::log(n - 1.0)
}
