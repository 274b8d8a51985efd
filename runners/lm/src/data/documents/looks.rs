//! What a file that is not text looks like.

/// A format, its first bytes, and at which byte they stand.
const FORMATS: [(&str, usize, &[u8]); 31] = [
    ("gzip", 0, b"\x1f\x8b"),
    ("Zstandard", 0, b"\x28\xb5\x2f\xfd"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("bzip2", 0, b"BZh"),
    ("LZ4", 0, b"\x04\x22\x4d\x18"),
    ("7-Zip", 0, b"7z\xbc\xaf\x27\x1c"),
    ("a zip archive", 0, b"PK\x03\x04"),
    ("a tar archive", 257, b"ustar"),
    ("Parquet", 0, b"PAR1"),
    ("an Arrow file", 0, b"ARROW1"),
    ("Avro", 0, b"Obj\x01"),
    ("ORC", 0, b"ORC"),
    ("HDF5", 0, b"\x89HDF\r\n\x1a\n"),
    ("a NumPy array (.npy)", 0, b"\x93NUMPY"),
    ("a token shard of llm.c", 0, &20_240_520_u32.to_le_bytes()),
    ("a token shard of llm.c", 0, &20_240_801_u32.to_le_bytes()),
    ("a Megatron index", 0, b"MMIDIDX\0\0"),
    ("SQLite", 0, b"SQLite format 3\0"),
    ("PDF", 0, b"%PDF-"),
    ("PostScript", 0, b"%!PS"),
    ("RTF", 0, b"{\\rtf"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("GIF", 0, b"GIF8"),
    ("a program (ELF)", 0, b"\x7fELF"),
    ("a pickle", 0, b"\x80\x04\x95"),
    ("text in UTF-32 (little-endian)", 0, b"\xff\xfe\0\0"),
    ("text in UTF-32 (big-endian)", 0, b"\0\0\xfe\xff"),
    ("text in UTF-16 (little-endian)", 0, b"\xff\xfe"),
    ("text in UTF-16 (big-endian)", 0, b"\xfe\xff"),
    ("a pointer of Git LFS", 0, b"version https://git-lfs.github.com/spec/"),
];

/// The format that begins like `head`, where it is none of text.
pub(super) fn looks_like(head: &[u8]) -> Option<&'static str> {
    let begins = |&&(_, at, magic): &&(&str, usize, &[u8])| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    // words that a text may begin with, as it may not with what follows them in the format
    let is_text = |name: &str| ["ORC", "bzip2", "GIF"].contains(&name) && !head.iter().any(|byte| *byte < 9);
    FORMATS.iter().find(begins).map(|(name, ..)| *name).filter(|name| !is_text(name))
}

/// Whether text begins with two lines, or one that is all of it, that are JSON objects.
pub(super) fn looks_like_lines(head: &[u8], is_whole: bool) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let is_object = |line: &[u8]| line.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    lines.next().is_some_and(is_object) && lines.next().map_or(is_whole, is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes_and_text_is_none_of_them() {
        for (bytes, expected) in [
            (&b"\x93NUMPY\x01\0"[..], Some("a NumPy array (.npy)")),
            (b"%PDF-1.7", Some("PDF")),
            (b"PK\x03\x04\x14", Some("a zip archive")),
            (b"\xff\xfeh\0i\0", Some("text in UTF-16 (little-endian)")),
            (b"\xff\xfe\0\0h\0\0\0", Some("text in UTF-32 (little-endian)")),
            (b"\xfe\xff\0h", Some("text in UTF-16 (big-endian)")),
            (b"\x88\xd8\x34\x01", Some("a token shard of llm.c")),
            (b"ORC\x01\x00", Some("ORC")),
            (b"ORCs are", None),
            (b"BZh is how a bzip2 file begins", None),
            (b"PARis", None),
            (b"", None),
        ] {
            assert_eq!(looks_like(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn two_objects_or_a_single_one_are_lines() {
        let check = |text: &str, is_whole, expected| assert_eq!(looks_like_lines(text.as_bytes(), is_whole), expected, "{text}");
        check("{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"te", false, true);
        check("\n{\"text\": \"a\"}\n", true, true);
        check("{\"text\": \"a\"}\n", false, false); // a second line would tell
        check("{\n\"text\": 1\n}\n", true, false);
        check("{\"a\": 1}\nand so on\n", true, false);
        check("[1]\n[2]\n", true, false);
        check("plain", true, false);
    }
}
