//! Sums of float64 numbers in eight running sums, whose order belongs to the program: the same on every machine.

/// Running sums.
pub const LANES: usize = 8;

/// The sum of eight, in pairs.
#[inline(always)]
pub fn total(x: [f64; LANES]) -> f64 {
    ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}

/// Sum of products; what is left of the last chunk goes to the first lanes.
#[inline(always)]
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0f64; LANES];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in x.iter().zip(y) {
        for lane in 0..LANES {
            sums[lane] = x[lane].mul_add(y[lane], sums[lane]);
        }
    }
    for ((sum, x), y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum = x.mul_add(*y, *sum);
    }
    total(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_uneven_lengths() {
        let x: Vec<f64> = (1..=13).map(f64::from).collect();
        assert_eq!(dot(&x, &x), 819.0);
        assert_eq!(total([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), 36.0);
        assert_eq!(dot(&[], &[]), 0.0);
    }
}
