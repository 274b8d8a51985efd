//! Value and gradient of each form together, on the float32 points of one group.

use crate::{Form, InfoNce};
use regatta_core::maths::{Pairs, Scaled, centred_rows, mean_over_groups, pair_log_sum_exp, pair_softmax, vector};
use regatta_core::{Result, Tensor};

impl InfoNce {
    /// The penalty by kernels that see the pairs a block at a time.
    pub(crate) fn fused(&self, z: &Tensor) -> Result<Tensor> {
        let d = z.dim(2)?;
        mean_over_groups(z, "infonce", |points, gradient| {
            let u = Scaled::new(points.to_vec(), d, 0.0);
            Ok(match self.form {
                Form::WangIsola => wang_isola(&u, d, self.t.get() as f32, gradient),
                Form::Negatives => negatives(&u, d, (1.0 / self.temperature.get()) as f32, gradient),
            })
        })
    }
}

/// The mean over i≠j is that over i<j.
fn wang_isola(u: &Scaled, d: usize, t: f32, gradient: &mut [f32]) -> f64 {
    let centred = centred_rows(u.points(), d); // distances in a narrow cone keep their digits
    let pairs = Pairs::distances(&centred, d);
    let log_sum = pair_log_sum_exp(&pairs, 0.0, gradient, |q| (2.0 * t * q, 2.0 * t)); // q is half the squared distance, below 0
    u.backward(gradient, 1.0);
    let n = pairs.count() as f64;
    log_sum - (n * (n - 1.0)).ln()
}

/// A pair weighs what i gives j in its softmax, and j gives i.
fn negatives(u: &Scaled, d: usize, rate: f32, gradient: &mut [f32]) -> f64 {
    let pairs = Pairs::products(u.points(), d).kept();
    let softmax = pair_softmax(&pairs, rate);
    let mut pulls = pairs.pulls(gradient);
    pairs.visit(&mut pulls, |block, here, there| {
        let others = &softmax[block.columns.clone()];
        for (row, one) in block.q.chunks_exact_mut(others.len()).zip(&softmax[block.rows.clone()]) {
            let pairs = row.iter_mut().zip(others);
            pairs.for_each(|(q, other)| *q = vector::exp(one.log_part(*q)) + vector::exp(other.log_part(*q)));
        }
        block.pull(1.0, here);
        if let Some(there) = there {
            block.pull_columns(1.0, there);
        }
    });
    let n = pairs.count() as f64;
    pulls.iter_mut().enumerate().for_each(|(panel, pull)| pairs.settle(panel, pull, rate / n as f32));
    u.backward(gradient, 1.0);
    softmax.iter().map(regatta_core::maths::Softmax::log_sum_exp).sum::<f64>() / n - (n - 1.0).ln()
}
