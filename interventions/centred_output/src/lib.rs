//! Output embedding centring: the mean row of the output matrix is subtracted after each update.
//!
//! For the rows e_v of the output matrix, over the vocabulary of V tokens:
//! ```text
//! e_v <- e_v - μ,  μ = 1/V Σ_v e_v
//! ```
//! Adding the same vector to all rows adds the same number to all logits of a token, so the cross-entropy does not see μ: it drifts
//! (Biś et al., "Too Much in Common", NAACL 2021), and logits may grow with it. Stollenwerk et al., 2026, arXiv:2601.02031
//! (μ-centring); `centering`, a regularizer, penalises ‖μ‖² instead (μ-loss).
//!
//! # Deviations from the paper
//! Where the output matrix is tied to the token embedding, both are centred, since they are one matrix.
//!
//! # Shapes
//! matrix (v, d)

use regatta_core::kernels::vector;
use regatta_core::{Action, Intervention, OutputUpdate, Result, Tensor, intervention, typetag};

intervention! {
    name: "centred_output",
    summary: "subtracts the mean row of the output matrix after each update",
    paper: "Stollenwerk et al., 2026, arXiv:2601.02031 (μ-centring)",
    formula: "E - 1 μᵀ, μ the mean of the rows of E",
    /// The output matrix, centred after each update.
    pub struct CentredOutput {}
}

#[typetag::serde(name = "centred_output")]
impl Intervention for CentredOutput {
    fn action(&self) -> Option<Action<'_>> {
        Some(Action::OutputUpdate(self))
    }
}

impl OutputUpdate for CentredOutput {
    fn apply(&self, matrix: &mut [f32], dims: usize) {
        let mean = vector::mean_row(matrix, dims);
        for row in matrix.chunks_exact_mut(dims) {
            row.iter_mut().zip(&mean).for_each(|(x, mean)| *x = (f64::from(*x) - mean) as f32);
        }
    }

    fn apply_on_device(&self, matrix: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(matrix.broadcast_sub(&matrix.mean_keepdim(0)?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lose_their_mean() {
        let mut matrix = [1.0, 2.0, 3.0, 6.0, 5.0, 1.0]; // the mean row is (3, 3)
        CentredOutput {}.apply(&mut matrix, 2);
        assert_eq!(matrix, [-2.0, -1.0, 0.0, 3.0, 2.0, -2.0]);
    }

    #[test]
    fn a_common_vector_is_taken_away_whole() {
        let row = |x: f32| [x, -x, 2.0 * x];
        let mut matrix: Vec<f32> = [1.0, -1.0, 0.5, -0.5].into_iter().flat_map(|x| row(x).map(|x| x + 1000.0)).collect();
        CentredOutput {}.apply(&mut matrix, 3);
        let expected: Vec<f32> = [1.0, -1.0, 0.5, -0.5].into_iter().flat_map(row).collect();
        assert_eq!(matrix, expected);
    }

    #[test]
    fn conforms() {
        regatta_core::conformance::intervention_conforms::<CentredOutput>();
    }
}
