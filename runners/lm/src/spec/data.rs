//! Where tokens come from.

use super::BiographiesSpec;
use super::order::Order;
use super::paths::Paths;
use regatta_core::forms::bare_or_map;
use regatta_core::number::{Count, Fraction, NonNegative, Positive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `data:` in a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DataSpec {
    /// Tokens drawn from a known process, whose best possible loss is known too.
    Synthetic(SyntheticSpec),
    /// Text about invented people, of which it is known how many bits of knowledge it holds.
    Biographies(BiographiesSpec),
    /// Files of text: UTF-8 text, JSON Lines or Parquet, as they are or packed by gzip or Zstandard.
    Text(TextSpec),
    /// Files of token ids.
    Tokens(TokensSpec),
}

impl Default for DataSpec {
    fn default() -> Self {
        Self::Synthetic(SyntheticSpec::default())
    }
}

/// A corpus drawn from a process with topics, grammar and repetition; see `regatta_lm::data::synthetic`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticSpec {
    /// Words of the language; without a tokenizer each is a token.
    pub vocab_size: Count<16, 65_536>,
    /// Exponent s of Zipf's law: the word of rank r has a weight of r^-s.
    pub zipf: NonNegative,
    /// Word classes of the grammar, which looks back two words.
    pub classes: Count<1, 256>,
    /// Topics, each of which favours some words.
    pub topics: Count<1, 256>,
    /// Mean number of words before the topic changes.
    pub topic_length: Positive,
    /// Chance that a word repeats what followed the last occurrence of the word before it.
    pub copy: Fraction,
    /// Words in the train split.
    pub train_tokens: Count<2, 1_000_000_000>,
    /// Words in the validation split.
    pub validation_tokens: Count<2, 1_000_000_000>,
    /// Words in the test split.
    pub test_tokens: Count<2, 1_000_000_000>,
    /// Seed of the language and of its text; the same for every seed of a study.
    pub seed: u64,
    /// Order in which windows of the train split are seen.
    pub order: Order,
}

impl Default for SyntheticSpec {
    fn default() -> Self {
        Self {
            vocab_size: Count::new(1024),
            zipf: NonNegative::new(1.0),
            classes: Count::new(16),
            topics: Count::new(8),
            topic_length: Positive::new(64.0),
            copy: Fraction::new(0.2),
            train_tokens: Count::new(1_000_000),
            validation_tokens: Count::new(32_768),
            test_tokens: Count::new(65_536),
            seed: 0,
            order: Order::Shuffled,
        }
    }
}

/// Files of text: three splits, or files cut in three.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "TextFields")]
#[schemars(with = "TextFields")]
pub struct TextSpec {
    /// Which files.
    #[serde(flatten)]
    pub files: TextFiles,
    /// Field of the objects in JSON Lines that holds the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Column of Parquet files that holds the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Token between two documents, by its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// Order in which windows of the train split are seen.
    pub order: Order,
}

impl TextSpec {
    /// These files, with nothing else said.
    pub fn of(files: TextFiles) -> Self {
        Self { files, field: None, column: None, separator: None, order: Order::default() }
    }
}

/// The files of a [`TextSpec`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TextFiles {
    /// Files for each split; without test files, the validation split is used.
    Splits {
        /// What the model learns from, and the tokenizer.
        train: Paths,
        /// What is watched.
        validation: Paths,
        /// What is reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        test: Option<Paths>,
    },
    /// Files that are cut, in order, into train, validation and test: inside the document where there is one file of text, else
    /// between documents.
    Cut {
        /// The files.
        file: Paths,
        /// Shares of train, validation and test, in that order; they sum to 1.
        split: [f64; 3],
    },
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
struct TextFields {
    /// Text that the model learns from, and the tokenizer.
    train: Option<Paths>,
    /// Text whose loss is watched.
    validation: Option<Paths>,
    /// Text whose loss is reported; the validation text where it is not named.
    test: Option<Paths>,
    /// Text that is cut in order into train, validation and test: inside the document where it is one file of text, else between
    /// documents.
    file: Option<Paths>,
    /// Fractions of `file` for train, validation and test, which sum to 1; [0.9, 0.05, 0.05] where not named.
    split: Option<[f64; 3]>,
    /// Field that holds the text of each line, an object of JSON Lines; `text` where it is not named and a file's name ends in
    /// `.jsonl` or `.ndjson`.
    field: Option<String>,
    /// Column of Parquet files that holds the text; `text` where it is not named.
    column: Option<String>,
    /// What stands between two documents of a split: the text of one token of the tokenizer. Nothing where it is not named.
    separator: Option<String>,
    /// Order in which windows of the train split are seen.
    #[serde(default)]
    order: Order,
}

impl TryFrom<TextFields> for TextSpec {
    type Error = String;

    fn try_from(fields: TextFields) -> Result<Self, String> {
        let TextFields { field, column, separator, order, .. } = fields;
        let files = match (fields.train, fields.validation, fields.test, fields.file, fields.split) {
            (Some(train), Some(validation), test, None, None) => TextFiles::Splits { train, validation, test },
            (None, None, None, Some(file), split) => {
                let split = split.unwrap_or([0.9, 0.05, 0.05]);
                if split.iter().any(|share| share.is_nan() || *share <= 0.0) || (split.iter().sum::<f64>() - 1.0).abs() > 1e-9 {
                    return Err(format!("expected `split` to be three fractions above 0 that sum to 1, found {split:?}"));
                }
                TextFiles::Cut { file, split }
            }
            _ => return Err("expected `train` and `validation` (and `test`), or `file` (and `split`)".into()),
        };
        match (&field, &column) {
            (Some(_), Some(_)) => Err("expected `field`, of JSON Lines, or `column`, of Parquet, found both".into()),
            _ => Ok(Self { files, field, column, separator, order }),
        }
    }
}

/// Files of token ids: NumPy's `.npy`, shards of llm.c, or the ids alone, little-endian. Each file's own bytes say which it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokensSpec {
    /// What the model learns from.
    pub train: Paths,
    /// What is watched.
    pub validation: Paths,
    /// The split that is reported; without it, the validation split is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Paths>,
    /// Type of the ids; where it is not named, what the file says, or u16 where it holds ids alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<Dtype>,
    /// How many ids there are; the largest id in any split plus 1 where it is not named, which large splits need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<Count<2, 16_777_216>>,
    /// Order in which windows of the train split are seen.
    #[serde(default)]
    pub order: Order,
}

/// Type of the token ids in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dtype {
    /// Two bytes per id: at most 65,536 ids.
    #[default]
    U16,
    /// Four bytes per id.
    U32,
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::U16 { "u16" } else { "u32" })
    }
}

impl Dtype {
    /// Bytes per id.
    pub fn bytes(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 => 4,
        }
    }
}

/// `tokenizer:` in a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenizerSpec {
    /// Each byte is a token.
    Bytes,
    /// Byte-level byte-pair encoding, trained on the train split.
    Bpe(BpeSpec),
    /// A `tokenizer.json` of Hugging Face.
    File(PathBuf),
}

/// Fields of `bpe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BpeSpec {
    /// Tokens to learn: the 256 bytes and merges on top.
    pub vocab_size: Count<257, 65_536>,
}

impl Default for BpeSpec {
    fn default() -> Self {
        Self { vocab_size: Count::new(1024) }
    }
}

impl TokenizerSpec {
    /// Reads `bytes`, `bpe`, `{bpe: {...}}` or `{file: ...}`, where it is given.
    ///
    /// # Errors
    /// As `Deserialize`.
    pub fn optional<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        bare_or_map(deserializer).map(Some)
    }
}
