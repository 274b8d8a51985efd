//! Measures of the cosines of all pairs of points.

use crate::points::{Points, norm, to_unit};
use rayon::prelude::*;
use regatta_core::kernels::{Matrix, MatrixMut, Onto, product};
use regatta_core::libm;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::ops::Range;

/// How much each dim adds to the mean cosine: `(‖Σ_i u_ij‖² - Σ_i u_ij²) / (n(n-1))` for dim j, u of norm 1; they add up to the
/// mean cosine. `None` below two points.
///
/// Timkey, van Schijndel, "All bark and no bite: rogue dimensions in transformer language models obscure representational
/// quality", EMNLP 2021, arXiv:2109.04404, section 3, over all pairs i≠j instead of a sample of them.
///
/// # Shapes
/// points (n, d) -> (d)
pub fn cosine_contributions(points: &Points) -> Option<Vec<f64>> {
    let (n, d) = (points.count() as f64, points.dims());
    let sums = points.sums(2 * d, |row, sums| {
        let scale = to_unit(norm(row));
        let (all, own) = sums.split_at_mut(d);
        for ((x, all), own) in row.iter().zip(all).zip(own) {
            let u = scale * x;
            *all += u;
            *own += u * u;
        }
    });
    let (all, own) = sums.split_at(d);
    (n > 1.0).then(|| all.iter().zip(own).map(|(all, own)| (all * all - own) / (n * (n - 1.0))).collect())
}

/// Mean cosine over pairs i≠j: 0 for points in all directions, 1 for points that share one (condensation), `-1/(n-1)` at least.
/// `None` below two points.
///
/// With unit vectors u it is `(‖Σ_i u_i‖² - Σ_i ‖u_i‖²) / (n(n-1))`: n·d work, not n²·d. A zero vector has cosine 0 with all.
///
/// # Shapes
/// points (n, d) -> number
pub fn mean_cosine(points: &Points) -> Option<f64> {
    cosine_contributions(points).map(|contributions| contributions.iter().sum())
}

/// Measures of the cosines of pairs i≠j of a cloud; a zero vector has cosine 0 with all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairCosines {
    /// See [`mean_cosine`].
    pub mean: f64,
    /// Standard deviation of the cosines about their mean, divided by the number of pairs.
    pub std: f64,
    /// `ln mean exp(-2 ‖u_i - u_j‖²)`, u of norm 1: 0 for points that share a direction, lower the more evenly they are spread,
    /// -8 at least. Wang, Isola 2020, arXiv:2005.10242, section 4.1, with t = 2.
    pub uniformity: f64,
    /// The fraction of the pairs in each of equal bins from -1 to 1: bin b of B starts at `-1 + 2b/B`; the last holds 1 too.
    pub histogram: Vec<f64>,
}

/// Rows of a block of pairs, and its columns: 512 KB of products.
const BLOCK: (usize, usize) = (128, 512);

impl PairCosines {
    /// Sees every pair once, in blocks: n²·d/2 products, and no (n, n) matrix. `None` below two points.
    ///
    /// # Shapes
    /// points (n, d); the histogram is (bins)
    pub fn of(points: &Points, bins: NonZeroUsize) -> Option<Self> {
        let mean = mean_cosine(points)?;
        let scales: Vec<f64> = points.norms().into_iter().map(to_unit).collect();
        let seen = Seen { points, scales: &scales, mean, bins: bins.get() };
        // The panel t has all that follow it to meet: with the t-th from the end, tasks are equally long.
        let panels = points.count().div_ceil(BLOCK.0);
        let both = |task: usize| [Some(task), Some(panels - 1 - task).filter(|&last| last > task)];
        let tasks: Vec<Sums> = (0..panels.div_ceil(2))
            .into_par_iter()
            .with_max_len(1)
            .map(|task| {
                let mut sums = Sums { squares: 0.0, repulsion: 0.0, counts: vec![0; bins.get()] };
                both(task).into_iter().flatten().for_each(|panel| seen.panel(panel, &mut sums));
                sums
            })
            .collect();
        let mut counts = vec![0u64; bins.get()];
        tasks.iter().for_each(|task| counts.iter_mut().zip(&task.counts).for_each(|(count, x)| *count += x));
        let pairs = counts.iter().sum::<u64>() as f64;
        Some(Self {
            mean,
            std: (tasks.iter().map(|task| task.squares).sum::<f64>() / pairs).sqrt(),
            uniformity: libm::log(tasks.iter().map(|task| task.repulsion).sum::<f64>() / pairs),
            histogram: counts.iter().map(|&count| count as f64 / pairs).collect(),
        })
    }
}

impl PairCosines {
    /// The pairs of several clouds together, where each has as many of them and a histogram of as many bins: what the pairs
    /// *within* the clouds say. `None` of no cloud.
    pub fn within(clouds: &[Self]) -> Option<Self> {
        let n = clouds.len() as f64;
        let mean_of = |figure: &dyn Fn(&Self) -> f64| clouds.iter().map(figure).sum::<f64>() / n;
        let mean = mean_of(&|cloud| cloud.mean);
        let bins = clouds.first()?.histogram.len();
        Some(Self {
            mean,
            std: mean_of(&|cloud| cloud.std.powi(2) + (cloud.mean - mean).powi(2)).sqrt(),
            uniformity: libm::log(mean_of(&|cloud| libm::exp(cloud.uniformity))),
            histogram: (0..bins).map(|bin| mean_of(&|cloud| cloud.histogram[bin])).collect(),
        })
    }
}

/// Sums over pairs i<j.
struct Sums {
    /// `Σ (c - mean)²`: about the mean, which is known, so that close cosines lose no digits.
    squares: f64,
    /// `Σ exp(-2 ‖u_i - u_j‖²)`
    repulsion: f64,
    /// Pairs in each bin.
    counts: Vec<u64>,
}

struct Seen<'a> {
    points: &'a Points,
    scales: &'a [f64],
    mean: f64,
    bins: usize,
}

impl Seen<'_> {
    /// Adds the pairs of each point of a panel with all points after it.
    fn panel(&self, panel: usize, sums: &mut Sums) {
        let rows = panel * BLOCK.0..((panel + 1) * BLOCK.0).min(self.points.count());
        let mut products = vec![0.0; BLOCK.0 * BLOCK.1];
        for first in (rows.start..self.points.count()).step_by(BLOCK.1) {
            let columns = first..(first + BLOCK.1).min(self.points.count());
            let products = &mut products[..rows.len() * columns.len()];
            block_products(self.points, &rows, &columns, products);
            for (i, products) in rows.clone().zip(products.chunks_exact_mut(columns.len())) {
                let before = (i + 1).saturating_sub(columns.start).min(columns.len());
                self.row(i, columns.start + before, &mut products[before..], sums);
            }
        }
    }

    /// Adds the pairs of point i with those from `first` on.
    fn row(&self, i: usize, first: usize, cosines: &mut [f64], sums: &mut Sums) {
        let scales = &self.scales[first..first + cosines.len()];
        cosines.iter_mut().zip(scales).for_each(|(c, scale)| *c = (*c * self.scales[i] * scale).clamp(-1.0, 1.0));
        sums.squares += cosines.iter().map(|c| (c - self.mean) * (c - self.mean)).sum::<f64>();
        let square = |scale: f64| if scale > 0.0 { 1.0 } else { 0.0 }; // of the unit vector
        let own = square(self.scales[i]);
        let repulsion = |(c, &scale): (&f64, &f64)| libm::exp(-2.0 * (own + square(scale) - 2.0 * c));
        sums.repulsion += cosines.iter().zip(scales).map(repulsion).sum::<f64>();
        let half = 0.5 * self.bins as f64;
        cosines.iter().for_each(|c| sums.counts[(((c + 1.0) * half) as usize).min(self.bins - 1)] += 1);
    }
}

/// `x_i·x_j` of the points i of `rows` and j of `columns`, row after row.
pub(crate) fn block_products(points: &Points, rows: &Range<usize>, columns: &Range<usize>, out: &mut [f64]) {
    let d = points.dims();
    let matrix = |range: &Range<usize>| Matrix::new(&points.numbers()[range.start * d..range.end * d], range.len(), d);
    product(MatrixMut::new(out, rows.len(), columns.len()), Onto::Replace, 1.0, matrix(rows), matrix(columns).transposed());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{normals, same_on_all_threads};

    fn check(numbers: &[f64], dims: usize, [mean, std, uniformity]: [f64; 3], histogram: &[f64]) {
        let points = Points::new(numbers.to_vec(), dims).unwrap();
        let found = PairCosines::of(&points, NonZeroUsize::new(histogram.len()).unwrap()).unwrap();
        assert!((found.mean - mean).abs() < 1e-12 && (found.std - std).abs() < 1e-12, "{found:?}");
        assert!((found.uniformity - uniformity).abs() < 1e-12, "{found:?}");
        assert_eq!(found.histogram, histogram);
    }

    #[test]
    fn pairs_within_two_clouds_are_counted_together() {
        let pair = |c: f64| Points::new(vec![1.0, 0.0, c, (1.0 - c * c).sqrt()], 2).unwrap(); // one pair, of cosine c
        let of = |c: f64| PairCosines::of(&pair(c), NonZeroUsize::new(4).unwrap()).unwrap();
        let found = PairCosines::within(&[of(0.0), of(0.6)]).unwrap();
        assert!((found.mean - 0.3).abs() < 1e-12 && (found.std - 0.3).abs() < 1e-12, "{found:?}");
        let repulsion = 0.5 * ((-4f64).exp() + (-1.6f64).exp()); // -2·(2 - 2c)
        assert!((found.uniformity - repulsion.ln()).abs() < 1e-12, "{found:?}");
        assert_eq!(found.histogram, [0.0, 0.0, 0.5, 0.5]);
        assert_eq!(PairCosines::within(&[]), None);
    }

    #[test]
    fn three_pairs_by_hand() {
        // cosines 0, 0 and -1; squared distances 2, 2 and 4
        let uniformity = ((2.0 * (-4f64).exp() + (-8f64).exp()) / 3.0).ln();
        let [low, other] = [1.0 / 3.0, 2.0 / 3.0];
        check(&[2.0, 0.0, 0.0, 3.0, -1.0, 0.0], 2, [-1.0 / 3.0, 2f64.sqrt() / 3.0, uniformity], &[low, 0.0, other, 0.0]);
    }

    #[test]
    fn equal_directions_and_zeros() {
        check(&[1.0, 2.0, 2.0, 4.0, 0.5, 1.0], 2, [1.0, 0.0, 0.0], &[0.0, 0.0, 1.0]);
        check(&[0.0; 6], 2, [0.0, 0.0, 0.0], &[0.0, 1.0, 0.0]); // zeros have cosine 0, and lie at distance 0
        check(&[1.0, 0.0, 0.0, 0.0], 2, [0.0, 0.0, -2.0], &[0.0, 1.0]); // a unit vector is 1 from zero
        let lone = Points::new(vec![1.0, 2.0], 2).unwrap();
        assert!(PairCosines::of(&lone, NonZeroUsize::MIN).is_none() && mean_cosine(&lone).is_none());
    }

    #[test]
    fn each_dim_adds_its_part() {
        // u = (0.6, 0.8) and (0, 1): the cosine 0.8 is all of the second dim
        let points = Points::new(vec![3.0, 4.0, 0.0, 2.0], 2).unwrap();
        let parts = cosine_contributions(&points).unwrap();
        assert!(parts[0].abs() < 1e-12 && (parts[1] - 0.8).abs() < 1e-12, "{parts:?}");
    }

    #[test]
    fn blocks_are_all_pairs() {
        let points = normals(1_100, 5); // several panels, and several blocks of columns
        let found = PairCosines::of(&points, NonZeroUsize::new(7).unwrap()).unwrap();
        let (mut sum, mut squares, mut repulsion, mut counts) = (0.0, 0.0, 0.0, [0.0; 7]);
        for (i, x) in points.rows().enumerate() {
            for y in points.rows().take(i) {
                let c = crate::points::dot(x, y) / norm(x) / norm(y);
                sum += c;
                squares += c * c;
                repulsion += (4.0 * c - 4.0).exp();
                counts[((c + 1.0) * 3.5) as usize] += 1.0;
            }
        }
        let pairs = 1_100.0 * 1_099.0 / 2.0;
        let mean = sum / pairs;
        assert!((found.mean - mean).abs() < 1e-12, "{} {mean}", found.mean);
        assert!((found.std - (squares / pairs - mean * mean).sqrt()).abs() < 1e-12);
        assert!((found.uniformity - (repulsion / pairs).ln()).abs() < 1e-12);
        assert_eq!(found.histogram, counts.map(|count| count / pairs));
        same_on_all_threads(|| PairCosines::of(&points, NonZeroUsize::MIN));
    }
}
