//! `regatta check STUDY.yaml`

mod estimate;
mod facts;
mod project;

use super::device::study_for;
use super::probe::{self, this_program};
use crate::failure::{Failure, say};
use clap::ValueHint;
use regatta_config::{StudyFile, Tune, Variant};
use regatta_core::simd;
use regatta_kernels::Precision;
use regatta_lm::Device;
use regatta_lm::data::Unwatched;
use regatta_study::projection::Request;
use regatta_study::{Neediest, Outlook, Prepared, Room, fits, prepare_with, tokens_there};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The study
    study: PathBuf,
    /// Change a field of the study, as in --set train.steps=50
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// What `run` would train on: cpu (the kernels of this program), candle (candle on the CPU), cuda or cuda:N (an NVIDIA GPU), metal
    /// (Apple's); `regatta --version` lists what was built in
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Project the cost to another machine and size instead of estimating it for this one: KEY=VALUE,...
    /// with `gpu` (a100, h100, h200, b200, l40s, 4090) or `peak` in TFLOP/s, `mfu` (the fraction of the peak that training reaches),
    /// and optionally `price` per GPU hour, `layers`, `width`, `context`, `tokens` per trial, `seeds`
    #[arg(long, value_name = "KEY=VALUE,...", value_hint = ValueHint::Other)]
    project: Option<String>,
    /// A folder of results: report which trials are done there and what `run` would still train; with --project, fit the power
    /// law of loss against size to its finished trials [default: runs/<name>]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

/// Prints the study with every default, and an estimate of what it would cost.
pub(crate) fn check(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let request = arguments.project.as_deref().map(str::parse::<Request>).transpose();
    let request = request.map_err(|message| Failure::refused(format!("--project: {message}")))?;
    let file = study_for(arguments.device, &arguments.study, &arguments.set)?;
    let compute = arguments.device.open()?;
    let results = arguments.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&file.study.name));
    let prepared = prepare_with(&file, Some(&tokens_there(&results)), &Unwatched)?;
    let neediest = fits(&file, &prepared, &compute, Room::of(&compute, 1, None))?;
    if let Some(request) = &request {
        return project::project(&file, &prepared, request, arguments.out.as_deref());
    }
    let outlook = arguments.out.as_ref().map(|out| outlook(&file, &prepared, out, arguments.device)).transpose()?;
    say(file.study.to_yaml().trim_end())?;
    let tuning = file.study.tune.as_ref().map_or(0, Tune::trials);
    let trials = Trials { tuning, seeds: file.study.seeds.len() };
    facts::print(&file, &prepared, trials, outlook.as_ref().map(|(line, _)| line.as_str()))?;
    if arguments.device != Device::Cpu {
        say(format_args!("device      {}", compute.words()))?;
    }
    let recompute = neediest.as_ref().is_some_and(|neediest| neediest.recompute);
    if let Some(Neediest { name, estimate, .. }) = neediest {
        let how = if recompute { ", or less: activations are recomputed in the backward pass" } else { "" };
        say(format_args!("memory      {estimate} on the device ({name}){how}"))?;
    }
    estimate::print(&file, &prepared, (&compute, recompute), trials, outlook.as_ref().map(|(_, outlook)| outlook))?;
    Ok(ExitCode::SUCCESS)
}

/// How many trials each variant has.
#[derive(Debug, Clone, Copy)]
struct Trials {
    tuning: usize,
    seeds: usize,
}

impl Trials {
    fn each(self) -> usize {
        self.tuning + self.seeds
    }
}

/// What a run into `out` would do, as a line and as numbers.
fn outlook(file: &StudyFile, prepared: &[Prepared], out: &Path, device: Device) -> Result<(String, Outlook), Failure> {
    let folder = out.display();
    if out.exists() && !out.is_dir() {
        return Err(Failure::refused(format!("{folder}: expected a folder for results, found a file")));
    }
    let program = this_program()?;
    let outlook = Outlook::of(file, prepared, out, device, &|| probe::command(&program)).map_err(Failure::refused)?;
    if let Some(others) = &outlook.others {
        return Err(Failure::refused(format!("{folder}: {others}: `run` would refuse it; name another --out")));
    }
    let Outlook { settled, resumed, fresh, after_tuning, .. } = outlook;
    let parts = [
        (settled, "done"),
        (resumed, "would resume from a checkpoint"),
        (fresh, "would be trained"),
        (after_tuning, "would be trained when tuning has ended"),
    ];
    let said = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let said = said.collect::<Vec<_>>().join(", ");
    let there = if out.exists() { "" } else { " (not there yet)" };
    Ok((format!("{folder}{there}: {said}"), outlook))
}

/// A warning where products are rounded for a speed that this machine does not have.
pub(super) fn slow_precision(variants: &[Variant]) -> Option<&'static str> {
    let rounds = variants.iter().any(|variant| variant.study.train.precision == Precision::BFloat16);
    let slow = rounds && !simd::level().multiplies_bf16();
    slow.then_some("bf16, and this machine has no instructions for it (AVX-512 BF16 or AMX): computed in float32, no faster")
}
