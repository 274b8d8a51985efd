//! AdamW, as PyTorch computes it. Loshchilov & Hutter 2019, arXiv:1711.05101.
//!
//! ```text
//! p <- p·(1 - lr·decay)
//! m <- β1·m + (1 - β1)·g       v <- β2·v + (1 - β2)·g²
//! p <- p - lr/(1 - β1^k) · m / (sqrt(v)/sqrt(1 - β2^k) + ε)
//! ```

use crate::spec::AdamWSpec;
use regatta_kernels::simd::Simd;
use regatta_kernels::vectorize;

/// Numbers that one thread updates at a time.
const BLOCK: usize = 16_384;

/// A part of a tensor with its moments.
pub(super) struct Part<'a> {
    weights: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

/// A tensor's parts, each for one thread.
pub(super) fn parts<'a>(
    weights: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
) -> impl Iterator<Item = Part<'a>> {
    let moments = first.chunks_mut(BLOCK).zip(second.chunks_mut(BLOCK));
    let blocks = weights.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK)).zip(moments);
    blocks.map(|((weights, gradient), (first, second))| Part { weights, gradient, first, second })
}

impl Part<'_> {
    pub fn update(self, rates: Rates) {
        update(rates, self.weights, self.gradient, self.first, self.second);
    }
}

/// The numbers of one update of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// 1 - lr·decay
    pub keep: f32,
    pub first_beta: f32,
    pub second_beta: f32,
    /// lr/(1 - β1^k)
    pub step: f32,
    /// 1/sqrt(1 - β2^k)
    pub root: f32,
    pub epsilon: f32,
    /// The factor of clipping.
    pub clip: f32,
}

impl Rates {
    /// Of update k, the first being 1.
    pub fn new(spec: &AdamWSpec, (lr, decay): (f64, f64), updates: i32, clip: f64) -> Self {
        let [first_beta, second_beta] = spec.betas.map(|beta| beta.get());
        Self {
            keep: (1.0 - lr * decay) as f32,
            first_beta: first_beta as f32,
            second_beta: second_beta as f32,
            step: (lr / (1.0 - power(first_beta, updates))) as f32,
            root: (1.0 / (1.0 - power(second_beta, updates)).sqrt()) as f32,
            epsilon: spec.epsilon.get() as f32,
            clip: clip as f32,
        }
    }
}

/// `base^exponent` by squaring, in one order: that of `powi` is not specified.
fn power(base: f64, exponent: i32) -> f64 {
    let (mut square, mut rest, mut power) = (base, exponent, 1.0);
    while rest > 0 {
        power *= if rest % 2 == 1 { square } else { 1.0 };
        square *= square;
        rest /= 2;
    }
    power
}

vectorize! {
    fn update(rates: Rates, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) = update_with;
}

#[inline(always)]
fn update_with<S: Simd>(rates: Rates, weights: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
    let Rates { keep, first_beta, second_beta, step, root, epsilon, clip } = rates;
    for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(first).zip(second) {
        let g = g * clip;
        *m = first_beta * *m + (1.0 - first_beta) * g;
        *v = second_beta * *v + (1.0 - second_beta) * g * g;
        *w = *w * keep - step * *m / (v.sqrt() * root + epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps of PyTorch 2.15:
    /// ```python
    /// p = torch.nn.Parameter(torch.tensor([[1.], [-2.]])); b = torch.nn.Parameter(torch.tensor([3.]))
    /// o = torch.optim.AdamW([{'params': [p], 'weight_decay': .1}, {'params': [b], 'weight_decay': 0.}], lr=.1, betas=(.9, .95))
    /// for _ in range(2): o.zero_grad(); ((p ** 2).sum() + b.sum() * 3).backward(); o.step(); print(p, b)
    /// ```
    /// The first by hand: m / (1 - β1) = g and sqrt(v / (1 - β2)) = |g|, so each weight decays by 1% and moves by lr = 0.1.
    #[test]
    fn follows_pytorch() {
        let (mut matrix, mut bias) = ([1.0, -2.0], [3.0]);
        let (mut of_matrix, mut of_bias) = ([[0.0; 2]; 2], [[0.0]; 2]);
        for (updates, expected) in [(1, [0.89, -1.88, 2.9]), (2, [0.781_426_4, -1.761_331_3, 2.8])] {
            let rates = |decay| Rates::new(&AdamWSpec::default(), (0.1, decay), updates, 1.0);
            let gradient = matrix.map(|x| 2.0 * x);
            let [first, second] = &mut of_matrix;
            parts(&mut matrix, &gradient, first, second).for_each(|part| part.update(rates(0.1)));
            let [first, second] = &mut of_bias;
            parts(&mut bias, &[3.0], first, second).for_each(|part| part.update(rates(0.0)));
            let found = [matrix[0], matrix[1], bias[0]];
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6), "{found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn the_clip_scales_the_gradient() {
        let (mut weights, mut first, mut second) = ([1.0; 4], [0.0; 4], [0.0; 4]);
        let rates = Rates::new(&AdamWSpec::default(), (0.0, 0.1), 1, 0.5);
        parts(&mut weights, &[4.0; 4], &mut first, &mut second).for_each(|part| part.update(rates));
        assert!((first[0] - 0.2).abs() < 1e-7); // (1 - 0.9)·4·0.5
        assert_eq!(weights, [1.0; 4]);
    }

    #[test]
    fn epsilon_bounds_what_a_small_gradient_does() {
        let spec = AdamWSpec { epsilon: regatta_core::number::PositiveFloat::new(1.0), ..AdamWSpec::default() };
        let (mut weights, mut first, mut second) = ([0.0], [0.0], [0.0]);
        parts(&mut weights, &[1.0], &mut first, &mut second).for_each(|part| part.update(Rates::new(&spec, (0.1, 0.0), 1, 1.0)));
        assert!((weights[0] + 0.05).abs() < 1e-7, "{weights:?}"); // 0.1·1/(1 + 1)
    }
}
