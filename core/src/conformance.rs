//! What every regularizer promises, checked. In a plugin's tests, one line:
//!
//! ```ignore
//! #[test]
//! fn conforms() {
//!     regatta_core::conformance::conforms::<VicReg>();
//! }
//! ```
//!
//! The kit works in float64, where finite differences are worth comparing with, and in float32, where training happens.

use crate::{Cloud, Draw, Plugin, Regularizer, registry};
use candle_core::{DType, Device, Tensor, Var};

/// Checks the card of `R` and every variant that it lists.
///
/// # Panics
/// With what was expected and what came, when a promise is broken.
pub fn conforms<R: Regularizer + Default>() {
    let name = R::default().typetag_name();
    let cards = registry::cards().unwrap_or_else(|error| panic!("{error}"));
    let card = cards.get(name).unwrap_or_else(|| panic!("`{name}` has no card: declare it with `regularizer!`"));
    card_is_whole(card);
    for variant in (card.variants)() {
        keeps_its_promises(&*variant);
    }
}

/// Checks every regularizer linked into this program, and returns their names.
///
/// # Panics
/// As [`conforms`].
pub fn all_conform() -> Vec<&'static str> {
    let cards = registry::cards().unwrap_or_else(|error| panic!("{error}"));
    for card in cards.values() {
        card_is_whole(card);
        (card.variants)().iter().for_each(|variant| keeps_its_promises(&**variant));
    }
    cards.into_keys().collect()
}

fn card_is_whole(card: &registry::Card) {
    let name = card.name;
    assert_eq!(card.default_regularizer().typetag_name(), name, "the card's name and typetag's name differ");
    for (what, text) in [("summary", card.summary), ("paper", card.paper), ("formula", card.formula)] {
        assert!(!text.trim().is_empty(), "`{name}` has no {what}");
    }
    let written: Vec<String> = card.defaults().keys().cloned().collect();
    let named: Vec<&str> = card.fields.iter().map(|field| field.name).collect();
    assert_eq!(written, named, "`{name}`: the fields written and the fields on its card differ");

    let bare: Plugin = serde_json::from_value(name.into()).unwrap_or_else(|e| panic!("`{name}` as a bare name: {e}"));
    assert_eq!(
        written_form(&*bare.0),
        written_form(&*card.default_regularizer()),
        "`{name}`: a bare name must take the defaults"
    );
    let unknown = serde_json::json!({ name: { "no_such_field": 1 } });
    assert!(serde_json::from_value::<Plugin>(unknown).is_err(), "`{name}` accepts a field that it does not know");
}

fn written_form(regularizer: &dyn Regularizer) -> String {
    serde_json::to_string(regularizer).unwrap_or_else(|e| panic!("{regularizer:?} cannot be written: {e}"))
}

/// Checks one configured regularizer, whether or not its card lists it.
///
/// # Panics
/// As [`conforms`].
pub fn keeps_its_promises(regularizer: &dyn Regularizer) {
    round_trips(regularizer);
    is_a_finite_scalar(regularizer);
    is_a_mean_over_groups(regularizer);
    does_not_see_the_order_of_points(regularizer);
    depends_on_its_draw_alone(regularizer);
    is_sane_on_degenerate_clouds(regularizer);
    if regularizer.surrogate_gradient().is_none() {
        has_the_gradient_of_its_value(regularizer);
    }
}

fn round_trips(regularizer: &dyn Regularizer) {
    let text = written_form(regularizer);
    let read: Plugin = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text} cannot be read back: {e}"));
    assert_eq!(written_form(&*read.0), text, "reading and writing again changes the config");
}

fn is_a_finite_scalar(regularizer: &dyn Regularizer) {
    for dtype in [DType::F32, DType::F64] {
        let points = gaussian(2, 12, 6).to_dtype(dtype).expect("a cast");
        let (value, gradient) = value_and_gradient(regularizer, &points);
        assert!(value.is_finite(), "{regularizer:?}: {value} on a Gaussian cloud in {dtype:?}");
        assert!(gradient.iter().all(|x| x.is_finite()), "{regularizer:?}: a gradient that is not finite in {dtype:?}");
        assert!(gradient.iter().any(|&x| x != 0.0), "{regularizer:?}: the gradient is zero everywhere, was it cut?");
    }
}

fn is_a_mean_over_groups(regularizer: &dyn Regularizer) {
    let both = gaussian(2, 12, 6);
    let each: Vec<f64> = (0..2).map(|g| value(regularizer, &both.narrow(0, g, 1).expect("a group"))).collect();
    same(regularizer, "of two groups and the mean of each alone", value(regularizer, &both), (each[0] + each[1]) / 2.0);
}

fn does_not_see_the_order_of_points(regularizer: &dyn Regularizer) {
    let points = gaussian(1, 12, 6);
    let order = Tensor::new(&[7u32, 2, 11, 0, 9, 4, 1, 6, 3, 10, 5, 8], &Device::Cpu).expect("an index");
    let shuffled = points.index_select(&order, 1).expect("a permutation");
    same(regularizer, "of the same points in another order", value(regularizer, &shuffled), value(regularizer, &points));
}

fn depends_on_its_draw_alone(regularizer: &dyn Regularizer) {
    let points = gaussian(2, 12, 6);
    let (once, again) = (value(regularizer, &points), value(regularizer, &points));
    assert_eq!(once.to_bits(), again.to_bits(), "{regularizer:?}: the same draw gives another value");
}

fn is_sane_on_degenerate_clouds(regularizer: &dyn Regularizer) {
    let spread = gaussian(1, 12, 6);
    let one = spread.narrow(1, 0, 1).expect("a point");
    let axes = Tensor::eye(6, DType::F64, &Device::Cpu).and_then(|axes| Tensor::cat(&[&axes, &axes.neg()?], 0)?.unsqueeze(0));
    let clouds = [
        ("collapsed to one point", one.broadcast_as((1, 12, 6)).and_then(|x| x.contiguous())),
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
        let cloud = cloud.and_then(|c| c.to_dtype(DType::F32)).expect("a cloud");
        let (value, gradient) = value_and_gradient(regularizer, &cloud);
        assert!(value.is_finite(), "{regularizer:?}: {value} on a cloud {what}");
        assert!(gradient.iter().all(|x| x.is_finite()), "{regularizer:?}: a gradient that is not finite on a cloud {what}");
    }
}

/// Central differences along each coordinate, in float64.
fn has_the_gradient_of_its_value(regularizer: &dyn Regularizer) {
    let points = gaussian(1, 8, 6);
    let (_, gradient) = value_and_gradient(regularizer, &points);
    let scale = gradient.iter().fold(0f64, |most, x| most.max(x.abs()));
    let flat = points.flatten_all().and_then(|x| x.to_vec1::<f64>()).expect("numbers");
    let step = 1e-5;
    for (index, found) in gradient.iter().enumerate() {
        let at = |offset: f64| {
            let mut moved = flat.clone();
            moved[index] += offset;
            value(regularizer, &Tensor::from_vec(moved, points.shape(), &Device::Cpu).expect("a cloud"))
        };
        let expected = (at(step) - at(-step)) / (2.0 * step);
        let far = (found - expected).abs() > 1e-5 * scale.max(expected.abs());
        assert!(!far, "{regularizer:?}: gradient {found} at coordinate {index}, finite differences say {expected}");
    }
}

fn gaussian(groups: usize, count: usize, dims: usize) -> Tensor {
    Draw::new(0, "conformance", 0, 0).normals(&[groups, count, dims], DType::F64, &Device::Cpu).expect("normals")
}

fn penalty(regularizer: &dyn Regularizer, points: &Tensor) -> Tensor {
    let cloud = Cloud::new(points.clone()).unwrap_or_else(|e| panic!("the kit's own cloud: {e}"));
    let penalty = regularizer.penalty(&cloud, &mut Draw::new(0, "conformance penalty", 0, 0));
    let penalty = penalty.unwrap_or_else(|e| panic!("{regularizer:?} on {:?}: {e}", points.dims()));
    assert_eq!(penalty.dims(), [0usize; 0], "{regularizer:?}: a penalty is a scalar");
    assert_eq!(penalty.dtype(), points.dtype(), "{regularizer:?}: a penalty has the dtype of its cloud");
    penalty
}

fn value(regularizer: &dyn Regularizer, points: &Tensor) -> f64 {
    penalty(regularizer, points).to_dtype(DType::F64).and_then(|x| x.to_scalar()).expect("a scalar")
}

fn value_and_gradient(regularizer: &dyn Regularizer, points: &Tensor) -> (f64, Vec<f64>) {
    let points = Var::from_tensor(points).expect("a variable");
    let penalty = penalty(regularizer, &points);
    let grads = penalty.backward().unwrap_or_else(|e| panic!("{regularizer:?}: no backward: {e}"));
    let gradient = grads.get(&points).unwrap_or_else(|| panic!("{regularizer:?}: no gradient reaches the points"));
    let numbers =
        |x: &Tensor| x.to_dtype(DType::F64).and_then(|x| x.flatten_all()).and_then(|x| x.to_vec1::<f64>()).expect("numbers");
    (numbers(&penalty)[0], numbers(gradient))
}

fn same(regularizer: &dyn Regularizer, what: &str, found: f64, expected: f64) {
    let far = (found - expected).abs() > 1e-9 * expected.abs().max(1.0);
    assert!(!far, "{regularizer:?}: the penalty {what} differ: {found} and {expected}");
}
