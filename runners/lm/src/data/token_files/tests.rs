use super::*;
use crate::spec::Dtype;
use regatta_core::Draw;
use tempfile::TempDir;

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// What `form_of` says of a file of these bytes: its form, or the message without the path.
fn form(bytes: &[u8], dtype: Option<Dtype>, vocab_size: Option<usize>) -> Result<(u64, Dtype, usize), String> {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "tokens.bin", bytes);
    let found = form_of(&path, dtype, vocab_size).map_err(|error| error.to_string());
    let found = found.map_err(|message| message.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned());
    found.map(|file| (file.offset, file.dtype, file.count))
}

#[track_caller]
fn refused(bytes: &[u8], dtype: Option<Dtype>, expected: &str) {
    let found = form(bytes, dtype, None).unwrap_err();
    assert!(found.contains(expected), "{found}\n  lacks: {expected}");
}

/// Ids of `vocab_size` by Zipf's law: the logarithm of the rank is uniform.
fn zipf(count: usize, vocab_size: u32, seed: u64) -> Vec<u32> {
    let mut draw = Draw::new(seed, "test", 0, 0);
    (0..count).map(|_| f64::from(vocab_size).powf(draw.uniform()) as u32 - 1).collect()
}

fn uniform(count: usize, vocab_size: u32, seed: u64) -> Vec<u32> {
    let mut draw = Draw::new(seed, "test", 0, 0);
    (0..count).map(|_| draw.below(vocab_size as usize) as u32).collect()
}

fn u16s(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|&id| u16::try_from(id).unwrap().to_le_bytes()).collect()
}

fn u32s(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|&id| id.to_le_bytes()).collect()
}

fn npy(version: u8, header: &str, numbers: &[u8]) -> Vec<u8> {
    let length = header.len();
    let length = if version == 1 { (length as u16).to_le_bytes().to_vec() } else { (length as u32).to_le_bytes().to_vec() };
    [npy::MAGIC, &[version, 0], &length, header.as_bytes(), numbers].concat()
}

fn shard(magic: u32, version: u32, count: u32, ids: &[u8]) -> Vec<u8> {
    let mut header = vec![0u8; 1024];
    for (place, number) in [magic, version, count].into_iter().enumerate() {
        header[4 * place..4 * place + 4].copy_from_slice(&number.to_le_bytes());
    }
    [&header, ids].concat()
}

#[test]
fn a_header_says_where_ids_begin_and_of_which_type_they_are() {
    let (small, large) = (u16s(&[1, 2, 65_535]), u32s(&[7, 151_935]));
    let header = |descr: &str, count| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count},), }}\n");
    let found = form(&npy(1, &header("<u2", 3), &small), None, None);
    assert_eq!(found, Ok((10 + header("<u2", 3).len() as u64, Dtype::U16, 3)));
    for version in [2, 3] {
        let found = form(&npy(version, &header("<u4", 2), &large), None, None);
        assert_eq!(found, Ok((12 + header("<u4", 2).len() as u64, Dtype::U32, 2)));
    }
    assert_eq!(form(&shard(20_240_520, 1, 3, &small), None, None), Ok((1024, Dtype::U16, 3)));
    assert_eq!(form(&shard(20_240_801, 7, 2, &large), Some(Dtype::U32), None), Ok((1024, Dtype::U32, 2)));
    assert_eq!(form(&small, None, None), Ok((0, Dtype::U16, 3)));
    assert_eq!(form(&large, Some(Dtype::U32), None), Ok((0, Dtype::U32, 2)));
}

#[test]
fn other_arrays_and_shards_are_refused_with_what_they_are() {
    let of = |descr: &str, order: &str, shape: &str| {
        npy(1, &format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"), &[0; 16])
    };
    let integers = "expected an .npy file of little-endian 16- or 32-bit unsigned integers, found ";
    refused(&of("'>u2'", "False", "(8,)"), None, &format!("{integers}big-endian 16-bit integers (`>u2`)"));
    refused(&of("'<i8'", "False", "(2,)"), None, &format!("{integers}64-bit signed integers (`<i8`)"));
    refused(&of("'<f4'", "False", "(4,)"), None, &format!("{integers}32-bit floats (`<f4`)"));
    refused(&of("'|u1'", "False", "(16,)"), None, &format!("{integers}8-bit integers (`|u1`)"));
    refused(&of("'|O'", "False", "(2,)"), None, &format!("{integers}Python objects (`|O`)"));
    refused(&of("[('id', '<u2')]", "False", "(8,)"), None, &format!("{integers}other values"));
    refused(&of("'<u2'", "False", "(2, 4)"), None, "expected an .npy file of one dimension, found the shape (2, 4)");
    refused(&of("'<u2'", "False", "()"), None, "expected an .npy file of one dimension, found the shape ()");
    refused(&of("'<u2'", "True", "(8,)"), None, "expected an .npy file in C order");
    refused(&of("'<u2'", "False", "(9,)"), None, "for its 9 ids, found ");
    refused(&of("'<u2'", "False", "(18446744073709551615,)"), None, "expected an .npy file of more than any file has bytes");
    refused(&of("'<u2'", "False", "(8,)"), Some(Dtype::U32), "expected ids of `dtype: u32`, found a header that says u16");
    refused(&npy(4, "", &[]), None, "expected an .npy file of version 1, 2 or 3, found version 4.0");
    refused(&npy(1, "{'descr': '<u2'}", &[]), None, "names `descr`, `fortran_order` and `shape`, found \"{'descr': '<u2'}\"");
    refused(b"\x93NUMPY\x01", None, "expected an .npy file, found its first bytes alone");
    refused(b"\x93NUMPY\x01\0\xff\xff{", None, "expected the header of an .npy file");
    refused(&npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (0,)}", &[]), None, "found an empty file");

    let ids = u16s(&[1, 2, 3]);
    refused(&shard(20_240_520, 1, 4, &ids), None, "with the 4 ids that its header counts, found 3");
    refused(
        &shard(20_240_520, 2, 3, &ids),
        None,
        "expected a shard of llm.c of version 1 (magic number 20240520), found version 2",
    );
    refused(&shard(20_240_801, 7, 3, &ids), None, "with the 3 ids that its header counts, found 1.5");
    refused(&shard(20_240_801, 7, 1, &[0; 4]), Some(Dtype::U16), "expected ids of `dtype: u16`, found a header that says u32");
    refused(&shard(20_240_326, 3, 1, &[0; 4]), None, "looks like a checkpoint of llm.c (magic number 20240326)");
    refused(&shard(20_240_520_u32.swap_bytes(), 0, 0, &ids), None, "found a big-endian one (magic number 20240520)");
    refused(&shard(20_240_520, 1, 3, &[])[..100], None, "expected the 1024 bytes of the header");
}

#[test]
fn files_of_other_formats_are_named() {
    let rest = u16s(&zipf(2000, 50_257, 1));
    let check = |front: &[u8], expected: &str| {
        for dtype in [Dtype::U16, Dtype::U32] {
            refused(
                &[front, &rest].concat(),
                Some(dtype),
                &format!("expected token ids ({dtype}), found what looks like {expected}"),
            );
        }
    };
    check(b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip");
    check(b"\x28\xb5\x2f\xfd\x04\0", "zstd");
    check(b"PK\x03\x04\x14\0", "a zip archive, as `.npz` and PyTorch's `.pt` are");
    check(b"\x10\x01\0\0\0\0\0\0{\"wte\"", "safetensors");
    check(b"\x80\x02\x8a\x0al\xfc", "a Python pickle");
    check(b"\x80\x04\x95\x10\0\0\0\0\0\0\0", "a Python pickle");
    check(b"\x80\x03]q\0", "a Python pickle");
    check(b"\x80\x03cnumpy.core", "a Python pickle");
    check(b"MMIDIDX\0\0\x01", "the index of a Megatron dataset (`.idx`); the `.bin` beside it holds the ids");
    check(b"\x89HDF\r\n\x1a\n", "HDF5");
    check(b"ARROW1\0\0", "Arrow");
    refused(&[b"PAR1", &rest[..], b"PAR1"].concat(), None, "found what looks like Parquet");
}

#[test]
fn text_is_not_taken_for_ids() {
    let prose = "The cat sat on the mat, and the dog sat on the log.\r\n";
    refused(
        prose.as_bytes(),
        None,
        "found what looks like UTF-8 text (\"The cat sat on the mat, \"…); `data: {text: ...}` reads text",
    );
    refused(prose.repeat(5000).as_bytes(), None, "UTF-8 text");
    refused("Käse, größer als möglich – 猫が座った。".repeat(3000).as_bytes(), Some(Dtype::U32), "UTF-8 text (\"Käse, größer");
    refused(b"\xef\xbb\xbfThe cat sat on the mat.", None, "UTF-8 text (\"The cat sat");
    refused(b"{\"text\": \"The cat sat.\"}\n{\"text\": \"The dog.\"}", None, "JSON (\"{\\\"text\\\"");
    refused(b"464 3797 3332 319 262 2603 13 383", None, "UTF-8 text (\"464 3797 3332 319 262 26\"…)");
    let latin: Vec<u8> = "Die Katze saß auf der größten Matte. ".repeat(9).chars().map(|c| c as u8).collect();
    refused(&latin, None, "text in another encoding than UTF-8 (\"Die Katze");
    let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(prose.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    refused(&utf16, None, "UTF-16 text");
    assert_eq!(form(&utf16[2..], None, None), Ok((0, Dtype::U16, prose.len())), "the ids of a tokenizer of bytes");
}

#[test]
fn numbers_of_another_type_are_told_by_their_pattern() {
    let (u2, u4) = (Some(Dtype::U16), Some(Dtype::U32));
    for (vocab_size, seed) in [(97, 0), (50_257, 1), (151_936, 2), (262_144, 3), (1_000_000, 4)] {
        let as_u16 = "u32 ids (every second u16 is 0 or next to nothing); `dtype: u32` reads them";
        refused(&u32s(&zipf(20_000, vocab_size, seed)), u2, as_u16);
        refused(&u32s(&uniform(20_000, vocab_size, seed)), u2, as_u16);
    }
    for (vocab_size, seed) in [(256, 0), (1024, 1), (50_257, 2), (65_536, 3)] {
        refused(&u16s(&zipf(20_000, vocab_size, seed)), u4, "`dtype: u16` reads them");
        refused(&u16s(&uniform(20_000, vocab_size, seed)), u4, "found what looks like u16 ids (as u32 they reach ");
    }
    let ids = zipf(2000, 50_257, 5);
    let wide: Vec<u8> = ids.iter().flat_map(|&id| u64::from(id).to_le_bytes()).collect();
    let [single, double]: [Vec<u8>; 2] = [
        ids.iter().flat_map(|&id| (id as f32).to_le_bytes()).collect(),
        ids.iter().flat_map(|&id| f64::from(id).to_le_bytes()).collect(),
    ];
    for dtype in [u2, u4] {
        refused(&wide, dtype, "64-bit integers, which are not read");
        refused(&single, dtype, "floating-point numbers");
        refused(&double, dtype, "floating-point numbers");
    }
    let big: Vec<u8> = ids.iter().flat_map(|&id| id.to_be_bytes()).collect();
    refused(&big, u4, "big-endian u32 ids");
    let big: Vec<u8> = zipf(2000, 256, 6).iter().flat_map(|&id| (id as u16).to_be_bytes()).collect();
    refused(&big, u2, "big-endian u16 ids");
    refused(&[1, 0, 2], u2, "expected u16 ids, 2 bytes each, found 3 bytes");
    refused(&[1, 0, 2, 0, 3, 0], u4, "expected u32 ids, 4 bytes each, found 6 bytes");
    refused(&[], u2, "found an empty file");
}

#[test]
fn honest_ids_are_left_alone() {
    for seed in 0..200 {
        for vocab_size in [2, 3, 5, 97, 256, 257, 1024, 8192, 50_257, 65_536] {
            for ids in [zipf(3000, vocab_size, seed), uniform(3000, vocab_size, seed)] {
                assert_eq!(form(&u16s(&ids), None, None), Ok((0, Dtype::U16, 3000)), "seed {seed}, {vocab_size} ids");
                assert_eq!(form(&u16s(&ids[..40]), None, None), Ok((0, Dtype::U16, 40)), "seed {seed}, {vocab_size} ids");
            }
        }
        for vocab_size in [2, 97, 256, 50_257, 151_936, 1 << 20, 1 << 24] {
            for ids in [zipf(3000, vocab_size, seed), uniform(3000, vocab_size, seed)] {
                let named = [None, Some(vocab_size as usize)][seed as usize % 2];
                assert_eq!(
                    form(&u32s(&ids), Some(Dtype::U32), named),
                    Ok((0, Dtype::U32, 3000)),
                    "seed {seed}, {vocab_size} ids"
                );
            }
        }
    }
}

#[test]
fn odd_but_honest_files_are_left_alone() {
    let check = |ids: &[u32]| {
        assert_eq!(form(&u16s(ids), None, None), Ok((0, Dtype::U16, ids.len())));
        assert_eq!(form(&u32s(ids), Some(Dtype::U32), None), Ok((0, Dtype::U32, ids.len())));
    };
    check(&[0; 5000]); // a sparse file, or padding
    check(&[50_256; 5000]);
    check(&(0..60_000).collect::<Vec<_>>());
    check(&[200, 1].repeat(900)); // a toy of two ids in turn
    check(&[7, 1, 9, 2].repeat(900));
    let padded: Vec<u32> = zipf(100, 50_257, 0).into_iter().flat_map(|id| [id, 0, 0]).collect(); // separators, but not at every second place
    check(&padded);
    let bytes: Vec<u32> = "The cat sat on the mat. ".repeat(200).bytes().map(u32::from).collect();
    check(&bytes);
}

fn spec(splits: [&str; 2], folder: &TempDir) -> TokensSpec {
    let [train, validation] = splits.map(|name| Paths::from(folder.path().join(name)));
    TokensSpec { train, validation, test: None, dtype: None, vocab_size: None, order: Default::default() }
}

#[test]
fn no_file_is_in_two_splits_by_any_name() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (write(&folder, "a.bin", &[1, 0, 2, 0]), write(&folder, "b.bin", &[3, 0]));
    assert!(open(&spec(["a.bin", "b.bin"], &folder), None).is_ok());
    let refuse = |spec: &TokensSpec, expected: &str| {
        let found = open(spec, None).unwrap_err().to_string();
        assert!(found.contains(expected), "{found}\n  lacks: {expected}");
    };
    let shared = "a.bin: expected each file in one split, found it in validation and in train";
    refuse(&spec(["a.bin", "a.bin"], &folder), shared);
    let pattern = Paths::from(folder.path().join("?.bin"));
    refuse(&TokensSpec { train: pattern.clone(), ..spec(["", "b.bin"], &folder) }, "b.bin: expected each file in one split");
    let test = TokensSpec { test: Some(pattern), ..spec(["a.bin", "b.bin"], &folder) };
    refuse(&test, "a.bin: expected each file in one split, found it in test and in train");
    let twice =
        Paths::from(vec![a.clone(), b.clone(), folder.path().join("../").join(folder.path().file_name().unwrap()).join("a.bin")]);
    write(&folder, "c.bin", &[3, 0]);
    refuse(
        &TokensSpec { train: twice, ..spec(["", "c.bin"], &folder) },
        "a.bin: expected each file once in train, found it twice",
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&a, folder.path().join("soft")).unwrap();
        std::fs::hard_link(&a, folder.path().join("hard")).unwrap();
        refuse(&spec(["a.bin", "soft"], &folder), "soft: expected each file in one split");
        refuse(&spec(["a.bin", "hard"], &folder), "hard: expected each file in one split");
    }
}

#[test]
fn a_split_of_many_files_of_many_forms_is_one_sequence() {
    let folder = TempDir::new().unwrap();
    write(&folder, "t_0.bin", &u16s(&[10, 11]));
    write(&folder, "t_1.bin", &shard(20_240_520, 1, 1, &u16s(&[12])));
    write(&folder, "t_2.npy", &npy(1, "{'descr': '<u4', 'fortran_order': False, 'shape': (2,), }", &u32s(&[70_000, 14])));
    write(&folder, "v.bin", &u16s(&[15]));
    let pattern = Paths::from(folder.path().join("t_*"));
    let ([train, validation], test) = open(&TokensSpec { train: pattern, ..spec(["", "v.bin"], &folder) }, None).unwrap();
    assert_eq!(train.tokens.all().unwrap(), [10, 11, 12, 70_000, 14]);
    assert!(train.name.ends_with("t_2.npy (3 files)") && train.name.contains("t_0.bin … "), "{}", train.name);
    assert_eq!((validation.tokens.all().unwrap(), test), (vec![15], None));
    let empty = TokensSpec { train: Paths::from(folder.path().join("x_*")), ..spec(["", "v.bin"], &folder) };
    let refused = open(&empty, None).unwrap_err().to_string();
    let expected = format!("data.tokens.train: expected files, found none that match `x_*` in {}", folder.path().display());
    assert_eq!(refused, expected);
}

/// 2²⁷ + 1 ids of a file of zeros that takes no room on disk.
#[test]
fn many_ids_are_sampled_and_their_vocabulary_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("many.bin");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(2 * ((1 << 27) + 1)).unwrap();
    write(&folder, "v.bin", &u16s(&[15]));
    let load = |vocab_size: Option<usize>| {
        let vocab_size = vocab_size.map(regatta_core::number::Count::new);
        let data = crate::spec::DataSpec::Tokens(TokensSpec { vocab_size, ..spec(["many.bin", "v.bin"], &folder) });
        crate::data::Corpus::load(&data, None, None)
    };
    let refused = load(None).unwrap_err().to_string();
    assert!(refused.starts_with("data.tokens.vocab_size: expected a number, for ") && refused.contains("134217729"), "{refused}");
    let corpus = load(Some(100)).unwrap();
    assert_eq!(corpus.train.tokens.len(), (1 << 27) + 1);
    assert_eq!(crate::data::token_counts(&corpus.train, 100).unwrap()[0], 1 << 24);
    assert_eq!(crate::data::unigram_entropy(&corpus.train).unwrap(), 0.0);
    assert_eq!(corpus.fingerprint, load(Some(100)).unwrap().fingerprint);
    file.set_len(2 * ((1 << 27) + 2)).unwrap();
    assert_ne!(corpus.fingerprint, load(Some(100)).unwrap().fingerprint, "the length counts");
    file.set_len(2 * ((1 << 27) + 1)).unwrap();
    write_at(&file, &[99, 0], 2 * (1 << 27));
    assert_ne!(corpus.fingerprint, load(Some(100)).unwrap().fingerprint, "the last id is in the sample");
    write_at(&file, &[100, 0], 2 * (1 << 27));
    let refused = load(Some(100)).unwrap_err().to_string();
    assert!(refused.ends_with("below the vocabulary of 100, found 100 at position 134217728"), "{refused}");
}

fn write_at(mut file: &std::fs::File, bytes: &[u8], at: u64) {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}
