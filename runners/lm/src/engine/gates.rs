//! Gates on the gradient of the output matrix.

use regatta_core::RowGate;

/// The gated rows of a step; see [`OutputGate`](regatta_core::OutputGate).
#[derive(Debug, Clone, PartialEq)]
pub struct Gates {
    rows: Vec<RowGate>,
    /// Whether a token is among `rows`. (v)
    is_gated: Vec<bool>,
}

impl Gates {
    /// # Panics
    /// When a token lies outside the vocabulary.
    pub fn new(rows: Vec<RowGate>, vocabulary: usize) -> Self {
        let mut is_gated = vec![false; vocabulary];
        rows.iter().for_each(|row| is_gated[row.token as usize] = true);
        Self { rows, is_gated }
    }

    /// The factors of each token's row, from tokens whose target has no gates and from those whose target has some. (v) each
    pub(in crate::engine) fn factors(&self) -> [Vec<f32>; 2] {
        let mut factors = [vec![1.0; self.is_gated.len()], vec![1.0; self.is_gated.len()]];
        for row in &self.rows {
            factors[0][row.token as usize] *= row.from_others;
            factors[1][row.token as usize] *= row.from_gated;
        }
        factors
    }

    /// Whether a token has gates.
    pub(in crate::engine) fn is_gated(&self, token: u32) -> bool {
        self.is_gated[token as usize]
    }

    /// Scales the gradient of the logits, once nothing but the gradient of the output matrix is made of it. grads (r, v)
    pub(in crate::engine) fn apply(&self, grads: &mut [f32], targets: &[u32]) {
        for (grads, &target) in grads.chunks_exact_mut(self.is_gated.len()).zip(targets) {
            let target_is_gated = self.is_gated[target as usize];
            for row in self.rows.iter().filter(|row| row.token != target) {
                grads[row.token as usize] *= if target_is_gated { row.from_gated } else { row.from_others };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Keep, Pass, Upstream};
    use crate::model::{Decoder, Family, Model, Parameters, Sizes};
    use candle_core::{Device, Tensor, Var};
    use std::sync::Arc;

    const IDS: [u32; 8] = [0, 1, 2, 3, 4, 0, 2, 1];
    const TARGETS: [u32; 8] = [1, 2, 3, 4, 0, 2, 1, 3];

    /// The model's last hidden states, and the gradients of its loss.
    fn gradients(gates: Option<Gates>) -> (Model, Vec<f32>, Parameters) {
        let sizes = Sizes { layers: 1, width: 8, heads: 2, context: 4, mlp_width: 16 };
        let mut model = Model::fresh(Decoder::new(Family::Llama, sizes, 6), 0);
        model.parameters_mut().numbers_mut().iter_mut().for_each(|x| *x *= 9.0);
        let mut pass = Pass::new(model.decoder(), 2, 4, Keep::ForBackward { contributions: false });
        pass.forward(&model, &IDS, None).unwrap();
        let mut gradients = Parameters::zeros(model.decoder());
        let upstream = Upstream { gates: gates.map(Arc::new), ..Upstream::default() };
        pass.backward(&model, &TARGETS, &upstream, None, &mut gradients);
        (model, pass.hidden_state(1), gradients)
    }

    /// The authors' form: logits whose gradient passes by a factor, `g z + (1 - g) stop_gradient(z)`.
    #[test]
    fn the_output_matrix_gets_the_gradient_of_gated_logits_and_nothing_else_changes() {
        let gate = |token, from_others, from_gated| RowGate { token, from_others, from_gated };
        let rows = vec![gate(3, 0.25, 0.5), gate(4, 0.0, 0.75), gate(5, 0.0, 0.0)]; // 5 is never a target
        let (_, _, plain) = gradients(None);
        let (model, hidden, gated) = gradients(Some(Gates::new(rows.clone(), 6)));

        let factor = |target: u32, token: u32| match rows.iter().find(|row| row.token == token && token != target) {
            Some(row) if target >= 3 => row.from_gated,
            Some(row) => row.from_others,
            None => 1.0,
        };
        let factors: Vec<f32> =
            TARGETS.iter().flat_map(|&target| (0..6).map(move |token| (target, token))).map(|(i, v)| factor(i, v)).collect();
        let cpu = &Device::Cpu;
        let matrix = Var::from_slice(model.unembedding(), (6, 8), cpu).unwrap();
        let logits = Tensor::from_vec(hidden, (8, 8), cpu).unwrap().matmul(&matrix.t().unwrap()).unwrap();
        let factors = Tensor::from_vec(factors, (8, 6), cpu).unwrap();
        let through = logits.mul(&factors).unwrap();
        let stopped = (logits.detach() - logits.mul(&factors).unwrap().detach()).unwrap();
        let targets = Tensor::from_slice(&TARGETS, (8, 1), cpu).unwrap();
        let logits = (through + stopped).unwrap();
        let normalizers = logits.exp().unwrap().sum_keepdim(1).unwrap().log().unwrap();
        let log_softmax = logits.broadcast_sub(&normalizers).unwrap();
        let loss = log_softmax.gather(&targets, 1).unwrap().neg().unwrap().mean_all().unwrap();
        let expected = loss.backward().unwrap().get(&matrix).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();

        let mut compared = 0;
        for ((spec, gated), (_, plain)) in gated.each().zip(plain.each()) {
            if spec.name != "lm_head.weight" {
                assert_eq!(gated, plain, "{}", spec.name);
                continue;
            }
            compared += 1;
            let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
            assert!(gated.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 2e-6 * largest), "{gated:?}");
            assert_eq!(gated[..3 * 8], plain[..3 * 8], "rows without gates");
            assert_eq!(gated[5 * 8..], [0.0; 8], "a row that is only pushed, and by gates of 0");
            assert!(gated[3 * 8..5 * 8].iter().zip(&plain[3 * 8..5 * 8]).all(|(gated, plain)| gated != plain));
        }
        assert_eq!(compared, 1);
    }
}
