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
//! | [`Tokenizer`] | from text to token ids, and its `tokenizer.json` |
//!
//! A fourth part reads files: text as UTF-8, token ids as u16. Files are read whole into memory, never mapped, so one that
//! changes on disk while a trial runs cannot change the trial.

mod batches;
pub mod biographies;
mod corpus;
mod differs;
mod error;
mod files;
mod origin;
mod prefix;
mod recipe;
mod split;
pub mod synthetic;
mod texts;
mod tokenizer;

pub use batches::Batches;
pub use corpus::Corpus;
pub use differs::Differs;
pub use error::DataError;
pub(crate) use files::text;
pub use origin::Origin;
pub use recipe::Recipe;
pub use split::{Split, token_counts, unigram_entropy};
pub use tokenizer::Tokenizer;
