//! `regatta diagnose CHECKPOINT --text FILE`

use super::evaluate::tokenizer_of;
use crate::failure::{Failure, say};
use comfy_table::{CellAlignment, Table, TableStyle};
use regatta_lm::Device;
use regatta_lm::data::{Split, token_counts};
use regatta_lm::engine::Resident;
use regatta_lm::model::Model;
use regatta_lm::tasks::SimilarityPairs;
use regatta_lm::training::{Anisotropy, CloudDiagnosis, Diagnosed, Diagnosis, Mapped, diagnose as measure};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Windows of the text per batch.
const ROWS: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A folder in Hugging Face's layout with its tokenizer, such as runs/shakespeare/trials/baseline/seed-0/checkpoint
    checkpoint: PathBuf,
    /// A text to run through the model
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// Tokens of a layer's cloud, in whole windows spread evenly over the text
    #[arg(long, value_name = "COUNT", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    points: u32,
    /// Tokens per window [default: the model's context length]
    #[arg(long)]
    context: Option<usize>,
    /// JSONL of text pairs, `first`, `second` and their `score`: how post-hoc transforms change their vectors
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// With --pairs: also whiten to this many dims
    #[arg(long, value_name = "COUNT", requires = "pairs")]
    dims: Option<usize>,
    /// What to compute on: cpu (the kernels of this program), candle (candle on the CPU), cuda or cuda:N (an NVIDIA GPU), metal
    /// (Apple's); `regatta --version` lists what was built in
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Device,
    /// Print JSON, with histograms and spectra
    #[arg(long)]
    json: bool,
}

/// Prints the geometry of a checkpoint's points, and writes nothing.
pub(crate) fn diagnose(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let folder = &arguments.checkpoint;
    let compute = arguments.device.open()?;
    let model = Model::read(folder).map_err(Failure::refused)?;
    let tokenizer = tokenizer_of(folder)?;
    let split = Split::read(&arguments.text, &tokenizer).map_err(Failure::refused)?;
    let (config, pairs) = (model.decoder(), arguments.pairs.as_deref());
    let context = arguments.context.unwrap_or(config.context);
    if !(1..=config.context).contains(&context) {
        let expected = format!("--context: expected 1 to {}, the model's positions, found {context}", config.context);
        return Err(Failure::refused(expected));
    }
    split.check(context).map_err(Failure::refused)?;
    let largest = split.tokens.largest().map_err(Failure::refused)?;
    if let Some(token) = largest.filter(|&token| token as usize >= config.vocab_size) {
        let known = config.vocab_size;
        return Err(Failure::refused(format!("{}: token {token} in a vocabulary of {known}: not its tokenizer", split.name)));
    }
    if let Some(dims) = arguments.dims.filter(|dims| !(1..=config.width).contains(dims)) {
        return Err(Failure::refused(format!("--dims: expected 1 to {}, the model's width, found {dims}", config.width)));
    }
    let pairs = pairs.map(|path| SimilarityPairs::read(path, &tokenizer)).transpose().map_err(Failure::refused)?;

    let counts = token_counts(&split, config.vocab_size).map_err(Failure::failed)?;
    let on_device = Resident::new(&compute, model).map_err(Failure::failed)?;
    let model = on_device.measured();
    let of = Diagnosed { split: &split, counts: &counts, context, rows: ROWS, points: arguments.points as usize };
    let found = measure(model, 0, of, &|| true).map_err(Failure::failed)?;
    let mapped = pairs.map(|pairs| pairs.after_training(model, arguments.dims, &|| true));
    let mapped = mapped.transpose().map_err(Failure::failed)?.unwrap_or_default();
    if arguments.json {
        say(format!("{:#}", json!({ "diagnosis": found, "after_training": mapped })))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(clouds(&found).trim_fmt())?;
    say(format_args!("\n{}", trend(&found)))?;
    say(frequency(&found).trim_fmt())?;
    if !mapped.is_empty() {
        say(format_args!("\n{}", maps(&mapped).trim_fmt()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A column of a cloud: its title, and the measure where it is defined.
type Measure = (&'static str, fn(&Anisotropy) -> Option<f64>);

/// The measures that fit a terminal.
const MEASURES: [Measure; 6] = [
    ("cosine", |of| of.mean_cosine),
    ("effective rank", |of| Some(of.effective_rank)),
    ("stable rank", |of| Some(of.stable_rank)),
    ("top share", |of| of.top_variance_share),
    ("IsoScore", |of| of.isoscore),
    ("norm", |of| Some(of.mean_norm)),
];

fn clouds(found: &Diagnosis) -> Table {
    let names = MEASURES.iter().map(|(name, _)| *name);
    let mut table = table(["place"].into_iter().chain(["within"]).chain(names).chain(["outlier dims"]));
    let mut row = |place: String, cloud: &CloudDiagnosis| {
        let within = cloud.within.as_ref().map(|pairs| pairs.mean);
        let measures = MEASURES.iter().map(|(_, measure)| number(measure(&cloud.all)));
        let outliers = cloud.outliers.len().to_string();
        table.add_row([place, number(within)].into_iter().chain(measures).chain([outliers]).collect::<Vec<_>>());
    };
    row("embedding matrix".into(), &found.embedding);
    if let Some(unembedding) = &found.unembedding {
        row("output matrix".into(), unembedding);
    }
    found.hidden_states.iter().enumerate().for_each(|(entry, cloud)| row(format!("hidden state {entry}"), cloud));
    found.attention.iter().enumerate().for_each(|(block, cloud)| row(format!("attention {}", block + 1), cloud));
    found.mlp.iter().enumerate().for_each(|(block, cloud)| row(format!("MLP {}", block + 1), cloud));
    table
}

fn trend(found: &Diagnosis) -> String {
    let [spearman, kendall] = [found.spearman, found.kendall].map(number);
    format!("Mean cosine within a window against depth: Spearman {spearman}, Kendall {kendall} (1: it rises with every layer).\n")
}

fn frequency(found: &Diagnosis) -> Table {
    let mut table = table(["tokens of this text, the most frequent first", "tokens", "cosine", "with the mean", "norm"]);
    let classes = &found.by_frequency;
    let named = (1..).map(|decile| format!("decile {decile}")).zip(&classes.deciles);
    for (name, class) in named.chain([("never".to_owned(), &classes.never)]).filter(|(_, class)| class.tokens > 0) {
        let numbers = [class.mean_cosine, class.cosine_to_mean, class.mean_norm].map(number);
        table.add_row([name, class.tokens.to_string()].into_iter().chain(numbers).collect::<Vec<_>>());
    }
    table
}

fn maps(mapped: &[Mapped]) -> Table {
    let names = MEASURES.iter().map(|(name, _)| *name);
    let mut table = table(["vectors of the pairs' texts", "correlation"].into_iter().chain(names));
    for found in mapped {
        let measures = MEASURES.iter().map(|(_, measure)| number(measure(&found.anisotropy)));
        table.add_row([found.map.clone(), number(found.correlation)].into_iter().chain(measures).collect::<Vec<_>>());
    }
    table
}

fn table<'a>(titles: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(titles);
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Four digits; empty where the measure is undefined.
fn number(value: Option<f64>) -> String {
    value.map(|value| if value.abs() < 10.0 { format!("{value:.4}") } else { format!("{value:.1}") }).unwrap_or_default()
}
