//! Value and gradient of every regularizer, through the registry, against numbers that the published methods give in float64: of
//! its tensor operations, and of its kernel.
//!
//! A case may have a `tolerance` of its own in place of the manifest's, and directions or a sketch in place of those that would be
//! drawn. Where the published code approximates its own statistic, `exact_loss` and `exact_grad` stand in place of `loss` and `grad`.

use crate::fixture;
use regatta_builtin as _;
use regatta_core::candle::{DType, Device, Var, safetensors};
use regatta_core::registry::cards;
use regatta_core::{Cloud, Draw, Plugin, Tensor, differentiate};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// How far a number found may be from the one expected: `absolute + relative |expected|`.
#[derive(Clone, Copy)]
struct Tolerance {
    relative: f64,
    absolute: f64,
}

impl Tolerance {
    /// Notes each number beyond the tolerance, and returns the largest difference over the largest number expected.
    fn compare(self, what: &str, found: &[f64], expected: &[f64], failures: &mut Vec<String>) -> f64 {
        assert_eq!(found.len(), expected.len(), "{what}: as many numbers");
        let (mut difference, mut size) = (0f64, 0f64);
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let off = (found - expected).abs();
            // A NaN is beyond every tolerance.
            if off.is_nan() || off > self.absolute + self.relative * expected.abs() {
                failures.push(format!("{what}[{index}]: found {found}, expected {expected}"));
            }
            difference = difference.max(off);
            size = size.max(expected.abs());
        }
        difference / size
    }
}

/// The largest differences met by one regularizer, and over how many cases.
#[derive(Default)]
struct Largest {
    cases: usize,
    value: f64,
    gradient: f64,
    /// In the second view.
    view_gradient: f64,
}

fn float64(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).and_then(|t| t.flatten_all()).and_then(|t| t.to_vec1()).expect("numbers")
}

/// A value, and its gradients in the points and in the view.
struct Found {
    by: &'static str,
    value: f64,
    gradients: Vec<Vec<f64>>,
}

/// The case's penalty in float32, by tensor operations and by the kernel: along its own slices or through its own sketch where it
/// gives some, else as a study would have it. Views are the points, and a second view where the regularizer asks for one.
fn found(case: &Value, tensors: &HashMap<String, Tensor>, views: &[&Var]) -> [Found; 2] {
    let yaml = serde_yaml::to_string(&case["regularizer"]).expect("YAML");
    let plugin: Plugin = serde_yaml::from_str(&yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    let points = views[0].as_tensor().clone();
    let cloud = match views.get(1) {
        Some(view) => Cloud::with_view(points.clone(), view.as_tensor().clone()),
        None => Cloud::new(points.clone()),
    };
    let (cloud, mut draw) = (cloud.expect("a cloud"), Draw::new(0, "golden", 0, 0));
    assert_eq!(plugin.0.needs_view(), views.len() > 1, "{yaml}: a view where one is needed, and nowhere else");
    let fields = |name: &str| serde_json::to_value(&plugin).expect("a plugin can be written")[name].clone();
    let by_tensors;
    let by_kernel;
    if let Some(slices) = case["slices"].as_str() {
        let (slices, fields) = (&tensors[slices], fields("sigreg"));
        let sigreg: regatta_builtin::sigreg::SigReg = serde_json::from_value(fields).expect("only sigreg has slices");
        let kernel = sigreg.kernel_along(slices).expect("a kernel");
        by_kernel = differentiate::penalty_by_kernel(&kernel, &cloud, views, 1.0, &mut draw);
        by_tensors = sigreg.penalty_along(&points, slices);
    } else if let Some(sketch) = case["sketch"].as_str() {
        let (sketch, fields) = (&tensors[sketch], fields("sketched_isotropy"));
        let sketched: regatta_builtin::sketched_isotropy::SketchedIsotropy = serde_json::from_value(fields).expect("its fields");
        let kernel = sketched.kernel_through(sketch).expect("a kernel");
        by_kernel = differentiate::penalty_by_kernel(&kernel, &cloud, views, 1.0, &mut draw);
        by_tensors = sketched.penalty_through(&points, sketch);
    } else {
        let kernel = plugin.0.kernel().expect("every built-in regularizer has a kernel");
        by_kernel = differentiate::penalty_by_kernel(kernel, &cloud, views, 1.0, &mut draw.clone());
        by_tensors = plugin.0.penalty(&cloud, &mut draw);
    }
    let by_tensors = by_tensors.unwrap_or_else(|error| panic!("{yaml}: {error}"));
    let grads = by_tensors.backward().expect("a backward pass");
    let of_tensors = |view: &&Var| float64(grads.get(view).unwrap_or_else(|| panic!("{case}: no gradient reaches a view")));
    let (value, of_kernel) = by_kernel.unwrap_or_else(|error| panic!("{yaml}: {error}"));
    let wide = |gradient: Option<Vec<f32>>| gradient.expect("a gradient").into_iter().map(f64::from).collect();
    [
        Found { by: "tensors", value: float64(&by_tensors)[0], gradients: views.iter().map(of_tensors).collect() },
        Found { by: "kernel", value: value.into(), gradients: of_kernel.into_iter().map(wide).collect() },
    ]
}

#[test]
fn golden_regularizers() {
    check("regularizers", 102);
}

/// The wider family; half of it compares two views.
#[test]
fn golden_family() {
    check("family", 60);
}

#[test]
fn golden_further_regularizers() {
    check("further", 114);
}

/// A case whose regularizer nobody links, or a field of it that the linked one does not have, would be a case that nobody runs.
#[test]
fn every_golden_case_is_run() {
    for name in ["regularizers", "family", "further"] {
        let Some(manifest) = manifest(name) else { continue };
        let skipped: Vec<String> =
            cases(&manifest).filter(|case| !is_linked(case)).map(|case| case["regularizer"].to_string()).collect();
        assert!(skipped.is_empty(), "{name}: {} cases are skipped: {}", skipped.len(), skipped.join(", "));
    }
}

fn manifest(fixture_name: &str) -> Option<Value> {
    let path = fixture(fixture_name)?.join("manifest.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some(serde_json::from_str(&text).expect("the manifest is JSON"))
}

fn cases(manifest: &Value) -> impl Iterator<Item = &Value> {
    manifest["cases"].as_array().expect("cases").iter()
}

fn name(case: &Value) -> &str {
    let regularizer = &case["regularizer"];
    let of_map = || regularizer.as_object()?.keys().next().map(String::as_str);
    regularizer.as_str().or_else(of_map).unwrap_or_else(|| panic!("{case} names no regularizer"))
}

/// Whether a linked regularizer has the case's name, and its fields.
fn is_linked(case: &Value) -> bool {
    let cards = cards().expect("cards");
    let Some(card) = cards.get(name(case)) else { return false };
    let fields = case["regularizer"][name(case)].as_object();
    fields.into_iter().flatten().all(|(named, _)| card.fields.iter().any(|field| field.name == named))
}

/// Runs the `count` cases of a fixture, but for those whose regularizer is not linked; another folder may hold another number of
/// them.
fn check(fixture_name: &str, count: usize) {
    let (Some(folder), Some(manifest)) = (fixture(fixture_name), manifest(fixture_name)) else { return };
    let tensors = safetensors::load(folder.join("tensors.safetensors"), &Device::Cpu).expect("the tensors");

    let mut failures = Vec::new();
    let mut largest: BTreeMap<String, Largest> = BTreeMap::new();
    for case in cases(&manifest).filter(|case| is_linked(case)) {
        let allowed = |kind: &str| case.get("tolerance").unwrap_or(&manifest["tolerance"])[kind].as_f64().expect("a tolerance");
        let tolerance = Tolerance { relative: allowed("relative"), absolute: allowed("absolute") };
        let text = |key: &str| case[key].as_str().unwrap_or_else(|| panic!("{case} has no {key}"));
        let points = Var::from_tensor(&tensors[text("points")]).expect("a variable");
        assert_eq!(points.dtype(), DType::F32, "{case}: training works in float32");
        let view = case.get("view").map(|_| Var::from_tensor(&tensors[text("view")]).expect("a variable"));
        let [loss, gradient] = match case.get("exact_loss") {
            Some(_) => ["exact_loss", "exact_grad"],
            None => ["loss", "grad"],
        };
        let loss = case[loss].as_f64().expect("a loss");
        let expected = float64(&tensors[text(gradient)]);
        let expected_in_view = view.as_ref().map(|_| float64(&tensors[text("view_grad")]));
        let views: Vec<&Var> = std::iter::once(&points).chain(&view).collect();

        for Found { by, value, gradients } in found(case, &tensors, &views) {
            let id = format!("case {} {} on {} by {by}", text("id"), case["regularizer"], text("points"));
            let value = tolerance.compare(&format!("{id}: value"), &[value], &[loss], &mut failures);
            let gradient = tolerance.compare(&format!("{id}: gradient"), &gradients[0], &expected, &mut failures);
            let view_gradient = expected_in_view.as_ref().map_or(0.0, |expected| {
                tolerance.compare(&format!("{id}: gradient in the view"), &gradients[1], expected, &mut failures)
            });
            let so_far = largest.entry(format!("{} by {by}", name(case))).or_default();
            so_far.cases += 1;
            so_far.value = so_far.value.max(value);
            so_far.gradient = so_far.gradient.max(gradient);
            so_far.view_gradient = so_far.view_gradient.max(view_gradient);
        }
    }

    for (name, Largest { cases, value, gradient, view_gradient }) in &largest {
        let (value, gradient) = (format!("value {value:.1e}"), format!("gradient {gradient:.1e}"));
        println!("{name}: {cases} cases, largest relative difference: {value}, {gradient}, in the view {view_gradient:.1e}");
    }
    let run: usize = largest.values().map(|largest| largest.cases).sum();
    let linked = cases(&manifest).filter(|case| is_linked(case)).count();
    let another = std::env::var_os("GOLDEN_DIR").is_some();
    assert_eq!(run, 2 * linked, "each by tensors and by its kernel");
    assert!(cases(&manifest).count() == count || another && run > 0, "expected {count} cases in {}", folder.display());
    let first = failures[..failures.len().min(20)].join("\n");
    assert!(failures.is_empty(), "{} numbers beyond the tolerance, first:\n{first}", failures.len());
}
