//! Labels for the clouds that checks are made with.

use crate::{Cloud, Regularizer, Result};
use candle_core::DType;

/// For a regularizer that asks for labels: 1 where a point's first coordinate is above 0, else 0, so that labels move with their
/// points. For any other, the cloud as it is.
pub fn labelled_for(regularizer: &dyn Regularizer, cloud: Cloud) -> Result<Cloud> {
    if !regularizer.needs_labels() {
        return Ok(cloud);
    }
    let labels = cloud.points().detach().narrow(2, 0, 1)?.squeeze(2)?.gt(0f64)?.to_dtype(DType::U32)?;
    cloud.with_labels(labels)
}
