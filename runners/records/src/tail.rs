//! Follows a file of lines while another process appends to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bytes kept before the position, which identify the file.
const REMEMBERED: usize = 64;

/// A position in a file.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    reached: u64,
    /// The last bytes before it: other bytes there mean another file.
    before: Vec<u8>,
    stamp: Option<Stamp>,
}

/// What was appended since the last read.
#[derive(Debug, Default)]
pub struct News {
    /// The file was cut, replaced or removed: what it held before is void.
    pub restarted: bool,
    /// Whole lines.
    pub lines: Vec<u8>,
    /// There is more to read at once.
    pub more: bool,
}

/// Size and time of modification, which identify an unchanged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    bytes: u64,
    modified: SystemTime,
}

impl Stamp {
    /// Of a file; `None` where there is none, or something else in its place.
    pub fn of(path: &Path) -> Option<Self> {
        let found = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { bytes: found.len(), modified: found.modified().ok()? })
    }
}

impl Tail {
    /// Of a file that need not be there yet.
    pub fn of(path: PathBuf) -> Self {
        Self { path, reached: 0, before: Vec::new(), stamp: None }
    }

    /// The whole lines appended since the last read, at most `limit` bytes, so that a long file can be read in parts.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&mut self, limit: usize) -> io::Result<News> {
        let stamp = Stamp::of(&self.path);
        if stamp == self.stamp {
            return Ok(News::default());
        }
        let Some(found) = stamp else {
            let restarted = self.restart();
            return Ok(News { restarted, ..News::default() });
        };
        let mut file = File::open(&self.path)?;
        let mut restarted = found.bytes < self.reached && self.restart();
        let mut read = self.part(&mut file, limit)?;
        if !read.starts_with(&self.before) {
            restarted |= self.restart();
            read = self.part(&mut file, limit)?;
        }
        let mut lines = read.split_off(self.before.len());
        let more = lines.len() >= limit;
        let whole = match lines.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => newline + 1,
            None if more => lines.len(), // no line of ours is that long: it is passed over in parts
            None => 0,
        };
        lines.truncate(whole);
        self.reached += whole as u64;
        read.extend_from_slice(&lines);
        self.before = read.split_off(read.len().saturating_sub(REMEMBERED));
        self.stamp = (!more).then_some(found);
        Ok(News { restarted, lines, more })
    }

    /// What was remembered of the file, and up to `limit` bytes behind it.
    fn part(&self, file: &mut File, limit: usize) -> io::Result<Vec<u8>> {
        file.seek(SeekFrom::Start(self.reached - self.before.len() as u64))?;
        let mut bytes = Vec::new();
        file.take((self.before.len() + limit) as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Begins at the beginning; returns whether anything was read before.
    fn restart(&mut self) -> bool {
        let read = self.reached > 0;
        (self.reached, self.stamp) = (0, None);
        self.before.clear();
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Followed {
        folder: tempfile::TempDir,
        tail: Tail,
    }

    impl Followed {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let tail = Tail::of(folder.path().join("lines"));
            Self { folder, tail }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("lines")
        }

        fn add(&self, text: &str) {
            File::options().create(true).append(true).open(self.path()).unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn look(&mut self) -> (bool, String) {
            let news = self.tail.read(1 << 20).unwrap();
            (news.restarted, String::from_utf8(news.lines).unwrap())
        }

        #[track_caller]
        fn expect(&mut self, restarted: bool, lines: &str) {
            assert_eq!(self.look(), (restarted, lines.to_owned()));
        }
    }

    #[test]
    fn each_line_comes_once_and_a_torn_one_when_it_is_whole() {
        let mut file = Followed::new();
        file.expect(false, "");
        file.add("one\ntwo\nthr");
        file.expect(false, "one\ntwo\n");
        file.expect(false, "");
        file.add("ee\nfour");
        file.expect(false, "three\n");
        file.add("\n");
        file.expect(false, "four\n");
    }

    #[test]
    fn a_file_that_is_cut_replaced_or_removed_begins_again() {
        let mut file = Followed::new();
        file.add("one\ntwo\n");
        file.expect(false, "one\ntwo\n");
        std::fs::write(file.path(), "one\n").unwrap();
        file.expect(true, "one\n");
        std::fs::write(file.path(), "ONE\ntwo\nthree\n").unwrap(); // longer than before, and another
        file.expect(true, "ONE\ntwo\nthree\n");
        std::fs::remove_file(file.path()).unwrap();
        file.expect(true, "");
        file.expect(false, "");
        std::fs::create_dir(file.path()).unwrap();
        file.expect(false, "");
    }

    #[test]
    fn a_file_that_is_replaced_by_a_longer_one_with_the_same_lines_goes_on() {
        let mut file = Followed::new();
        let lines: String = (0..100).map(|line| format!("{line}\n")).collect();
        file.add(&lines);
        file.expect(false, &lines);
        std::fs::write(file.path(), lines + "more\n").unwrap();
        file.expect(false, "more\n");
    }

    #[test]
    fn a_long_file_is_read_in_parts_and_a_line_without_end_passed_over() {
        let mut file = Followed::new();
        file.add("12\n34\n56\n");
        let mut parts = Vec::new();
        loop {
            let news = file.tail.read(4).unwrap();
            parts.push(String::from_utf8(news.lines).unwrap());
            if !news.more {
                break;
            }
        }
        assert_eq!(parts, ["12\n", "34\n", "56\n"]);
        file.add("123456789\n7\n");
        let parts: Vec<usize> = (0..4).map(|_| file.tail.read(4).unwrap().lines.len()).collect();
        assert_eq!(parts, [4, 4, 4, 0]);
    }
}
