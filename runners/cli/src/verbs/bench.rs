//! `regatta bench`: the speed of training, measured as `shared/bench/peer_pytorch.py` measures PyTorch's.
//!
//! One step is forward, cross-entropy over the vocabulary, the penalty averaged over all blocks with weight 0.1, backward,
//! clip by global norm 1, AdamW; float32. Token ids are random: the cost does not depend on them.

use crate::failure::{Failure, say};
use crate::memory::peak_resident_mib;
use clap::ValueEnum;
use regatta_core::number::{Count, Finite};
use regatta_core::{Draw, registry};
use regatta_lm::model::{Gpt2, Gpt2Config};
use regatta_lm::spec::{At, Gpt2Spec, OrNone, Points, Schedule, Term, TrainSpec, Weight};
use regatta_lm::training::Learner;
use serde::Serialize;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Size of model and batch
    #[arg(long, value_enum, default_value = "small")]
    shape: Shape,
    /// A regularizer, by its name or as YAML: 'dispersion: {variant: l2_repel}' [default: none]
    #[arg(long)]
    regularizer: Option<String>,
    /// Which points form a cloud
    #[arg(long, value_enum, default_value = "tokens")]
    points: Cloud,
    /// Steps that are measured
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,
    /// Steps before them that are not
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    /// 4 blocks, 128 wide, context 128, batch 16, vocabulary 4096
    Tiny,
    /// 6 blocks, 256 wide, context 256, batch 8, vocabulary 4096
    Small,
    /// 8 blocks, 512 wide, context 512, batch 4, vocabulary 8192
    Medium,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Cloud {
    /// Each sequence by itself
    Tokens,
    /// All tokens of the batch
    Batch,
    /// The mean of each sequence
    Pooled,
}

impl Shape {
    /// Shape of the model, vocabulary size, batch size.
    fn sizes(self) -> (Gpt2Spec, usize, usize) {
        let spec = |context, width, layers, heads| Gpt2Spec { layers, width, heads, context, mlp_width: 4 * width };
        match self {
            Self::Tiny => (spec(128, 128, 4, 4), 4096, 16),
            Self::Small => (spec(256, 256, 6, 8), 4096, 8),
            Self::Medium => (spec(512, 512, 8, 8), 8192, 4),
        }
    }
}

/// What was measured; the names are those of the peer.
#[derive(Debug, Serialize)]
struct Measured {
    program: String,
    shape: Shape,
    regularizer: String,
    threads: usize,
    tokens_per_second: f64,
    step_ms: f64,
    best_step_ms: f64,
    peak_rss_mib: Option<f64>,
}

/// Trains on random tokens and prints how fast.
pub(crate) fn bench(arguments: &Arguments) -> Result<ExitCode, Failure> {
    registry::cards().map_err(Failure::refused)?;
    let (spec, vocab_size, batch_size) = arguments.shape.sizes();
    let terms = term(arguments)?;
    let train = TrainSpec { schedule: Schedule::Constant, batch_size: Count::new(batch_size), ..TrainSpec::default() };
    let model = Gpt2::fresh(Gpt2Config::new(&spec, vocab_size), 0);
    let mut learner = Learner::new(model, &train, &terms, 0);
    let tokens = batch_size * spec.context;
    let mut times = Vec::new();
    for step in 0..(arguments.warmup + arguments.steps) as usize {
        let mut draw = Draw::new(0, "bench tokens", step as u64, 0);
        let mut ids = || (0..tokens).map(|_| draw.below(vocab_size) as u32).collect::<Vec<_>>();
        let record = learner.step(step, batch_size, &ids(), &ids()).map_err(Failure::failed)?;
        if step as u64 >= arguments.warmup {
            times.push(tokens as f64 / record.tokens_per_second);
        }
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    let measured = Measured {
        program: concat!("regatta ", env!("CARGO_PKG_VERSION")).to_owned(),
        shape: arguments.shape,
        regularizer: arguments.regularizer.clone().unwrap_or_else(|| "none".into()),
        threads: rayon::current_num_threads(),
        tokens_per_second: round(tokens as f64 / median, 1),
        step_ms: round(median * 1e3, 2),
        best_step_ms: round(times[0] * 1e3, 2),
        peak_rss_mib: peak_resident_mib().map(f64::round),
    };
    match arguments.json {
        true => say(serde_json::to_string(&measured).map_err(Failure::failed)?)?,
        false => say(format_args!(
            "{:?}, regularizer {}: {:.0} tokens per second, {:.1} ms a step (best {:.1}), {} MiB resident at most, {} threads",
            measured.shape,
            measured.regularizer,
            measured.tokens_per_second,
            measured.step_ms,
            measured.best_step_ms,
            measured.peak_rss_mib.map_or("?".into(), |mib| mib.to_string()),
            measured.threads
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The term whose cost is measured: every layer, every point.
fn term(arguments: &Arguments) -> Result<Vec<Term>, Failure> {
    let Some(text) = arguments.regularizer.as_deref().filter(|name| *name != "none") else { return Ok(Vec::new()) };
    let regularizer =
        regatta_study::regularizer(text).map_err(|message| Failure::refused(format!("--regularizer: {message}")))?;
    let points = match arguments.points {
        Cloud::Tokens => Points::Tokens,
        Cloud::Batch => Points::Batch,
        Cloud::Pooled => Points::Pooled,
    };
    let at = At { points, max_points: OrNone::None, ..At::default() };
    Ok(vec![Term { regularizer, weight: Weight::Constant(Finite::new(0.1)), at }])
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
