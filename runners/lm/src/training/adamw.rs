//! AdamW, with state that can be read and written. Loshchilov & Hutter 2019, arXiv 1711.05101, as PyTorch computes it.

use crate::spec::TrainSpec;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Var, bail};
use rayon::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;

const EPSILON: f64 = 1e-8;

/// Moments of every tensor, and the number of steps taken:
///
/// ```text
/// p <- p·(1 - lr·decay)                       decay on tensors of two or more dimensions
/// m <- β1·m + (1 - β1)·g       v <- β2·v + (1 - β2)·g²
/// p <- p - lr/(1 - β1^k) · m / (sqrt(v)/sqrt(1 - β2^k) + 1e-8)
/// ```
pub struct AdamW {
    betas: [f64; 2],
    weight_decay: f64,
    steps: i32,
    moments: BTreeMap<String, Moments>,
}

struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl AdamW {
    /// Moments of 0 for each tensor.
    pub fn new(parameters: &BTreeMap<String, Var>, spec: &TrainSpec) -> Self {
        let zero = |var: &Var| Moments { first: vec![0.0; var.elem_count()], second: vec![0.0; var.elem_count()] };
        Self {
            betas: [spec.betas[0].get(), spec.betas[1].get()],
            weight_decay: spec.weight_decay.get(),
            steps: 0,
            moments: parameters.iter().map(|(name, var)| (name.clone(), zero(var))).collect(),
        }
    }

    /// One update of every tensor, with the gradient times `scale` (the factor of clipping).
    ///
    /// # Errors
    /// When a tensor has no gradient, or one of another shape.
    pub fn step(&mut self, parameters: &BTreeMap<String, Var>, grads: &GradStore, lr: f64, scale: f64) -> Result<()> {
        self.steps += 1;
        let [first_beta, second_beta] = self.betas;
        let rates = Rates {
            keep: 1.0,
            first_beta: first_beta as f32,
            second_beta: second_beta as f32,
            step: (lr / (1.0 - first_beta.powi(self.steps))) as f32,
            root: (1.0 / (1.0 - second_beta.powi(self.steps)).sqrt()) as f32,
            scale: scale as f32,
        };
        for (name, var) in parameters {
            let (Some(grad), Some(moments)) = (grads.get(var), self.moments.get_mut(name)) else {
                bail!("no gradient reaches `{name}`")
            };
            let keep = if var.rank() >= 2 { (1.0 - lr * self.weight_decay) as f32 } else { 1.0 };
            var.inplace_op2(&grad.contiguous()?, &Update { rates: Rates { keep, ..rates }, moments: RefCell::new(moments) })?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Rates {
    keep: f32,
    first_beta: f32,
    second_beta: f32,
    step: f32,
    root: f32,
    scale: f32,
}

struct Update<'a> {
    rates: Rates,
    moments: RefCell<&'a mut Moments>,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, weights: &mut CpuStorage, layout: &Layout, grads: &CpuStorage, grad_layout: &Layout) -> Result<()> {
        const BLOCK: usize = 16_384;
        let (CpuStorage::F32(weights), CpuStorage::F32(grads)) = (weights, grads) else { bail!("adamw: expected float32") };
        let (Some((start, end)), Some((grad_start, grad_end))) = (layout.contiguous_offsets(), grad_layout.contiguous_offsets())
        else {
            bail!("adamw: expected contiguous tensors")
        };
        let mut moments = self.moments.borrow_mut();
        let Moments { first, second } = &mut **moments;
        let (weights, grads) = (&mut weights[start..end], &grads[grad_start..grad_end]);
        if weights.len() != grads.len() || weights.len() != first.len() {
            bail!("adamw: {} weights, {} gradients, {} moments", weights.len(), grads.len(), first.len())
        }
        let Rates { keep, first_beta, second_beta, step, root, scale } = self.rates;
        let blocks = weights.par_chunks_mut(BLOCK).zip(grads.par_chunks(BLOCK));
        blocks.zip(first.par_chunks_mut(BLOCK).zip(second.par_chunks_mut(BLOCK))).for_each(
            |((weights, grads), (first, second))| {
                for (((w, g), m), v) in weights.iter_mut().zip(grads).zip(first).zip(second) {
                    let g = g * scale;
                    *m = first_beta * *m + (1.0 - first_beta) * g;
                    *v = second_beta * *v + (1.0 - second_beta) * g * g;
                    *w = *w * keep - step * *m / (v.sqrt() * root + EPSILON as f32);
                }
            },
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Two steps of PyTorch 2.15:
    /// ```python
    /// p = torch.nn.Parameter(torch.tensor([[1., -2.]])); b = torch.nn.Parameter(torch.tensor([3.]))
    /// o = torch.optim.AdamW([{'params': [p], 'weight_decay': .1}, {'params': [b], 'weight_decay': 0.}], lr=.1, betas=(.9, .95))
    /// for _ in range(2): o.zero_grad(); ((p ** 2).sum() + b.sum() * 3).backward(); o.step(); print(p, b)
    /// ```
    /// The first by hand: m / (1 - β1) = g and sqrt(v / (1 - β2)) = |g|, so each weight decays by 1% and moves by lr = 0.1.
    #[test]
    fn follows_pytorch() {
        let matrix = Var::new(&[[1f32, -2.0]], &Device::Cpu).unwrap();
        let bias = Var::new(&[3f32], &Device::Cpu).unwrap();
        let parameters = BTreeMap::from([("bias".to_owned(), bias.clone()), ("matrix".to_owned(), matrix.clone())]);
        let mut adamw = AdamW::new(&parameters, &TrainSpec::default());
        for expected in [[0.89, -1.88, 2.9], [0.781_426_4, -1.761_331_3, 2.8]] {
            let loss = (matrix.sqr().unwrap().sum_all().unwrap() + (bias.sum_all().unwrap() * 3.0).unwrap()).unwrap();
            adamw.step(&parameters, &loss.backward().unwrap(), 0.1, 1.0).unwrap();
            let found = [matrix.to_vec2::<f32>().unwrap().concat(), bias.to_vec1().unwrap()].concat();
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6), "{found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn the_clip_scales_the_gradient() {
        let weight = Var::new(&[[1f32]], &Device::Cpu).unwrap();
        let parameters = BTreeMap::from([("weight".to_owned(), weight.clone())]);
        let mut adamw = AdamW::new(&parameters, &TrainSpec::default());
        let loss = (weight.as_tensor() * 4.0).unwrap().sum_all().unwrap();
        adamw.step(&parameters, &loss.backward().unwrap(), 0.0, 0.5).unwrap();
        assert!((adamw.moments["weight"].first[0] - 0.2).abs() < 1e-7); // (1 - 0.9)·4·0.5
        assert_eq!(weight.to_vec2::<f32>().unwrap(), [[1.0]]);
    }
}
