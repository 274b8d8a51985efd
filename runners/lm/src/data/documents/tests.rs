use super::*;
use crate::data::{Corpus, DataError};
use crate::spec::{DataSpec, TextFiles, TextSpec, TokenizerSpec};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// A Parquet file of numbers `id` and of texts `text`, some of them none, in row groups of two.
fn parquet(texts: &[Option<&[u8]>], compression: Compression) -> Vec<u8> {
    let schema =
        parse_message_type("message m { required int32 id; optional binary text (UTF8); required binary raw; }").unwrap();
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), properties).unwrap();
    for (group, texts) in texts.chunks(2).enumerate() {
        let mut rows = file.next_row_group().unwrap();
        let ids: Vec<i32> = (0..texts.len()).map(|row| (2 * group + row) as i32).collect();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<Int32Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
        let values: Vec<ByteArray> = texts.iter().flatten().map(|text| ByteArray::from(text.to_vec())).collect();
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        let raw = vec![ByteArray::from("raw"); texts.len()];
        let mut column = rows.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&raw, None, None).unwrap();
        column.close().unwrap();
        rows.close().unwrap();
    }
    file.into_inner().unwrap()
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The documents of a file.
fn read(path: &Path, reading: &Reading) -> Result<Vec<String>, DataError> {
    let file = DocumentFile::look(path, reading)?;
    let (mut documents, mut document) = (Vec::new(), String::new());
    for chunk in file.chunks(reading)? {
        let chunk = chunk?;
        document.push_str(&chunk.text);
        if chunk.ends {
            documents.push(std::mem::take(&mut document));
        }
    }
    assert!(document.is_empty(), "a document without an end");
    Ok(documents)
}

fn documents(name: &str, bytes: &[u8], reading: &Reading) -> Result<Vec<String>, String> {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, name, bytes);
    read(&path, reading).map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn plain() -> Reading {
    Reading::default()
}

fn field(name: &str) -> Reading {
    Reading { field: Some(name.into()), column: None }
}

fn column(name: &str) -> Reading {
    Reading { field: None, column: Some(name.into()) }
}

#[test]
fn text_lines_and_rows_are_read_plain_and_packed() {
    let lines = b"{\"text\": \"a\", \"id\": 1}\n\n{\"id\": 2, \"text\": \"b\\nc\"}\r\n";
    for pack in [|bytes: &[u8]| bytes.to_vec(), gzip, zstandard] {
        assert_eq!(documents("x.txt", &pack("\u{feff}a\r\nb é".as_bytes()), &plain()).unwrap(), ["a\r\nb é"]);
        assert_eq!(documents("x.jsonl", &pack(lines), &plain()).unwrap(), ["a", "b\nc"]);
        assert_eq!(documents("x.JSONL.gz", &pack(lines), &plain()).unwrap(), ["a", "b\nc"], "packing is told by bytes");
        assert_eq!(documents("x", &pack(lines), &field("text")).unwrap(), ["a", "b\nc"]);
    }
    let texts = [Some(&b"a"[..]), Some("é".as_bytes()), Some(b"")];
    let levels = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
    ];
    for compression in levels {
        let file = parquet(&texts, compression);
        assert_eq!(documents("x.bin", &file, &plain()).unwrap(), ["a", "é", ""], "{compression}");
        assert_eq!(documents("x.parquet", &file, &column("raw")).unwrap(), ["raw"; 3]);
    }
}

#[test]
fn members_of_gzip_and_frames_of_zstandard_follow_each_other() {
    for pack in [gzip, zstandard] {
        let both = [pack(b"one "), pack(b"two")].concat();
        assert_eq!(documents("x.txt", &both, &plain()).unwrap(), ["one two"]);
    }
}

#[test]
fn a_character_may_lie_across_blocks() {
    let text = format!("{}é{}", "a".repeat((1 << 20) - 1), "b".repeat(1 << 20));
    assert_eq!(documents("x.txt", text.as_bytes(), &plain()).unwrap(), std::slice::from_ref(&text));
    assert_eq!(documents("x.txt", &zstandard(text.as_bytes()), &plain()).unwrap(), [text]);
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let check = |name: &str, bytes: &[u8], reading: Reading, expected: &str| {
        assert_eq!(documents(name, bytes, &reading).unwrap_err(), expected);
    };
    let text = "some words and some more words\n".repeat(9000);
    for (pack, word) in [(gzip as fn(&[u8]) -> Vec<u8>, "gzip"), (zstandard, "Zstandard")] {
        let packed = pack(text.as_bytes());
        let cut = format!("x.txt: expected the whole of a {word} file, found that it ends too early: it was cut off");
        check("x.txt", &packed[..packed.len() - 3], plain(), &cut);
        check("x.txt", &packed[..12], plain(), &cut);
        let found = documents("x.txt", &pack(&[&b"ab"[..], b"\xff"].concat()), &plain()).unwrap_err();
        assert_eq!(found, format!("x.txt: expected UTF-8 text, found an invalid sequence at byte 2 of what its {word} holds"));
        let found = documents("x.txt", &pack(&gzip(b"a")), &plain()).unwrap_err();
        assert_eq!(found, format!("x.txt: expected UTF-8 text, JSON Lines or Parquet, found gzip packed by {word}"));
        check("x.txt", &pack(b""), plain(), "x.txt: expected text or tokens, found an empty file");
    }
    let mut damaged = gzip(text.as_bytes());
    let end = damaged.len();
    damaged[end - 6] ^= 1; // of the checksum
    let found = documents("x.txt", &damaged, &plain()).unwrap_err();
    assert!(found.starts_with("x.txt: expected gzip data, found damage: "), "{found}");
    check("x.txt", b"ab\xff", plain(), "x.txt: expected UTF-8 text, found an invalid sequence at byte 2");
    check(
        "x.txt",
        "ab\u{e9}".as_bytes()[..3].as_ref(),
        plain(),
        "x.txt: expected UTF-8 text, found an invalid sequence at byte 2",
    );
    let expected = "x.txt: expected UTF-8 text, JSON Lines or Parquet, found a NumPy array (.npy)";
    check("x.txt", b"\x93NUMPY\x01\0v\0{}", plain(), expected);
    let expected = "x.jsonl: expected JSON Lines with a field `text`, found text in UTF-16 (little-endian)";
    check("x.jsonl", b"\xff\xfe{\0", field("text"), expected);
    let expected = "x.txt: expected text, found JSON objects, one on each line: name the `field` of theirs that holds the text";
    check("x.txt", b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n", plain(), expected);
    let expected = "x.parquet: expected Parquet, found no Parquet: its first four bytes are not PAR1";
    check("x.parquet", b"text", plain(), expected);
    check(
        "x.txt",
        b"text",
        column("t"),
        "x.txt: expected Parquet with a column `t`, found no Parquet: its first four bytes are not PAR1",
    );
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_its_number() {
    let check = |lines: &str, expected: &str| assert_eq!(documents("x.jsonl", lines.as_bytes(), &plain()).unwrap_err(), expected);
    check(
        "{\"text\": \"a\"}\n\nplain\n",
        "x.jsonl:3: expected a JSON object on a line of its own, found a mistake in column 1: expected value",
    );
    check("{\"text\": \"a\"}\n{\"text\": null}", "x.jsonl:2: expected text in the field `text`, found null");
    check("{\"txt\": \"a\"}\n", "x.jsonl:1: expected a field `text`, found `txt`; did you mean `txt`?");
}

#[test]
fn what_is_wrong_with_a_column_is_said() {
    let texts = [Some(&b"a"[..]), Some(b"b"), Some(b"c"), None];
    let file = parquet(&texts, Compression::SNAPPY);
    let check = |bytes: &[u8], reading: Reading, expected: &str| {
        assert_eq!(documents("x.parquet", bytes, &reading).unwrap_err(), expected);
    };
    check(&file, plain(), "x.parquet, row 3: expected text in the column `text`, found null");
    check(&file, column("texts"), "x.parquet: expected a column `texts`, found `id`, `text`, `raw`; did you mean `text`?");
    check(&file, column("id"), "x.parquet: expected text in the column `id`, found INT32");
    check(&file, field("text"), "x.parquet: expected JSON Lines with a field `text`, found Parquet: name its `column`");
    let found = documents("x.parquet", &file[..file.len() - 5], &plain()).unwrap_err();
    assert!(found.starts_with("x.parquet: expected a whole Parquet file, found damage: "), "{found}");
    let invalid = parquet(&[Some(b"a"), Some(b"b\xff")], Compression::UNCOMPRESSED);
    check(&invalid, plain(), "x.parquet, row 1: expected UTF-8 text, found an invalid sequence at byte 1 of the value");
    check(&gzip(&file), plain(), "x.parquet: expected Parquet, found Parquet packed by gzip");
}

/// A study of bytes.
fn study(files: TextFiles, separator: Option<&str>) -> Result<Corpus, String> {
    let spec = TextSpec { separator: separator.map(str::to_owned), ..TextSpec::of(files) };
    Corpus::load(&DataSpec::Text(spec), Some(&TokenizerSpec::Bytes), None).map_err(|error| error.to_string())
}

#[test]
fn a_pattern_of_files_is_a_split_and_a_cut_falls_between_its_documents() {
    let folder = TempDir::new().unwrap();
    write(&folder, "b.jsonl", b"{\"text\": \"dd\"}\n{\"text\": \"eeee\"}\n");
    write(&folder, "a.jsonl.gz", &gzip(b"{\"text\": \"aaa\"}\n{\"text\": \"c\"}\n"));
    // Ten bytes: train ends at 5, validation at 6. The third document begins at 4, the last at 6.
    let file = folder.path().join("*.jsonl*").into();
    let corpus = study(TextFiles::Cut { file, split: [0.5, 0.1, 0.4] }, Some("|")).unwrap_err();
    assert!(corpus.ends_with("b.jsonl (2 files) (validation part): expected documents, found none with any text"), "{corpus}");
    let file = folder.path().join("*.jsonl*").into();
    let corpus = study(TextFiles::Cut { file, split: [0.3, 0.2, 0.5] }, Some("|")).unwrap();
    let text = |split: &crate::data::Split| -> String {
        split.tokens.all().unwrap().into_iter().map(|id| char::from(id as u8)).collect()
    };
    assert_eq!(corpus.splits().map(text).collect::<Vec<_>>(), ["aaa", "c|dd", "eeee"]);
}

#[test]
fn splits_share_no_file_and_a_separator_is_one_token() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (write(&folder, "a.txt", b"a"), write(&folder, "b.txt", b"b"));
    let files = |train: &Path, validation: &Path| TextFiles::Splits {
        train: train.to_owned().into(),
        validation: validation.to_owned().into(),
        test: None,
    };
    let link = folder.path().join("link.txt");
    std::fs::hard_link(&a, &link).unwrap();
    let shared = study(files(&a, &link), None).unwrap_err();
    assert!(shared.contains("expected each file in one split, found it in validation and in train"), "{shared}");
    let refused = study(files(&a, &b), Some("<|endoftext|>")).unwrap_err();
    let expected = "expected one token of the tokenizer (`bytes`), found that \"<|endoftext|>\" is 13: \"<\", \"|\", \"e\", \"n\", \"d\", \"o\", \"f\", \"t\", ...";
    assert_eq!(refused, expected);
    assert!(study(files(&a, &b), Some("")).unwrap_err().ends_with("found that \"\" is none"));
}
