//! Settings of a legal study that have no effect at its number of steps. A study is often tried with a few steps
//! (`--set train.steps=20`) before it is run, so they are reported and not refused.

use super::{Study, StudyFile, path};
use regatta_core::number::Count;
use regatta_lm::spec::Schedule;

impl StudyFile {
    /// A sentence about each setting without effect, each once: a schedule that only rises, a ramp that does not arrive, measurements
    /// that no step reaches, a learning rate of an arm's own that is the study's. Of a study whose number of steps only its model or
    /// its data tell, the last alone.
    pub fn without_effect(&self) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        let wrote_every = self.wrote(&["evaluate", "every"]);
        for variant in self.variants() {
            let study = &variant.study;
            let context = study.train.context.map_or(1, Count::get);
            let steps = study.train.steps(context, None).ok().flatten().filter(|_| study.train.context.is_some());
            let of_steps = steps.map(|steps| of_steps(study, steps.get(), wrote_every)).unwrap_or_default();
            notes.extend(of_steps.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
        }
        let own = self.study.arms.iter().filter(|arm| self.study.vary.is_none() && arm.lr() == Some(self.study.train.lr));
        notes.extend(own.flat_map(|arm| {
            let note = |place: usize| format!("arms.{}.{place}.lr: that is `train.lr`, which the arm has without it", arm.name);
            arm.listed_rates().map(note).collect::<Vec<_>>()
        }));
        notes
    }

    fn wrote(&self, field: &[&str]) -> bool {
        path::get(self.document(), field).is_some()
    }
}

/// Of a study at one point, whose trials have so many steps.
fn of_steps(study: &Study, steps: usize, wrote_every: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let name = match study.train.schedule {
        Schedule::Cosine { .. } => "cosine",
        Schedule::Linear { .. } => "linear",
        Schedule::Wsd { .. } | Schedule::Constant => "",
    };
    let warmup = study.train.schedule.warmup(steps);
    if !name.is_empty() && warmup >= steps as u64 {
        notes.push(format!(
            "train.schedule.{name}: a `warmup` of {warmup} steps takes all {steps} steps of a trial: the learning rate only rises, \
             and `final` has no effect"
        ));
    }
    let every = study.evaluate.every.get();
    if wrote_every && every > steps {
        notes.push(format!(
            "evaluate.every: {every} is beyond the {steps} steps of a trial: nothing is measured between its ends"
        ));
    }
    for arm in &study.arms {
        for (place, term) in arm.listed_terms() {
            if let Some((arrives, to)) = term.weight.arrives().filter(|(arrives, _)| *arrives >= steps) {
                notes.push(format!(
                    "arms.{}.{place}.weight: a ramp of {arrives} steps does not arrive at {to} within the {steps} steps of a trial",
                    arm.name
                ));
            }
        }
    }
    notes
}
