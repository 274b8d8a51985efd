//! The speed of training, measured as `tests/peers/peer.py` measures PyTorch's.
//!
//! One step is forward, cross-entropy over the vocabulary, the penalty averaged over all blocks with weight 0.1, backward,
//! clip by global norm 1, AdamW; float32, or with products of factors rounded to bfloat16. Token ids are random: the cost does not
//! depend on them. A regularizer that compares two views is trained with dropout, and its steps include the second pass;
//! `--dropout` gives a step to compare it with.

use super::{Named, PROGRAM, Seconds, cloud, mib, round};
use crate::failure::Failure;
use crate::memory::peak_resident_mib;
use clap::ValueEnum;
use regatta_core::number::{Count, Finite, Fraction};
use regatta_core::simd::{self, Level};
use regatta_core::{Draw, Intervention, Plugin};
use regatta_kernels::Precision;
use regatta_lm::model::{Decoder, Family, Model, Sizes};
use regatta_lm::spec::{At, OrNone, Points, Schedule, Term, TrainSpec, Weight};
use regatta_lm::training::{Learner, flops_per_token};
use serde::Serialize;
use std::fmt;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub(super) struct Training {
    /// Family of the model; llama, qwen2, qwen3 and olmo2 have half as many heads of keys and values as of queries
    #[arg(long, value_name = "FAMILY", default_value = "gpt2", value_parser = family)]
    family: Family,
    /// Size of model and batch
    #[arg(long, value_enum, default_value = "small")]
    shape: Shape,
    /// Blocks, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    layers: Option<u64>,
    /// Width, in place of the shape's; heads stay as wide as they are, so there are more or fewer of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    width: Option<u64>,
    /// Tokens a sequence, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1_048_576))]
    context: Option<u64>,
    /// Sequences a step, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    batch: Option<u64>,
    /// Vocabulary size, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=16_777_216))]
    vocab: Option<u64>,
    /// Which points form a cloud [default: batch for those of moments (barlow_twins, coding_rate, istar, sigreg, vicreg,
    /// von_neumann_entropy, whitening); tokens for the pairwise ones (cosreg, dispersion, infonce, koleo), and for any other]
    #[arg(long, value_enum)]
    points: Option<Group>,
    /// Points of a group at most, a larger one is subsampled: a study's default is 256 [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1_000_000_000))]
    max_points: Option<u64>,
    /// Rate of dropout [default: 0, and 0.1 where the regularizer compares two views]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    dropout: Option<Fraction>,
    /// To what the factors of products with weights are rounded
    #[arg(long, value_enum, default_value = "f32")]
    precision: Factors,
    /// Steps that are measured
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,
    /// Steps before them that are not
    #[arg(long, value_name = "N", default_value_t = 3)]
    warmup: u64,
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
enum Group {
    /// Each sequence by itself
    Tokens,
    /// All tokens of the batch
    Batch,
    /// The mean of each sequence
    Pooled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
enum Factors {
    /// They are not
    F32,
    /// To bfloat16, as `train.precision: bf16` does
    Bf16,
}

impl From<Factors> for Precision {
    fn from(factors: Factors) -> Self {
        match factors {
            Factors::F32 => Self::Float32,
            Factors::Bf16 => Self::BFloat16,
        }
    }
}

/// What is trained, and how many sequences a step.
#[derive(Debug, PartialEq)]
struct Work {
    decoder: Decoder,
    batch: usize,
}

impl Work {
    fn new(family: Family, layers: usize, width: usize, heads: usize, context: usize, vocab: usize, batch: usize) -> Self {
        let mlp_width = Family::mlp_width(family.defaults().mlp, width);
        let decoder = Decoder::new(family, Sizes { layers, width, heads, context, mlp_width }, vocab);
        let kv_heads = if family.joins_qkv() { heads } else { (heads / 2).max(1) };
        Self { decoder: Decoder { kv_heads, ..decoder }, batch }
    }

    fn fresh(&self) -> Model {
        Model::fresh(self.decoder.clone(), 0)
    }
}

impl Shape {
    fn work(self, family: Family) -> Work {
        let (layers, width, heads, context, vocab, batch) = match self {
            Self::Tiny => (4, 128, 4, 128, 4096, 16),
            Self::Small => (6, 256, 8, 256, 4096, 8),
            Self::Medium => (8, 512, 8, 512, 8192, 4),
        };
        Work::new(family, layers, width, heads, context, vocab, batch)
    }
}

impl Training {
    /// A few steps of `small`.
    pub fn small() -> Self {
        let (family, shape) = (Family::Gpt2, Shape::Small);
        let (layers, width, context, batch, vocab) = (None, None, None, None, None);
        let (points, max_points, dropout, precision) = (None, None, None, Factors::F32);
        Self { family, shape, layers, width, context, batch, vocab, points, max_points, dropout, precision, steps: 5, warmup: 1 }
    }

    /// That of the shape, but for what is named.
    fn work(&self) -> Result<Work, String> {
        let Work { decoder: own, batch } = self.shape.work(self.family);
        let or = |named: Option<u64>, own: usize| named.map_or(own, |named| named as usize);
        let width = or(self.width, own.width);
        if !width.is_multiple_of(own.head_dim) {
            return Err(format!("--width: expected a multiple of {}, the width of a head, found {width}", own.head_dim));
        }
        let (layers, heads, context) = (or(self.layers, own.layers), width / own.head_dim, or(self.context, own.context));
        let (vocab, batch) = (or(self.vocab, own.vocab_size), or(self.batch, batch));
        let work = Work::new(self.family, layers, width, heads, context, vocab, batch);
        match work.decoder.heads.is_multiple_of(work.decoder.kv_heads) {
            true => Ok(work),
            false => Err(format!("--width: expected an even number of heads, found {heads} of {}", own.head_dim)),
        }
    }

    fn most_points(&self) -> MaxPoints {
        self.max_points.map_or(OrNone::None, |most| OrNone::Some(Count::new(most as usize)))
    }

    fn points(&self, regularizer: &str) -> Points {
        match self.points {
            Some(Group::Tokens) => Points::Tokens,
            Some(Group::Batch) => Points::Batch,
            Some(Group::Pooled) => Points::Pooled,
            None => usual_points(regularizer),
        }
    }
}

type MaxPoints = OrNone<Count<2, 1_000_000_000>>;

/// The cloud that a regularizer is for: moments want all points that there are, pairs cost their square.
fn usual_points(regularizer: &str) -> Points {
    match regularizer {
        "barlow_twins" | "coding_rate" | "istar" | "sigreg" | "vicreg" | "von_neumann_entropy" | "whitening" => Points::Batch,
        _ => Points::Tokens,
    }
}

/// That cloud of `small`, and from how many blocks a step takes one.
pub(super) fn usual_cloud(regularizer: &str) -> (cloud::Shape, usize) {
    let Work { decoder: model, batch } = Shape::Small.work(Family::Gpt2);
    let (groups, points) = match usual_points(regularizer) {
        Points::Batch => (1, batch * model.context),
        _ => (batch, model.context),
    };
    (cloud::Shape { groups, points, dims: model.width }, model.layers)
}

/// What was measured; the names are those of the peer.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    program: &'static str,
    family: Family,
    shape: Shape,
    regularizer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Points>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_points: Option<u64>,
    precision: Factors,
    threads: usize,
    instructions: Level,
    tokens_per_second: f64,
    pub step_ms: f64,
    best_step_ms: f64,
    peak_rss_mib: Option<f64>,
    layers: usize,
    width: usize,
    heads: usize,
    kv_heads: usize,
    mlp_width: usize,
    context: usize,
    batch: usize,
    vocab: usize,
    parameters: usize,
    flops_per_token: f64,
    gflops: f64,
}

/// Trains on random tokens.
pub(super) fn measure(arguments: &Training, regularizer: Option<Named>) -> Result<Measured, Failure> {
    let work = arguments.work().map_err(Failure::refused)?;
    let Work { decoder, batch } = &work;
    let points = regularizer.as_ref().map(|named| arguments.points(named.plugin.name()));
    let words = regularizer.as_ref().map_or("none".to_owned(), |named| named.words.clone());
    let most = arguments.most_points();
    let terms: Vec<Term> = regularizer.into_iter().zip(points).map(|(named, points)| term(named, points, most)).collect();

    let compares_views = terms.iter().any(|term| term.regularizer.0.needs_view());
    let dropout = arguments.dropout.unwrap_or(Fraction::new(if compares_views { 0.1 } else { 0.0 }));
    if compares_views && dropout.get() == 0.0 {
        return Err(Failure::refused("--dropout: expected a rate above 0 for a regularizer that compares two views, found 0"));
    }
    let schedule = Schedule::Constant;
    let precision = arguments.precision.into();
    let train = TrainSpec { schedule, dropout, precision, batch_size: Count::new(*batch), ..TrainSpec::default() };
    let flops_per_token = flops_per_token(decoder, decoder.context, (&train, Count::new(1)), &terms, &[]);
    let mut learner = Learner::new(work.fresh(), &train, &terms, &[], 0).map_err(Failure::failed)?;
    let tokens = batch * decoder.context;
    let mut times = Vec::new();
    for step in 0..(arguments.warmup + arguments.steps) as usize {
        let seconds = timed_step(&mut learner, step, &work)?;
        if step as u64 >= arguments.warmup {
            times.push(seconds);
        }
    }
    let times = Seconds::sorted(times);
    Ok(Measured {
        program: PROGRAM,
        family: arguments.family,
        shape: arguments.shape,
        regularizer: words,
        points,
        max_points: points.and(arguments.max_points),
        precision: arguments.precision,
        threads: rayon::current_num_threads(),
        instructions: simd::level(),
        tokens_per_second: round(tokens as f64 / times.median(), 1),
        step_ms: round(times.median() * 1e3, 2),
        best_step_ms: round(times.best() * 1e3, 2),
        peak_rss_mib: peak_resident_mib().map(f64::round),
        layers: decoder.layers,
        width: decoder.width,
        heads: decoder.heads,
        kv_heads: decoder.kv_heads,
        mlp_width: decoder.mlp_width,
        context: decoder.context,
        batch: *batch,
        vocab: decoder.vocab_size,
        parameters: decoder.parameters(),
        flops_per_token,
        gflops: round(flops_per_token * tokens as f64 / times.median() / 1e9, 1),
    })
}

/// Seconds of a step on random tokens.
fn timed_step(learner: &mut Learner<'_>, step: usize, Work { decoder, batch }: &Work) -> Result<f64, Failure> {
    let mut draw = Draw::new(0, "bench tokens", step as u64, 0);
    let mut ids = || (0..batch * decoder.context).map(|_| draw.below(decoder.vocab_size) as u32).collect::<Vec<_>>();
    let (inputs, targets) = (ids(), ids());
    let started = Instant::now(); // around the whole call: the step's own clock stops before its tensors are freed
    let record = learner.step(step, *batch, &inputs, &targets).map_err(Failure::failed)?;
    let seconds = started.elapsed().as_secs_f64();
    match record.divergence() {
        Some(reason) => Err(Failure::failed(format!("{reason}, and a step without its update is no measure"))),
        None => Ok(seconds),
    }
}

/// What interventions add to a step of `small`, as a share of a step without them: the median over steps of both by turns, which
/// goes first by turns too.
pub(super) fn added_by(interventions: &[Plugin<dyn Intervention>]) -> Result<f64, Failure> {
    const STEPS: usize = 24;
    let work = Shape::Small.work(Family::Gpt2);
    let train = TrainSpec { schedule: Schedule::Constant, batch_size: Count::new(work.batch), ..TrainSpec::default() };
    let learner = |interventions| Learner::new(work.fresh(), &train, &[], interventions, 0).map_err(Failure::failed);
    let (mut with, mut without) = (learner(interventions)?, learner(&[])?);
    let mut shares = Vec::new();
    for step in 0..=STEPS {
        let mut seconds = [0.0; 2];
        for turn in [step % 2, 1 - step % 2] {
            seconds[turn] = timed_step(if turn == 0 { &mut with } else { &mut without }, step, &work)?;
        }
        if step > 0 {
            shares.push(seconds[0] / seconds[1] - 1.0);
        }
    }
    shares.sort_by(f64::total_cmp);
    Ok(shares[STEPS / 2])
}

/// Writes the checkpoint of an untrained `small` into a new folder.
pub(super) fn write_teacher(folder: &std::path::Path) -> Result<(), Failure> {
    std::fs::create_dir(folder).map_err(Failure::failed)?;
    Shape::Small.work(Family::Gpt2).fresh().write(folder).map_err(Failure::failed)
}

fn family(text: &str) -> Result<Family, String> {
    let names = Family::ALL.map(|family| serde_json::to_value(family).unwrap_or_default());
    let known = || names.iter().filter_map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let found = Family::ALL.into_iter().zip(&names).find(|(_, name)| name.as_str() == Some(text));
    found.map(|(family, _)| family).ok_or_else(|| format!("expected one of {}", known()))
}

fn rate(text: &str) -> Result<Fraction, String> {
    let rate: f64 = text.parse().map_err(|_| format!("expected a number from 0 to below 1, found `{text}`"))?;
    Fraction::try_from(rate)
}

/// Every block's output, the last after the final norm.
fn term(named: Named, points: Points, max_points: MaxPoints) -> Term {
    let at = At { points, max_points, ..At::default() };
    Term { regularizer: named.plugin, weight: Weight::Constant(Finite::new(0.1)), at }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layers, width, context, batch, vocab, .. } = self;
        write!(
            f,
            "{}, {layers} blocks, {width} wide, context {context}, batch {batch}, vocabulary {vocab}, regularizer {}: \
             {:.0} tokens per second, {:.1} ms a step (best {:.1}), {} GFLOP/s, {} MiB resident at most, {} threads, {}",
            self.family.title(),
            self.regularizer,
            self.tokens_per_second,
            self.step_ms,
            self.best_step_ms,
            self.gflops,
            mib(self.peak_rss_mib),
            self.threads,
            self.instructions
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        training: Training,
    }

    fn training(arguments: &str) -> Training {
        Program::try_parse_from(["bench"].into_iter().chain(arguments.split_whitespace())).unwrap().training
    }

    fn check(arguments: &str, expected: Result<[usize; 6], &str>) {
        match (training(arguments).work(), expected) {
            (Ok(Work { decoder: model, batch }), Ok(expected)) => {
                let found = [model.layers, model.width, model.heads, model.context, batch, model.vocab_size];
                assert_eq!(found, expected, "{arguments}");
                assert_eq!(model.mlp_width, Family::mlp_width(model.mlp, model.width), "{arguments}");
            }
            (Err(found), Err(part)) => assert!(found.contains(part), "{arguments}: {found}"),
            (found, _) => panic!("{arguments}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn heads_stay_as_wide_as_they_are() {
        check("--shape tiny", Ok([4, 128, 4, 128, 16, 4096]));
        check("--shape tiny --width 256 --layers 2", Ok([2, 256, 8, 128, 16, 4096])); // heads of 32
        check("--shape medium --width 128 --vocab 64", Ok([8, 128, 2, 512, 4, 64])); // heads of 64
        check("--context 64 --batch 1", Ok([6, 256, 8, 64, 1, 4096]));
        check("--width 100", Err("--width: expected a multiple of 32, the width of a head, found 100"));
        check("--shape medium --width 32", Err("expected a multiple of 64"));
        check("--family llama --shape medium", Ok([8, 512, 8, 512, 4, 8192]));
        check("--family llama --shape medium --width 320", Ok([8, 320, 5, 512, 4, 8192]).and(Err("an even number of heads")));
    }

    #[test]
    fn moments_see_the_batch_and_pairs_a_sequence() {
        for name in ["barlow_twins", "coding_rate", "istar", "sigreg", "vicreg", "von_neumann_entropy", "whitening"] {
            assert_eq!(training("").points(name), Points::Batch);
        }
        for name in ["cosreg", "dispersion", "infonce", "koleo", "a_plugin_of_someone_else"] {
            assert_eq!(training("").points(name), Points::Tokens);
        }
        assert_eq!(usual_cloud("vicreg"), ("1x2048x256".parse().unwrap(), 6));
        assert_eq!(usual_cloud("koleo"), ("8x256x256".parse().unwrap(), 6));
        assert_eq!(training("--points tokens").points("vicreg"), Points::Tokens);
        assert_eq!(training("--points pooled").points("dispersion"), Points::Pooled);
        assert_eq!(training("").most_points(), OrNone::None);
        assert_eq!(training("--max-points 256").most_points(), At::default().max_points);
    }
}
