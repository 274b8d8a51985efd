//! How long each measure takes on a cloud of normal points: `cargo run --release -p regatta-diagnostics --example speed --
//! 4096x256`. A second number of points, `50000x768 4096`, is how many of them the measures of all pairs get.

use regatta_core::Draw;
use regatta_diagnostics::{
    Anisotropy, CONDENSATION_BINS, PairCosines, Points, Spectrum, Transform, by_frequency, differential_entropy, mean_cosine,
    outlier_dimensions, partition_isotropy,
};
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let shape = arguments.next().unwrap_or_else(|| "4096x256".to_owned());
    let (count, dims) = shape.split_once('x').ok_or("expected a shape such as 4096x256")?;
    let (count, dims): (usize, usize) = (count.parse()?, dims.parse()?);
    let paired = arguments.next().map_or(Ok(count), |count| count.parse())?.min(count);

    let mut draw = Draw::new(0, "speed", 0, 0);
    let points = Points::new((0..count * dims).map(|_| draw.normal()).collect(), dims)?;
    let few = Points::new(points.numbers()[..paired * dims].to_vec(), dims)?;
    let counts: Vec<u64> = (0..count as u64).map(|token| 1_000_000 / (token + 1)).collect();

    println!("{count} points of {dims} dims");
    time("mean cosine", || Ok(mean_cosine(&points)))?;
    time("spectrum", || Spectrum::of(&points))?;
    time("partition isotropy", || partition_isotropy(&points))?;
    time("outlier dimensions", || Ok(outlier_dimensions(&points, 3.0)))?;
    time("by frequency", || by_frequency(&points, &counts))?;
    time("all but the top, fitted", || Transform::all_but_the_top(&points, None))?;
    let map = time("ZCA, fitted", || Transform::zca_whiten(&points))?;
    time("ZCA, applied", || map.apply(&points))?;
    println!("{paired} points of {dims} dims");
    time("pairs: deviation, uniformity, histogram", || Ok(PairCosines::of(&few, CONDENSATION_BINS)))?;
    time("differential entropy", || differential_entropy(&few))?;
    time("all measures of a cloud", || Anisotropy::of(&few, CONDENSATION_BINS))?;
    Ok(())
}

fn time<R>(what: &str, measure: impl FnOnce() -> regatta_diagnostics::Result<R>) -> Result<R, Box<dyn Error>> {
    let begin = Instant::now();
    let found = measure()?;
    println!("{:>10.1} ms  {what}", begin.elapsed().as_secs_f64() * 1e3);
    Ok(found)
}
