//! Whether the trials of a study fit into the memory of a device.

use crate::prepare::Prepared;
use regatta_config::{Refusal, StudyFile};
use regatta_lm::Compute;
use regatta_lm::training::{Estimate, Needs};

/// What each process takes of a GPU for itself: a context of the driver.
const CONTEXT: u128 = 1 << 29;

/// What a trial may take of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// `None` where nothing tells.
    bytes: Option<u128>,
    /// Trials that train there at once.
    at_once: usize,
}

/// The trial that needs most of a device's memory.
#[derive(Debug, Clone)]
pub struct Neediest {
    /// The arm and its point.
    pub name: String,
    /// What it needs, with all activations kept.
    pub estimate: Estimate,
    /// Whether it fits only if the backward pass recomputes activations. Then all trials of the study do, so that their times compare.
    pub recompute: bool,
}

impl Room {
    /// An equal part of what is free now for each of the trials that train at once; on the CPU no more than `limit`, at which a
    /// worker is ended.
    pub fn of(compute: &Compute, at_once: usize, limit: Option<u64>) -> Self {
        let on_cpu = compute.is_candle_on_cpu();
        let (context, limit) = if on_cpu { (0, limit) } else { (CONTEXT, None) };
        Self::part(compute.free_memory(), at_once.max(1), context, limit)
    }

    /// The context of the first trial is open already.
    fn part(free: Option<u128>, at_once: usize, context: u128, limit: Option<u64>) -> Self {
        let others = at_once as u128 - 1;
        let part = free.map(|free| free.saturating_sub(others * context) / (others + 1));
        Self { bytes: part.into_iter().chain(limit.map(u128::from)).min(), at_once }
    }
}

/// Estimates what each trial needs: that of the neediest, or nothing on the CPU by kernels.
///
/// # Errors
/// When one has too little room, with the numbers.
pub fn fits(file: &StudyFile, prepared: &[Prepared], compute: &Compute, room: Room) -> Result<Option<Neediest>, Refusal> {
    if matches!(compute, Compute::Kernels) {
        return Ok(None);
    }
    let on_cpu = compute.is_candle_on_cpu();
    let trains: Vec<_> =
        file.variants().iter().map(|variant| variant.study.train_of(&variant.study.arms[variant.index])).collect();
    let all = |recompute: bool| {
        file.variants().iter().zip(prepared).zip(&trains).map(move |((variant, prepared), train)| {
            let needs = Needs::of(&prepared.model, train, variant.terms(), variant.interventions());
            (variant, Needs { on_cpu, recompute, ..needs })
        })
    };
    let mut neediest: Option<Neediest> = None;
    for (variant, needs) in all(false) {
        let estimate = needs.estimate();
        if neediest.as_ref().is_none_or(|other| other.estimate.bytes() < estimate.bytes()) {
            let recompute = room.bytes.is_some_and(|room| room < estimate.bytes());
            neediest = Some(Neediest { name: variant.arm().name.clone(), estimate, recompute });
        }
    }
    let Some(bytes) = room.bytes.filter(|_| neediest.as_ref().is_some_and(|neediest| neediest.recompute)) else {
        return Ok(neediest);
    };
    let (place, fewer) = match room.at_once {
        1 => (compute.words(), ""),
        many => (format!("{} with {many} trials at once", compute.words()), ", or fewer `--jobs`"),
    };
    for (variant, needs) in all(true) {
        let refused = |message| file.refuse_variant(variant, "train", message + fewer);
        needs.check(&place, bytes).map_err(refused)?;
    }
    Ok(neediest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::prepare_with;
    use regatta_lm::data::Unwatched;

    const MIB: u128 = 1 << 20;

    #[test]
    fn trials_that_train_at_once_have_equal_parts() {
        let check = |free: Option<u128>, at_once: usize, context: u128, limit: Option<u64>, expected: Option<u128>| {
            assert_eq!(Room::part(free, at_once, context, limit), Room { bytes: expected, at_once });
        };
        check(Some(1000), 1, 10, None, Some(1000));
        check(Some(1000), 4, 0, None, Some(250));
        check(Some(1000), 4, 100, None, Some(175)); // three contexts more
        check(Some(1000), 4, 400, None, Some(0));
        check(Some(1000), 4, 0, Some(100), Some(100));
        check(None, 4, 0, Some(100), Some(100));
        check(None, 4, 100, None, None);
    }

    /// The neediest of two arms decides for both: about 2.2 MiB with all activations kept, of a model whose activations are most of it.
    #[test]
    fn all_trials_recompute_where_one_has_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.yaml");
        let yaml = "\
name: fits
model: {layers: 8, width: 16, heads: 2, context: 32}
data: {synthetic: {vocab_size: 32, train_tokens: 4000, validation_tokens: 600, test_tokens: 600}}
train: {steps: 4, batch_size: 4, schedule: constant}
arms:
  baseline: []
  average: [{intervention: {byol: {}}}]
";
        std::fs::write(&path, yaml).unwrap();
        let file = StudyFile::read_for_a_device(&path, &[]).unwrap();
        let prepared = prepare_with(&file, None, &Unwatched).unwrap();
        let compute = regatta_lm::Device::Candle.open().unwrap();
        let fits = |bytes: Option<u128>, at_once: usize| fits(&file, &prepared, &compute, Room { bytes, at_once });
        let whole = fits(None, 1).unwrap().unwrap();
        assert!(whole.name.starts_with("average") && !whole.recompute, "{whole:?}");
        let needed = whole.estimate.bytes();
        assert!((2 * MIB..5 * MIB).contains(&needed), "{needed}");
        assert!(!fits(Some(needed), 1).unwrap().unwrap().recompute);
        assert!(fits(Some(needed - 1), 1).unwrap().unwrap().recompute);
        let refused = fits(Some(needed / 8), 3).unwrap_err().to_string();
        for part in ["study.yaml:4:", "fits on candle with 3 trials at once, where ", " for a trial, ", ", or fewer `--jobs`"] {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        assert!(!fits(Some(needed / 8), 1).unwrap_err().to_string().contains("jobs"));
        assert!(super::fits(&file, &prepared, &Compute::Kernels, Room { bytes: Some(0), at_once: 1 }).unwrap().is_none());
    }
}
