//! Sweeps: which points there are, and what is said of those that cannot be.

use super::{Desk, check};
use crate::spec::StudyFile;
use crate::{Study, Variant};

/// Arms for sweeps: a baseline, a bare name, a ramp.
const ARMS: &str = "\
arms:
  baseline: []
  spread: [{regularizer: dispersion, weight: 0.1}]
  b.5: [{regularizer: infonce, weight: {from: 0, to: 1, steps: 10}}, {regularizer: {infonce: {t: 3}}, weight: 2}]
";

fn sweep(vary: &str) -> Desk {
    Desk::with(format!("{ARMS}vary: {vary}\n"))
}

impl Desk {
    fn file(&self, overrides: &[&str]) -> StudyFile {
        let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
        StudyFile::read(&self.study, &overrides).unwrap_or_else(|refusal| panic!("{refusal}"))
    }
}

fn names(variants: &[Variant]) -> Vec<String> {
    variants.iter().map(|variant| format!("{} {}", variant.arm, variant.label())).collect()
}

/// The study that is written says the same variants, and no two of an arm share a folder.
pub(super) fn written_again(file: &StudyFile) {
    let written = file.study.to_yaml();
    let again = Desk::with(&written).file(&[]);
    assert_eq!(again.study, file.study, "{written}");
    assert_eq!(again.study.to_yaml(), written);
    let mut labels: Vec<String> = names(file.variants()).iter().map(|name| name.to_lowercase()).collect();
    let safe = |label: &String| label.len() <= 265 && label.chars().all(|c| c.is_ascii_alphanumeric() || "._+-=, ".contains(c));
    assert!(labels.iter().all(safe), "{labels:?}"); // an arm's name, a space and 200 bytes
    labels.sort();
    assert!(labels.windows(2).all(|pair| pair[0] != pair[1]), "{labels:?}");
    let all = |file: &StudyFile| -> Vec<_> {
        let plain = |v: &Variant| (v.arm.clone(), v.label().to_owned(), v.point.clone(), v.index, v.study.to_yaml());
        file.variants().iter().map(plain).collect()
    };
    assert_eq!(all(&again), all(file), "{written}");
}

fn check_variants(desk: &Desk, expected: &[&str]) -> StudyFile {
    let file = desk.file(&[]);
    assert_eq!(names(file.variants()), expected);
    written_again(&file);
    file
}

#[test]
fn without_a_sweep_each_arm_is_one_variant() {
    let file = check_variants(&Desk::with(ARMS), &["baseline ", "spread ", "b.5 "]);
    assert!(file.variants().iter().all(|variant| variant.point.is_empty() && *variant.study == file.study));
    assert_eq!(file.variants()[2].terms().len(), 2);
    fn shared_among_threads(_: impl Send + Sync) {}
    shared_among_threads(file);
}

#[test]
fn a_map_is_a_product_whose_last_path_varies_fastest() {
    let desk = sweep("{train.lr: [3.0e-4, 1.0e-3], arms.spread.0.weight: [0.01, 1]}");
    let file = check_variants(
        &desk,
        &[
            "baseline lr=0.0003",
            "spread lr=0.0003,weight=0.01",
            "b.5 lr=0.0003",
            "spread lr=0.0003,weight=1",
            "baseline lr=0.001",
            "spread lr=0.001,weight=0.01",
            "b.5 lr=0.001",
            "spread lr=0.001,weight=1",
        ],
    );
    let last = &file.variants()[7];
    assert_eq!((last.study.train.lr.get(), last.terms()[0].weight.at(0), last.index), (1e-3, 1.0, 1));
    assert!(last.study.vary.is_none());
    let baselines: Vec<String> = file.variants().iter().map(|variant| file.baseline_of(variant).label().to_owned()).collect();
    assert_eq!(baselines[..4].concat(), "lr=0.0003".repeat(4));
    assert_eq!(baselines[4..].concat(), "lr=0.001".repeat(4));
}

#[test]
fn a_star_sets_every_arm_that_has_the_rest() {
    let file = check_variants(
        &sweep("{arms.*.0.weight: [0.5, 2]}"),
        &["baseline ", "spread weight=0.5", "b.5 weight=0.5", "spread weight=2", "b.5 weight=2"],
    );
    assert_eq!(file.variants()[4].terms()[0].weight.at(0), 2.0);
    assert_eq!(file.baseline_of(&file.variants()[4]).arm, "baseline");
    let file =
        check_variants(&sweep("{arms.*.*.regularizer.infonce.t: [1, 2]}"), &["baseline ", "spread ", "b.5 t=1", "b.5 t=2"]);
    assert!(file.variants()[3].study.to_yaml().matches(" t: 2.0").count() == 2);
    check_variants(&sweep("{arms.*.0.weight.to: [3]}"), &["baseline ", "spread ", "b.5 to=3"]);
}

#[test]
fn a_list_is_its_points() {
    let desk = sweep("\n- {train.lr: 1.0e-2, model.width: 64}\n- {arms.spread.0.at.layers: [1, 2]}");
    let file = desk.file(&[]);
    let found = names(file.variants());
    assert_eq!(found[..4], ["baseline lr=0.01,width=64", "spread lr=0.01,width=64", "b.5 lr=0.01,width=64", "baseline "]);
    assert!(found[4].starts_with("spread layers=1-2-"), "{found:?}");
    written_again(&file);
}

#[test]
fn defaults_follow_what_varies() {
    let file = sweep("{model.width: [64, 256], model.context: [32, 64]}").file(&[]);
    let shape = |variant: &Variant| {
        let yaml = variant.study.to_yaml();
        let field = |name: &str| yaml.lines().find_map(|line| line.trim().strip_prefix(name).map(str::to_owned)).unwrap();
        (field("mlp_width: "), variant.study.train.context.unwrap().get())
    };
    assert_eq!(shape(&file.variants()[0]), ("256".into(), 32));
    assert_eq!(shape(file.variants().last().unwrap()), ("1024".into(), 64));
    written_again(&file);
    let told = Desk::with(format!("{ARMS}model: {{mlp_width: 100}}\ntrain: {{context: 16}}\nvary: {{model.width: [64, 256]}}"));
    let file = told.file(&[]);
    assert_eq!(shape(file.variants().last().unwrap()), ("100".into(), 16));
    written_again(&file);
}

#[test]
fn a_sweep_may_choose_what_the_base_does_not() {
    let desk = sweep("{data.text.file: [a.txt, b.txt]}");
    for (name, text) in [("a.txt", "x"), ("b.txt", "y")] {
        std::fs::write(desk.folder.path().join(name), text).unwrap();
    }
    let file = desk.file(&[]);
    written_again(&file);
    assert!(file.study.to_yaml().contains(&format!("{}", desk.folder.path().join("b.txt").canonicalize().unwrap().display())));
    assert!(file.variants()[0].label().starts_with("file=a.txt-"), "{}", file.variants()[0].label());
    let refusal = file.refuse_variant(&file.variants()[3], "data.text.file", "too short").to_string();
    assert!(refusal.ends_with("x.yaml:5:32: vary.data.text.file.1: too short"), "{refusal}");
    written_again(&sweep("{train.schedule: [constant, {cosine: {warmup: 3}}]}").file(&[]));
    written_again(&sweep("{train.schedule.cosine.warmup: [3, 4]}").file(&[]));
    written_again(
        &sweep("{tokenizer: [bytes, {bpe: {vocab_size: 300}}], model: [{width: 64, context: 16}, {layers: 1}]}").file(&[]),
    );
}

#[test]
fn what_varies_can_be_set() {
    let desk = Desk::with(ARMS);
    assert_eq!(desk.file(&["vary={train.lr: [1, 2]}"]).variants().len(), 6);
    assert_eq!(desk.file(&["vary.train.lr=[1, 2]", "vary.train.lr.0=3"]).variants()[0].label(), "lr=3");
    assert_eq!(sweep("{train.lr: [1, 2]}").file(&["vary="]).variants().len(), 3);
    let refusal = desk.refusal(&["vary.train.lr=[1, 0]"]);
    assert_eq!(refusal, "--set vary.train.lr=[1, 0]: vary.train.lr.1: expected a finite number above 0, found 0");
}

#[test]
fn what_is_no_sweep_is_refused() {
    let refused = |vary: &str, column: usize, part: &str| {
        check(format!("{ARMS}vary: {vary}"), &format!("x.yaml:5:{column}: vary"), part);
    };
    refused("{}", 7, "expected at least one path, as in `train.lr: [1.0e-3, 3.0e-3]`, found none");
    refused("[]", 7, "expected at least one point");
    refused("[{}]", 8, "expected a point with at least one path, found none");
    refused("3", 7, "expected a map of paths to lists of values, or a list of points, each a map of paths to values, found 3");
    refused("{train.lr: 1}", 18, "expected a list of values, found 1");
    refused("{train.lr: []}", 18, "expected at least one value, found none");
    refused("{train.lr: [1, 2, 1.0]}", 18, "expected each value once, found 1 twice");
    refused("[{train.lr: 1}, {train.lr: 1}]", 7, "expected each point once, found train.lr=1 twice");
    refused("{seeds: [1, 2]}", 8, "expected a field that may vary, found `seeds`");
    refused("{trian.lr: [1]}", 8, "unknown name `trian`");
    refused("{train.lrr: [1]}", 8, "did you mean `lr`?");
    refused("{arms.*.0.wieght: [1]}", 8, "did you mean `weight`?");
    refused("{arms.spread.0.wieght: [1]}", 8, "did you mean `weight`?");
    refused("{arms.spraed.0.weight: [1]}", 8, "did you mean `spread`?");
    refused("[{train.lr: 1}, {train.lr: 0}]", 34, ".1.train.lr: expected a finite number above 0, found 0");
    refused("{train: [{stesp: 3}]}", 17, ".train.0.stesp: unknown name `stesp`");
    let many = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    refused(&format!("{{train.lr: [{0}], train.steps: [{0}]}}", many(101)), 7, "found 10201 points of a study with ");
    let bomb = format!("{{{}}}", (0..40).map(|i| format!("a{i}: [{}]", many(100))).collect::<Vec<_>>().join(", "));
    refused(&bomb, 7, "expected at most 10000 points");
}

#[test]
fn a_point_that_cannot_be_is_refused_with_what_makes_it() {
    let desk = sweep("{train.lr: [1, 2], model.width: [64, 66]}");
    let message = "x.yaml:5:44: vary.model.width.1: model: expected `heads` to divide `width`, found 4 heads and width 66 \
                   (at train.lr=1, model.width=66)";
    assert_eq!(desk.refusal(&[]), message);
    // What does not fit lies elsewhere: the value without which the point is legal is to blame.
    let desk = sweep("{model.context: [64, 32], train.lr: [1]}");
    let message = "x.yaml:5:28: vary.model.context.1: train.context: expected at most the model's context of 32, found 50 \
                   (at model.context=32, train.lr=1)";
    assert_eq!(desk.refusal(&["train.context=50"]), message);
    // Later, nothing is tried again: what no value of the sweep wrote is refused where it is.
    let file = sweep("{model.context: [64, 32]}").file(&["data.synthetic.train_tokens=40"]);
    let refusal = file.refuse_variant(&file.variants()[0], "data", "too short").to_string();
    assert!(
        refusal.ends_with("x.yaml:1:1: data: too short (at model.context=64) (with --set data.synthetic.train_tokens=40)"),
        "{refusal}"
    );
}

#[test]
fn a_variant_is_judged_by_its_checkpoint() {
    let desk = sweep("{model.init: [.], arms.spread.0.at.layers: [[1], [5]]}");
    let file = desk.file(&[]);
    let spread: Vec<&Variant> = file.variants().iter().filter(|variant| variant.arm == "spread").collect();
    let model = regatta_lm::model::Family::Gpt2.defaults(); // 4 blocks, 128 positions
    assert!(file.check_variant(spread[0], &model).is_ok());
    let refusal = file.check_variant(spread[1], &model).unwrap_err();
    assert!(refusal.to_string().ends_with("vary.arms.spread.0.at.layers.1: expected layers from 0 to 4, found 5"), "{refusal}");
}

#[test]
fn ten_thousand_points_are_read_at_once() {
    let many = |count: usize| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let desk = sweep(&format!("{{train.lr: [{0}], train.steps: [{0}]}}", many(100)));
    let started = std::time::Instant::now();
    assert_eq!(desk.file(&[]).variants().len(), 30_000);
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn the_baseline_is_without_terms_or_without_weight_or_first() {
    let baseline = |arms: &str| Study::read(&Desk::with(arms).study, &[]).map(|study| study.baseline());
    let some = "[{regularizer: dispersion, weight: 1}]";
    assert_eq!(baseline(&format!("arms: {{a: {some}, b: []}}")), Ok(1));
    assert_eq!(baseline(&format!("arms: {{a: {some}, b: [{{regularizer: infonce, weight: 0}}]}}")), Ok(1));
    assert_eq!(baseline(&format!("arms: {{a: {some}, b: {some}}}")), Ok(0));
}
