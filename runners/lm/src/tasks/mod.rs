//! Tasks that a trained model is scored on: choices of which one is right, and the model's is the likeliest.
//!
//! A file is JSONL, an object a line; other fields are ignored.
//!
//! | kind | fields of a line | choices |
//! |---|---|---|
//! | minimal pairs | `sentence_good`, `sentence_bad` | the two sentences, each by itself |
//! | multiple choice | `question`, `choices` (a list), `answer` (an index from 0, or a letter from A) | each choice, after the question |
//!
//! # How a choice is scored
//!
//! As lm-evaluation-harness 0.4.13 scores its `multiple_choice` tasks, BLiMP among them, without examples in front: the choice with
//! a space before it is the *continuation*, the question its *context*. Without a question, the context is the tokenizer's
//! [`prefix`](crate::data::Tokenizer::prefix) token (and should a continuation begin with that very token, this one is the
//! context). Question and choice are tokenized as one text; the tokens beyond those of the question alone are the continuation's.
//! White space at the end of a question counts as the beginning of the choices. What exceeds the model's n positions is cut off in
//! front: the last n tokens are predicted, from the n before each of them.
//!
//! ```text
//! log-likelihood   l = Σ ln p(token | all before it), over the continuation's tokens
//! accuracy         fraction of items whose right choice has the greatest l
//! normalised       the same of l / c, c the characters (Unicode code points) of the choice without the space before it
//! standard error   sqrt(p (1 - p) / (n - 1)) of an accuracy p of n items
//! ```
//!
//! Among equals the first counts, so a model to which both sentences of a minimal pair are equally likely is right, as in the
//! harness. Normalising is that of its `acc_norm`; for ASCII, characters are bytes.
//!
//! # Tasks by name
//!
//! The tasks of `evaluate.tasks` have a [form](crate::spec::TaskForm), and each form reads the lines of the field's data sets. A
//! description and examples may stand in front of an item. [`NamedScore`] has the measures of each form; a [`Document`] is read in
//! disjoint windows.
//!
//! Where the data are biographies, [`Recall`] asks for the facts and [`Capacity`] counts them in bits.
//!
//! Sources: Warstadt et al. 2020, "BLiMP", TACL 8 (minimal pairs by whole-sentence likelihood); Gao et al.,
//! "lm-evaluation-harness", api/task.py, api/model.py and models/huggingface.py of version 0.4.13.

mod batched;
mod capacity;
mod documents;
mod draws;
mod error;
mod few_shot;
mod fingerprint;
mod lines;
mod named;
mod outcomes;
mod python;
mod recall;
mod request;
mod score;
mod similarity;
mod task;
mod text;
mod worded;

pub use capacity::{Capacity, Known, KnownValue};
pub use documents::Document;
pub use error::TaskError;
pub use named::{NamedScore, ScoredTasks, score};
pub use outcomes::Outcomes;
pub use recall::{Answer, Question, Recall};
pub use request::{Item, Request};
pub use score::{Asked, TaskScore, ask, log_likelihoods};
pub use similarity::SimilarityPairs;
pub use task::{Task, Tasks, read};
pub use text::{Text, TextLoss};

#[cfg(test)]
mod tests;
