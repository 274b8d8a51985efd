//! The data of a trial: where its tokens come from, how they are cut into windows, and in which order these are seen.
//!
//! | module | what |
//! |---|---|
//! | [`Corpus`], [`Split`] | the tokens of train, validation and test |
//! | [`Recipe`] | how a corpus is made again in another process |
//! | [`Origin`] | the vocabulary of a checkpoint, which weights that start from it keep |
//! | [`Batches`] | which windows of the train split are the batch of each step |
//! | [`biographies`] | text about people whose facts are known |
//! | [`synthetic`] | text drawn from a known process, and its best possible loss |
//! | [`Tokens`] | token ids, in memory or in files |
//! | [`Tokenizer`] | from text to token ids, and its `tokenizer.json` |
//! | [`Cache`] | tokens of text files that are kept on disk, so that no text is tokenized twice |
//!
//! A further part reads files. Documents stream by, and become tokens as they do. [`Tokens`] may stay in their files, which are read by position and
//! never mapped: one that changes on disk while a trial runs ends the trial with an error.

mod batches;
pub mod biographies;
mod cache;
mod corpus;
mod differs;
mod documents;
mod entry;
mod error;
mod files;
mod origin;
mod permutation;
mod prefix;
mod recipe;
mod split;
pub mod synthetic;
mod texts;
mod token_files;
mod tokenizer;
mod tokenizing;
mod tokens;
mod vocabulary;
mod watch;

pub use batches::Batches;
pub use cache::{Cache, Disk, Output};
pub use corpus::Corpus;
pub use differs::Differs;
pub use entry::{Entry, EntrySplit, Mark};
pub use error::DataError;
pub(crate) use files::text;
pub use origin::Origin;
pub use recipe::Recipe;
pub use split::{Split, token_counts, unigram_entropy};
pub use tokenizer::Tokenizer;
pub use tokens::{TokenFile, Tokens};
pub use watch::{Amount, Seen, Unwatched, Watch};
