//! Parquet: a document in each row of a column of text.

use super::super::DataError;
use super::chunk::Chunk;
use super::names::listed;
use parquet::basic::{ConvertedType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Rows read at a time.
const BATCH: usize = 256;

/// The documents of a file, row by row.
pub(super) struct Rows<'a> {
    path: &'a Path,
    column: &'a str,
    reader: SerializedFileReader<File>,
    /// The column's place among the leaves of the schema.
    index: usize,
    /// Whether a row may have no value.
    may_be_null: bool,
    group: usize,
    values: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Rows handed out.
    row: u64,
    batch: std::vec::IntoIter<ByteArray>,
    has_ended: bool,
}

impl<'a> Rows<'a> {
    /// Opens a file, and looks for its column.
    pub fn open(path: &'a Path, column: &'a str) -> Result<Self, DataError> {
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let opened = File::open(path).map_err(failed)?;
        let refuse = |message| DataError::Document { path: path.to_owned(), at: String::new(), message };
        let reader = guarded(|| SerializedFileReader::new(opened))
            .map_err(|message| refuse(format!("expected a whole Parquet file, found damage: {message}")))?;
        let leaves = reader.metadata().file_metadata().schema_descr();
        let found = leaves.columns().iter().position(|leaf| leaf.path().string() == column);
        let Some(index) = found else {
            let names: Vec<String> = leaves.columns().iter().map(|leaf| leaf.path().string()).collect();
            let names = listed(column, names.iter().map(String::as_str));
            return Err(refuse(format!("expected a column `{column}`, found {names}")));
        };
        let leaf = leaves.column(index);
        if let Some(other) = not_text(&leaf) {
            return Err(refuse(format!("expected text in the column `{column}`, found {other}")));
        }
        let may_be_null = leaf.max_def_level() > 0;
        let batch = Vec::new().into_iter();
        Ok(Self { path, column, reader, index, may_be_null, group: 0, values: None, row: 0, batch, has_ended: false })
    }

    fn document(&mut self) -> Result<Option<Chunk>, DataError> {
        loop {
            if let Some(value) = self.batch.next() {
                self.row += 1;
                let text = std::str::from_utf8(value.data()).map_err(|error| {
                    let at = error.valid_up_to();
                    self.refuse(self.row - 1, format!("expected UTF-8 text, found an invalid sequence at byte {at} of the value"))
                })?;
                return Ok(Some(Chunk { text: text.to_owned(), ends: true }));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Reads the next rows; whether there were any.
    fn read(&mut self) -> Result<bool, DataError> {
        loop {
            if self.values.is_none() {
                if self.group == self.reader.num_row_groups() {
                    return Ok(false);
                }
                let opened = guarded(|| self.reader.get_row_group(self.group)?.get_column_reader(self.index));
                let opened = opened.map_err(|message| self.damaged(message))?;
                let ColumnReader::ByteArrayColumnReader(values) = opened else { unreachable!("the column's type was looked at") };
                (self.values, self.group) = (Some(values), self.group + 1);
            }
            let (mut values, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
            let reader = self.values.as_mut().expect("it was opened above");
            let read = guarded(|| reader.read_records(BATCH, Some(&mut levels), None, &mut values));
            let (rows, ..) = read.map_err(|message| self.damaged(message))?;
            if rows == 0 {
                self.values = None;
                continue;
            }
            if self.may_be_null && values.len() < rows {
                let most = levels.iter().max().copied().unwrap_or(0).max(1);
                let null = levels.iter().position(|level| *level < most).unwrap_or(0);
                return Err(
                    self.refuse(self.row + null as u64, format!("expected text in the column `{}`, found null", self.column))
                );
            }
            self.batch = values.into_iter();
            return Ok(true);
        }
    }

    fn damaged(&self, message: String) -> DataError {
        self.refuse(self.row, format!("expected a whole Parquet file, found damage there or behind: {message}"))
    }

    fn refuse(&self, row: u64, message: String) -> DataError {
        DataError::Document { path: self.path.to_owned(), at: format!(", row {row}"), message }
    }
}

/// What a column holds, where it is not one text in each row.
fn not_text(leaf: &ColumnDescriptor) -> Option<String> {
    if leaf.max_rep_level() > 0 {
        return Some("lists".into());
    }
    match (leaf.physical_type(), leaf.converted_type()) {
        (Type::BYTE_ARRAY, ConvertedType::DECIMAL | ConvertedType::BSON) => Some(leaf.converted_type().to_string()),
        (Type::BYTE_ARRAY, _) => None,
        (other, ConvertedType::NONE) => Some(other.to_string()),
        (other, converted) => Some(format!("{other} ({converted})")),
    }
}

/// Runs the crate `parquet` on the bytes of a file: what it panics on becomes a message.
fn guarded<T>(run: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the crate `parquet` panicked on it".into()),
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Chunk, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let document = self.document().transpose();
        self.has_ended = !matches!(document, Some(Ok(_)));
        document
    }
}
