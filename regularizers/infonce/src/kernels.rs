//! Kernels: value and gradient of each form for one group of float32 points, a block of pairs at a time.

use crate::contrast::contrastive;
use crate::{Form, InfoNce};
use regatta_core::kernels::vector::{exps, sum_of_with};
use regatta_core::kernels::{Block, Linear, Pairs, Scaled, Softmax, centred_rows, pair_log_sum_exp, pair_softmax};
use regatta_core::libm;
use regatta_core::simd::{LANES, Simd, load, store};
use regatta_core::{Draw, FloatCloud, Kernel, Regularizer, Result, vectorize};

impl Kernel for InfoNce {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let d = cloud.dims();
        if self.needs_view() {
            cloud.each_group_of_views(|views, gradients| Ok(self.fused_views(views, d, gradients)))
        } else {
            cloud.each_group(|points, gradient| Ok(self.fused(points, d, gradient)))
        }
    }
}

impl InfoNce {
    /// The forms that need one view. points, gradient (n, d)
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

    /// The forms that compare two views. views and gradients (n, d)
    fn fused_views(&self, views: [&[f32]; 2], d: usize, [grad_u, grad_v]: [&mut [f32]; 2]) -> f64 {
        let [u, v] = views.map(|points| Scaled::new(points.to_vec(), d, 0.0));
        let value = match self.form {
            Form::AlignUniform => self.align_uniform([&u, &v], d, [grad_u, grad_v]),
            _ => contrastive([&u, &v], d, (1.0 / self.temperature()) as f32, [grad_u, grad_v]),
        };
        u.backward(grad_u, 1.0);
        v.backward(grad_v, 1.0);
        value
    }

    /// `align_uniform`, with gradients with respect to the unit vectors.
    fn align_uniform(&self, [u, v]: [&Scaled; 2], d: usize, [grad_u, grad_v]: [&mut [f32]; 2]) -> f64 {
        let t = self.t.get() as f32;
        let uniformities = uniformity(u, d, t, grad_u) + uniformity(v, d, t, grad_v);
        let n = (u.points().len() / d) as f64;
        let weight = self.alignment.get() / n;
        let distances = align([u.points(), v.points()], d, weight as f32, grad_u, grad_v);
        weight * distances + uniformities / 2.0
    }
}

vectorize! {
    /// Returns `Σ ‖u_i - v_i‖²`. Halves the gradients, then adds those of `weight` times the sum. points, gradients (n, d)
    fn align(points: [&[f32]; 2], d: usize, weight: f32, grad_u: &mut [f32], grad_v: &mut [f32]) -> f64 = align_with;

    /// Replaces each q by the sum of two softmax weights: that of j for point i, and that of i for point j.
    fn weigh(block: &mut Block<'_>, softmax: &Softmax) = weigh_with;
}

#[inline(always)]
fn align_with<S: Simd>([u, v]: [&[f32]; 2], d: usize, weight: f32, grad_u: &mut [f32], grad_v: &mut [f32]) -> f64 {
    let mut distances = 0.0;
    let rows = grad_u.chunks_exact_mut(d).zip(grad_v.chunks_exact_mut(d));
    for ((grad_u, grad_v), (u, v)) in rows.zip(u.chunks_exact(d).zip(v.chunks_exact(d))) {
        distances += f64::from(sum_of_with::<S>(u, v, |u, v| (u - v) * (u - v)));
        for ((grad_u, grad_v), (u, v)) in grad_u.iter_mut().zip(grad_v).zip(u.iter().zip(v)) {
            let gradient = 2.0 * weight * (u - v);
            *grad_u = 0.5 * *grad_u + gradient;
            *grad_v = 0.5 * *grad_v - gradient;
        }
    }
    distances
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

/// `wang_isola`, with its gradient with respect to the unit vectors.
fn uniformity(u: &Scaled, d: usize, t: f32, gradient: &mut [f32]) -> f64 {
    let centred = centred_rows(u.points(), d); // more precise distances for points in a narrow cone
    let pairs = Pairs::distances(&centred, d);
    let log_sum = pair_log_sum_exp(&pairs, 0.0, gradient, &Linear { rate: 2.0 * t }); // q is minus half the squared distance
    let n = pairs.count() as f64;
    log_sum - libm::log(n * (n - 1.0))
}

/// `negatives`, with its gradient with respect to the points.
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
