//! What every linked plugin costs on `small`, default and forms, as the file that `regatta list --costs` reads.

use super::shape::Shape;
use super::{Named, cloud, round, training};
use crate::failure::Failure;
use crate::verbs::costs::{Costs, Form, forms};
use regatta_core::{Intervention, Plugin, registry};
use std::collections::BTreeMap;
use std::path::Path;

const ABOUT: &str = "as a fraction of a step without it. A regularizer: value and gradient of the clouds of a step at its home, side by side, \
                     as in a step, median of three, each beside steps measured just before. An intervention: what steps with it take \
                     more than steps without, by turns, median of 24; a teacher has the model's own shape. By `regatta bench \
                     --costs > docs/costs.json`";

const REPETITIONS: usize = 3;

/// Measures each form of each card; says on stderr which one it is at.
pub(super) fn measure() -> Result<Costs, Failure> {
    let teacher = std::env::temp_dir().join(format!("regatta-teacher-{}", std::process::id()));
    let shares = training::write_teacher(&teacher).and_then(|()| measure_all(&teacher));
    std::fs::remove_dir_all(&teacher).map_err(Failure::failed)?;
    Ok(Costs { about: ABOUT.into(), shape: "small".into(), shares: shares? })
}

fn measure_all(teacher: &Path) -> Result<BTreeMap<String, Option<f64>>, Failure> {
    let mut shares = BTreeMap::new();
    for card in registry::cards().map_err(Failure::refused)?.values() {
        for (words, form) in forms(card) {
            tracing::info!("{words}");
            let share = match form {
                Form::Regularizer(form) => {
                    let (shape, blocks) = training::cloud_at(form.home());
                    penalty(shape, blocks, &Named { words: words.clone(), plugin: Plugin(form) })?
                }
                Form::Intervention(form) => intervention(form, teacher)?,
            };
            shares.insert(words, Some(round(share, 4)));
        }
    }
    Ok(shares)
}

/// The median of a few: other work on the machine may slow one of them.
fn penalty(shape: Shape, blocks: usize, named: &Named) -> Result<f64, Failure> {
    let shares: Result<Vec<f64>, Failure> = (0..REPETITIONS)
        .map(|_| {
            let step = training::measure(&training::Training::small(), None)?.step_ms;
            let penalty = cloud::measure(shape, blocks, named, false)?.value_and_gradient_ms;
            Ok(penalty / step)
        })
        .collect();
    let mut shares = shares?;
    shares.sort_by(f64::total_cmp);
    Ok(shares[REPETITIONS / 2])
}

/// Where it asks for a checkpoint, it gets that of `teacher`.
fn intervention(mut form: Box<dyn Intervention>, teacher: &Path) -> Result<f64, Failure> {
    form.folders().into_iter().for_each(|(_, folder)| *folder = teacher.to_owned());
    training::added_by(&[Plugin(form)])
}
