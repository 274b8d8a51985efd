//! AdamW and coupled Adam; formulas at [`crate::optimizer`]'s `adamw` and `coupled_adam`.

use crate::optimizer::Rates;
use candle_core::{Result, Tensor};

/// One update of AdamW. -> the weights, updated
///
/// # Shapes
/// all alike
pub(super) fn update(
    rates: Rates,
    weights: &Tensor,
    gradient: Tensor,
    first: &mut Tensor,
    second: &mut Tensor,
) -> Result<Tensor> {
    let gradient = clipped(gradient, rates.clip)?;
    *first = average(first, &gradient, rates.first_beta)?;
    *second = average(second, &gradient.sqr()?, rates.second_beta)?;
    moved(weights, rates, &(&*first / divisor(second, rates)?)?)
}

/// One update of coupled Adam. -> the weights, updated
///
/// # Shapes
/// weights, gradient, first (v, d), second (d)
pub(super) fn update_coupled(
    rates: Rates,
    weights: &Tensor,
    gradient: Tensor,
    first: &mut Tensor,
    second: &mut Tensor,
) -> Result<Tensor> {
    let gradient = clipped(gradient, rates.clip)?;
    *first = average(first, &gradient, rates.first_beta)?;
    *second = average(second, &mean_over_rows(&gradient.sqr()?)?, rates.second_beta)?;
    moved(weights, rates, &first.broadcast_div(&divisor(second, rates)?)?)
}

/// The gradient times the factor of clipping, before it is squared: a huge one has no square in float32. The gradient is freed.
pub(super) fn clipped(gradient: Tensor, clip: f32) -> Result<Tensor> {
    if clip == 1.0 { Ok(gradient) } else { gradient.affine(f64::from(clip), 0.0) }
}

/// β·average + (1 - β)·x
pub(super) fn average(average: &Tensor, x: &Tensor, beta: f32) -> Result<Tensor> {
    average.affine(f64::from(beta), 0.0)? + x.affine(f64::from(1.0 - beta), 0.0)?
}

/// sqrt(v)·root + ε
fn divisor(second: &Tensor, rates: Rates) -> Result<Tensor> {
    second.sqrt()?.affine(f64::from(rates.root), f64::from(rates.epsilon))
}

/// w·keep - step·direction
fn moved(weights: &Tensor, rates: Rates, direction: &Tensor) -> Result<Tensor> {
    scaled(weights, rates.keep)? - direction.affine(f64::from(rates.step), 0.0)?
}

/// w·keep
pub(super) fn scaled(weights: &Tensor, keep: f32) -> Result<Tensor> {
    if keep == 1.0 { Ok(weights.clone()) } else { weights.affine(f64::from(keep), 0.0) }
}

/// The mean of each column, in two stages: one sum over all tokens of a vocabulary would lose digits.
///
/// # Shapes
/// squares (v, d) -> (d)
fn mean_over_rows(squares: &Tensor) -> Result<Tensor> {
    const BLOCK: usize = 256;
    let (rows, columns) = squares.dims2()?;
    let whole = rows - rows % BLOCK;
    let mut sums = Vec::new();
    if whole > 0 {
        sums.push(squares.narrow(0, 0, whole)?.reshape((whole / BLOCK, BLOCK, columns))?.sum(1)?.sum_keepdim(0)?);
    }
    if whole < rows {
        sums.push(squares.narrow(0, whole, rows - whole)?.sum_keepdim(0)?);
    }
    Tensor::cat(&sums, 0)?.sum(0)?.affine(1.0 / rows as f64, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// 100,000 rows of 0.1 and of 2: one float32 sum of the first ends at 10,000.0 only to four digits.
    #[test]
    fn the_mean_of_many_rows_keeps_its_digits() {
        for rows in [5, 256, 100_000] {
            let numbers = [0.1f32, 2.0].repeat(rows);
            let mean = mean_over_rows(&Tensor::from_vec(numbers, (rows, 2), &Device::Cpu).unwrap()).unwrap();
            let mean = mean.to_vec1::<f32>().unwrap();
            assert!((mean[0] - 0.1).abs() < 3e-7 && (mean[1] - 2.0).abs() < 1e-6, "{rows}: {mean:?}");
        }
    }

    #[test]
    fn a_huge_gradient_is_clipped_before_it_is_squared() {
        let of = |x: f32| Tensor::from_slice(&[x], 1, &Device::Cpu).unwrap();
        let rates = Rates { keep: 1.0, first_beta: 0.5, second_beta: 0.5, step: 0.25, root: 2.0, epsilon: 1.0, clip: 1e-25 };
        let (mut first, mut second) = (of(0.0), of(0.0));
        let weights = update(rates, &of(1.0), of(2e25), &mut first, &mut second).unwrap();
        let numbers = [first, second, weights].map(|x| x.to_vec1::<f32>().unwrap()[0]);
        let expected = [1.0, 2.0, 1.0 - 0.25 / (2.0 * 2f32.sqrt() + 1.0)]; // of a gradient of 2
        assert!(numbers.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6), "{numbers:?}");
    }
}
