//! Clouds for tests, and what every measure promises.

use crate::Points;
use regatta_core::Draw;
use std::fmt::Debug;

/// Standard normal points, rounded to float32 (n, d), the same every time.
pub fn normals(count: usize, dims: usize) -> Points {
    let mut draw = Draw::new(7, "diagnostics", count as u64, dims as u64);
    let numbers = (0..count * dims).map(|_| f64::from(draw.normal() as f32)).collect();
    Points::new(numbers, dims).expect("points")
}

/// Checks that the number of threads changes no bit.
pub fn same_on_all_threads<R: PartialEq + Debug + Send>(measure: impl Fn() -> R + Sync) {
    let [one, three] = [1, 3].map(|count| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build().expect("threads");
        threads.install(&measure)
    });
    assert_eq!(one, three);
}
