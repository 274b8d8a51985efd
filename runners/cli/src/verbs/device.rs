//! What a verb reads otherwise for training on a device.

use regatta_config::{Refusal, StudyFile};
use regatta_lm::Device;
use std::path::Path;

/// The study, as it is read for training on `device`.
pub(super) fn study_for(device: Device, study: &Path, set: &[String]) -> Result<StudyFile, Refusal> {
    if device == Device::Cpu { StudyFile::read(study, set) } else { StudyFile::read_for_a_device(study, set) }
}
