//! Studies and what is said of them. The regularizers are small ones of these tests' own.

mod effects;
mod extends;
mod faults;
mod files;
mod interventions;
mod merge;
mod model;
mod noise;
mod schedules;
mod schema;
mod tune;
mod vary;

use super::*;
use regatta_core::number::Positive;
use regatta_core::{Cloud, Draw, Intervention, Regularizer, Tensor, intervention, regularizer, typetag};
use regatta_lm::model::{Decoder, Family};
use regatta_lm::spec::Length;
use std::fs;
use std::path::PathBuf;

macro_rules! small_regularizer {
    ($type:ident, $name:literal, $field:ident) => {
        regularizer! {
            name: $name,
            summary: "mean of squares",
            paper: "none",
            formula: "field mean(z^2)",
            expects: "any points",
            struct $type {
                /// Factor in front.
                $field: Positive = Positive::new(1.0),
            }
        }

        #[typetag::serde(name = $name)]
        impl Regularizer for $type {
            fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> regatta_core::Result<Tensor> {
                Ok((cloud.points().sqr()?.mean_all()? * self.$field.get())?)
            }
        }
    };
}

small_regularizer!(Dispersion, "dispersion", temperature);
small_regularizer!(InfoNce, "infonce", t);
small_regularizer!(VicReg, "vicreg", target_std);

/// A study that spells out every key there is.
const WHOLE: &str = "\
name: whole
question: Does it help?
seeds: [0, 1, 2]
model: {family: gpt2, layers: 2, width: 64, heads: 4, context: 32, mlp_width: 256, norm: layer_norm, norm_epsilon: 1.0e-5, norm_placement: before, positions: learned, mlp: gelu_tanh, qk_norm: false, biases: true, tied: true, parallel: false, logit_cap: none, bias_std: 0.01}
tokenizer: {bpe: {vocab_size: 512}}
data:
  synthetic: {zipf: 1.1, classes: 8, topics: 4, topic_length: 32, copy: 0.1, train_tokens: 1000,
              validation_tokens: 100, test_tokens: 200, seed: 3, order: shuffled}
train:
  context: 16
  steps: 20
  batch_size: 4
  lr: 1.0e-3
  schedule: {cosine: {warmup: 3, final: 0.1}}
  optimizer:
    adamw: {betas: [0.9, 0.95], epsilon: 1.0e-8, weight_decay: 0.1}
  grad_clip: none
  dropout: 0.0
evaluate: {every: 5, max_windows: 16}
arms:
  baseline: []
  spread-0.1:
    - regularizer: dispersion
      weight: 0.1
    - regularizer: {infonce: {t: 2}}
      weight: {from: 0, to: 0.1, steps: 10}
      at: {site: hidden_states, layers: early_half, points: batch, max_points: 64, scale: unit}
";

struct Desk {
    folder: tempfile::TempDir,
    study: PathBuf,
}

impl Desk {
    fn with(text: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let study = folder.path().join("x.yaml");
        fs::write(&study, text).unwrap();
        Self { folder, study }
    }

    fn read(&self, overrides: &[&str]) -> Result<Study, Refusal> {
        let study = Study::read(&self.study, &overrides.iter().map(|&set| set.to_owned()).collect::<Vec<_>>());
        let text = fs::read_to_string(&self.study).unwrap_or_default();
        if study.is_ok() && overrides.is_empty() && text.len() < 20_000 {
            schema::admits(&text);
        }
        study
    }

    /// The message, from the file's name on.
    fn refusal(&self, overrides: &[&str]) -> String {
        let message = self.read(overrides).expect_err("a refusal").to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        assert_eq!(fs::read_dir(self.folder.path()).unwrap().count(), 1, "reading made a file");
        message.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// `text` is refused with a message that begins with `start` and contains `part`.
fn check(text: impl AsRef<[u8]>, start: &str, part: &str) {
    let message = Desk::with(text).refusal(&[]);
    assert!(message.starts_with(start) && message.contains(part), "{message}");
}

/// [`WHOLE`] with `old` made `new` is refused likewise.
fn check_changed(old: &str, new: &str, start: &str, part: &str) {
    assert!(WHOLE.contains(old), "{old}");
    check(WHOLE.replacen(old, new, 1), start, part);
}

#[test]
fn a_study_is_read_whole() {
    let study = Desk::with(WHOLE).read(&[]).unwrap();
    assert_eq!((study.name.as_str(), study.question.as_deref()), ("whole", Some("Does it help?")));
    assert_eq!(study.train.context.unwrap().get(), 16);
    let arms: Vec<(&str, usize)> = study.arms.iter().map(|arm| (arm.name.as_str(), arm.terms.len())).collect();
    assert_eq!(arms, [("baseline", 0), ("spread-0.1", 2)]);
    assert_eq!(study.arms[1].terms[1].weight.at(5), 0.05);
    assert_eq!(study.arms[1].terms[0].regularizer.name(), "dispersion");
}

#[test]
fn all_but_arms_has_defaults() {
    let study = Desk::with("arms: {baseline: []}").read(&[]).unwrap();
    assert_eq!((study.name.as_str(), &study.seeds[..]), ("x", &[0, 1, 2][..]));
    assert_eq!(study.train.context.unwrap().get(), 128); // the default model's
    let empty = "train:\nevaluate:\ndata: {synthetic: }\ntokenizer: {bpe: }\narms:\n  a:\n    - {regularizer: {vicreg: }, weight: 1, at: }";
    let nothing = Desk::with(empty).read(&[]).unwrap();
    assert_eq!((&nothing.train, &nothing.data), (&study.train, &study.data));
    assert_eq!(Desk::with("seeds: 2\narms: {a: []}").read(&[]).unwrap().seeds, [0, 1]);
    assert_eq!(Desk::with("tokenizer: bytes\narms: {a: []}").read(&[]).unwrap().tokenizer, Some(TokenizerSpec::Bytes));
}

/// A shell's variable that is not set trained 300 steps in place of the study's 20.
#[test]
fn a_field_with_nothing_behind_its_name_is_refused() {
    let nothing = "expected a value, found nothing";
    check_changed("steps: 20", "steps: ", "x.yaml:11:9: train.steps: ", nothing);
    check_changed("steps: 20", "steps: ~", "x.yaml:11:10: train.steps: ", nothing);
    check_changed("context: 16", "context: null", "x.yaml:10:12: train.context: ", nothing);
    check_changed("[0, 1, 2]", "", "x.yaml:3:", "expected a count of seeds from 1 to 10000, or a list of them, found nothing");
    check_changed("whole\n", "\n", "x.yaml:1:", "expected a string, found nothing");
    check_changed("Does it help?", "", "x.yaml:2:", nothing);
    check_changed("mlp_width: 256", "mlp_width: ", "x.yaml:4:", nothing);
    check_changed("max_points: 64", "max_points: ", "x.yaml:27:", "expected a number or `none`, found nothing");
    check_changed("evaluate: {every: 5", "evaluate: {target: , every: 5", "x.yaml:19:", nothing);
    check("extends:\narms: {a: []}", "x.yaml:1:9: extends: ", "expected the path of a study, found nothing");
    check("tune: {weight: }\narms: {a: []}", "x.yaml:1:16: tune.weight: ", "expected a list, found nothing");
    let desk = Desk::with(WHOLE);
    for (set, part) in [
        ("train.steps=", "--set train.steps=: train.steps: expected a value behind the `=`, found nothing"),
        ("train= ", "train: expected a value behind the `=`"),
        ("train.steps=~", "--set train.steps=~: train.steps: expected a value, found nothing"),
    ] {
        assert!(desk.refusal(&[set]).starts_with(part) || desk.refusal(&[set]).contains(part), "{}", desk.refusal(&[set]));
    }
    let unset = Desk::with("vary: {train.context: [~, 64]}\narms: {a: []}");
    assert_eq!(StudyFile::read(&unset.study, &[]).unwrap().variants().len(), 2, "a point may take the default");
}

#[test]
fn a_study_written_and_read_again_is_equal() {
    for text in [WHOLE, "arms: {b: [], a: []}", "question: \"no: 'x' \\n 1e3\"\nseeds: [5, 1]\ntokenizer: bytes\narms: {'1': []}"]
    {
        let study = Desk::with(text).read(&[]).unwrap();
        let written = study.to_yaml();
        let again = Desk::with(&written).read(&[]).unwrap();
        assert_eq!(again, study, "{written}");
        assert_eq!(again.to_yaml(), written);
    }
    let written = Desk::with(WHOLE).read(&[]).unwrap().to_yaml();
    assert!(written.contains("temperature: 1.0") && written.contains("max_points: 256"), "{written}"); // the defaults of a bare name
    let [ab, ba] = ["arms: {a: [], b: []}", "arms: {b: [], a: []}"].map(|text| Desk::with(text).read(&[]).unwrap());
    assert_ne!(ab, ba);
}

#[test]
fn what_cannot_be_read_is_refused() {
    check("", "x.yaml:1:1: ", "expected a study, a map with at least `arms`, found nothing");
    check("- 1", "x.yaml:1:1: ", "found a list");
    check(b"arms:\n  \xff", "x.yaml:2:3: ", "expected UTF-8");
    check("arms: [", "x.yaml:", "expected YAML");
    check("arms: {a: []}\n---\narms: {b: []}", "x.yaml:2:1: ", "found a second");
    check("arms:\n  a: []\n  a: []", "x.yaml:3:3: arms.a: ", "found `a` twice");
    check_changed("lr: 1.0e-3", "lr: .nan", "x.yaml:13:7: train.lr: ", "expected a finite number, found NaN");
    check_changed("lr: 1.0e-3", "lr: !!float 1", "x.yaml:13:7: ", "found a tag");
    let desk = Desk::with("");
    let absent = Study::read(&desk.folder.path().join("y.yaml"), &[]).unwrap_err().to_string();
    assert!(absent.contains("y.yaml:1:1: expected a study, found no readable file"), "{absent}");
    assert!(Study::read(desk.folder.path(), &[]).is_err());
}

#[test]
fn values_that_do_not_fit_are_refused_where_they_are() {
    check("name: x", "x.yaml:1:1: arms: ", "expected a value, found none");
    check("arms: {}", "x.yaml:1:7: arms: ", "expected at least one arm, found none");
    check(
        "arms:",
        "x.yaml:1:6: arms: ",
        "expected a map of arms, each a name and its list of terms and interventions, found nothing",
    );
    check(
        "arms:\n  a:",
        "x.yaml:2:5: arms.a: ",
        "expected a list of terms and interventions, `[]` for a baseline, found nothing",
    );
    check("arms:\n  a:\n    - weight: 1", "x.yaml:3:7: arms.a.0.regularizer: ", "expected a value, found none");
    check_changed(
        "steps: 20",
        "steps: many",
        "x.yaml:11:10: train.steps: ",
        "expected a whole number from 1 to 100000000, found \"many\"",
    );
    for found in ["-1", "1.5", "1000.0"] {
        let expected = format!("expected a whole number from 1 to 100000000, found {found}");
        check_changed("steps: 20", &format!("steps: {found}"), "x.yaml:11:10: train.steps: ", &expected);
    }
    check_changed("steps: 20", "steps: 0", "x.yaml:11:10: train.steps: ", "expected a whole number from 1 to 100000000, found 0");
    check_changed("steps: 20", "steps: 1099511627776", "x.yaml:11:10: train.steps: ", "from 1 to 100000000, found 1099511627776");
    check_changed("lr: 1.0e-3", "lr: -1", "x.yaml:13:7: train.lr: ", "expected a finite number above 0, found -1");
    check_changed("lr: 1.0e-3", "lr: '1e-3'", "x.yaml:13:7: train.lr: ", "expected a number, found \"1e-3\"");
    check_changed(
        "0.95]",
        "1.0]",
        "x.yaml:16:26: train.optimizer.adamw.betas.1: ",
        "expected a number from 0 to below 1, found 1",
    );
    check_changed(", 0.95]", "]", "x.yaml:16:20: train.optimizer.adamw.betas: ", "expected a list of 2, found 1");
    check_changed(
        "heads: 4",
        "heads: 5",
        "x.yaml:4:8: model: ",
        "expected `heads` to divide `width`, found 5 heads and width 64",
    );
    check_changed("{bpe: {vocab_size: 512}}", "{bpe: {}, bytes: 1}", "x.yaml:5:12: tokenizer: ", "expected one name, found 2");
    check_changed("{t: 2}", "{t: 0}", "x.yaml:25:34: arms.spread-0.1.1.regularizer.infonce.t: ", "above 0, found 0");
    check_changed("{infonce: {t: 2}}", "3", "x.yaml:25:20: arms.spread-0.1.1.regularizer: ", "the name of a regularizer");
    check_changed("{infonce: {t: 2}}", "{infonce: {}, vicreg: {}}", "x.yaml:25:20: ", "found `vicreg` beside it");
    check_changed("weight: 0.1", "weight: [1]", "x.yaml:24:15: arms.spread-0.1.0.weight: ", "a number or a ramp");
    check_changed("[0, 1, 2]", "[0, 1, 0]", "x.yaml:3:8: seeds: ", "expected each seed once, found 0 twice");
    check_changed("[0, 1, 2]", "[0, -1]", "x.yaml:3:12: seeds.1: ", "expected a whole number, 0 or above, found -1");
    check_changed("[0, 1, 2]", "[]", "x.yaml:3:8: seeds: ", "expected 1 to 10000 seeds, found 0");
    check_changed("[0, 1, 2]", "10001", "x.yaml:3:8: seeds: ", "a count of seeds from 1 to 10000");
    check_changed("name: whole", "name: ../x", "x.yaml:1:7: name: ", "no slash");
    check_changed("baseline: []", "'a b': []", "x.yaml:21:3: arms.a b: ", "expected a name of 1 to 64 letters");
    check_changed("baseline: []", ".a: []", "x.yaml:21:3: arms..a: ", "no dot in front");
}

#[test]
fn parts_that_do_not_fit_each_other_are_refused() {
    check_changed(
        "context: 16",
        "context: 33",
        "x.yaml:10:12: train.context: ",
        "expected at most the model's context of 32, found 33",
    );
    check_changed("early_half", "[3]", "x.yaml:27:41: arms.spread-0.1.1.at.layers: ", "expected layers from 0 to 2, found 3");
    check_changed("hidden_states", "embedding", "x.yaml:27:37: ", "a weight matrix has no layers");
    let pooled = WHOLE.replace("points: batch", "points: pooled").replace("batch_size: 4", "batch_size: 1");
    check(pooled, "x.yaml:27:61: arms.spread-0.1.1.at.points: ", "a `train.batch_size` of at least 2");
    let huge = "{width: 65536, heads: 1, layers: 1000}";
    check(
        format!("arms: {{a: []}}\nmodel: {huge}"),
        "x.yaml:2:8: model: ",
        "at most 2147483648 parameters, found 51540535148544",
    );
    check(
        "arms: {a: []}\ntrain: {batch_size: 65536}\nmodel: {context: 100000}",
        "x.yaml:3:8: model: ",
        "expected a trial that fits",
    );
}

#[test]
fn a_size_can_be_redone_by_hand() {
    let text = "model: {layers: 1, width: 4, heads: 2, context: 8}\ntokenizer: bytes\ntrain: {batch_size: 2}\narms: {a: []}";
    // (256 + 8) 4 + (4·16 + 2·4·16 + 9·4 + 16) + 2·4 = 1056 + 244 + 8; 16·1308 + 4·2·8·((16·4 + 2·8) + 2·256)
    assert_eq!(Desk::with(text).read(&[]).unwrap().size(), Some(Size { parameters: 1308, bytes: 20_928 + 37_888 }));
}

#[test]
fn files_are_found_beside_the_study_and_made_absolute() {
    let desk = Desk::with("data: {text: {file: t.txt}}\narms: {a: []}");
    let message = desk.refusal(&[]);
    assert!(message.starts_with("x.yaml:1:21: data.text.file: expected a file, found neither at t.txt nor at "), "{message}");
    let text = desk.folder.path().join("t.txt");
    fs::create_dir(&text).unwrap();
    assert!(desk.read(&[]).unwrap_err().message.starts_with("expected a file, found a folder at"));
    fs::remove_dir(&text).unwrap();
    fs::write(&text, "words").unwrap();
    let study = desk.read(&[]).unwrap();
    assert!(study.to_yaml().contains(&format!("file: {}", text.canonicalize().unwrap().display())));
    assert_eq!(Desk::with(study.to_yaml()).read(&[]).unwrap_or_else(|e| panic!("{e}")).data, study.data);
    let init = desk.read(&["model={init: t.txt}"]).unwrap_err().to_string();
    assert!(init.starts_with("--set model={init: t.txt}: model.init: expected a folder, found a file"), "{init}");
}

#[test]
fn overrides_are_judged_as_the_file_is() {
    let desk = Desk::with(WHOLE);
    let study = desk.read(&[
        "train.steps=7",
        "arms.spread-0.1.0.weight=0.25",
        "arms.spread-0.1.0.regularizer.dispersion.temperature=2",
        "arms.more=[]",
    ]);
    let study = study.unwrap();
    assert_eq!((study.train.length, study.arms[1].terms[0].weight.at(0), study.arms.len()), (Length::of_steps(7), 0.25, 3));
    assert!(study.to_yaml().contains("temperature: 2.0"));
    let refused = |set: &str, expected: &str| {
        let message = desk.refusal(&["train.lr=0.1", set]);
        assert!(message.starts_with(expected), "{message}");
    };
    refused("train.stesp=5", "--set train.stesp=5: train.stesp: unknown name `stesp`, expected one of `context`, `steps`, ");
    refused("train.steps=x", "--set train.steps=x: train.steps: expected a whole number from 1 to 100000000, found \"x\"");
    refused("arms.spread-0.1.7.weight=1", "--set arms.spread-0.1.7.weight=1: arms.spread-0.1.7: expected an index from 0 to 1");
    refused(
        "model.heads=3",
        "x.yaml:4:8: model: expected `heads` to divide `width`, found 3 heads and width 64 (with --set model.heads=3)",
    );
    refused("train.context=64", "--set train.context=64: train.context: expected at most the model's context of 32");
    refused(
        "arms.sprad-0.1.0.weight=1",
        "--set arms.sprad-0.1.0.weight=1: arms.sprad-0: expected a list, found nothing of that name; did you mean `spread-0.1`?",
    );
}

#[test]
fn later_refusals_know_their_place() {
    let desk = Desk::with(
        "model: {init: .}\ntrain:\n  context: 64\narms:\n  d.x:\n  - {regularizer: vicreg, weight: 1, at: {layers: [5]}}",
    );
    let file = StudyFile::read(&desk.study, &[]).unwrap();
    let shown = |refusal: Refusal| refusal.to_string().replace(&format!("{}/", desk.folder.path().display()), "");
    let of = |layers| Decoder { layers, ..Family::Gpt2.defaults() };
    assert!(file.check_places(&of(5)).is_ok() && file.check_context(64).is_ok());
    let layers = shown(file.check_places(&of(4)).unwrap_err());
    assert_eq!(layers, "x.yaml:6:51: arms.d.x.0.at.layers: expected layers from 0 to 4, found 5");
    let context = shown(file.check_context(32).unwrap_err());
    assert_eq!(context, "x.yaml:3:12: train.context: expected at most the model's context of 32, found 64");
    assert_eq!(shown(file.refuse("arms.d.x.0.weight", "too much")), "x.yaml:6:35: arms.d.x.0.weight: too much");
    assert_eq!(shown(file.refuse("", "too much")), "x.yaml:1:1: too much");
}
