//! What penalties see of a batch: the activations of one pass, or of several.

use super::numbers::Numbers;
use candle_core::Result;
use regatta_core::Site;

/// Activations of a batch, after its forward pass.
pub(crate) trait Activations: Sync {
    /// Sequences, and tokens of each.
    fn shape(&self) -> (usize, usize);

    /// Those of a site at a layer (b·t, d), with layers counted as places count them.
    ///
    /// # Errors
    /// When the device fails.
    fn at(&self, site: Site, layer: usize) -> Result<Numbers>;
}
