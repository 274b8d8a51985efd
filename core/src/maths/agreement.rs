//! A kernel on float32 slices against the same penalty by tensor operations in float64, for tests.

use crate::{Cloud, Draw, Regularizer, Result};
use candle_core::{DType, Device, Tensor, Var};

/// How far a value may be off, relative, and a gradient, relative to its largest element; float32 has 1.2e-7.
const TOLERANCE: f64 = 1e-5;

/// Checks value and gradient of a regularizer in float32 against float64 on ordinary clouds and on degenerate ones: of odd
/// sizes, of several groups and panels, with repeated points, with zeros, collapsed; and, where it needs one, with a second view.
///
/// # Panics
/// With what was expected and what came, when they differ; or when the number of threads changes a bit.
pub fn float32_agrees(regularizer: &dyn Regularizer) {
    let (name, draw) = (format!("{regularizer:?}"), || Draw::new(0, "agreement penalty", 0, 0));
    if regularizer.needs_view() {
        // Points and view as one tensor (g, 2n, d), so that its gradient is that of both.
        agrees(&name, &with_views().expect("clouds"), |both| {
            let n = both.dim(1)? / 2;
            regularizer.penalty(&Cloud::with_view(both.narrow(1, 0, n)?, both.narrow(1, n, n)?)?, &mut draw())
        });
    } else {
        penalty_agrees(&name, |points| regularizer.penalty(&Cloud::new(points.clone())?, &mut draw()));
    }
}

/// As [`float32_agrees`], for a function of points (g, n, d).
///
/// # Panics
/// As there.
pub fn penalty_agrees(name: &str, penalty: impl Fn(&Tensor) -> Result<Tensor> + Sync) {
    agrees(name, &clouds().expect("clouds"), penalty);
}

fn agrees(name: &str, clouds: &[(&str, Tensor)], penalty: impl Fn(&Tensor) -> Result<Tensor> + Sync) {
    let threads = [1, 3].map(|count| rayon::ThreadPoolBuilder::new().num_threads(count).build().expect("threads"));
    for (what, cloud) in clouds {
        let narrow = cloud.to_dtype(DType::F32).expect("a cast");
        let wide = narrow.to_dtype(DType::F64).expect("a cast"); // of the same numbers
        let [one, three] = threads.each_ref().map(|threads| threads.install(|| value_and_gradient(&penalty, &narrow)));
        assert!(one == three, "{name}, {what}: another number of threads gives other numbers");
        let (found, gradient) = one;
        let (expected, expected_gradient) = value_and_gradient(&penalty, &wide);
        let off = (found - expected).abs() / expected.abs().max(0.1);
        assert!(off < TOLERANCE, "{name}, {what}: {found}, in float64 {expected}: {off:e}");
        // A float rounds its points by 6e-8: slopes that would be 0 are of that order over the number of points.
        let least = 0.1 / cloud.dims()[0] as f64 / cloud.dims()[1] as f64;
        let largest = expected_gradient.iter().fold(least, |most, x| most.max(x.abs()));
        for (index, (found, expected)) in gradient.iter().zip(&expected_gradient).enumerate() {
            let off = (found - expected).abs() / largest;
            assert!(off < TOLERANCE, "{name}, {what}: gradient {found} at {index}, in float64 {expected}: {off:e}");
        }
    }
}

/// Each cloud with a view near its points; and one whose view is the same, and one whose view has collapsed.
fn with_views() -> Result<Vec<(&'static str, Tensor)>> {
    let mut both = Vec::new();
    for (what, points) in clouds()? {
        let noise = Draw::new(2, "agreement", 0, 0).normals(points.dims(), DType::F64, &Device::Cpu)?;
        let view = if what == "collapsed points" { points.clone() } else { (&points + (noise * 0.3)?)? };
        both.push((what, Tensor::cat(&[&points, &view], 1)?));
        if what == "ordinary points in three groups" {
            let one = points.narrow(1, 0, 1)?.broadcast_as(points.shape())?;
            both.push(("equal views", Tensor::cat(&[&points, &points], 1)?));
            both.push(("a view collapsed to one point", Tensor::cat(&[&points, &one], 1)?));
        }
    }
    Ok(both)
}

fn clouds() -> Result<Vec<(&'static str, Tensor)>> {
    let gaussian = |shape: [usize; 3]| Draw::new(1, "agreement", 0, 0).normals(&shape, DType::F64, &Device::Cpu);
    let spread = gaussian([1, 37, 10])?;
    let one = spread.narrow(1, 0, 1)?;
    let zero = one.zeros_like()?;
    Ok(vec![
        ("ordinary points in three groups", gaussian([3, 37, 10])?),
        ("two points", spread.narrow(1, 0, 2)?.contiguous()?),
        ("fewer points than dims", gaussian([2, 5, 33])?),
        ("several panels", gaussian([1, 613, 16])?),
        ("several panels in two groups", gaussian([2, 300, 24])?),
        ("points of three dims", gaussian([2, 40, 3])?),
        ("repeated points", Tensor::cat(&[&spread, &spread, &one], 1)?),
        ("collapsed points", one.broadcast_as((1, 20, 10))?.contiguous()?),
        ("a zero among others", Tensor::cat(&[&zero, &spread], 1)?),
        ("zeros alone", Tensor::cat(&[&zero, &zero, &zero], 1)?),
        ("a cone", ((&spread * 0.3)? + 1.0)?),
        ("small points", (&spread * 1e-2)?),
        ("large points", (&spread * 2.0)?),
    ])
}

fn value_and_gradient(penalty: impl Fn(&Tensor) -> Result<Tensor>, points: &Tensor) -> (f64, Vec<f64>) {
    let points = Var::from_tensor(points).expect("a variable");
    let penalty = penalty(&points).expect("a penalty");
    let grads = penalty.backward().expect("a backward");
    let numbers = |x: &Tensor| x.to_dtype(DType::F64).and_then(|x| x.flatten_all()?.to_vec1::<f64>()).expect("numbers");
    (numbers(&penalty)[0], numbers(grads.get(&points).expect("a gradient")))
}
