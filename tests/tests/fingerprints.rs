//! Fingerprints of every built-in plugin: the same wherever they are measured, and another's for another formula.

use regatta_builtin as _;
use regatta_core::registry::{Kind, cards};
use regatta_core::{Cloud, Draw, Fingerprint, Plugin, Regularizer, Result, Tensor, candle, typetag};
use serde::{Deserialize, Serialize};

/// Every variant of every plugin, as it is written, with its fingerprint.
fn fingerprints() -> Vec<(String, Fingerprint)> {
    let mut found = Vec::new();
    for card in cards().unwrap().values() {
        let names = card.written().into_iter().map(|written| written.to_string());
        let all: Vec<Fingerprint> = match card.kind {
            Kind::Regularizer(variants) => variants().iter().map(|it| Fingerprint::of_regularizer(&**it).unwrap()).collect(),
            Kind::Intervention(variants) => variants().iter().map(|it| Fingerprint::of_intervention(&**it).unwrap()).collect(),
        };
        found.extend(names.zip(all));
    }
    found
}

#[test]
fn the_number_of_threads_changes_none() {
    let [one, three] =
        [1, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(fingerprints));
    assert!(one.len() > 20 && one == three);
    for (name, fingerprint) in &one {
        let written = serde_json::to_string(fingerprint).unwrap();
        assert!(!written.contains("NaN") && !written.contains("inf") && !written.contains("failed"), "{name}: {written}");
    }
}

#[test]
fn no_two_plugins_or_variants_share_one() {
    let all = fingerprints();
    for (index, (name, fingerprint)) in all.iter().enumerate() {
        assert!(fingerprint.agrees(fingerprint));
        for (other, theirs) in &all[..index] {
            assert!(!fingerprint.agrees(theirs), "{name} and {other}");
        }
    }
}

/// A regularizer as another machine, or another formula, would compute it.
#[derive(Debug, Serialize, Deserialize)]
struct Altered {
    of: Plugin,
    /// How far points are moved, in units of what their type can tell apart.
    moved: f64,
    /// Factor in front.
    scale: f64,
}

#[typetag::serde(name = "altered")]
impl Regularizer for Altered {
    fn penalty(&self, from: &Cloud, draw: &mut Draw) -> Result<Tensor> {
        let moved = |points: &Tensor| {
            let unit = if points.dtype() == candle::DType::F64 { f64::EPSILON } else { f32::EPSILON.into() };
            let noise = Draw::new(0, "altered", 0, 0).normals(points.dims(), points.dtype(), points.device())?;
            Ok::<_, regatta_core::Error>((points + ((noise * (unit * self.moved))? * points)?)?)
        };
        let cloud = match from.view() {
            Some(view) => Cloud::with_view(moved(from.points())?, moved(view)?)?,
            None => Cloud::new(moved(from.points())?)?,
        };
        let cloud = match (self.of.0.needs_labels(), from.labels()) {
            (true, labels) => cloud.with_labels(labels?.clone())?,
            (false, _) => cloud,
        };
        Ok((self.of.0.penalty(&cloud, draw)? * self.scale)?)
    }

    fn needs_labels(&self) -> bool {
        self.of.0.needs_labels()
    }

    fn needs_view(&self) -> bool {
        self.of.0.needs_view()
    }
}

#[test]
fn last_digits_change_none_and_a_thousandth_of_a_penalty_changes_it() {
    for card in cards().unwrap().values() {
        let Kind::Regularizer(variants) = card.kind else { continue };
        for (variant, written) in variants().iter().zip(card.written()) {
            let plugin = || serde_json::from_value(written.clone()).unwrap();
            let altered = |moved, scale| Fingerprint::of_regularizer(&Altered { of: plugin(), moved, scale }).unwrap();
            let own = Fingerprint::of_regularizer(&**variant).unwrap();
            assert!(own.agrees(&altered(8.0, 1.0)), "{written}: {own:?}, {:?}", altered(8.0, 1.0));
            assert!(!own.agrees(&altered(0.0, 1.001)), "{written}");
        }
    }
}
