//! A value with a gradient computed by hand, and its way back to the leaf that it is of.

use super::with_floats;
use crate::Result;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Storage, Tensor, TensorId, Var};
use rayon::prelude::*;
use std::cell::RefCell;

/// Whether kernels on slices take this tensor: float32 on the CPU. What they compute is written with tensor operations too,
/// for every other.
pub fn takes_kernels(points: &Tensor) -> bool {
    points.dtype() == DType::F32 && points.device().is_cpu()
}

/// Mean over groups of a penalty whose kernel computes value and gradient of one group together.
///
/// `kernel` gets the points of a group and a gradient of zeros to write to, and returns the value. Groups run side by side.
///
/// # Shapes
/// points (g, n, d); of a group (n, d) each -> scalar
///
/// # Errors
/// When [`takes_kernels`] does not hold, or the kernel fails.
pub fn mean_over_groups(points: &Tensor, op: &str, kernel: impl Fn(&[f32], &mut [f32]) -> Result<f64> + Sync) -> Result<Tensor> {
    let (g, n, d) = points.dims3()?;
    let mut gradient = vec![0f32; g * n * d];
    let values = with_floats([points], op, |[points]| {
        let groups = points.par_chunks_exact(n * d).zip(gradient.par_chunks_exact_mut(n * d)).with_max_len(1);
        groups.map(|(points, gradient)| kernel(points, gradient).map(|value| value as f32)).collect::<Result<Vec<f32>>>()
    })??;
    let gradient = Tensor::from_vec(gradient, (g, n, d), &Device::Cpu)?;
    Ok(attach_gradient(points, Tensor::from_vec(values, g, &Device::Cpu)?, gradient)?.mean_all()?)
}

/// As [`mean_over_groups`], of a penalty on points and a second view of them.
///
/// `kernel` gets both and a gradient of zeros for each.
///
/// # Shapes
/// points, view (g, n, d); of a group (n, d) each -> scalar
///
/// # Errors
/// When [`takes_kernels`] does not hold of both, the shapes differ, or the kernel fails.
pub fn mean_over_groups_of_views(
    [points, view]: [&Tensor; 2],
    op: &str,
    kernel: impl Fn([&[f32]; 2], [&mut [f32]; 2]) -> Result<f64> + Sync,
) -> Result<Tensor> {
    let (g, n, d) = points.dims3()?;
    let mut slopes = [vec![0f32; g * n * d], vec![0f32; g * n * d]];
    let values = with_floats([points, view], op, |[points, view]| {
        let [points_slope, view_slope] = &mut slopes;
        let slopes = points_slope.par_chunks_exact_mut(n * d).zip(view_slope.par_chunks_exact_mut(n * d));
        let groups = points.par_chunks_exact(n * d).zip(view.par_chunks_exact(n * d)).zip(slopes).with_max_len(1);
        let group = |((points, view), (points_slope, view_slope))| kernel([points, view], [points_slope, view_slope]);
        groups.map(|group_of| group(group_of).map(|value| value as f32)).collect::<Result<Vec<f32>>>()
    })??;
    let [points_slope, view_slope] = slopes.map(|slope| Tensor::from_vec(slope, (g, n, d), &Device::Cpu));
    let values = Tensor::from_vec(values, g, &Device::Cpu)?;
    let of_view = attach_gradient(view, values.zeros_like()?, view_slope?)?; // adds its gradient, and 0 to the value
    Ok((attach_gradient(points, values, points_slope?)? + of_view)?.mean_all()?)
}

/// `value` as a function of `input` whose gradient is the given one.
///
/// For penalties whose value and gradient are cheapest together, in one pass. `value` has the leading dims of `input` (one
/// number a group, say), and `gradient`, shaped as `input`, is that of each value with respect to its part of `input`.
///
/// # Shapes
/// input (l..., r...), value (l...), gradient (l..., r...) -> (l...)
///
/// # Errors
/// When the shapes do not fit. The op runs on the CPU.
pub fn attach_gradient(input: &Tensor, value: Tensor, gradient: Tensor) -> Result<Tensor> {
    let leads = input.dims().starts_with(value.dims());
    if !leads || input.dims() != gradient.dims() {
        let shapes =
            format!("attach_gradient: input {:?}, value {:?}, gradient {:?}", input.dims(), value.dims(), gradient.dims());
        return Err(candle_core::Error::msg(shapes).into());
    }
    Ok(input.apply_op1(Attached { value: value.detach(), gradient: gradient.detach() })?)
}

struct Attached {
    value: Tensor,
    gradient: Tensor,
}

impl CustomOp1 for Attached {
    fn name(&self) -> &'static str {
        "attach_gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let value = self.value.force_contiguous()?; // its own storage, from offset 0
        let (storage, _) = value.storage_and_layout();
        match &*storage {
            Storage::Cpu(cpu) => Ok((cpu.clone(), self.value.shape().clone())),
            _ => candle_core::bail!("attach_gradient runs on the CPU"),
        }
    }

    fn bwd(&self, input: &Tensor, value: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
        if takes_kernels(&self.gradient) && takes_kernels(upstream) {
            let scaled = scaled(&self.gradient, upstream)?;
            return match hand_over(input, scaled) {
                Some(scaled) => Ok(Some(Tensor::from_vec(scaled, input.shape(), &Device::Cpu)?)),
                None => Ok(None),
            };
        }
        let mut shape = value.dims().to_vec();
        shape.resize(input.rank(), 1);
        Ok(Some(self.gradient.broadcast_mul(&upstream.reshape(shape)?)?))
    }
}

/// Each group's gradient times its upstream, without candle's slow way where only the first dim is spread.
fn scaled(gradient: &Tensor, upstream: &Tensor) -> candle_core::Result<Vec<f32>> {
    with_floats([gradient, upstream], "attach_gradient", |[gradient, upstream]| {
        let each = gradient.len() / upstream.len().max(1);
        let mut scaled = Vec::with_capacity(gradient.len());
        let groups = gradient.chunks_exact(each.max(1)).zip(upstream);
        groups.for_each(|(group, upstream)| scaled.extend(group.iter().map(|x| x * upstream)));
        scaled
    })
}

thread_local! {
    /// The leaves of the [`gradients`] under way on this thread, with what was attached to each.
    static LEAVES: RefCell<Vec<(TensorId, Option<Vec<f32>>)>> = const { RefCell::new(Vec::new()) };
}

/// Gives a gradient to the leaf that it is of, and back where it is of none.
fn hand_over(input: &Tensor, gradient: Vec<f32>) -> Option<Vec<f32>> {
    LEAVES.with_borrow_mut(|leaves| {
        let Some((_, sum)) = leaves.iter_mut().find(|(leaf, _)| *leaf == input.id()) else { return Some(gradient) };
        match sum {
            Some(sum) => sum.iter_mut().zip(gradient).for_each(|(sum, x)| *sum += x),
            None => *sum = Some(gradient),
        }
        None
    })
}

/// The gradients of a scalar in float32 leaves, number after number; none of a leaf that it does not depend on.
///
/// As candle's backward, but what is attached to a leaf itself goes there in one pass over its numbers, where candle would
/// add it to zeros and copy the sum.
///
/// # Errors
/// When a tensor operation fails.
pub fn gradients(scalar: &Tensor, leaves: &[&Var]) -> Result<Vec<Option<Vec<f32>>>> {
    LEAVES.set(leaves.iter().map(|leaf| (leaf.id(), None)).collect());
    let others = scalar.backward();
    let attached = LEAVES.take();
    let others = others?;
    let gradient = |(leaf, (_, attached)): (&&Var, (_, Option<Vec<f32>>))| {
        let other = others.get(leaf).map(|other| other.flatten_all()?.to_vec1::<f32>()).transpose()?;
        Ok(match (attached, other) {
            (Some(attached), Some(other)) => Some(attached.iter().zip(other).map(|(x, y)| x + y).collect()),
            (attached, other) => attached.or(other),
        })
    };
    leaves.iter().zip(attached).map(gradient).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn value_and_gradient_are_those_given() {
        let input = Var::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let value = Tensor::new(&[10f32, 20.0], &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let out = attach_gradient(&input, value, gradient).unwrap();
        let total = (out.sum_all().unwrap() * 2.0).unwrap();
        assert_eq!(total.to_scalar::<f32>().unwrap(), 60.0);
        let grads = total.backward().unwrap();
        assert_eq!(grads.get(&input).unwrap().to_vec2::<f32>().unwrap(), [[2.0, 4.0], [6.0, 8.0]]);
    }

    #[test]
    fn both_views_get_their_gradient() {
        let var = |first: f32| Var::new(&[[[first], [1.0]], [[2.0], [3.0]]], &Device::Cpu).unwrap();
        let (points, view) = (var(0.0), var(5.0));
        // Σ_i x_i y_i of each group: 0·5 + 1 and 4 + 9
        let mean = mean_over_groups_of_views([&points, &view], "test", |[x, y], [dx, dy]| {
            dx.copy_from_slice(y);
            dy.copy_from_slice(x);
            Ok(f64::from(x[0] * y[0] + x[1] * y[1]))
        });
        let mean = mean.unwrap();
        assert_eq!(mean.to_scalar::<f32>().unwrap(), 7.0);
        let grads = mean.backward().unwrap();
        let numbers = |of: &Var| grads.get(of).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!((numbers(&points), numbers(&view)), (vec![2.5, 0.5, 1.0, 1.5], vec![0.0, 0.5, 1.0, 1.5]));
    }

    #[test]
    fn gradients_are_those_of_candle_attached_or_not() {
        let var = |first: f32| Var::new(&[[first, 1.0], [2.0, 3.0]], &Device::Cpu).unwrap();
        let (x, y, unseen) = (var(0.0), var(5.0), var(7.0));
        let attached = |x: &Tensor| attach_gradient(x, Tensor::new(&[1f32, 2.0], &Device::Cpu)?, (x * 10.0)?);
        let total = || -> Result<Tensor> {
            let direct = (attached(&x)? + attached(&x)?)?.sum_all()?; // 2·10·x
            let derived = attached(&(y.as_tensor() * 2.0)?)?.sum_all()?; // 2·10·2·y
            let plain = (x.as_tensor() * 3.0)?.sum_all()?;
            Ok((((direct + derived)? + plain)? * 0.5)?)
        };
        let total = total().unwrap();
        let found = gradients(&total, &[&x, &y, &unseen]).unwrap();
        let expected = [Some(vec![1.5, 11.5, 21.5, 31.5]), Some(vec![100.0, 20.0, 40.0, 60.0]), None];
        assert_eq!(found, expected);
        let candle = total.backward().unwrap(); // no leaf is left behind
        assert_eq!(candle.get(&x).unwrap().to_vec2::<f32>().unwrap(), [[1.5, 11.5], [21.5, 31.5]]);
    }
}
