//! Sums of recorded numbers, some of which may still be on a device.

use candle_core::{DType, Result, Tensor};

/// A scalar that an engine computed.
#[derive(Debug, Clone)]
pub(crate) enum Scalar {
    /// In memory.
    Number(f64),
    /// On a device, where it may not be computed yet.
    Tensor(Tensor),
}

/// A sum whose terms may be on a device: they are read together with those of other sums, so that a step waits for the device once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    number: f64,
    /// Factor and scalar of each term that is not in `number` yet.
    pending: Vec<(f64, Tensor)>,
}

impl Sum {
    /// Adds `scaled` of a scalar, where `scaled` is a product with constants.
    pub fn add(&mut self, scalar: Scalar, scaled: impl Fn(f64) -> f64) {
        match scalar {
            Scalar::Number(number) => self.number += scaled(number),
            Scalar::Tensor(tensor) => self.pending.push((scaled(1.0), tensor)),
        }
    }

    /// Adds each of some numbers, in order.
    pub fn add_each(&mut self, numbers: &[f32]) {
        numbers.iter().for_each(|&number| self.number += f64::from(number));
    }

    /// The sum of the terms that were read.
    pub fn get(&self) -> f64 {
        self.number
    }

    /// Reads the pending terms of all `sums`, and `others`, by one transfer; returns those of `others`.
    pub fn read<'a>(sums: impl Iterator<Item = &'a mut Self>, others: &[Tensor]) -> Result<Vec<f32>> {
        let mut sums: Vec<&mut Self> = sums.collect();
        let pending = sums.iter().flat_map(|sum| &sum.pending).map(|(_, tensor)| tensor);
        let flat = |tensor: &Tensor| tensor.to_dtype(DType::F32)?.reshape(1);
        let all = pending.chain(others).map(flat).collect::<Result<Vec<Tensor>>>()?;
        let mut found = if all.is_empty() { Vec::new() } else { Tensor::cat(&all, 0)?.to_vec1::<f32>()? };
        let of_others = found.split_off(found.len() - others.len());
        let mut found = found.into_iter();
        for sum in &mut sums {
            for ((factor, _), value) in sum.pending.drain(..).zip(&mut found) {
                sum.number += factor * f64::from(value);
            }
        }
        Ok(of_others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn what_is_on_a_device_is_added_when_it_is_read() {
        let on_device = |x: f32| Tensor::new(x, &Device::Cpu).unwrap();
        let mut sums = [Sum::default(), Sum::default()];
        sums[0].add(Scalar::Number(3.0), |x| x * 2.0);
        sums[0].add(Scalar::Tensor(on_device(5.0)), |x| x * 2.0);
        sums[1].add(Scalar::Tensor(on_device(7.0)), |x| x / 2.0);
        sums[1].add_each(&[0.5, 0.25]);
        assert_eq!([sums[0].get(), sums[1].get()], [6.0, 0.75]);
        let others = Sum::read(sums.iter_mut(), &[on_device(11.0), on_device(13.0)]).unwrap();
        assert_eq!(([sums[0].get(), sums[1].get()], others), ([16.0, 4.25], vec![11.0, 13.0]));
        assert!(Sum::read(sums.iter_mut(), &[]).unwrap().is_empty());
        assert_eq!([sums[0].get(), sums[1].get()], [16.0, 4.25], "each is read once");
    }
}
