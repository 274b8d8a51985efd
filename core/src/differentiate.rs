//! Value and gradient of a plugin in float32: by its kernel if it has one and the numbers are on the CPU, otherwise by candle's
//! autograd. The trainer, `regatta bench` and fingerprints all use these functions, so that all measure what training computes.

use crate::kernel::{FloatCloud, FloatOutputs, Floats, Kernel, ObjectiveKernel};
use crate::maths::{is_float32_on_cpu, mean_all, with_floats};
use crate::{Cloud, CompanionObjective, Draw, Error, Outputs, Regularizer, Result};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor, Var};
use regatta_kernels::vector;

/// The flattened gradient of each leaf; `None` for a leaf that the value does not depend on.
pub type Gradients = Vec<Option<Vec<f32>>>;

/// The penalty of `cloud`, and the gradient of `weight` times the penalty with respect to the leaves that the points and their view
/// were computed from.
///
/// # Errors
/// When the regularizer fails or does not return a scalar.
pub fn penalty(
    regularizer: &dyn Regularizer,
    cloud: &Cloud,
    leaves: &[&Var],
    weight: f64,
    draw: &mut Draw,
) -> Result<(f32, Gradients)> {
    match regularizer.kernel() {
        Some(kernel)
            if !regularizer.needs_labels() && is_float32_on_cpu(cloud.points()) && cloud.view().is_none_or(is_float32_on_cpu) =>
        {
            penalty_by_kernel(kernel, cloud, leaves, weight, draw)
        }
        _ => by_autograd(regularizer.penalty(cloud, draw)?, leaves, weight),
    }
}

/// Makes leaves of the points and of their second view, if there is one, and a cloud of these leaves.
pub(crate) fn leaves(views: impl IntoIterator<Item = Result<Tensor>>) -> Result<(Vec<Var>, Cloud)> {
    let leaves = views.into_iter().map(|view| Ok(Var::from_tensor(&view?)?)).collect::<Result<Vec<Var>>>()?;
    let points = leaves[0].as_tensor().clone();
    let cloud = match leaves.get(1) {
        Some(view) => Cloud::with_view(points, view.as_tensor().clone())?,
        None => Cloud::new(points)?,
    };
    Ok((leaves, cloud))
}

/// The penalty of a float64 cloud of these leaves by tensor operations, and the concatenated gradients of the leaves.
pub(crate) fn penalty_in_float64(
    regularizer: &dyn Regularizer,
    (leaves, cloud): (&[Var], &Cloud),
    draw: &mut Draw,
) -> Result<(f64, Vec<f64>)> {
    let penalty = regularizer.penalty(cloud, draw)?;
    let gradients = penalty.backward()?;
    let mut gradient = Vec::new();
    for leaf in leaves {
        let of_leaf = gradients.get(leaf).map_or_else(|| leaf.zeros_like(), |found| Ok(found.clone()))?;
        gradient.extend(of_leaf.flatten_all()?.to_vec1::<f64>()?);
    }
    Ok((penalty.to_scalar()?, gradient))
}

/// [`penalty`] by this kernel.
///
/// # Errors
/// When the cloud is not float32 on the CPU, or the kernel fails.
pub fn penalty_by_kernel(
    kernel: &dyn Kernel,
    cloud: &Cloud,
    leaves: &[&Var],
    weight: f64,
    draw: &mut Draw,
) -> Result<(f32, Gradients)> {
    let shape = [cloud.groups(), cloud.count(), cloud.dims()];
    let points = cloud.points();
    let mut gradient = vec![0f32; points.elem_count()];
    let mut view_gradient = vec![0f32; cloud.view().map_or(0, Tensor::elem_count)];
    let values = match cloud.view() {
        None => with_floats([points], "kernel", |[numbers]| {
            kernel.penalties(FloatCloud { shape, points: Floats { numbers, gradient: &mut gradient }, view: None }, draw)
        }),
        Some(view) => with_floats([points, view], "kernel", |[numbers, view]| {
            let points = Floats { numbers, gradient: &mut gradient };
            let view = Some(Floats { numbers: view, gradient: &mut view_gradient });
            kernel.penalties(FloatCloud { shape, points, view }, draw)
        }),
    }??;
    let value = mean(values, shape[0], weight, [&mut gradient, &mut view_gradient])?;
    let mut of_cloud = [(points, gradient)].into_iter().chain(cloud.view().map(|view| (view, view_gradient)));
    let of_leaf = |leaf: &&Var| of_cloud.next().map_or(Ok(None), |(of, gradient)| propagate(leaf, of, gradient));
    Ok((value, leaves.iter().map(of_leaf).collect::<Result<_>>()?))
}

/// The objective of the model's and the companion's output, and the gradient of `weight` times the objective with respect to the
/// model's output, then to each of the parameters.
///
/// # Errors
/// When the objective fails or does not return a scalar, or its kernel gets outputs of different shapes.
pub fn objective(
    objective: &dyn CompanionObjective,
    (own, companion): (&Var, &Tensor),
    parameters: &[Var],
    weight: f64,
) -> Result<(f32, Gradients)> {
    match objective.kernel() {
        Some(kernel) if parameters.is_empty() && [own.as_tensor(), companion].into_iter().all(is_float32_on_cpu) => {
            let (value, gradient) = objective_by_kernel(kernel, own, companion, weight)?;
            Ok((value, vec![Some(gradient)]))
        }
        _ => {
            let tensors: Vec<Tensor> = parameters.iter().map(|leaf| leaf.as_tensor().clone()).collect();
            let value = objective.objective(&Outputs { own: own.as_tensor(), companion }, &tensors)?;
            by_autograd(value, &std::iter::once(own).chain(parameters).collect::<Vec<&Var>>(), weight)
        }
    }
}

/// [`objective`] by this kernel, with the gradient with respect to the model's output.
///
/// # Errors
/// When the outputs are not float32 on the CPU or differ in shape, or the kernel fails.
pub fn objective_by_kernel(
    kernel: &dyn ObjectiveKernel,
    own: &Tensor,
    companion: &Tensor,
    weight: f64,
) -> Result<(f32, Vec<f32>)> {
    if own.dims() != companion.dims() {
        return Err(Error::NotComparable { own: own.dims().to_vec(), companion: companion.dims().to_vec() });
    }
    let (b, t, width) = own.dims3()?;
    let mut gradient = vec![0f32; own.elem_count()];
    let values = with_floats([own, companion], "kernel", |[numbers, companion]| {
        kernel.objectives(FloatOutputs { width, own: Floats { numbers, gradient: &mut gradient }, companion })
    })??;
    Ok((mean(values, b * t, weight, [&mut gradient, &mut []])?, gradient))
}

/// The mean of `values`, which must be `count` numbers. Scales their gradients to those of `weight` times the mean.
///
/// Sum, division and factor are those of candle's `mean_all` and its backward pass, so that a kernel gives the bits of autograd.
fn mean(values: Vec<f64>, count: usize, weight: f64, gradients: [&mut [f32]; 2]) -> Result<f32> {
    if values.len() != count {
        return Err(Error::KernelValues { expected: count, found: values.len() });
    }
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    let mean = mean_all(&Tensor::from_vec(values, count, &Device::Cpu)?)?.to_scalar::<f32>()?;
    let factor = weight as f32 * (1.0 / count as f64) as f32;
    gradients.into_iter().for_each(|gradient| vector::scale(gradient, factor));
    Ok(mean)
}

/// Propagates a gradient with respect to `tensor` back to the leaf that it was computed from. If `tensor` is the leaf itself, the
/// gradient is moved, not copied.
fn propagate(leaf: &Var, tensor: &Tensor, gradient: Vec<f32>) -> Result<Option<Vec<f32>>> {
    if leaf.id() == tensor.id() {
        return Ok(Some(gradient));
    }
    let gradient = Tensor::from_vec(gradient, tensor.shape(), &Device::Cpu)?;
    numbers_of(leaf, &tensor.apply_op1(GivenGradient { gradient })?)
}

/// A scalar function with the given gradient, from which candle's backward pass starts.
struct GivenGradient {
    gradient: Tensor,
}

impl CustomOp1 for GivenGradient {
    fn name(&self) -> &'static str {
        "given_gradient"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.gradient.clone()))
    }
}

fn numbers_of(leaf: &Var, scalar: &Tensor) -> Result<Option<Vec<f32>>> {
    Ok(scalar.backward()?.get(leaf).map(|gradient| gradient.flatten_all()?.to_vec1()).transpose()?)
}

/// The penalty of `cloud` and the gradient of `weight` times the penalty with respect to each leaf, by candle's autograd, as tensors
/// on the device of the cloud: nothing waits for the device, unless the regularizer does.
///
/// # Errors
/// When the regularizer fails or does not return a scalar.
pub fn penalty_on_device(
    regularizer: &dyn Regularizer,
    cloud: &Cloud,
    leaves: &[&Var],
    weight: f64,
    draw: &mut Draw,
) -> Result<(Tensor, Vec<Option<Tensor>>)> {
    gradients_of(regularizer.penalty(cloud, draw)?, leaves, weight)
}

/// The objective of the model's and the companion's output, and the gradient of `weight` times the objective with respect to the
/// model's output, then to each of the parameters, as [`penalty_on_device`] gives them.
///
/// # Errors
/// When the objective fails or does not return a scalar.
pub fn objective_on_device(
    objective: &dyn CompanionObjective,
    (own, companion): (&Var, &Tensor),
    parameters: &[Var],
    weight: f64,
) -> Result<(Tensor, Vec<Option<Tensor>>)> {
    let tensors: Vec<Tensor> = parameters.iter().map(|leaf| leaf.as_tensor().clone()).collect();
    let value = objective.objective(&Outputs { own: own.as_tensor(), companion }, &tensors)?;
    gradients_of(value, &std::iter::once(own).chain(parameters).collect::<Vec<&Var>>(), weight)
}

/// A scalar, and the gradient of `weight` times the scalar with respect to the leaves.
fn gradients_of(scalar: Tensor, leaves: &[&Var], weight: f64) -> Result<(Tensor, Vec<Option<Tensor>>)> {
    if scalar.rank() != 0 {
        return Err(Error::NotAScalar { found: scalar.dims().to_vec() });
    }
    let gradients = (&scalar * weight)?.backward()?;
    let of_leaves = leaves.iter().map(|leaf| gradients.get(leaf).cloned()).collect();
    Ok((scalar.detach(), of_leaves))
}

/// The same of a float32 scalar, as numbers.
fn by_autograd(scalar: Tensor, leaves: &[&Var], weight: f64) -> Result<(f32, Gradients)> {
    let (scalar, gradients) = gradients_of(scalar, leaves, weight)?;
    let numbers = |gradient: Option<Tensor>| Ok(gradient.map(|gradient| gradient.flatten_all()?.to_vec1()).transpose()?);
    Ok((scalar.to_scalar()?, gradients.into_iter().map(numbers).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Σ x² / 2` of each group, with gradient x.
    struct HalvedSquare;

    impl Kernel for HalvedSquare {
        fn penalties(&self, cloud: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
            cloud.each_group(|points, gradient| {
                gradient.copy_from_slice(points);
                Ok(points.iter().map(|x| f64::from(x * x)).sum::<f64>() / 2.0)
            })
        }
    }

    struct OneValue;

    impl Kernel for OneValue {
        fn penalties(&self, _: FloatCloud<'_>, _: &mut Draw) -> Result<Vec<f64>> {
            Ok(vec![1.0])
        }
    }

    fn leaf() -> Var {
        Var::new(&[[[1f32], [2.0]], [[3.0], [4.0]]], &Device::Cpu).unwrap()
    }

    fn by_kernel(kernel: &dyn Kernel, points: Tensor, leaf: &Var, weight: f64) -> Result<(f32, Gradients)> {
        penalty_by_kernel(kernel, &Cloud::new(points)?, &[leaf], weight, &mut Draw::new(0, "test", 0, 0))
    }

    #[test]
    fn a_kernels_gradient_reaches_the_leaves_of_direct_and_of_derived_clouds() {
        let leaf = leaf();
        let direct = by_kernel(&HalvedSquare, leaf.as_tensor().clone(), &leaf, 3.0).unwrap();
        assert_eq!(direct, (7.5, vec![Some(vec![1.5, 3.0, 4.5, 6.0])])); // (2.5 + 12.5) / 2; 3/2·x
        let doubled = (leaf.as_tensor() * 2.0).unwrap();
        let derived = by_kernel(&HalvedSquare, doubled, &leaf, 3.0).unwrap();
        assert_eq!(derived, (30.0, vec![Some(vec![6.0, 12.0, 18.0, 24.0])])); // 3/2·2·2x
        let elsewhere = by_kernel(&HalvedSquare, leaf.as_tensor().copy().unwrap().detach(), &leaf, 3.0).unwrap();
        assert_eq!(elsewhere, (7.5, vec![None]));
    }

    #[test]
    fn too_few_values_and_tensors_that_are_not_scalars_are_errors() {
        let leaf = leaf();
        let error = by_kernel(&OneValue, leaf.as_tensor().clone(), &leaf, 1.0).unwrap_err();
        assert_eq!(error.to_string(), "expected one value for each of 2 groups or tokens from a kernel, found 1");
        let error = by_autograd(leaf.as_tensor().clone(), &[&leaf], 1.0).unwrap_err();
        assert_eq!(error.to_string(), "expected a scalar, found a tensor of shape [2, 2, 1]");
        let wide = leaf.to_dtype(candle_core::DType::F64).unwrap();
        assert!(by_kernel(&HalvedSquare, wide, &leaf, 1.0).unwrap_err().to_string().contains("expected float32"));
    }

    #[test]
    fn autograd_agrees_with_the_kernel() {
        let leaf = leaf();
        let square = (leaf.sqr().unwrap().sum((1, 2)).unwrap().mean_all().unwrap() * 0.5).unwrap();
        let found = by_autograd(square, &[&leaf, &Var::new(&[1f32], &Device::Cpu).unwrap()], 3.0).unwrap();
        assert_eq!(found, (7.5, vec![Some(vec![1.5, 3.0, 4.5, 6.0]), None]));
    }
}
