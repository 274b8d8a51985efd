//! The global norm of a gradient.

use crate::model::Parameters;
use rayon::prelude::*;
use regatta_kernels::model::{SQUARES_BLOCK, sum_of_squares};

/// The norm of all gradients together, the model's and those of interventions' `own` parameters, and the name of the first tensor
/// whose gradient is not finite. Squares are summed in blocks of a fixed size and the blocks in float64, so the norm does not
/// depend on the number of threads.
pub(super) fn global_norm<'a>(gradients: &'a Parameters, own: Option<&'a Parameters>) -> (f64, Option<&'a str>) {
    let each = || gradients.each().chain(own.into_iter().flat_map(Parameters::each));
    let blocks: Vec<&[f32]> = each().flat_map(|(_, numbers)| numbers.chunks(SQUARES_BLOCK)).collect();
    let squares: Vec<f64> = blocks.par_iter().with_min_len(16).map(|block| sum_of_squares(block)).collect();
    let total = squares.iter().sum::<f64>();
    let broken = if total.is_finite() { None } else { each().find(|(_, numbers)| !sum_of_squares(numbers).is_finite()) };
    (total.sqrt(), broken.map(|(spec, _)| &*spec.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoder, Family, Sizes};

    fn gradients(numbers: [f32; 4]) -> Parameters {
        let spec = Sizes { layers: 0, width: 1, heads: 1, context: 1, mlp_width: 1 };
        let mut gradients = Parameters::zeros(&Decoder::new(Family::Gpt2, spec, 1));
        gradients.numbers_mut().copy_from_slice(&numbers);
        gradients
    }

    #[test]
    fn all_tensors_are_in_the_norm() {
        assert_eq!(global_norm(&gradients([3.0, 0.0, 0.0, 4.0]), None), (5.0, None));
        assert!((global_norm(&gradients([3e30, 0.0, 0.0, 4e30]), None).0 / 5e30 - 1.0).abs() < 1e-6, "squares beyond float32");
        assert_eq!(global_norm(&gradients([1.0, 2.0, 0.0, 2.0]), Some(&gradients([4.0, 0.0, 0.0, 0.0]))), (5.0, None));
    }

    #[test]
    fn the_first_broken_tensor_is_named() {
        let gradients = gradients([3.0, f32::NAN, 0.0, f32::INFINITY]);
        let (norm, broken) = global_norm(&gradients, None);
        assert!(norm.is_nan());
        assert_eq!(broken, Some("wpe.weight"));
    }
}
