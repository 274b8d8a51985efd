//! Why data are refused.

use super::Differs;
use crate::spec::PathsError;
use std::io;
use std::path::PathBuf;

/// What is wrong with the data: first the file, then what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing has this name.
    #[error("{}: expected a file, found nothing of that name", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A folder, a pipe or a device.
    #[error("{}: expected a file, found {found}", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What the name stands for.
        found: &'static str,
    },
    /// The system would not let us read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system would not let us write.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of no bytes, or of nothing but a byte order mark.
    #[error("{}: expected text or tokens, found an empty file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Text in another encoding, or no text at all.
    #[error("{}: expected UTF-8 text, found an invalid sequence at byte {offset}", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Where the sequence starts.
        offset: usize,
    },
    /// A file of documents that is not what it should be, or one of its documents.
    #[error("{}{at}: {message}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// The line or row of the document, with the punctuation before it; empty where the file as a whole is meant.
        at: String,
        /// What was expected, and what was found.
        message: String,
    },
    /// A split whose files hold no text.
    #[error("{name}: expected documents, found none with any text")]
    NoDocuments {
        /// The split.
        name: String,
    },
    /// What stands between documents is not one token.
    #[error("expected one token of {tokenizer}, found that {text:?} is {found}")]
    Separator {
        /// The tokenizer.
        tokenizer: String,
        /// What was to stand between documents.
        text: String,
        /// What it is in tokens.
        found: String,
    },
    /// An entry of a cache of tokens that is not there, or damaged.
    #[error("{}: expected the tokens that were put there: {why}", folder.display())]
    Entry {
        /// The entry.
        folder: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Someone asked to stop.
    #[error("stopped on request while text was tokenized; nothing half-made is left")]
    Stopped,
    /// A pattern that matches no file, or is malformed.
    #[error("{field}: {error}")]
    Paths {
        /// The field.
        field: String,
        /// What is wrong.
        error: Box<PathsError>,
    },
    /// What cannot be a file of token ids, or not as the study says.
    #[error("{}: {message}", path.display())]
    NotTokens {
        /// The file.
        path: PathBuf,
        /// What was expected, and what the file looks like.
        message: String,
    },
    /// A file of two splits.
    #[error(
        "{}: expected each file in one split, found it in {} and in {} (as {}): what a model learns from says nothing of what it has \
         not seen",
        path.display(),
        splits[1],
        splits[0],
        other.display()
    )]
    Shared {
        /// The file, as the later split names it.
        path: PathBuf,
        /// As the earlier split names it.
        other: PathBuf,
        /// The two splits.
        splits: [&'static str; 2],
    },
    /// A file that is named twice.
    #[error("{}: expected each file once in {split}, found it twice (also as {})", path.display(), other.display())]
    Twice {
        /// The file.
        path: PathBuf,
        /// Its other name.
        other: PathBuf,
        /// The split.
        split: &'static str,
    },
    /// A split too large to look for its largest id.
    #[error("data.tokens.vocab_size: expected a number, for {name} has {tokens} tokens, too many to look for the largest id")]
    VocabularyNotNamed {
        /// The split.
        name: String,
        /// How many tokens it has.
        tokens: usize,
    },
    /// A token that the model could not look up.
    #[error("{}: expected token ids below the vocabulary of {vocab_size}, found {id} at position {position}", path.display())]
    OutsideVocabulary {
        /// The file.
        path: PathBuf,
        /// Where it stands, counted from 0.
        position: usize,
        /// The token id.
        id: u32,
        /// How many ids there are.
        vocab_size: usize,
    },
    /// A file of token ids that was longer when it was opened.
    #[error(
        "{}: expected {expected} bytes, as when the data were opened, found {found} (id {position} was to be read)",
        path.display()
    )]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// The first id that was to be read, counted from 0.
        position: usize,
        /// Length that it had or must have.
        expected: u64,
        /// Length that it has.
        found: u64,
    },
    /// A file of token ids that was written to while it was in use.
    #[error(
        "{}: expected the file as it was when the data were opened, found it written to (id {position} was to be read)",
        path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The first id that was to be read, counted from 0.
        position: usize,
    },
    /// Not one window fits.
    #[error("{name}: expected at least {expected} tokens (the context and one more), found {found}")]
    TooShort {
        /// The split.
        name: String,
        /// Tokens that one window takes.
        expected: usize,
        /// Tokens that the split has.
        found: usize,
    },
    /// Ids beyond what any vocabulary has.
    #[error("{name}: expected a vocabulary of at most 16777216, found {found}")]
    VocabularyTooLarge {
        /// The field or file that sets the vocabulary.
        name: String,
        /// Entries of the vocabulary.
        found: usize,
    },
    /// A checkpoint with fewer embeddings than the data have tokens.
    #[error("{name}: expected a vocabulary of at most {model}, which is the checkpoint's, found {found}")]
    BeyondCheckpoint {
        /// The field or file that sets the vocabulary.
        name: String,
        /// Entries that the data need.
        found: usize,
        /// The checkpoint's vocabulary.
        model: usize,
    },
    /// A tokenizer for data that are tokens already.
    #[error("{}: expected no tokenizer, for the file holds token ids, found one", path.display())]
    TokensNeedNoTokenizer {
        /// The file.
        path: PathBuf,
    },
    /// A `tokenizer.json` that the crate `tokenizers` does not accept.
    #[error("{}: expected a tokenizer.json of Hugging Face: {message}", path.display())]
    NotATokenizer {
        /// The file.
        path: PathBuf,
        /// What the crate said.
        message: String,
    },
    /// A tokenizer that learned nothing or cannot encode its text.
    #[error("the tokenizer failed: {message}")]
    Tokenizer {
        /// What the crate said.
        message: String,
    },
    /// A checkpoint to start from that does not say how text becomes its tokens, and nobody else does.
    #[error(
        "{}: expected a checkpoint with its tokenizer.json, or a `tokenizer` that the study names, found neither: one learned anew \
         would give the model ids that mean something else to it",
        folder.display()
    )]
    NoTokenizer {
        /// The checkpoint.
        folder: PathBuf,
    },
    /// A tokenizer that disagrees with that of the checkpoint to start from.
    #[error(
        "{name}: expected the ids of the checkpoint's tokenizer, {}, found others: {differs}; without `tokenizer` the checkpoint's is taken",
        path.display()
    )]
    OtherTokenizer {
        /// The tokenizer that the study names.
        name: String,
        /// The checkpoint's.
        path: PathBuf,
        /// Where they disagree.
        differs: Box<Differs>,
    },
    /// A second model to which ids mean something else.
    #[error("expected a checkpoint whose tokenizer makes the ids of the data, found others by {}: {differs}", path.display())]
    OtherTokens {
        /// Its tokenizer.
        path: PathBuf,
        /// Where they disagree.
        differs: Box<Differs>,
    },
    /// A second model that knows text, beside data of words.
    #[error(
        "expected a checkpoint that was trained on the words of `data.synthetic`, found one of text, with {}: name it as \
         `tokenizer: {{file: ...}}` to write the words out",
        path.display()
    )]
    WordsAreNoTokens {
        /// Its tokenizer.
        path: PathBuf,
    },
    /// Some class of the synthetic language would be empty.
    #[error("data.synthetic.classes: expected at most as many classes as words ({words}), found {classes}")]
    TooManyClasses {
        /// How many classes were asked for.
        classes: usize,
        /// How many words there are.
        words: usize,
    },
    /// A topic lasts for a word at the least.
    #[error("data.synthetic.topic_length: expected a number of at least 1, found {found}")]
    TopicTooShort {
        /// The length asked for.
        found: f64,
    },
    /// Two people would share a name.
    #[error("data.biographies.people: expected at most as many people as names ({names}), found {people}")]
    TooFewNames {
        /// How many people were asked for.
        people: usize,
        /// How many names there are.
        names: usize,
    },
    /// A text that memory should not hold.
    #[error("data.biographies: expected at most {most} biographies (people times exposures), found {found}")]
    TooManyBiographies {
        /// The limit.
        most: usize,
        /// What was asked for.
        found: usize,
    },
    /// A tokenizer that leaves nothing of a line break, a name or a value, so that nobody can tell how likely it is.
    #[error("expected a tokenizer with tokens for {expected}, found none for {found:?}")]
    NothingLeft {
        /// What it is.
        expected: &'static str,
        /// The text.
        found: String,
    },
}
