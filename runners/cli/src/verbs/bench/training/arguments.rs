//! The training that the command line requests.

use super::size::{Shape, Work};
use crate::verbs::bench::shape;
use clap::{ValueEnum, ValueHint};
use regatta_core::number::Fraction;
use regatta_kernels::Precision;
use regatta_lm::Device;
use regatta_lm::model::Family;
use regatta_lm::spec::{At, Home, Place, Points, Site};
use serde::Serialize;

#[derive(Debug, clap::Args)]
pub(in crate::verbs::bench) struct Training {
    /// Family of the model; llama, qwen2, qwen3 and olmo2 have half as many heads of keys and values as of queries
    #[arg(long, value_name = "FAMILY", default_value = "gpt2", value_parser = family)]
    pub(super) family: Family,
    /// Size of model and batch
    #[arg(long, value_enum, default_value = "small")]
    pub(super) shape: Shape,
    /// Blocks, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(super) layers: Option<u64>,
    /// Width, in place of the shape's; heads stay as wide as they are, so there are more or fewer of them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(super) width: Option<u64>,
    /// Tokens per sequence, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=1_048_576))]
    pub(super) context: Option<u64>,
    /// Sequences per step, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub(super) batch: Option<u64>,
    /// Vocabulary size, in place of the shape's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=16_777_216))]
    pub(super) vocab: Option<u64>,
    /// Where the regularizer is applied, as `at` in a study, without layers: 'points: batch, max_points: none' [default: the
    /// regularizer's home, which `explain` shows]
    #[arg(long, value_name = "YAML", value_hint = ValueHint::Other)]
    pub(super) at: Option<String>,
    /// Dropout rate [default: 0, and 0.1 where the regularizer compares two views]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) dropout: Option<Fraction>,
    /// Rounding of the factors of products with weights
    #[arg(long, value_enum, default_value = "f32")]
    pub(super) precision: Factors,
    /// What to train on: cpu (the kernels of this program), candle (candle on the CPU), cuda or cuda:N (an NVIDIA GPU), metal
    /// (Apple's); `regatta --version` lists what was built in
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(super) device: Device,
    /// Measured steps
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(super) steps: u64,
    /// Unmeasured steps before them
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(super) warmup: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Factors {
    /// Not rounded
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

impl Training {
    /// A few steps of `small`.
    pub fn small() -> Self {
        let (family, shape) = (Family::Gpt2, Shape::Small);
        let (layers, width, context, batch, vocab) = (None, None, None, None, None);
        let (at, dropout, precision) = (None, None, Factors::F32);
        let (device, steps, warmup) = (Device::Cpu, 5, 1);
        Self { family, shape, layers, width, context, batch, vocab, at, dropout, precision, device, steps, warmup }
    }

    /// The work of the shape, with the options that are given.
    pub(super) fn work(&self) -> Result<Work, String> {
        let Work { decoder: own, batch } = self.shape.work(self.family);
        let or = |named: Option<u64>, own: usize| named.map_or(own, |named| named as usize);
        let width = or(self.width, own.width);
        if !width.is_multiple_of(own.head_dim) {
            return Err(format!("--width: expected a multiple of {}, the width of a head, found {width}", own.head_dim));
        }
        let (layers, heads, context) = (or(self.layers, own.layers), width / own.head_dim, or(self.context, own.context));
        let (vocab, batch) = (or(self.vocab, own.vocab_size), or(self.batch, batch));
        let work = Work::new(self.family, layers, width, heads, context, vocab, batch);
        if work.decoder.heads.is_multiple_of(work.decoder.kv_heads) {
            Ok(work)
        } else {
            Err(format!("--width: expected an even number of heads, found {heads} of {}", own.head_dim))
        }
    }

    /// All layers of the home, but for what is named.
    pub(super) fn place(&self, home: Home) -> Result<At, String> {
        let named = self.at.as_ref().map(|text| {
            let map = if text.trim_start().starts_with('{') { text.clone() } else { format!("{{{text}}}") };
            regatta_config::section::<Place>(&map).map_err(|message| format!("--at: {message}"))
        });
        Ok(named.transpose()?.unwrap_or_default().from_home(home))
    }
}

/// The cloud of `small` at a home, and how many of them a step takes side by side.
pub(in crate::verbs::bench) fn cloud_at(home: Home) -> (shape::Shape, usize) {
    let Work { decoder: model, batch } = Shape::Small.work(Family::Gpt2);
    let (groups, points, clouds) = match (home.site, home.points) {
        (Site::Embedding | Site::Unembedding, _) => (1, model.vocab_size, 1),
        (_, Points::Tokens) => (batch, model.context, model.layers),
        (_, Points::Batch) => (1, batch * model.context, model.layers),
        (_, Points::Pooled) => (1, batch, model.layers),
    };
    let points = home.max_points.map_or(points, |most| points.min(most.get()));
    (shape::Shape { groups, points, dims: model.width }, clouds)
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use regatta_lm::spec::{Layers, Scale};

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
        check("--shape gpt2-small", Ok([12, 768, 12, 1024, 8, 50257])); // heads of 64
        assert_eq!(training("--shape gpt2-small").work().unwrap().decoder.parameters(), 124_439_808); // as published
        check("--shape tiny --width 256 --layers 2", Ok([2, 256, 8, 128, 16, 4096])); // heads of 32
        check("--shape medium --width 128 --vocab 64", Ok([8, 128, 2, 512, 4, 64])); // heads of 64
        check("--context 64 --batch 1", Ok([6, 256, 8, 64, 1, 4096]));
        check("--width 100", Err("--width: expected a multiple of 32, the width of a head, found 100"));
        check("--shape medium --width 32", Err("expected a multiple of 64"));
        check("--family llama --shape medium", Ok([8, 512, 8, 512, 4, 8192]));
        check("--family llama --shape medium --width 320", Ok([8, 320, 5, 512, 4, 8192]).and(Err("an even number of heads")));
    }

    #[test]
    fn the_place_is_the_home_but_for_what_is_named() {
        let batch = Home { scale: Scale::LayerNorm, ..Home::BATCH };
        assert_eq!(training("").place(batch).unwrap(), At::from(batch));
        let named = |at: &str| Program::try_parse_from(["bench", "--at", at]).unwrap().training.place(batch);
        let expected = At { points: Points::Tokens, layers: Layers::Last, ..At::from(batch) };
        assert_eq!(named("points: tokens, layers: last").unwrap(), expected);
        assert_eq!(named("{points: tokens, layers: last}").unwrap(), expected);
        assert!(named("piont: tokens").unwrap_err().starts_with("--at: piont: unknown name `piont`"));
    }

    #[test]
    fn clouds_of_small_by_hand() {
        let check = |home, shape: &str, clouds| assert_eq!(cloud_at(home), (shape.parse().unwrap(), clouds));
        check(Home::DEFAULT, "8x256x256", 6);
        check(Home::BATCH, "1x2048x256", 6);
        check(Home { points: Points::Batch, ..Home::DEFAULT }, "1x256x256", 6);
        check(Home { site: Site::Embedding, max_points: None, ..Home::DEFAULT }, "1x4096x256", 1);
    }
}
