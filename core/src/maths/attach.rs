//! A value with a gradient computed by hand, and its way back to the leaf that it is of.

use super::with_floats;
use crate::Result;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Storage, Tensor, TensorId, Var};
use rayon::prelude::*;
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

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
    Ok(attach_numbers(points, Tensor::from_vec(values, g, &Device::Cpu)?, gradient)?.mean_all()?)
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
    let [points_slope, view_slope] = slopes;
    let values = Tensor::from_vec(values, g, &Device::Cpu)?;
    let of_view = attach_numbers(view, values.zeros_like()?, view_slope)?; // adds its gradient, and 0 to the value
    Ok((attach_numbers(points, values, points_slope)? + of_view)?.mean_all()?)
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
    attached(input, value, gradient.dims().to_vec(), Slope::Tensor(gradient.detach()))
}

/// As [`attach_gradient`], of a float32 kernel's numbers, in the order of the input's.
///
/// # Errors
/// As there.
pub fn attach_numbers(input: &Tensor, value: Tensor, gradient: Vec<f32>) -> Result<Tensor> {
    let shape = if gradient.len() == input.elem_count() { input.dims().to_vec() } else { vec![gradient.len()] };
    attached(input, value, shape, Slope::Numbers(Mutex::new(Some(gradient))))
}

fn attached(input: &Tensor, value: Tensor, gradient: Vec<usize>, slope: Slope) -> Result<Tensor> {
    let leads = input.dims().starts_with(value.dims());
    if !leads || input.dims() != gradient {
        let shapes = format!("attach_gradient: input {:?}, value {:?}, gradient {gradient:?}", input.dims(), value.dims());
        return Err(candle_core::Error::msg(shapes).into());
    }
    Ok(input.apply_op1(Attached { value: value.detach(), slope })?)
}

struct Attached {
    value: Tensor,
    slope: Slope,
}

/// The gradient of each value with respect to its part of the input.
enum Slope {
    Tensor(Tensor),
    /// Of a float32 kernel; none once [`gradients`] has given them to their leaf.
    Numbers(Mutex<Option<Vec<f32>>>),
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
        match &self.slope {
            Slope::Tensor(slope) => {
                let mut shape = value.dims().to_vec();
                shape.resize(input.rank(), 1);
                Ok(Some(slope.broadcast_mul(&upstream.reshape(shape)?)?))
            }
            Slope::Numbers(numbers) => {
                let mut numbers = numbers.lock().unwrap_or_else(PoisonError::into_inner);
                let upstream = upstream.flatten_all()?.to_vec1::<f32>()?;
                let own = if is_leaf(input) { numbers.take() } else { numbers.clone() };
                let Some(mut own) = own else {
                    candle_core::bail!("attach_gradient: a second way back, after `gradients` took what was attached")
                };
                let each = input.elem_count() / upstream.len().max(1);
                let groups = own.chunks_exact_mut(each.max(1)).zip(upstream);
                groups.for_each(|(group, upstream)| group.iter_mut().for_each(|x| *x *= upstream));
                match hand_over(input, own) {
                    Some(own) => Ok(Some(Tensor::from_vec(own, input.shape(), &Device::Cpu)?)),
                    None => Ok(None),
                }
            }
        }
    }
}

thread_local! {
    /// The leaves of the innermost [`gradients`] under way on this thread, with what was attached to each.
    static LEAVES: RefCell<Vec<(TensorId, Option<Vec<f32>>)>> = const { RefCell::new(Vec::new()) };
}

/// Whether this is a leaf of the [`gradients`] under way.
fn is_leaf(input: &Tensor) -> bool {
    LEAVES.with_borrow(|leaves| leaves.iter().any(|(leaf, _)| *leaf == input.id()))
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
/// As candle's backward, but what a float32 kernel has attached to a leaf itself is moved there, where candle would copy it,
/// add it to zeros and copy the sum. So the scalar has no second way back.
///
/// # Errors
/// When a tensor operation fails.
pub fn gradients(scalar: &Tensor, leaves: &[&Var]) -> Result<Vec<Option<Vec<f32>>>> {
    // A thread that waits in a tensor operation may take up other work, and find gradients of its own there.
    let outer = LEAVES.replace(leaves.iter().map(|leaf| (leaf.id(), None)).collect());
    let others = scalar.backward();
    let attached = LEAVES.replace(outer);
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
        let var = |first: f32| Var::new(&[[[first], [1.0]], [[2.0], [3.0]]], &Device::Cpu).unwrap();
        let (x, y, unseen) = (var(0.0), var(5.0), var(7.0));
        let attached = |x: &Tensor| -> Result<Tensor> {
            let mean = mean_over_groups(x, "test", |points, gradient| {
                gradient.iter_mut().zip(points).for_each(|(g, x)| *g = 10.0 * x);
                Ok(1.0)
            });
            Ok((mean? * 2.0)?) // the sum over both groups
        };
        let total = || -> Result<Tensor> {
            let direct = (attached(&x)? + attached(&x)?)?; // 2·10·x
            let derived = attached(&(y.as_tensor() * 2.0)?)?; // 2·10·2·y
            let plain = (x.as_tensor() * 3.0)?.sum_all()?;
            Ok((((direct + derived)? + plain)? * 0.5)?)
        };
        let candle = total().unwrap().backward().unwrap();
        assert_eq!(candle.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), [1.5, 11.5, 21.5, 31.5]);
        let total = total().unwrap();
        let found = gradients(&total, &[&x, &y, &unseen]).unwrap();
        let expected = [Some(vec![1.5, 11.5, 21.5, 31.5]), Some(vec![100.0, 20.0, 40.0, 60.0]), None];
        assert_eq!(found, expected);
        assert!(total.backward().unwrap_err().to_string().contains("second way back"));
    }

    /// The sum of its input, on whose way back other gradients are taken: as by a thread that takes up other work there.
    struct Interrupted;

    impl CustomOp1 for Interrupted {
        fn name(&self) -> &'static str {
            "interrupted"
        }

        fn cpu_fwd(&self, storage: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
            Ok((storage.clone(), Shape::from((1, 2, 1))))
        }

        fn bwd(&self, _: &Tensor, _: &Tensor, upstream: &Tensor) -> candle_core::Result<Option<Tensor>> {
            let inner = Var::new(&[[[3f32], [4.0]]], &Device::Cpu)?;
            let found = gradients(&halved_square(&inner).unwrap(), &[&inner]).unwrap();
            assert_eq!(found, [Some(vec![3.0, 4.0])]);
            Ok(Some(upstream.clone()))
        }
    }

    /// `‖x‖² / 2`, by a kernel.
    fn halved_square(x: &Tensor) -> Result<Tensor> {
        mean_over_groups(x, "test", |points, gradient| {
            gradient.copy_from_slice(points);
            Ok(points.iter().map(|x| f64::from(x * x)).sum::<f64>() / 2.0)
        })
    }

    #[test]
    fn gradients_in_the_midst_of_others_take_nothing_from_them() {
        let (x, y) = (Var::new(&[[[1f32], [2.0]]], &Device::Cpu).unwrap(), Var::new(&[[[5f32], [6.0]]], &Device::Cpu).unwrap());
        let interrupted = |of: &Var| of.apply_op1(Interrupted).unwrap().sum_all().unwrap();
        let total = ((halved_square(&x).unwrap() + interrupted(&y)).unwrap() + halved_square(&y).unwrap()).unwrap();
        assert_eq!(gradients(&total, &[&x, &y]).unwrap(), [Some(vec![1.0, 2.0]), Some(vec![6.0, 7.0])]);
        let total = (interrupted(&y) + halved_square(&x).unwrap()).unwrap(); // whichever comes first on the way back
        assert_eq!(gradients(&total, &[&x, &y]).unwrap(), [Some(vec![1.0, 2.0]), Some(vec![1.0, 1.0])]);
    }
}
