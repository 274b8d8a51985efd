//! The table of [`super::spreadsheet`] as a Parquet file: words as UTF-8, figures as doubles that are null where nothing is known.

use super::spreadsheet::{COST_NOTE, LABELS, columns, cost_note, labels};
use crate::{Result, Results};
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::sync::Arc;

/// The arms of a study as the bytes of a Parquet file, one row per arm.
///
/// # Errors
/// When the file cannot be made, which no results should do.
pub fn arms_parquet(results: &Results) -> Result<Vec<u8>> {
    Ok(table(results)?)
}

fn table(results: &Results) -> std::result::Result<Vec<u8>, ParquetError> {
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema(results)?), Arc::new(WriterProperties::default()))?;
    let mut rows = writer.next_row_group()?;
    let words: Vec<[String; 4]> = results.arms.iter().map(|arm| labels(results, arm)).collect();
    for label in 0..LABELS.len() {
        let values: Vec<ByteArray> = words.iter().map(|words| words[label].as_str().into()).collect();
        let mut column = rows.next_column()?.ok_or_else(fewer)?;
        column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
        column.close()?;
    }
    for (_, figure) in columns(results) {
        let figures: Vec<Option<f64>> = results.arms.iter().map(figure).collect();
        let values: Vec<f64> = figures.iter().copied().flatten().collect();
        let known: Vec<i16> = figures.iter().map(|figure| i16::from(figure.is_some())).collect(); // a null has no value
        let mut column = rows.next_column()?.ok_or_else(fewer)?;
        column.typed::<DoubleType>().write_batch(&values, Some(&known), None)?;
        column.close()?;
    }
    let notes: Vec<ByteArray> = results.arms.iter().map(|arm| cost_note(arm).into()).collect();
    let mut column = rows.next_column()?.ok_or_else(fewer)?;
    column.typed::<ByteArrayType>().write_batch(&notes, None, None)?;
    column.close()?;
    rows.close()?;
    writer.into_inner()
}

fn schema(results: &Results) -> std::result::Result<Type, ParquetError> {
    let word = |name: &str| {
        let column = Type::primitive_type_builder(name, Physical::BYTE_ARRAY);
        column.with_repetition(Repetition::REQUIRED).with_logical_type(Some(LogicalType::String)).build()
    };
    let figure = |name: &str| Type::primitive_type_builder(name, Physical::DOUBLE).with_repetition(Repetition::OPTIONAL).build();
    let columns =
        LABELS.into_iter().map(word).chain(columns(results).into_iter().map(|(name, _)| figure(name))).chain([word(COST_NOTE)]);
    let columns: std::result::Result<Vec<Arc<Type>>, _> = columns.map(|column| column.map(Arc::new)).collect();
    Type::group_type_builder("arms").with_fields(columns?).build()
}

fn fewer() -> ParquetError {
    ParquetError::General("the schema has fewer columns than the table".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    #[test]
    fn what_is_written_reads_back() {
        let results = sample::results();
        let reader = SerializedFileReader::new(bytes::Bytes::from(arms_parquet(&results).unwrap())).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
        assert_eq!(rows.len(), results.arms.len());
        let place = |name: &str| LABELS.len() + columns(&results).iter().position(|(column, _)| *column == name).unwrap();
        assert_eq!(rows[1].get_string(1).unwrap(), "dispersion");
        assert_eq!(rows[1].get_double(place("difference")).unwrap(), -0.031);
        assert!(rows[0].get_double(place("difference")).is_err(), "the baseline differs from nothing: null");
    }

    #[test]
    fn edges_do_not_panic() {
        for (what, results) in sample::edges() {
            assert!(arms_parquet(&results).is_ok(), "{what}");
        }
    }
}
