//! What a study would take elsewhere: FLOPs by formula, hours by an accelerator's peak and the fraction of it that training
//! reaches, and the price of those hours.
//!
//! ```text
//! FLOPs of a trial   = FLOPs per token · tokens           `regatta_lm::training::flops_per_token`
//! GPU hours          = FLOPs / (peak · mfu) / 3600
//! price              = GPU hours · price per hour
//! ```
//! mfu is the model FLOPs utilisation of Chowdhery et al. 2022, arXiv:2204.02311, appendix B. Not in it: what penalties compute
//! themselves, evaluation, and anything that keeps a GPU waiting beyond what mfu says.

mod accelerator;
mod request;

pub use accelerator::{ACCELERATORS, Accelerator};
pub use request::Request;

use crate::prepare::Prepared;
use regatta_config::{Study, Variant};
use regatta_lm::model::Decoder;
use regatta_lm::training::flops_per_token;

/// An arm at a point of the sweep, projected.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The arm.
    pub arm: String,
    /// What is left of its point: what the projection sets itself is not there.
    pub point: String,
    /// The model.
    pub config: Decoder,
    /// Tokens a sequence.
    pub context: usize,
    /// Tokens of a trial.
    pub tokens: u64,
    /// FLOPs of training on one of them, mean over the steps.
    pub flops_per_token: f64,
    /// Trials: of its seeds, and of tuning.
    pub trials: usize,
}

impl Row {
    /// FLOPs of one trial.
    pub fn flops(&self) -> f64 {
        self.flops_per_token * self.tokens as f64
    }
}

impl Request {
    /// Hours of one accelerator for so many FLOPs.
    pub fn hours(&self, flops: f64) -> f64 {
        flops / (self.peak * 1e12 * self.mfu) / 3600.0
    }

    /// What the variants of a study would take. Points of its sweep that differ in nothing but what the request sets are one.
    ///
    /// # Errors
    /// When a model would be larger than can be reckoned with.
    pub fn rows(&self, study: &Study, variants: &[Variant], prepared: &[Prepared]) -> Result<Vec<Row>, String> {
        let tuning = study.tune.as_ref().map_or(0, regatta_config::Tune::trials);
        let trials = tuning + self.seeds.unwrap_or(study.seeds.len());
        let mut rows: Vec<Row> = Vec::new();
        for (variant, prepared) in variants.iter().zip(prepared) {
            let left = variant.point.iter().filter(|set| !self.sets(&set.path)).map(ToString::to_string);
            let point = left.collect::<Vec<_>>().join(",");
            if rows.iter().any(|row| row.arm == variant.arm && row.point == point) {
                continue;
            }
            let train = &variant.study.train;
            let context = self.context.unwrap_or(prepared.context);
            let config = self.config(&prepared.model)?;
            // tokens for each parameter are those of the model that is projected
            let (steps, tokens) = match self.tokens {
                Some(tokens) => (prepared.steps, tokens),
                None => {
                    let steps = train.steps(prepared.context, Some(config.parameters()))?.unwrap_or(prepared.steps);
                    (steps, (steps.get() * train.batch_size.get() * prepared.context) as u64)
                }
            };
            rows.push(Row {
                arm: variant.arm.clone(),
                point,
                flops_per_token: flops_per_token(&config, context, (train, steps), variant.terms(), variant.interventions()),
                config,
                context,
                tokens,
                trials,
            });
        }
        Ok(rows)
    }

    /// Whether it says itself what a sweep would set at `path`.
    fn sets(&self, path: &str) -> bool {
        match path {
            "model.layers" => self.layers.is_some(),
            "model.width" => self.width.is_some(),
            "model.context" | "train.context" => self.context.is_some(),
            "train.steps" | "train.tokens" | "train.tokens_per_parameter" | "train.batch_size" => self.tokens.is_some(),
            _ => false,
        }
    }

    /// The model at the size asked for: an MLP as many times wider than the stream, heads of the same dims and so more of them, as
    /// models of a family grow. Where that number of heads is not whole, the heads' dims grow instead.
    fn config(&self, own: &Decoder) -> Result<Decoder, String> {
        /// More parameters than this are a typo, and their FLOPs no longer exact.
        const MOST: u128 = 1_000_000_000_000_000;
        let (layers, width) = (self.layers.unwrap_or(own.layers), self.width.unwrap_or(own.width));
        let grown = |size: usize| size as u128 * width as u128;
        let times = |size: usize| (grown(size) / own.width as u128).max(1) as usize;
        let whole = [own.heads, own.kv_heads].iter().all(|heads| grown(*heads).is_multiple_of(own.width as u128));
        let (heads, kv_heads, head_dim) = if whole {
            (times(own.heads), times(own.kv_heads), own.head_dim)
        } else {
            (own.heads, own.kv_heads, times(own.head_dim))
        };
        let (mlp_width, context) = (times(own.mlp_width), self.context.unwrap_or(own.context));
        let decoder = Decoder { layers, width, heads, kv_heads, head_dim, mlp_width, context, ..own.clone() };
        let parameters = decoder.numbers();
        if parameters > MOST {
            return Err(format!("expected a model of at most {MOST} parameters, found {parameters}"));
        }
        Ok(decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare;
    use regatta_config::StudyFile;
    use regatta_lm::model::Family;

    const STUDY: &str = "\
name: tiny
seeds: [0, 1]
model: {layers: 1, width: 16, heads: 2, context: 16}
data: {synthetic: {vocab_size: 32, classes: 4, topics: 2, train_tokens: 4000, validation_tokens: 600, test_tokens: 600}}
train: {steps: 8, batch_size: 4, schedule: constant}
arms: {baseline: [], again: []}
";

    fn rows(more: &str, request: &str) -> Vec<Row> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.yaml");
        std::fs::write(&path, format!("{STUDY}{more}")).unwrap();
        let file = StudyFile::read(&path, &[]).unwrap();
        let request: Request = request.parse().unwrap();
        request.rows(&file.study, file.variants(), &prepare(&file).unwrap()).unwrap()
    }

    #[test]
    fn by_hand() {
        let rows = rows("", "peak=0.001,mfu=0.5");
        // blocks 4·16² + 2·16·64 = 3,072 and output 32·16 = 512, times 6; attention 6·16·17 = 1,632
        assert_eq!((rows.len(), rows[0].flops_per_token), (2, 6.0 * 3584.0 + 1632.0));
        assert_eq!((rows[0].tokens, rows[0].trials), (8 * 4 * 16, 2));
        assert_eq!(rows[0].flops(), 23_136.0 * 512.0);
        // 5e8 FLOPs a second for 1.8e12: an hour
        let request: Request = "peak=0.001,mfu=0.5".parse().unwrap();
        assert_eq!(request.hours(1.8e12), 1.0);
    }

    #[test]
    fn another_size_keeps_the_shape_of_the_mlp() {
        let rows = rows("", "gpu=a100,mfu=1,layers=3,width=32,context=8,tokens=1000,seeds=5");
        // 3 (4·32² + 2·32·128) = 36,864 and 32·32 = 1,024; attention 6·3·32·9 = 5,184
        assert_eq!(rows[0].flops_per_token, 6.0 * 37_888.0 + 5_184.0);
        assert_eq!((rows[0].config.mlp_width, rows[0].tokens, rows[0].trials), (128, 1000, 5));
        assert_eq!((rows[0].config.heads, rows[0].config.head_dim), (4, 8)); // of 2 heads of 8 dims
    }

    #[test]
    fn points_that_the_projection_joins_are_counted_once() {
        let sweep = "vary: {model.width: [16, 32], train.lr: [0.001, 0.003]}\n";
        let points = |request: &str| rows(sweep, request).into_iter().map(|row| row.point).collect::<Vec<_>>();
        assert_eq!(points("gpu=a100,mfu=1").len(), 8);
        assert_eq!(points("gpu=a100,mfu=1,width=64"), ["train.lr=0.001", "train.lr=0.001", "train.lr=0.003", "train.lr=0.003"]);
    }

    #[test]
    fn another_width_keeps_what_a_family_is() {
        let own = Decoder { kv_heads: 2, head_dim: 48, vocab_size: 100, ..Family::Llama.defaults() }; // 4 heads, width 128
        let at = |width: usize| {
            let request: Request = format!("gpu=a100,mfu=1,width={width}").parse().unwrap();
            let found = request.config(&own).unwrap();
            (found.heads, found.kv_heads, found.head_dim, found.mlp_width)
        };
        assert_eq!(at(256), (8, 4, 48, 704)); // the MLP's 352 of 128
        assert_eq!(at(160), (4, 2, 60, 440)); // 5 heads on 2.5 of keys and values are not
        let mut gqa = own.clone();
        (gqa.layers, gqa.vocab_size) = (1, 0);
        let request: Request = "gpu=a100,mfu=1,width=256".parse().unwrap();
        // q 256·384, k and v 256·192 each, back 384·256; gate, up and down 256·704 each; three norms of 256
        assert_eq!(request.config(&gqa).unwrap().numbers(), 2 * 256 * 384 + 2 * 256 * 192 + 3 * 256 * 704 + 3 * 256);
    }

    #[test]
    fn a_size_beyond_reckoning_is_refused() {
        let config = Decoder { vocab_size: 100, ..Family::Gpt2.defaults() };
        let request: Request = "gpu=a100,mfu=1,layers=10000,width=1048576".parse().unwrap();
        assert!(request.config(&config).unwrap_err().contains("at most 1000000000000000 parameters"));
    }
}
