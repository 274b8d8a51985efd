//! Minimum hyperspherical energy: directions repel each other like charges on a sphere.
//!
//! For the unit vectors `u_i = z_i / ‖z_i‖` of a group of n points and `q_ij = ‖u_i - u_j‖² + ε`:
//! ```text
//! s = 1, 2    mean_{i≠j} q_ij^(-s/2)
//! s = 0       mean_{i≠j} -log(q_ij) / 2  =  mean_{i≠j} log(1 / distance), but for ε
//! ```
//! Liu, Lin, Liu, Liu, Yu, Dai, Song, "Learning towards Minimum Hyperspherical Energy", NeurIPS 2018, arXiv:1805.09298, eq. 1 over
//! its number of pairs, so that a weight means the same for any number of points. The paper applies it to the weights of neurons;
//! of a language model, the neurons of the classifier are the rows of the output matrix. It prefers s = 2.
//!
//! Deviations: ε stands beside the squared distance, so that equal points are finite; the authors' code keeps distances from 0 only by
//! norms `sqrt(‖w‖² + 1e-4)`, and norms here are exact. For s = 0 their code has -log q, twice the paper's. There is no half-space
//! variant, in which u and -u repel the others alike. A zero vector stays zero.
//!
//! At home it sees at most 2,048 rows, drawn afresh each step: its cost grows with the square of the points.
//!
//! # Shapes
//! points (g, n, d) -> scalar, by way of (g, n, n); the kernel by way of blocks of pairs, in memory linear in n

mod kernel;
mod power;

pub use power::Power;
use regatta_core::maths::{off_diagonal, squared_distances, unit};
use regatta_core::number::Positive;
use regatta_core::{Cloud, Draw, FloatCloud, Home, Kernel, MaxPoints, Regularizer, Result, Site, Tensor, regularizer, typetag};

regularizer! {
    name: "hyperspherical_energy",
    summary: "directions repel each other like charges on a sphere",
    paper: "Liu et al., \"Learning towards Minimum Hyperspherical Energy\", NeurIPS 2018, arXiv:1805.09298, eq. 1",
    formula: "q_ij = ‖u_i - u_j‖² + epsilon, u the unit vectors
s 1 or 2: mean_{i≠j} q_ij^(-s/2); s 0: mean_{i≠j} -log(q_ij) / 2",
    expects: "weight rows, at any scale, and not too many, since all pairs count (site: unembedding, embedding or weights; max_points)",
    variants: [
        HypersphericalEnergy { s: Power::One, ..Default::default() },
        HypersphericalEnergy { s: Power::Zero, ..Default::default() },
    ],
    /// The energy of directions that repel each other.
    pub struct HypersphericalEnergy {
        /// The power s of the distance by which they repel: 0 (its logarithm), 1 or 2. The larger, the more near pairs count.
        pub s: Power = Power::Two,
        /// ε beside squared distances: keeps the energy of equal directions finite.
        pub epsilon: Positive = Positive::new(1e-4),
    }
}

#[typetag::serde(name = "hyperspherical_energy")]
impl Regularizer for HypersphericalEnergy {
    fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
        let n = cloud.count();
        let distances = off_diagonal(&squared_distances(&unit(cloud.points())?)?, 1.0)?; // (g, n, n)
        let q = (distances + self.epsilon.get())?;
        let energies = match self.s {
            Power::Zero => (q.log()? * -0.5)?,
            Power::One => q.sqrt()?.recip()?,
            Power::Two => q.recip()?,
        };
        let energies = off_diagonal(&energies, 0.0)?;
        Ok((energies.sum((1, 2))?.mean_all()? / (n * (n - 1)) as f64)?)
    }

    fn home(&self) -> Home {
        Home { site: Site::Unembedding, max_points: Some(MaxPoints::new(2048)), ..Home::DEFAULT }
    }

    fn kernel(&self) -> Option<&dyn Kernel> {
        Some(self)
    }
}

impl Kernel for HypersphericalEnergy {
    fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
        let (d, epsilon) = (cloud.dims(), self.epsilon.get() as f32);
        cloud.each_group(|points, gradient| {
            Ok(match self.s {
                Power::Zero => kernel::mean_energy(points, d, epsilon, &kernel::Logarithm { epsilon }, gradient),
                Power::One => kernel::mean_energy(points, d, epsilon, &kernel::InverseRoot { epsilon }, gradient),
                Power::Two => kernel::mean_energy(points, d, epsilon, &kernel::Inverse { epsilon }, gradient),
            })
        })
    }
}

#[cfg(test)]
mod tests;
