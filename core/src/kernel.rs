//! The optional fast path of a plugin.
//!
//! A plugin is complete without a kernel: candle differentiates `penalty` or `objective`, in any dtype and on any device. A kernel
//! computes value and gradient together on float32 slices, without intermediate tensors. The runner calls it if the points or
//! outputs are float32 on the CPU. The conformance kit compares it with the tensor operations in float64.

use crate::{Draw, Error, Result};
use rayon::prelude::*;

/// The fast path of a [`Regularizer`](crate::Regularizer), returned by its method `kernel`.
pub trait Kernel: Sync {
    /// Returns the penalty of each group, in order, and writes to the cloud the gradient of each group's own penalty. The runner
    /// applies the mean over groups and the weight.
    ///
    /// `draw` is the draw that `penalty` would get, and must be used in the same way.
    ///
    /// # Errors
    /// When `penalty` would fail.
    fn penalties(&self, cloud: FloatCloud<'_>, draw: &mut Draw) -> Result<Vec<f64>>;
}

/// The fast path of a [`CompanionObjective`](crate::CompanionObjective) that is a mean over tokens and has no parameters.
pub trait ObjectiveKernel: Sync {
    /// Returns the objective of each token, in order, and writes to the outputs the gradient of each token's own objective. The
    /// runner applies the mean over tokens and the weight.
    ///
    /// # Errors
    /// When `objective` would fail.
    fn objectives(&self, outputs: FloatOutputs<'_>) -> Result<Vec<f64>>;
}

/// Numbers and their gradient.
#[derive(Debug)]
pub struct Floats<'a> {
    /// Row-major.
    pub numbers: &'a [f32],
    /// The gradient with respect to `numbers`, of the same length; zeros at first.
    pub gradient: &'a mut [f32],
}

/// A [`Cloud`](crate::Cloud) as float32 slices: the input of a [`Kernel`].
#[derive(Debug)]
pub struct FloatCloud<'a> {
    /// Groups, points per group, dims.
    pub shape: [usize; 3],
    /// (g·n·d)
    pub points: Floats<'a>,
    /// The second view of the points, if the cloud has one. (g·n·d)
    pub view: Option<Floats<'a>>,
}

/// [`Outputs`](crate::Outputs) as float32 slices: the input of an [`ObjectiveKernel`].
#[derive(Debug)]
pub struct FloatOutputs<'a> {
    /// Numbers per token: v for logits, d for hidden states.
    pub width: usize,
    /// The model's output. (b·t·width)
    pub own: Floats<'a>,
    /// The companion's output. (b·t·width)
    pub companion: &'a [f32],
}

impl FloatCloud<'_> {
    /// Dims per point, d.
    pub fn dims(&self) -> usize {
        self.shape[2]
    }

    /// Calls `group` in parallel on the points of each group and the gradient to be written, and collects the penalties.
    ///
    /// # Shapes
    /// points, gradient (n·d) -> scalar
    ///
    /// # Errors
    /// When `group` fails.
    pub fn each_group(self, group: impl Fn(&[f32], &mut [f32]) -> Result<f64> + Sync) -> Result<Vec<f64>> {
        let size = self.group_size();
        let Floats { numbers, gradient } = self.points;
        let groups = numbers.par_chunks_exact(size).zip(gradient.par_chunks_exact_mut(size)).with_max_len(1);
        groups.map(|(points, gradient)| group(points, gradient)).collect()
    }

    /// [`Self::each_group`] for the points and their second view.
    ///
    /// # Errors
    /// When the cloud has no second view, or `group` fails.
    pub fn each_group_of_views(self, group: impl Fn([&[f32]; 2], [&mut [f32]; 2]) -> Result<f64> + Sync) -> Result<Vec<f64>> {
        let size = self.group_size();
        let view = self.view.ok_or(Error::NoView)?;
        let numbers = self.points.numbers.par_chunks_exact(size).zip(view.numbers.par_chunks_exact(size));
        let gradients = self.points.gradient.par_chunks_exact_mut(size).zip(view.gradient.par_chunks_exact_mut(size));
        let groups = numbers.zip(gradients).with_max_len(1);
        groups.map(|((points, view), (of_points, of_view))| group([points, view], [of_points, of_view])).collect()
    }

    fn group_size(&self) -> usize {
        (self.shape[1] * self.shape[2]).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_its_own_points_and_gradient() {
        let (points, view) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let (mut gradient, mut view_gradient) = ([0.0; 4], [0.0; 4]);
        let shape = [2, 2, 1];
        let cloud = FloatCloud { shape, points: Floats { numbers: &points, gradient: &mut gradient }, view: None };
        let sums = cloud.each_group(|points, gradient| {
            gradient.fill(points[0]);
            Ok(points.iter().map(|x| f64::from(*x)).sum())
        });
        assert_eq!((sums.unwrap(), gradient), (vec![3.0, 7.0], [1.0, 1.0, 3.0, 3.0]));

        let cloud = FloatCloud {
            shape,
            points: Floats { numbers: &points, gradient: &mut gradient },
            view: Some(Floats { numbers: &view, gradient: &mut view_gradient }),
        };
        let products = cloud.each_group_of_views(|[x, y], [dx, dy]| {
            dx.copy_from_slice(y);
            dy.copy_from_slice(x);
            Ok(f64::from(x[0] * y[0] + x[1] * y[1]))
        });
        assert_eq!(products.unwrap(), [17.0, 53.0]); // 1·5 + 2·6, 3·7 + 4·8
        assert_eq!((gradient, view_gradient), (view, points));
    }

    #[test]
    fn a_missing_view_is_an_error() {
        let cloud = FloatCloud { shape: [1, 2, 1], points: Floats { numbers: &[1.0; 2], gradient: &mut [0.0; 2] }, view: None };
        assert!(matches!(cloud.each_group_of_views(|_, _| Ok(0.0)), Err(Error::NoView)));
    }
}
