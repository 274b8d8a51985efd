//! Comparison of a kernel in float32 with the tensor operations of its plugin in float64.

use crate::{Cloud, CompanionObjective, Draw, Kernel, Regularizer, Result, differentiate};
use candle_core::{DType, Device, Tensor, Var};

/// The kit's tolerance for a value, relative, and for a gradient, relative to its largest element. It is far above the rounding
/// errors of careful float32 sums, and far below the effect of a mistake.
pub(super) const TOLERANCE: f64 = 1e-4;

/// Compares value and gradient of a regularizer's kernel with its `penalty` in float64.
///
/// The clouds are ordinary and degenerate ones: odd sizes, several groups, repeated points, zeros, collapsed points. They have a
/// second view if the regularizer needs one. The kit uses a `tolerance` of 1e-4; a careful kernel meets a smaller one.
///
/// # Panics
/// - When value or gradient differ, with what was expected and what was found.
/// - When the result depends on the number of threads.
/// - When there is no kernel.
pub fn kernel_agrees(regularizer: &dyn Regularizer, tolerance: f64) {
    for (what, points) in clouds().expect("clouds") {
        for (what, cloud) in seen(regularizer, what, points).expect("clouds") {
            kernel_agrees_on(regularizer, &what, &cloud, tolerance);
        }
    }
}

/// [`kernel_agrees`] on a single cloud, which messages call `what`.
///
/// # Panics
/// As for [`kernel_agrees`]: a difference, a dependence on the number of threads, or no kernel.
pub fn kernel_agrees_on(regularizer: &dyn Regularizer, what: &str, cloud: &Cloud, tolerance: f64) {
    let kernel = regularizer.kernel().unwrap_or_else(|| panic!("{regularizer:?} has no kernel"));
    let of = format!("{regularizer:?}, {what}");
    let [one, three] = [1, 3].map(|count| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count).build().expect("threads");
        threads.install(|| by_kernel(kernel, cloud).unwrap_or_else(|error| panic!("the kernel of {of}: {error}")))
    });
    assert!(one == three, "the kernel of {of}: another number of threads gives other numbers");
    let expected = by_tensors(regularizer, cloud).unwrap_or_else(|error| panic!("{of}: {error}"));
    // If gradients cancel, rounding the points to float32 (by 6e-8) leaves gradients of about that size over the number of points.
    let least = 0.1 / cloud.groups() as f64 / cloud.count() as f64;
    agrees(&of, one, expected, least, tolerance);
}

/// Compares the kernel of an intervention, if it has one, with its `objective` in float64, on outputs of the model and its
/// companion.
pub(super) fn objective_agrees(it: &dyn CompanionObjective, own: &Tensor, companion: &Tensor) {
    let Some(kernel) = it.kernel() else { return };
    let of = format!("{it:?}");
    let (value, gradient) = differentiate::objective_by_kernel(kernel, own, companion, 1.0)
        .unwrap_or_else(|error| panic!("the kernel of {of}: {error}"));
    let tensors = || {
        let own = Var::from_tensor(&own.to_dtype(DType::F64)?)?;
        let outputs = crate::Outputs { own: own.as_tensor(), companion: &companion.to_dtype(DType::F64)? };
        let objective = it.objective(&outputs, &[])?;
        let gradient = objective.backward()?.get(&own).map_or_else(|| own.zeros_like(), |found| Ok(found.clone()))?;
        Ok::<_, crate::Error>((objective.to_scalar::<f64>()?, gradient.flatten_all()?.to_vec1::<f64>()?))
    };
    let expected = tensors().unwrap_or_else(|error| panic!("{of}: {error}"));
    let least = 0.1 / own.elem_count() as f64;
    agrees(&of, (f64::from(value), wide(gradient)), expected, least, TOLERANCE);
}

/// Compares values, and gradients element by element, relative to the largest element or to `least`.
fn agrees(of: &str, (value, gradient): (f64, Vec<f64>), expected: (f64, Vec<f64>), least: f64, tolerance: f64) {
    let (expected, expected_gradient) = expected;
    let off = (value - expected).abs() / expected.abs().max(0.1);
    assert!(off < tolerance, "{of}: the kernel gives {value}, tensor operations in float64 {expected}: {off:e}");
    assert_eq!(gradient.len(), expected_gradient.len(), "{of}: as many numbers");
    let largest = expected_gradient.iter().fold(least, |most, x| most.max(x.abs()));
    for (index, (found, expected)) in gradient.iter().zip(&expected_gradient).enumerate() {
        let off = (found - expected).abs() / largest;
        assert!(off < tolerance, "{of}: gradient {found} by the kernel at {index}, in float64 {expected}: {off:e}");
    }
}

fn draw() -> Draw {
    Draw::new(0, "conformance kernel", 0, 0)
}

/// The views of a cloud in another dtype, and a cloud of them.
fn views_in(dtype: DType, cloud: &Cloud) -> Result<(Vec<Var>, Cloud)> {
    let views = std::iter::once(cloud.points()).chain(cloud.view());
    // Rounded to float32 first, so that kernel and tensor operations get the same numbers.
    differentiate::leaves(views.map(|view| Ok(view.to_dtype(DType::F32)?.to_dtype(dtype)?)))
}

/// Value and gradient of a kernel: with respect to the points, then to the view.
pub(super) fn by_kernel(kernel: &dyn Kernel, cloud: &Cloud) -> Result<(f64, Vec<f64>)> {
    let (leaves, cloud) = views_in(DType::F32, cloud)?;
    let leaves: Vec<&Var> = leaves.iter().collect();
    let (value, gradients) = differentiate::penalty_by_kernel(kernel, &cloud, &leaves, 1.0, &mut draw())?;
    Ok((f64::from(value), wide(gradients.into_iter().flatten().flatten())))
}

fn by_tensors(regularizer: &dyn Regularizer, cloud: &Cloud) -> Result<(f64, Vec<f64>)> {
    let (leaves, cloud) = views_in(DType::F64, cloud)?;
    differentiate::penalty_in_float64(regularizer, (&leaves, &cloud), &mut draw())
}

fn wide(numbers: impl IntoIterator<Item = f32>) -> Vec<f64> {
    numbers.into_iter().map(f64::from).collect()
}

/// Clouds of these points: without a view or, if the regularizer needs one, with a view near them. The first points are also used
/// with themselves as their view and with a collapsed view.
fn seen(regularizer: &dyn Regularizer, what: &str, points: Tensor) -> Result<Vec<(String, Cloud)>> {
    if !regularizer.needs_view() {
        return Ok(vec![(what.to_owned(), Cloud::new(points)?)]);
    }
    let noise = Draw::new(2, "agreement", 0, 0).normals(points.dims(), DType::F64, &Device::Cpu)?;
    let near = if what == "collapsed points" { points.clone() } else { (&points + (noise * 0.3)?)? };
    let mut clouds = vec![(format!("{what}, with a view"), Cloud::with_view(points.clone(), near)?)];
    if what == "ordinary points in three groups" {
        let one = points.narrow(1, 0, 1)?.broadcast_as(points.shape())?;
        clouds.push((format!("{what}, with themselves as their view"), Cloud::with_view(points.clone(), points.clone())?));
        clouds.push((format!("{what}, whose view has collapsed to one point"), Cloud::with_view(points, one)?));
    }
    Ok(clouds)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FloatCloud, typetag};
    use serde::{Deserialize, Serialize};

    /// Mean square of the points, or of their differences from a view, with a kernel that can be wrong.
    #[derive(Debug, Clone, Default, Serialize, Deserialize)]
    struct MeanSquare {
        /// Relative error of the kernel's value.
        value: f64,
        /// Relative error of its gradient.
        gradient: f64,
        /// Relative error of its gradient with respect to the view.
        view_gradient: f64,
        /// Relative error of its value in all groups but the first, which a single group does not show.
        other_groups: f64,
        needs_view: bool,
    }

    #[typetag::serde(name = "mean_square_by_a_kernel")]
    impl Regularizer for MeanSquare {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
            if self.needs_view {
                Ok((cloud.points() - cloud.both_views()?[1])?.sqr()?.mean_all()?)
            } else {
                Ok(cloud.points().sqr()?.mean_all()?)
            }
        }

        fn needs_view(&self) -> bool {
            self.needs_view
        }

        fn kernel(&self) -> Option<&dyn Kernel> {
            Some(self)
        }
    }

    impl MeanSquare {
        fn mean_square(&self, points: &[f32], at: impl Fn(usize) -> f32, gradient: &mut [f32]) -> f64 {
            let count = points.len() as f64;
            let away = |index: usize| f64::from(points[index] - at(index));
            let factor = 2.0 * (1.0 + self.gradient) / count;
            gradient.iter_mut().enumerate().for_each(|(index, out)| *out = (factor * away(index)) as f32);
            (1.0 + self.value) * (0..points.len()).map(|index| away(index).powi(2)).sum::<f64>() / count
        }
    }

    impl Kernel for MeanSquare {
        fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
            let mut values = if self.needs_view {
                cloud.each_group_of_views(|[points, view], [of_points, of_view]| {
                    let value = self.mean_square(points, |index| view[index], of_points);
                    let factor = -(1.0 + self.view_gradient) as f32;
                    of_view.iter_mut().zip(of_points).for_each(|(out, x)| *out = factor * *x);
                    Ok(value)
                })?
            } else {
                cloud.each_group(|points, gradient| Ok(self.mean_square(points, |_| 0.0, gradient)))?
            };
            values.iter_mut().skip(1).for_each(|value| *value *= 1.0 + self.other_groups);
            Ok(values)
        }
    }

    fn checked(regularizer: &MeanSquare) -> std::result::Result<(), String> {
        let checked = std::panic::catch_unwind(|| super::super::keeps_its_promises(regularizer));
        checked.map_err(|panic| *panic.downcast::<String>().expect("a message"))
    }

    #[test]
    fn a_kernel_that_agrees_conforms() {
        kernel_agrees(&MeanSquare::default(), 1e-6);
        for needs_view in [false, true] {
            checked(&MeanSquare { needs_view, ..MeanSquare::default() }).unwrap();
        }
    }

    #[test]
    fn a_kernel_that_disagrees_does_not_conform() {
        let off = 1e-3;
        let wrong = |regularizer: MeanSquare, message: &str| {
            let error = checked(&regularizer).unwrap_err();
            assert!(error.contains(message), "{error}");
        };
        for needs_view in [false, true] {
            let right = MeanSquare { needs_view, ..MeanSquare::default() };
            wrong(MeanSquare { value: off, ..right.clone() }, "the kernel gives");
            wrong(MeanSquare { gradient: -off, ..right.clone() }, "by the kernel at");
            wrong(MeanSquare { other_groups: off, ..right }, "ordinary points in three groups");
        }
        wrong(MeanSquare { view_gradient: off, needs_view: true, ..MeanSquare::default() }, "by the kernel at");
    }
}
