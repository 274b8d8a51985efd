//! AdamW, with state that can be read and written. Loshchilov & Hutter 2019, arXiv 1711.05101, as PyTorch computes it.

use crate::model::{Decoder, Parameters, Role};
use crate::spec::TrainSpec;
use rayon::prelude::*;
use regatta_core::simd::Simd;
use regatta_core::vectorize;

const EPSILON: f32 = 1e-8;

/// Numbers that one thread updates at a time.
const BLOCK: usize = 16_384;

/// How fast a parameter moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Learning rate.
    pub lr: f64,
    /// Updates k that its moments have seen, this one included.
    pub updates: i32,
}

/// Moments of every parameter, and the number of steps taken:
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
    first: Parameters,
    second: Parameters,
}

impl AdamW {
    /// Moments of 0 for each parameter.
    pub fn new(decoder: &Decoder, spec: &TrainSpec) -> Self {
        Self::of(Parameters::zeros(decoder), spec)
    }

    /// As [`Self::new`], of parameters that have the shapes of `like`.
    pub(super) fn of(like: Parameters, spec: &TrainSpec) -> Self {
        let mut first = like;
        first.numbers_mut().fill(0.0);
        Self {
            betas: [spec.betas[0].get(), spec.betas[1].get()],
            weight_decay: spec.weight_decay.get(),
            steps: 0,
            second: first.clone(),
            first,
        }
    }

    /// First and second moments.
    pub(super) fn moments(&self) -> (&Parameters, &Parameters) {
        (&self.first, &self.second)
    }

    /// How many updates were made.
    #[cfg(test)]
    pub(super) fn updates(&self) -> usize {
        self.steps as usize
    }

    /// Goes on from moments that [`Self::moments`] gave, after so many updates.
    pub(super) fn restore(&mut self, first: Parameters, second: Parameters, steps: usize) {
        (self.first, self.second, self.steps) = (first, second, i32::try_from(steps).unwrap_or(i32::MAX));
    }

    /// Sets the moments of the token embedding to 0.
    pub(super) fn forget_embedding(&mut self) {
        for moments in [&mut self.first, &mut self.second] {
            let embeddings = moments.each_mut().filter(|(spec, _)| spec.role == Role::Embedding);
            embeddings.for_each(|(_, numbers)| numbers.fill(0.0));
        }
    }

    /// One update of every parameter, with the gradient times `scale` (the factor of clipping); of the token embedding at a pace
    /// of its own, where it has one.
    pub fn step(&mut self, parameters: &mut Parameters, gradients: &Parameters, lr: f64, scale: f64, embedding: Option<Pace>) {
        self.steps += 1;
        let body = Pace { lr, updates: self.steps };
        let (betas, weight_decay) = (self.betas, self.weight_decay); // the moments are borrowed
        let moments = self.first.each_mut().zip(self.second.each_mut());
        let tensors = parameters.each_mut().zip(gradients.each()).zip(moments);
        let blocks: Vec<_> = tensors
            .flat_map(|(((spec, weights), (_, grads)), ((_, first), (_, second)))| {
                let pace = embedding.filter(|_| spec.role == Role::Embedding).unwrap_or(body);
                let decay = if spec.decays() { weight_decay } else { 0.0 };
                let rates = pace.rates(betas, decay, scale);
                let moments = first.chunks_mut(BLOCK).zip(second.chunks_mut(BLOCK));
                let blocks = weights.chunks_mut(BLOCK).zip(grads.chunks(BLOCK)).zip(moments);
                blocks.map(move |block| (rates, block))
            })
            .collect();
        blocks.into_par_iter().for_each(|(rates, ((weights, grads), (first, second)))| {
            update(rates, weights, grads, first, second);
        });
    }
}

impl Pace {
    fn rates(self, [first_beta, second_beta]: [f64; 2], decay: f64, scale: f64) -> Rates {
        let Self { lr, updates } = self;
        Rates {
            keep: (1.0 - lr * decay) as f32,
            first_beta: first_beta as f32,
            second_beta: second_beta as f32,
            step: (lr / (1.0 - power(first_beta, updates))) as f32,
            root: (1.0 / (1.0 - power(second_beta, updates)).sqrt()) as f32,
            scale: scale as f32,
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

#[derive(Clone, Copy)]
struct Rates {
    keep: f32,
    first_beta: f32,
    second_beta: f32,
    step: f32,
    root: f32,
    scale: f32,
}

vectorize! {
    fn update(rates: Rates, weights: &mut [f32], grads: &[f32], first: &mut [f32], second: &mut [f32]) = update_with;
}

#[inline(always)]
fn update_with<S: Simd>(rates: Rates, weights: &mut [f32], grads: &[f32], first: &mut [f32], second: &mut [f32]) {
    let Rates { keep, first_beta, second_beta, step, root, scale } = rates;
    for (((w, g), m), v) in weights.iter_mut().zip(grads).zip(first).zip(second) {
        let g = g * scale;
        *m = first_beta * *m + (1.0 - first_beta) * g;
        *v = second_beta * *v + (1.0 - second_beta) * g * g;
        *w = *w * keep - step * *m / (v.sqrt() * root + EPSILON);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Sizes};

    /// A model without blocks: embeddings of one token and one position, one dim each, and a norm of one dim.
    fn config() -> Decoder {
        Decoder::new(Family::Gpt2, Sizes { layers: 0, width: 1, heads: 1, context: 1, mlp_width: 1 }, 1)
    }

    fn filled(numbers: [f32; 4]) -> Parameters {
        let mut parameters = Parameters::zeros(&config());
        parameters.numbers_mut().copy_from_slice(&numbers);
        parameters
    }

    /// Two steps of PyTorch 2.15:
    /// ```python
    /// p = torch.nn.Parameter(torch.tensor([[1.], [-2.]])); b = torch.nn.Parameter(torch.tensor([3.]))
    /// o = torch.optim.AdamW([{'params': [p], 'weight_decay': .1}, {'params': [b], 'weight_decay': 0.}], lr=.1, betas=(.9, .95))
    /// for _ in range(2): o.zero_grad(); ((p ** 2).sum() + b.sum() * 3).backward(); o.step(); print(p, b)
    /// ```
    /// The first by hand: m / (1 - β1) = g and sqrt(v / (1 - β2)) = |g|, so each weight decays by 1% and moves by lr = 0.1.
    #[test]
    fn follows_pytorch() {
        let mut parameters = filled([1.0, -2.0, 3.0, 3.0]); // two matrices of one number, then the norm's weight and bias
        let mut adamw = AdamW::new(&config(), &TrainSpec::default());
        for expected in [[0.89, -1.88, 2.9, 2.9], [0.781_426_4, -1.761_331_3, 2.8, 2.8]] {
            let gradients = [2.0 * parameters.numbers()[0], 2.0 * parameters.numbers()[1], 3.0, 3.0];
            adamw.step(&mut parameters, &filled(gradients), 0.1, 1.0, None);
            let found = parameters.numbers();
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6), "{found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn the_clip_scales_the_gradient() {
        let mut parameters = filled([1.0; 4]);
        let mut adamw = AdamW::new(&config(), &TrainSpec::default());
        adamw.step(&mut parameters, &filled([4.0; 4]), 0.0, 0.5, None);
        assert!((adamw.first.numbers()[0] - 0.2).abs() < 1e-7); // (1 - 0.9)·4·0.5
        assert_eq!(parameters.numbers(), [1.0; 4]);
    }

    /// After two steps the embedding is forgotten: its third is a first one at a rate of its own, w·(1 - lr·0.1) - lr·sign(g), while
    /// the position goes on as if nothing had happened.
    #[test]
    fn an_embedding_that_is_forgotten_starts_again_alone() {
        let run = |forgets: bool| {
            let mut parameters = filled([1.0, -2.0, 3.0, 3.0]);
            let mut adamw = AdamW::new(&config(), &TrainSpec::default());
            for step in 0..3 {
                if forgets && step == 2 {
                    parameters.numbers_mut()[0] = 5.0;
                    adamw.forget_embedding();
                }
                let pace = Pace { lr: 0.3, updates: 1 };
                let gradients = filled([4.0, 1.0 + step as f32, 3.0, 3.0]);
                adamw.step(&mut parameters, &gradients, 0.1, 1.0, Some(pace).filter(|_| forgets && step == 2));
            }
            parameters.numbers().to_vec()
        };
        let (forgotten, kept) = (run(true), run(false));
        assert!((forgotten[0] - (5.0 * 0.97 - 0.3)).abs() < 1e-6, "{forgotten:?}");
        assert_eq!(forgotten[1..], kept[1..]);
    }
}
