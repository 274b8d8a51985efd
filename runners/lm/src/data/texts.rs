//! The text of a study's data, before it becomes tokens.

use super::DataError;
use super::biographies::Biographies;
use super::documents::{Chunk, Chunks, DocumentFile, Reading, cut_ends, part};
use super::synthetic::Process;
use super::token_files::{each_once, name};
use crate::spec::{DataSpec, Order, Paths, TextFiles, TextSpec};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::PathBuf;

/// The texts of the splits.
pub(super) struct Texts {
    train: Text,
    validation: Text,
    test: Option<Text>,
    /// Order in which windows of the train split are seen.
    pub order: Order,
    /// What stands between two documents.
    pub separator: Option<String>,
    /// Of whom the text tells, where that is known.
    pub biographies: Option<Biographies>,
}

/// The text of a split: documents, one after the other.
pub(super) struct Text {
    /// What messages call it.
    pub name: String,
    source: Source,
}

enum Source {
    /// A document in memory.
    Written(String),
    Files {
        files: Vec<DocumentFile>,
        reading: Reading,
        part: Option<Part>,
    },
}

/// A part of what is in the files.
struct Part {
    bytes: Range<u64>,
    /// What the cuts depend on besides the files.
    shares: [f64; 3],
    which: &'static str,
}

impl Texts {
    /// The texts that `data` name, synthetic words written out; none where the data are token ids. Files are looked at, and not
    /// read.
    ///
    /// # Errors
    /// When a file is not what its spec says, two splits share one, or the data cannot be made.
    pub fn of(data: &DataSpec) -> Result<Option<Self>, DataError> {
        let drawn = |texts: [(String, String); 3], order| {
            let [train, validation, test] = texts.map(|(name, text)| Text { name, source: Source::Written(text) });
            Self { train, validation, test: Some(test), order, separator: None, biographies: None }
        };
        Ok(Some(match data {
            DataSpec::Tokens(_) => return Ok(None),
            DataSpec::Text(spec) => Self::look(spec)?,
            DataSpec::Synthetic(spec) => drawn(Process::new(spec)?.texts(), spec.order),
            DataSpec::Biographies(spec) => {
                let biographies = Biographies::new(spec)?;
                Self { biographies: Some(biographies.clone()), ..drawn(biographies.texts(), spec.order) }
            }
        }))
    }

    fn look(spec: &TextSpec) -> Result<Self, DataError> {
        let reading = Reading { field: spec.field.clone(), column: spec.column.clone() };
        let paths = |field: &'static str, paths: &Paths| {
            paths.files().map_err(|error| DataError::Paths { field: format!("data.text.{field}"), error: Box::new(error) })
        };
        let look = |files: &[PathBuf]| files.iter().map(|path| DocumentFile::look(path, &reading)).collect::<Result<Vec<_>, _>>();
        let [train, validation, test] = match &spec.files {
            TextFiles::Splits { train, validation, test } => {
                let named = [("train", Some(train)), ("validation", Some(validation)), ("test", test.as_ref())];
                let found: Vec<(&'static str, Vec<PathBuf>)> = named
                    .into_iter()
                    .filter_map(|(split, files)| Some(paths(split, files?).map(|files| (split, files))))
                    .collect::<Result<_, _>>()?;
                each_once(found.iter().map(|(split, files)| (*split, files)))?;
                let mut texts = found.into_iter().map(|(_, files)| {
                    let source = Source::Files { files: look(&files)?, reading: reading.clone(), part: None };
                    Ok(Text { name: name(&files), source })
                });
                let mut next = || texts.next().transpose();
                [next()?, next()?, next()?]
            }
            TextFiles::Cut { file, split } => {
                let files = paths("file", file)?;
                each_once([("file", &files)].into_iter())?;
                let (named, files) = (name(&files), look(&files)?);
                let ends = cut_ends(bytes_of_text(&files, &reading)?, *split);
                let mut parts = ["train", "validation", "test"].into_iter().zip(ends);
                std::array::from_fn(|_| {
                    let (which, bytes) = parts.next()?;
                    let part = Some(Part { bytes, shares: *split, which });
                    let source = Source::Files { files: files.clone(), reading: reading.clone(), part };
                    Some(Text { name: format!("{named} ({which} part)"), source })
                })
            }
        };
        let (Some(train), Some(validation)) = (train, validation) else { unreachable!("only the test split may be missing") };
        Ok(Self { train, validation, test, order: spec.order, separator: spec.separator.clone(), biographies: None })
    }

    /// Train, validation, and test where there is one.
    pub fn splits(&self) -> impl Iterator<Item = (&'static str, &Text)> {
        [("train", &self.train), ("validation", &self.validation)]
            .into_iter()
            .chain(self.test.as_ref().map(|test| ("test", test)))
    }

    /// What a tokenizer may learn from.
    pub fn train(&self) -> &Text {
        &self.train
    }

    /// What stands for the content of all splits, where it is in files: their hashes, how they are read, and how they are cut.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn content(&self) -> Result<Option<Value>, DataError> {
        let mut splits = Vec::new();
        for (_, text) in self.splits() {
            let Source::Files { files, reading, part } = &text.source else { return Ok(None) };
            splits.push(match part {
                // the first split tells of the files that all share
                Some(part) if part.which != "train" => json!({ "part": part.which }),
                _ => {
                    let files = files.iter().map(|file| file.content(reading)).collect::<Result<Vec<_>, _>>()?;
                    json!({ "files": files, "shares": part.as_ref().map(|part| part.shares) })
                }
            });
        }
        Ok(Some(splits.into()))
    }
}

/// Bytes of text in all documents; files are read where that cannot be told otherwise.
fn bytes_of_text(files: &[DocumentFile], reading: &Reading) -> Result<u64, DataError> {
    let mut bytes = 0;
    for file in files {
        bytes += match file.bytes_of_text()? {
            Some(bytes) => bytes,
            None => file.chunks(reading)?.try_fold(0, |sum, chunk| Ok::<_, DataError>(sum + chunk?.text.len() as u64))?,
        };
    }
    Ok(bytes)
}

impl Text {
    /// Its documents, one file after the other.
    pub fn chunks(&self) -> Chunks<'_> {
        match &self.source {
            Source::Written(text) => Box::new(std::iter::once(Ok(Chunk { text: text.clone(), ends: true }))),
            Source::Files { files, reading, part: of } => {
                let chunks = files.iter().flat_map(|file| match file.chunks(reading) {
                    Ok(chunks) => chunks,
                    Err(error) => Box::new(std::iter::once(Err(error))),
                });
                match of {
                    Some(of) => {
                        let is_one_document = files.len() == 1 && files[0].is_one_document();
                        part(Box::new(chunks), of.bytes.clone(), is_one_document)
                    }
                    None => Box::new(chunks),
                }
            }
        }
    }
}
