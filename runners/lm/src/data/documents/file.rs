//! What a file of documents holds.

use super::super::{DataError, files};
use super::chunk::Chunks;
use super::lines::Lines;
use super::looks::{looks_like, looks_like_lines};
use super::packed::{Packed, Packing, Unpacked};
use super::rows::Rows;
use super::text::Text;
use std::path::Path;

/// Bytes that tell what a file holds.
const HEAD: usize = 1 << 16;

/// Where in a file its documents are, as a study says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::data) struct Reading {
    /// The field of an object on a line; `text` where it is not named.
    pub field: Option<String>,
    /// The column of a Parquet file; `text` where it is not named.
    pub column: Option<String>,
}

impl Reading {
    fn field(&self) -> &str {
        self.field.as_deref().unwrap_or("text")
    }

    fn column(&self) -> &str {
        self.column.as_deref().unwrap_or("text")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A document.
    Text,
    /// JSON Lines.
    Lines,
    Parquet,
}

/// A file of documents that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) struct DocumentFile {
    file: Packed,
    form: Form,
}

impl DocumentFile {
    /// Looks at a file. Gzip, Zstandard and Parquet are told by its first bytes, JSON Lines by a named field or by its name
    /// (`.jsonl` or `.ndjson`, before `.gz` or `.zst`).
    ///
    /// # Errors
    /// When it cannot be read, is empty or damaged, or does not hold what `reading` and its name say.
    pub fn look(path: &Path, reading: &Reading) -> Result<Self, DataError> {
        let bytes = files::facts(path)?.len();
        if bytes == 0 {
            return Err(DataError::Empty { path: path.into() });
        }
        let refuse = |message| DataError::Document { path: path.into(), at: String::new(), message };
        let mut file = Packed { path: path.into(), packing: Packing::Plain };
        file.packing = Packing::of(&head(&file)?);
        let (head, packing) = (head(&file)?, file.packing);
        if head.is_empty() {
            return Err(DataError::Empty { path: path.into() });
        }
        let ends_in = |endings: &[&str]| endings.iter().any(|ending| unpacked_name(path).ends_with(ending));
        let expected = match (reading, ends_in(&[".parquet"])) {
            (Reading { field: Some(field), .. }, _) => Some(format!("JSON Lines with a field `{field}`")),
            (Reading { column: Some(column), .. }, _) => Some(format!("Parquet with a column `{column}`")),
            (_, true) => Some("Parquet".into()),
            _ => None,
        };
        let found = match (packing, looks_like(&head)) {
            (Packing::Plain, found) => found.map(str::to_owned),
            (packing, found) => found.map(|found| format!("{found} packed by {}", packing.word())),
        };
        let form = match (found.as_deref(), expected) {
            (Some("Parquet"), Some(expected)) if reading.field.is_some() => {
                return Err(refuse(format!("expected {expected}, found Parquet: name its `column`")));
            }
            (Some("Parquet"), _) => Form::Parquet,
            (Some(found), expected) => {
                let expected = expected.unwrap_or("UTF-8 text, JSON Lines or Parquet".into());
                return Err(refuse(format!("expected {expected}, found {found}")));
            }
            (None, Some(expected)) if reading.field.is_none() => {
                return Err(refuse(format!("expected {expected}, found no Parquet: its first four bytes are not PAR1")));
            }
            (None, _) if reading.field.is_some() || ends_in(&[".jsonl", ".ndjson"]) => Form::Lines,
            (None, _) if looks_like_lines(&head, head.len() < HEAD) => {
                let message =
                    "expected text, found JSON objects, one on each line: name the `field` of theirs that holds the text";
                return Err(refuse(message.into()));
            }
            (None, _) => Form::Text,
        };
        Ok(Self { file, form })
    }

    /// Its documents.
    ///
    /// # Errors
    /// When it cannot be opened, or has no such column.
    pub fn chunks<'a>(&'a self, reading: &'a Reading) -> Result<Chunks<'a>, DataError> {
        Ok(match self.form {
            Form::Text => Box::new(Text::open(&self.file)?),
            Form::Lines => Box::new(Lines::open(&self.file, reading.field())?),
            Form::Parquet => Box::new(Rows::open(&self.file.path, reading.column())?),
        })
    }

    /// Whether all of it is one document.
    pub fn is_one_document(&self) -> bool {
        self.form == Form::Text
    }

    /// Bytes of its text, where they can be told without reading it.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn bytes_of_text(&self) -> Result<Option<u64>, DataError> {
        if (self.form, self.file.packing) != (Form::Text, Packing::Plain) {
            return Ok(None);
        }
        let mark = "\u{feff}".len() * usize::from(head(&self.file)?.starts_with("\u{feff}".as_bytes()));
        Ok(Some(files::facts(&self.file.path)?.len() - mark as u64))
    }

    /// What stands for its content: how it is read, and the BLAKE3 of its bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn content(&self, reading: &Reading) -> Result<String, DataError> {
        let failed = |source| DataError::Read { path: self.file.path.clone(), source };
        let mut hash = blake3::Hasher::new();
        hash.update_reader(std::fs::File::open(&self.file.path).map_err(failed)?).map_err(failed)?;
        let how = match self.form {
            Form::Text => "text".into(),
            Form::Lines => format!("field {}", reading.field()),
            Form::Parquet => format!("column {}", reading.column()),
        };
        Ok(format!("{how}: {}", hash.finalize().to_hex()))
    }
}

/// The first bytes of what a file holds.
fn head(file: &Packed) -> Result<Vec<u8>, DataError> {
    let mut head = vec![0; HEAD];
    let filled = Unpacked::open(file)?.fill(&mut head)?;
    head.truncate(filled);
    Ok(head)
}

/// A file's name in small letters, without the ending of a packed file.
fn unpacked_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let endings = [".gz", ".zst", ".zstd"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_owned()
}
