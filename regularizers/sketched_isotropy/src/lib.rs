//! Weak-SIGReg: the covariance of a randomly sketched group held to the identity.
//!
//! For a group of n points `z` of d dims and a sketch S of k = `sketch_dims` columns, whose numbers are normal with variance 1/d
//! and drawn afresh for each call:
//! ```text
//! ‖C - I‖_F,  C = yᵀy / (n - 1) of centred y,  y = z S where d > k, else y = z
//! ```
//! The norm is not squared and not divided by k, so the gradient has the same size however far C is from I. Akbar, "Weak-SIGReg:
//! Covariance Regularization for Stable Deep Learning", 2026, arXiv:2603.05924, as its authors' code for language models has it
//! (there on the residual stream after each block, all tokens of a batch, as they are). All groups of a call share the sketch.
//!
//! An isotropic group does not reach zero: then C is SᵀS, which is not I, and the value stays near `sqrt(k (k + 1) / d)`.
//! Deviation: their code divides by `n - 1 + 1e-6`. Where C is I to the last digit the gradient is 0.
//!
//! # Shapes
//! points (g, n, d), sketch (d, k) -> scalar, by way of (g, n, k) and (g, k, k)

mod kernel;

use kernel::Sketched;
use regatta_core::candle::{DType, Device};
use regatta_core::kernels::TINY_SQUARE;
use regatta_core::maths::{covariance, matmul, with_floats};
use regatta_core::number::Count;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, Regularizer, Result, Tensor, candle, regularizer, typetag};

regularizer! {
    name: "sketched_isotropy",
    summary: "holds the covariance of a random sketch of the points to the identity",
    paper: "Akbar, \"Weak-SIGReg\", 2026, arXiv:2603.05924",
    formula: "‖C - I‖_F, C the covariance (n - 1) of z S; S random normal of variance 1/d where d > sketch_dims, else none",
    expects: "all tokens of a batch, as they are: their scale is held to 1 too",
    /// The covariance of a random sketch of the points held to the identity.
    pub struct SketchedIsotropy {
        /// How many dims a sketch has; points of no more dims are taken as they are.
        pub sketch_dims: Count<1, 65536> = Count::new(64),
    }
}

#[typetag::serde(name = "sketched_isotropy")]
impl Regularizer for SketchedIsotropy {
    fn penalty(&self, cloud: &Cloud, draw: &mut Draw) -> Result<Tensor> {
        let z = cloud.points();
        match self.sketch(cloud.dims(), draw)? {
            None => distance_from_identity(z),
            Some(sketch) => self.penalty_through(z, &sketch.to_dtype(z.dtype())?.to_device(z.device())?),
        }
    }

    fn home(&self) -> Home {
        Home::BATCH
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for SketchedIsotropy {
    fn penalties(&self, cloud: FloatCloud<'_>, draw: &mut Draw) -> Result<Vec<f64>> {
        match self.sketch(cloud.dims(), draw)? {
            None => Sketched::none().penalties(cloud, draw),
            Some(sketch) => self.kernel_through(&sketch)?.penalties(cloud, draw),
        }
    }
}

impl SketchedIsotropy {
    /// In float32 on the CPU: so it is the same for a cloud of any dtype. -> (d, k), or none where the points are taken as they are
    fn sketch(&self, dims: usize, draw: &mut Draw) -> Result<Option<Tensor>> {
        let width = self.sketch_dims.get();
        if dims <= width {
            return Ok(None);
        }
        let normals = draw.normals(&[dims, width], DType::F64, &Device::Cpu)?;
        Ok(Some((normals / (dims as f64).sqrt())?.to_dtype(DType::F32)?))
    }

    /// The penalty of a given sketch of the points.
    ///
    /// # Shapes
    /// points (g, n, d), sketch (d, k) -> scalar
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn penalty_through(&self, points: &Tensor, sketch: &Tensor) -> Result<Tensor> {
        let (g, n, d) = points.dims3()?;
        self.check_width(sketch)?;
        distance_from_identity(&matmul(&points.reshape((g * n, d))?, sketch)?.reshape((g, n, ()))?)
    }

    /// The kernel of a given sketch of float32. sketch (d, k)
    ///
    /// # Errors
    /// When it is of another width or dtype.
    pub fn kernel_through(&self, sketch: &Tensor) -> Result<impl Kernel + use<>> {
        self.check_width(sketch)?;
        let (dims, width) = sketch.dims2()?;
        Ok(with_floats([sketch], "sketched_isotropy", |[sketch]| Sketched::by(sketch, dims, width))?)
    }

    fn check_width(&self, sketch: &Tensor) -> Result<()> {
        let (expected, (_, found)) = (self.sketch_dims.get(), sketch.dims2()?);
        if expected != found {
            return Err(candle::Error::msg(format!("expected a sketch of {expected} dims, found {found}")).into());
        }
        Ok(())
    }
}

/// Mean over groups of `‖C - I‖_F`. (g, n, k) -> scalar
fn distance_from_identity(y: &Tensor) -> Result<Tensor> {
    let eye = Tensor::eye(y.dim(2)?, y.dtype(), y.device())?;
    let excess = covariance(y)?.broadcast_sub(&eye)?; // (g, k, k)
    Ok((excess.sqr()?.sum((1, 2))? + TINY_SQUARE)?.sqrt()?.mean_all()?)
}

#[cfg(test)]
mod tests;
