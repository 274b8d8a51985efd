//! The cloud of points that a regularizer sees.

use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// Floating-point points `[groups, points, dims]`, with at least two points per group.
///
/// A penalty is computed for each group separately and averaged over the groups. Training uses f32; tests and the conformance kit
/// also use f64, so a penalty must work in the dtype of its cloud.
///
/// If the regularizer [asks for them](crate::Regularizer::needs_labels), the cloud holds the label of each point: the token that the
/// model is to predict there.
///
/// If the regularizer [needs one](crate::Regularizer::needs_view), the cloud holds a second view of the same points: point i of the
/// view is the model's output for the same tokens under another dropout mask.
#[derive(Debug, Clone)]
pub struct Cloud {
    points: Tensor,
    view: Option<Tensor>,
    labels: Option<Tensor>,
}

impl Cloud {
    /// A cloud of `points` `[g, n, d]`.
    ///
    /// # Errors
    /// When the tensor does not have rank 3, or has no groups, fewer than two points per group, or no dims.
    pub fn new(points: Tensor) -> Result<Self> {
        match points.dims() {
            [g, n, d] if *g >= 1 && *n >= 2 && *d >= 1 => Ok(Self { points, view: None, labels: None }),
            found => Err(Error::NotACloud { found: found.to_vec() }),
        }
    }

    /// A cloud of `points` `[g, n, d]` with a second `view` of them, of the same shape.
    ///
    /// # Errors
    /// When `points` are not a cloud, as for [`Self::new`], or the shapes differ.
    pub fn with_view(points: Tensor, view: Tensor) -> Result<Self> {
        let cloud = Self::new(points)?;
        if view.dims() == cloud.points.dims() {
            Ok(Self { view: Some(view), ..cloud })
        } else {
            Err(Error::NotAView { points: cloud.points.dims().to_vec(), view: view.dims().to_vec() })
        }
    }

    /// The same cloud with the next token of each point, as u32 `[g, n]`.
    ///
    /// # Errors
    /// When there is not one label per point.
    pub fn with_labels(self, labels: Tensor) -> Result<Self> {
        let (expected, found) = ([self.groups(), self.count()], labels.dims());
        if found == expected && labels.dtype() == DType::U32 {
            Ok(Self { labels: Some(labels), ..self })
        } else {
            Err(Error::NotLabels { expected: expected.to_vec(), found: found.to_vec() })
        }
    }

    /// The next token of each point, u32 `[g, n]`, for a regularizer that [asks for labels](crate::Regularizer::needs_labels). The clouds
    /// of all others have none.
    ///
    /// # Errors
    /// When the cloud has none.
    pub fn labels(&self) -> Result<&Tensor> {
        self.labels.as_ref().ok_or(Error::NoLabels)
    }

    /// The points `[g, n, d]`; gradients flow back through them.
    pub fn points(&self) -> &Tensor {
        &self.points
    }

    /// The second view of the points `[g, n, d]`, if there is one; gradients flow back through it too.
    pub fn view(&self) -> Option<&Tensor> {
        self.view.as_ref()
    }

    /// The points and their second view, each `[g, n, d]`, for a penalty that needs both.
    ///
    /// # Errors
    /// When the cloud has no second view.
    pub fn both_views(&self) -> Result<[&Tensor; 2]> {
        self.view.as_ref().map(|view| [&self.points, view]).ok_or(Error::NoView)
    }

    /// Number of groups, g.
    pub fn groups(&self) -> usize {
        self.points.dims()[0]
    }

    /// Points per group, n; at least 2.
    pub fn count(&self) -> usize {
        self.points.dims()[1]
    }

    /// Dims per point, d.
    pub fn dims(&self) -> usize {
        self.points.dims()[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_single_point_is_not_a_cloud() {
        let refused = |shape: &[usize]| Cloud::new(Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()).is_err();
        assert!(refused(&[4, 1, 8]));
        assert!(refused(&[4, 8]));
        assert!(!refused(&[1, 2, 1]));
    }

    #[test]
    fn a_label_belongs_to_each_point() {
        let cloud = || Cloud::new(Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu).unwrap()).unwrap();
        let labels = |shape: &[usize], dtype| cloud().with_labels(Tensor::zeros(shape, dtype, &Device::Cpu).unwrap());
        assert!(labels(&[2, 3], DType::U32).unwrap().labels().is_ok());
        assert!(labels(&[3, 2], DType::U32).is_err() && labels(&[2, 3], DType::F32).is_err());
        assert!(matches!(cloud().labels(), Err(Error::NoLabels)));
    }

    #[test]
    fn a_view_has_the_shape_of_the_points() {
        let zeros = |n| Tensor::zeros((1, n, 3), DType::F32, &Device::Cpu).unwrap();
        let message = Cloud::with_view(zeros(4), zeros(5)).unwrap_err().to_string();
        assert_eq!(message, "expected a second view of the shape of the points, [1, 4, 3], found [1, 5, 3]");
        assert!(Cloud::with_view(zeros(4), zeros(4)).unwrap().view().is_some());
        let alone = Cloud::new(zeros(4)).unwrap();
        assert!(alone.view().is_none() && matches!(alone.both_views(), Err(Error::NoView)));
    }
}
