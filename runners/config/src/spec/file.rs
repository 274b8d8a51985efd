//! From a file and its overrides to a study, and from a field of the study back to where it was written.

use super::refusal::{Misfit, Refusal};
use super::source::Source;
use super::sweep::{Sweep, Variant};
use super::understand::{self, understand};
use super::{Study, limits, path, schedules};
use crate::yaml::Target;
use regatta_lm::model::Decoder;
use regatta_lm::spec::Steps;
use serde_json::Value;
use std::fmt::Display;
use std::path::Path;

/// A study that knows where it was written: what is found wrong later (data too short, a checkpoint that does not fit) is
/// refused with the same precision.
#[derive(Debug)]
pub struct StudyFile {
    /// The study as understood, before anything varies.
    pub study: Study,
    sweep: Sweep,
    source: Source,
}

impl StudyFile {
    /// As [`Study::read`].
    ///
    /// # Errors
    /// When it is not a legal study.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Refusal> {
        Self::read_within(path, overrides, limits::memory())
    }

    /// As [`Self::read`], of a study that is trained on a device: what fits there is not what fits in this machine's memory.
    ///
    /// # Errors
    /// When it is not a legal study.
    pub fn read_for_a_device(path: &Path, overrides: &[String]) -> Result<Self, Refusal> {
        Self::read_within(path, overrides, None)
    }

    fn read_within(path: &Path, overrides: &[String], memory: Option<u128>) -> Result<Self, Refusal> {
        let source = Source::read(path, overrides)?;
        let folder = |field: &[String]| source.folder(field);
        let understood = understand(&source.document, &folder, memory)
            .and_then(|study| understand::no_field_is_empty(&source.document).map(|()| study));
        let mut study = understood.map_err(|misfit| source.refuse(misfit))?;
        let sweep = Sweep::of(&source, &mut study, memory)?;
        study.open = understand::open(&source.document, &mut study);
        Ok(Self { study, sweep, source })
    }

    /// What is trained with each seed: every arm at every point, points in the order of `vary` and arms in that of the study.
    /// Points that come to the same settings of an arm are one variant of it, the first; so a baseline without terms is not
    /// trained once for each weight of the others. Without a sweep, one variant an arm.
    pub fn variants(&self) -> &[Variant] {
        &self.sweep.variants
    }

    /// The variant of the baseline (see [`Study::baseline`]) with which `variant` of this study is compared: the one at its
    /// point. Itself, where it is the baseline's.
    pub fn baseline_of(&self, variant: &Variant) -> &Variant {
        self.sweep.at_point_of(variant, self.study.baseline())
    }

    /// Refuses the study for what stands at `path` (dotted, as in `data.text.train`).
    pub fn refuse(&self, path: &str, message: impl Display) -> Refusal {
        self.source.refuse(self.misfit(path, message))
    }

    /// Refuses `variant` of this study for what stands at `path` of its study: at the value of `vary` that wrote it, where one
    /// did.
    pub fn refuse_variant(&self, variant: &Variant, path: &str, message: impl Display) -> Refusal {
        self.sweep.refuse(&self.source, variant, self.misfit(path, message))
    }

    /// Checks that the places which the arms name exist in a model. A study that starts from a checkpoint knows its model when it
    /// has read it; for all others this has been checked.
    ///
    /// # Errors
    /// At the first that does not.
    pub fn check_places(&self, model: &Decoder) -> Result<(), Refusal> {
        limits::places(&self.study, model).map_err(|misfit| self.source.refuse(misfit))
    }

    /// Checks that `train.context` fits in a model of `positions` positions; as [`StudyFile::check_places`].
    ///
    /// # Errors
    /// When it does not.
    pub fn check_context(&self, positions: usize) -> Result<(), Refusal> {
        limits::context(&self.study, positions).map_err(|misfit| self.source.refuse(misfit))
    }

    /// As [`StudyFile::check_places`] and [`StudyFile::check_context`], of `variant` of this study.
    ///
    /// # Errors
    /// At the first that does not fit.
    pub fn check_variant(&self, variant: &Variant, model: &Decoder) -> Result<(), Refusal> {
        let fits = limits::places(&variant.study, model).and_then(|()| limits::context(&variant.study, model.context));
        fits.map_err(|misfit| self.sweep.refuse(&self.source, variant, misfit))
    }

    /// Checks `variant` of this study against its model and number of steps: its optimizer finds the tensors that it names, and
    /// terms end and embeddings are reset within the trial.
    ///
    /// # Errors
    /// At the first that does not fit.
    pub fn check_trained(&self, variant: &Variant, model: &Decoder, steps: Steps) -> Result<(), Refusal> {
        let fits = schedules::optimizer(&variant.study, model).and_then(|()| schedules::timing(&variant.study, steps));
        fits.map_err(|misfit| self.sweep.refuse(&self.source, variant, misfit))
    }

    /// The values of all its files, with overrides.
    pub(super) fn document(&self) -> &Value {
        &self.source.document
    }

    fn misfit(&self, path: &str, message: impl Display) -> Misfit {
        Misfit { path: path::split(&self.source.document, path), target: Target::Value, message: message.to_string() }
    }
}
