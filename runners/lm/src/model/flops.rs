//! Floating-point operations of training, by formula: those of matrix products, as the field counts them.
//!
//! A product of (m, k) and (k, n) is `2·m·n·k` operations: a multiplication and an addition each. Per token, with L blocks whose
//! query heads have a dims taken together, t tokens a sequence:
//! ```text
//! matrices  N                                        numbers of the blocks' matrices and of the output matrix
//! attention A = L · 2 · 2a · (t + 1)/2 = 2 L a (t+1)   scores and their weighted sum: a token sees (t + 1)/2 keys on average, itself included
//! forward   F = 2 N + A
//! training  3 F = 6 N + 6 L a (t + 1)                the backward pass has two products for each one of the forward pass
//! ```
//! Of a GPT-2 of width d, MLP width m and a vocabulary of v, N = L (4d² + 2dm) + v d and a = d.
//! | source | the same | other |
//! |---|---|---|
//! | Kaplan et al. 2020, arXiv:2001.08361, section 2.1 and table 1 | `2 N` forward, training 3 times forward | leaves out the output matrix; attention `2 L d t` |
//! | Hoffmann et al. 2022, arXiv:2203.15556, appendix F | training 3 times forward, the output matrix | embedding `2 v d` as if it were a product; every token sees all t keys, and softmax is counted |
//!
//! Not counted, since they are not products: looking up embeddings, positions, biases, norms, softmax, the MLP's nonlinearity, the
//! loss, the optimizer; and
//! what an attention kernel does twice to save memory (see the tests), as the field leaves recomputation out of a model's FLOPs
//! (Chowdhery et al. 2022, arXiv:2204.02311, appendix B).

use super::Decoder;
use super::tensors::Role;

impl Decoder {
    /// Numbers of the blocks' weight matrices.
    fn matrices(&self) -> u64 {
        self.sum(|spec| if matches!(spec.role, Role::Matrix(_)) { spec.len() as u128 } else { 0 }) as u64
    }

    /// FLOPs of one token on its way through the blocks and back, with sequences of `context` tokens.
    pub fn block_flops_per_token(&self, context: usize) -> u64 {
        6 * self.matrices() + 6 * (self.layers * self.query_width()) as u64 * (context as u64 + 1)
    }

    /// FLOPs of training on one token, with sequences of `context` tokens: blocks and output matrix, forward and backward.
    pub fn training_flops_per_token(&self, context: usize) -> u64 {
        self.block_flops_per_token(context) + 6 * (self.vocab_size * self.width) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, Model, Sizes};
    use crate::spec::{At, Home, Length, Points, Term, TrainSpec, Weight};
    use crate::training::{Learner, flops_per_token};
    use regatta_core::number::{Count, Finite, Fraction};
    use regatta_core::{Cloud, Draw, Plugin, Regularizer, Tensor, regularizer, typetag};
    use regatta_kernels::model::{Attention, AttentionScratch};

    const VOCABULARY: usize = 11;
    const ROWS: usize = 3;

    fn config(layers: usize, context: usize) -> Decoder {
        Decoder::new(Family::Gpt2, Sizes { layers, width: 8, heads: 2, context, mlp_width: 20 }, VOCABULARY)
    }

    #[test]
    fn by_hand() {
        // blocks 2 (4·64 + 2·8·20) = 1152, output 11·8 = 88, attention 6·2·8·(4 + 1) = 480
        assert_eq!(config(2, 4).block_flops_per_token(4), 6 * 1152 + 480);
        assert_eq!(config(2, 4).training_flops_per_token(4), 6 * (1152 + 88) + 480);
        assert_eq!(config(0, 4).training_flops_per_token(4), 6 * 88);
    }

    #[test]
    fn gpt2_small_beside_the_papers() {
        let config =
            Decoder::new(Family::Gpt2, Sizes { layers: 12, width: 768, heads: 12, context: 1024, mlp_width: 3072 }, 50_257);
        assert_eq!(config.matrices(), 84_934_656); // Kaplan et al.: 12 L d², their N without embeddings
        let forward = config.training_flops_per_token(1024) / 3;
        let kaplan = 2 * 84_934_656 + 2 * 12 * 1024 * 768;
        assert_eq!(forward - kaplan, 2 * 50_257 * 768 + 2 * 12 * 768); // the output matrix, and the token that sees itself
        let scores_and_mix_of_all_keys = 2 * 2 * 12 * 1024 * 768;
        let hoffmann = 2 * 2 * 50_257 * 768 + 2 * 84_934_656 + scores_and_mix_of_all_keys + 3 * 12 * 12 * 1024;
        assert_eq!((forward, hoffmann), (265_956_864, 362_449_920));
    }

    regularizer! {
        name: "two_views",
        summary: "how far two views are apart",
        paper: "none: for tests",
        formula: "mean((z - view)²)",
        expects: "two views",
        struct TwoViews {}
    }

    #[typetag::serde(name = "two_views")]
    impl Regularizer for TwoViews {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> regatta_core::Result<Tensor> {
            let [points, view] = cloud.both_views()?;
            Ok(points.sub(view)?.sqr()?.mean_all()?)
        }

        fn needs_view(&self) -> bool {
            true
        }
    }

    fn views(weight: Weight) -> [Term; 1] {
        let at = At { points: Points::Batch, ..At::from(Home::DEFAULT) };
        [Term { regularizer: Plugin(Box::new(TwoViews {})), weight, at }]
    }

    fn train() -> TrainSpec {
        TrainSpec { dropout: Fraction::new(0.2), batch_size: Count::new(ROWS), ..TrainSpec::default() }
    }

    /// FLOPs of the products that one step computes, attention's apart.
    fn of_a_step(config: &Decoder, context: usize, terms: &[Term]) -> [u64; 2] {
        let train = train();
        let mut learner = Learner::new(Model::fresh(config.clone(), 0), &train, terms, &[], 0).unwrap();
        let ids: Vec<u32> = (0..ROWS * context).map(|i| (i * 7 % VOCABULARY) as u32).collect();
        let attention = of_attention(config, context);
        let all = regatta_kernels::counted_flops(|| _ = learner.step(0, ROWS, &ids, &ids).unwrap());
        let passes = if terms.is_empty() { 1 } else { 2 };
        let attention = passes * ROWS as u64 * config.layers as u64 * (attention[0] + attention[1]);
        [all - attention, attention]
    }

    /// FLOPs of the products of attention over one sequence, forward and backward.
    fn of_attention(config: &Decoder, time: usize) -> [u64; 2] {
        let (d, heads) = (config.width, config.heads);
        let attention = Attention { time, heads, kv_heads: heads, head_dims: d / heads, dropout: None };
        let (qkv, mut out, mut log_sums) = (vec![0.1; time * 3 * d], vec![0.0; time * d], vec![0.0; heads * time]);
        let (g, mut dqkv, mut scratch) = (out.clone(), qkv.clone(), AttentionScratch::default());
        let forward = regatta_kernels::counted_flops(|| attention.forward(0, &qkv, &mut out, &mut log_sums, &mut scratch));
        let backward =
            regatta_kernels::counted_flops(|| attention.backward(0, &qkv, (&out, &log_sums), &g, &mut dqkv, &mut scratch));
        [forward, backward]
    }

    #[test]
    fn the_formula_is_what_a_step_multiplies() {
        for (layers, context) in [(0, 5), (1, 5), (2, 70), (3, 130)] {
            let config = config(layers, context);
            let tokens = (ROWS * context) as u64;
            let seen = 6 * (layers * config.width) as u64 * (context as u64 + 1); // attention's part of the formula
            let [matrices, _] = of_a_step(&config, context, &[]);
            assert_eq!(matrices, tokens * (config.training_flops_per_token(context) - seen), "{layers} x {context}");
        }
    }

    #[test]
    fn attention_multiplies_up_to_15_keys_too_many_and_scores_twice() {
        for time in [1, 5, 64, 70, 130] {
            let config = config(1, time);
            // Sixteen rows see every key up to the last of them: the formula's triangle and what lies beyond it.
            let keys: usize = (0..time).map(|row| (row / 16 * 16 + 16).min(time)).sum();
            let triangle = time * (time + 1) / 2;
            let product = 2 * config.width as u64;
            let [forward, backward] = of_attention(&config, time);
            assert_eq!(forward, 2 * product * keys as u64, "{time}: scores and mix");
            assert_eq!(backward, 5 * product * keys as u64, "{time}: scores again, and gradients of v, weights, q, k");
            let formula = (config.block_flops_per_token(time) - 6 * config.matrices()) * time as u64;
            assert_eq!(formula, 6 * product * triangle as u64, "{time}");
            assert!(keys >= triangle && keys - triangle < 16 * time, "{time}");
        }
    }

    #[test]
    fn a_second_view_is_a_second_pass_without_the_output_matrix() {
        let (config, context) = (config(2, 5), 5);
        let [one, of_one] = of_a_step(&config, context, &[]);
        let [two, of_two] = of_a_step(&config, context, &views(Weight::Constant(Finite::new(1.0))));
        assert_eq!(two - one, (ROWS * context) as u64 * 6 * config.matrices());
        assert_eq!(of_two, 2 * of_one);

        let (first, view) = (config.training_flops_per_token(5) as f64, config.block_flops_per_token(5) as f64);
        let check = |terms: &[Term], expected: f64| {
            let train = TrainSpec { length: Length::of_steps(4), ..train() };
            assert_eq!(flops_per_token(&config, context, (&train, Count::new(4)), terms, &[]), expected);
        };
        check(&[], first);
        check(&views(Weight::Constant(Finite::new(1.0))), first + view);
        check(&views(Weight::Constant(Finite::new(0.0))), first);
        // weights 0, 0.5, 1, 1: three steps of four
        let ramp = serde_json::from_str(r#"{"from": 0.0, "to": 1.0, "steps": 2}"#).unwrap();
        check(&views(ramp), first + 0.75 * view);
    }
}
