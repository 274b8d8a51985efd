//! Checks of a regularizer.

use super::kernel::{TOLERANCE, by_kernel, kernel_agrees};
use super::{round_trips, written_form};
use crate::labels::labelled_for;
use crate::{Cloud, Draw, Regularizer};
use candle_core::{DType, Device, Tensor, Var};

/// Checks one configured regularizer, whether or not its card lists it.
///
/// # Panics
/// When a check fails, with what was expected and what was found.
pub fn keeps_its_promises(regularizer: &dyn Regularizer) {
    round_trips::<dyn Regularizer>(&written_form(regularizer));
    is_a_finite_scalar(regularizer);
    is_a_mean_over_groups(regularizer);
    does_not_see_the_order_of_points(regularizer);
    depends_on_its_draw_alone(regularizer);
    is_sane_on_degenerate_clouds(regularizer);
    sees_a_view_where_it_asks_for_one(regularizer);
    sees_labels_where_it_asks_for_them(regularizer);
    if regularizer.surrogate_gradient().is_none() {
        has_the_gradient_of_its_value(regularizer);
    }
    if regularizer.kernel().is_some() {
        kernel_agrees(regularizer, TOLERANCE);
    }
}

fn is_a_finite_scalar(regularizer: &dyn Regularizer) {
    for dtype in [DType::F32, DType::F64] {
        let views: Vec<Tensor> = views(regularizer, 2, 12).iter().map(|view| view.to_dtype(dtype).expect("a cast")).collect();
        let (value, gradients) = value_and_gradients(regularizer, &views);
        assert!(value.is_finite(), "{regularizer:?}: {value} on a Gaussian cloud in {dtype:?}");
        for gradient in gradients {
            assert!(gradient.iter().all(|x| x.is_finite()), "{regularizer:?}: a gradient that is not finite in {dtype:?}");
            assert!(gradient.iter().any(|&x| x != 0.0), "{regularizer:?}: the gradient is zero everywhere, was it cut?");
        }
    }
}

fn is_a_mean_over_groups(regularizer: &dyn Regularizer) {
    let both = views(regularizer, 2, 12);
    let group = |g| both.iter().map(|view| view.narrow(0, g, 1).expect("a group")).collect::<Vec<Tensor>>();
    let mean = (value(regularizer, &group(0)) + value(regularizer, &group(1))) / 2.0;
    same(regularizer, "of two groups and the mean of each alone", value(regularizer, &both), mean);
}

fn does_not_see_the_order_of_points(regularizer: &dyn Regularizer) {
    let views = views(regularizer, 1, 12);
    let order = Tensor::new(&[7u32, 2, 11, 0, 9, 4, 1, 6, 3, 10, 5, 8], &Device::Cpu).expect("an index");
    let shuffled: Vec<Tensor> = views.iter().map(|view| view.index_select(&order, 1).expect("a permutation")).collect();
    same(regularizer, "of the same points in another order", value(regularizer, &shuffled), value(regularizer, &views));
}

fn depends_on_its_draw_alone(regularizer: &dyn Regularizer) {
    let views = views(regularizer, 2, 12);
    let (once, again) = (value(regularizer, &views), value(regularizer, &views));
    assert_eq!(once.to_bits(), again.to_bits(), "{regularizer:?}: the same draw gives another value");
}

/// A view that the regularizer does not need changes nothing. A missing view is an error, not a panic.
fn sees_a_view_where_it_asks_for_one(regularizer: &dyn Regularizer) {
    let points = gaussian(0, 1, 12);
    if regularizer.needs_view() {
        let alone = Cloud::new(points).expect("the kit's own cloud");
        let refused = regularizer.penalty(&alone, &mut Draw::new(0, "conformance penalty", 0, 0)).is_err();
        assert!(refused, "{regularizer:?} needs a second view, and does without one");
        let by_kernel = regularizer.kernel().map(|kernel| by_kernel(kernel, &alone));
        assert!(!matches!(by_kernel, Some(Ok(_))), "{regularizer:?} needs a second view, and its kernel does without one");
    } else {
        let with_view = value(regularizer, &[points.clone(), gaussian(1, 1, 12)]);
        same(regularizer, "without and with a view that it does not need", value(regularizer, &[points]), with_view);
    }
}

/// Missing labels are an error, and no panic.
fn sees_labels_where_it_asks_for_them(regularizer: &dyn Regularizer) {
    if regularizer.needs_labels() {
        assert!(regularizer.kernel().is_none(), "{regularizer:?}: a kernel sees no labels, and this regularizer needs them");
        let alone = Cloud::new(gaussian(0, 1, 12)).expect("the kit's own cloud");
        let refused = regularizer.penalty(&alone, &mut Draw::new(0, "conformance penalty", 0, 0)).is_err();
        assert!(refused, "{regularizer:?} needs labels, and does without them");
    }
}

fn is_sane_on_degenerate_clouds(regularizer: &dyn Regularizer) {
    let spread = gaussian(0, 1, 12);
    let one = spread.narrow(1, 0, 1).expect("a point");
    let axes = Tensor::eye(6, DType::F64, &Device::Cpu).and_then(|axes| Tensor::cat(&[&axes, &axes.neg()?], 0)?.unsqueeze(0));
    let collapsed = one.broadcast_as((1, 12, 6)).and_then(|x| x.contiguous()).expect("a cloud");
    let clouds = [
        ("collapsed to one point", Ok(collapsed.clone())),
        ("all zero", spread.zeros_like()),
        ("of two points", spread.narrow(1, 0, 2).and_then(|x| x.contiguous())),
        ("with two equal points", Tensor::cat(&[&one, &spread], 1)),
        ("of fewer points than dims", spread.narrow(1, 0, 3).and_then(|x| x.contiguous())),
        ("on a line", spread.narrow(2, 0, 1).and_then(|x| x.broadcast_mul(&one))),
        ("in a plane", spread.narrow(2, 0, 2).and_then(|x| x.pad_with_zeros(2, 0, 4))),
        ("with all eigenvalues equal", axes),
        ("of norms near 1e5", &spread * 1e5),
        ("of norms near 1e-6", &spread * 1e-6),
        ("far from the origin", &spread + 100.0),
    ];
    for (what, cloud) in clouds {
        let cloud = cloud.expect("a cloud");
        if regularizer.needs_view() {
            is_sane(regularizer, &format!("{what}, with a view near it"), &[cloud.clone(), near(&cloud)]);
            is_sane(regularizer, &format!("{what}, with itself as its view"), &[cloud.clone(), cloud]);
        } else {
            is_sane(regularizer, what, &[cloud]);
        }
    }
    if regularizer.needs_view() {
        is_sane(regularizer, "whose view has collapsed to one point", &[spread.clone(), collapsed.clone()]);
        is_sane(regularizer, "collapsed to one point, unlike its view", &[collapsed, spread.clone()]);
        is_sane(regularizer, "whose view is opposite", &[spread.clone(), spread.neg().expect("a view")]);
        is_sane(regularizer, "whose view is all zero", &[spread.clone(), spread.zeros_like().expect("a view")]);
    }
}

fn is_sane(regularizer: &dyn Regularizer, what: &str, views: &[Tensor]) {
    let views: Vec<Tensor> = views.iter().map(|view| view.to_dtype(DType::F32).expect("a cast")).collect();
    let (value, gradients) = value_and_gradients(regularizer, &views);
    assert!(value.is_finite(), "{regularizer:?}: {value} on a cloud {what}");
    let finite = gradients.iter().flatten().all(|x| x.is_finite());
    assert!(finite, "{regularizer:?}: a gradient that is not finite on a cloud {what}");
    if let Some(kernel) = regularizer.kernel() {
        let found = by_kernel(kernel, &cloud(regularizer, &views));
        let (value, gradient) = found.unwrap_or_else(|e| panic!("the kernel of {regularizer:?} on a cloud {what}: {e}"));
        let finite = value.is_finite() && gradient.iter().all(|x| x.is_finite());
        assert!(finite, "{regularizer:?}: a kernel's value or gradient that is not finite on a cloud {what}");
    }
}

/// Compares with central differences along each coordinate of each view, in float64.
fn has_the_gradient_of_its_value(regularizer: &dyn Regularizer) {
    let views = views(regularizer, 1, 8);
    let (_, gradients) = value_and_gradients(regularizer, &views);
    let scale = gradients.iter().flatten().fold(0f64, |most, x| most.max(x.abs()));
    let step = 1e-5;
    for (moving, gradient) in gradients.iter().enumerate() {
        let flat = numbers(&views[moving]);
        for (index, found) in gradient.iter().enumerate() {
            let at = |offset: f64| {
                let (mut moved, mut all) = (flat.clone(), views.clone());
                moved[index] += offset;
                all[moving] = Tensor::from_vec(moved, views[moving].shape(), &Device::Cpu).expect("a cloud");
                value(regularizer, &all)
            };
            let expected = (at(step) - at(-step)) / (2.0 * step);
            let far = (found - expected).abs() > 1e-5 * scale.max(expected.abs());
            let of = ["", " of the view"][moving];
            assert!(!far, "{regularizer:?}: gradient {found} at coordinate {index}{of}, finite differences say {expected}");
        }
    }
}

fn gaussian(step: u64, groups: usize, count: usize) -> Tensor {
    Draw::new(0, "conformance", step, 0).normals(&[groups, count, 6], DType::F64, &Device::Cpu).expect("normals")
}

/// A Gaussian cloud of six dims, and a view near it where the regularizer needs one.
fn views(regularizer: &dyn Regularizer, groups: usize, count: usize) -> Vec<Tensor> {
    let points = gaussian(0, groups, count);
    if regularizer.needs_view() { vec![points.clone(), near(&points)] } else { vec![points] }
}

fn near(points: &Tensor) -> Tensor {
    let noise = Draw::new(0, "conformance view", 0, 0).normals(points.dims(), DType::F64, &Device::Cpu).expect("normals");
    (noise * 0.3).and_then(|noise| points + noise).expect("a view")
}

/// A cloud of points, or of points and their view.
fn cloud(regularizer: &dyn Regularizer, views: &[Tensor]) -> Cloud {
    let points = views[0].clone();
    let cloud = match views.get(1) {
        Some(view) => Cloud::with_view(points, view.clone()),
        None => Cloud::new(points),
    };
    let cloud = cloud.and_then(|cloud| labelled_for(regularizer, cloud));
    cloud.unwrap_or_else(|e| panic!("the kit's own cloud: {e}"))
}

fn penalty(regularizer: &dyn Regularizer, views: &[Tensor]) -> Tensor {
    let points = &views[0];
    let penalty = regularizer.penalty(&cloud(regularizer, views), &mut Draw::new(0, "conformance penalty", 0, 0));
    let penalty = penalty.unwrap_or_else(|e| panic!("{regularizer:?} on {:?}: {e}", points.dims()));
    assert_eq!(penalty.dims(), [0usize; 0], "{regularizer:?}: a penalty is a scalar");
    assert_eq!(penalty.dtype(), points.dtype(), "{regularizer:?}: a penalty has the dtype of its cloud");
    penalty
}

fn value(regularizer: &dyn Regularizer, views: &[Tensor]) -> f64 {
    numbers(&penalty(regularizer, views))[0]
}

fn value_and_gradients(regularizer: &dyn Regularizer, views: &[Tensor]) -> (f64, Vec<Vec<f64>>) {
    let views: Vec<Var> = views.iter().map(|view| Var::from_tensor(view).expect("a variable")).collect();
    let penalty = penalty(regularizer, &views.iter().map(|view| view.as_tensor().clone()).collect::<Vec<Tensor>>());
    let grads = penalty.backward().unwrap_or_else(|e| panic!("{regularizer:?}: no backward: {e}"));
    let gradient = |view: &Var| {
        let gradient = grads.get(view).unwrap_or_else(|| panic!("{regularizer:?}: no gradient reaches the points"));
        numbers(gradient)
    };
    (numbers(&penalty)[0], views.iter().map(gradient).collect())
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).and_then(|x| x.flatten_all()?.to_vec1::<f64>()).expect("numbers")
}

fn same(regularizer: &dyn Regularizer, what: &str, found: f64, expected: f64) {
    let far = (found - expected).abs() > 1e-9 * expected.abs().max(1.0);
    assert!(!far, "{regularizer:?}: the penalty {what} differ: {found} and {expected}");
}
