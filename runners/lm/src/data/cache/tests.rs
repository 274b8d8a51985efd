use super::*;
use crate::data::{Corpus, Unwatched};
use crate::spec::{BpeSpec, DataSpec, TextFiles, TextSpec, TokenizerSpec};
use regatta_core::number::Count;
use std::fs;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::TempDir;

/// A disk that is changed as the system does it; after `left` changes every further one fails.
struct Plain {
    left: AtomicUsize,
}

static PLAIN: Plain = Plain { left: AtomicUsize::new(usize::MAX) };

impl Plain {
    fn change(&self) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 { Err(io::Error::other("no space left on device")) } else { Ok(()) }
    }
}

struct PlainFile(fs::File, &'static Plain);

impl Output for PlainFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.change()?;
        self.0.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.change()
    }

    fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }
}

impl Disk for &'static Plain {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        fs::create_dir_all(path)
    }

    fn create_file(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.change()?;
        Ok(Box::new(PlainFile(fs::File::create(path)?, self)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        fs::rename(from, to)
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.change()
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        if path.exists() { fs::remove_dir_all(path) } else { Ok(()) }
    }

    fn remove_empty_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }
}

static DISK: &Plain = &PLAIN;

/// What was seen, in words.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    stops: AtomicBool,
}

impl Watch for Log {
    fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }

    fn sees(&self, seen: Seen<'_>) {
        let line = match seen {
            Seen::Hashes | Seen::Counts { .. } => return,
            Seen::Learns => "learns".to_owned(),
            Seen::Tokenizes { split, amount } => format!("{split}: {}", amount.tokens),
            Seen::Damaged { why, .. } => format!("damaged: {why}"),
            Seen::Entry { made, .. } => if made { "made" } else { "there" }.to_owned(),
        };
        self.lines.lock().unwrap().push(line);
    }
}

/// Three documents to learn from, in two files, and one to watch.
fn study(folder: &Path, separator: Option<&str>) -> DataSpec {
    fs::write(folder.join("a.jsonl"), "{\"text\": \"abc\"}\n{\"text\": \"\"}\n{\"text\": \"de\"}\n").unwrap();
    fs::write(folder.join("b.txt"), "f\n").unwrap();
    fs::write(folder.join("c.txt"), "gh").unwrap();
    let train = vec![folder.join("a.jsonl"), folder.join("b.txt")].into();
    let files = TextFiles::Splits { train, validation: folder.join("c.txt").into(), test: None };
    DataSpec::Text(TextSpec { separator: separator.map(str::to_owned), ..TextSpec::of(files) })
}

fn cache(folder: &Path) -> Cache {
    Cache::writable(folder.join(".tokens"), &DISK)
}

fn load(data: &DataSpec, tokenizer: &TokenizerSpec, cache: Option<&Cache>) -> (Result<Corpus, DataError>, Vec<String>) {
    let log = Log::default();
    let corpus = Corpus::load_with(data, Some(tokenizer), None, cache, &log);
    (corpus, log.lines.into_inner().unwrap())
}

fn entries(folder: &Path) -> Vec<String> {
    let list = fs::read_dir(folder.join(".tokens")).into_iter().flatten();
    list.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn same(found: &Corpus, expected: &Corpus) {
    assert_eq!(found.fingerprint, expected.fingerprint);
    assert_eq!(found.vocab_size, expected.vocab_size);
    for (found, expected) in found.splits().zip(expected.splits()) {
        assert_eq!(found.tokens.all().unwrap(), expected.tokens.all().unwrap());
        assert_eq!((&found.name, found.bytes, found.lost), (&expected.name, expected.bytes, expected.lost));
    }
    let files = |corpus: &Corpus| corpus.tokenizer.as_ref().unwrap().files().unwrap();
    assert_eq!(files(found), files(expected), "the tokenizer that a checkpoint gets");
    assert_eq!(found.tokenizer.as_ref().unwrap().prefix(), expected.tokenizer.as_ref().unwrap().prefix());
}

#[test]
fn a_corpus_is_made_once_and_is_that_of_memory() {
    let folder = TempDir::new().unwrap();
    let (data, cache) = (study(folder.path(), Some("\n")), cache(folder.path()));
    let (memory, _) = load(&data, &TokenizerSpec::Bytes, None);
    let memory = memory.unwrap();
    // The empty document has no separator, and none stands behind the last.
    assert_eq!(memory.train.tokens.all().unwrap(), b"abc\nde\nf\n".map(u32::from));
    assert_eq!(memory.train.bytes, Some(7), "separators are no text");
    let (made, seen) = load(&data, &TokenizerSpec::Bytes, Some(&cache));
    let made = made.unwrap();
    assert_eq!(seen, ["train: 9", "validation: 2", "made"]);
    same(&made, &memory);
    let (there, seen) = load(&data, &TokenizerSpec::Bytes, Some(&cache));
    assert_eq!(seen, ["there"]);
    same(&there.unwrap(), &memory);
    let address = made.address.clone().unwrap();
    assert_eq!(entries(folder.path()), std::slice::from_ref(&address));
    assert_eq!(fs::read(cache.folder().join(&address).join("train.bin")).unwrap(), b"a\0b\0c\0\n\0d\0e\0\n\0f\0\n\0");
    let by_address = Corpus::open(&cache, &address, made.vocab_size, made.order).unwrap();
    same(&by_address, &memory);
}

#[test]
fn byte_pairs_are_learned_once_and_written_as_before() {
    let folder = TempDir::new().unwrap();
    let (data, cache) = (study(folder.path(), None), cache(folder.path()));
    fs::write(folder.path().join("b.txt"), "abcabc\nthe café 日本\n".repeat(40)).unwrap();
    let bpe = TokenizerSpec::Bpe(BpeSpec { vocab_size: Count::new(280) });
    let memory = load(&data, &bpe, None).0.unwrap();
    let (made, seen) = load(&data, &bpe, Some(&cache));
    assert_eq!(seen[0], "learns");
    same(&made.unwrap(), &memory);
    let (there, seen) = load(&data, &bpe, Some(&cache));
    assert_eq!(seen, ["there"]);
    same(&there.unwrap(), &memory);
    let file = folder.path().join("tokenizer.json");
    fs::write(&file, &memory.tokenizer.as_ref().unwrap().files().unwrap()[0].1).unwrap();
    let by_file = load(&data, &TokenizerSpec::File(file.clone()), Some(&cache)).0.unwrap();
    assert_eq!(by_file.fingerprint, memory.fingerprint);
    same(
        &load(&data, &TokenizerSpec::File(file.clone()), Some(&cache)).0.unwrap(),
        &load(&data, &TokenizerSpec::File(file), None).0.unwrap(),
    );
    assert_eq!(entries(folder.path()).len(), 2);
}

#[test]
fn whatever_tokens_depend_on_has_an_entry_of_its_own() {
    let folder = TempDir::new().unwrap();
    let cache = cache(folder.path());
    let address = |data: &DataSpec, tokenizer: &TokenizerSpec| load(data, tokenizer, Some(&cache)).0.unwrap().address.unwrap();
    let bytes = TokenizerSpec::Bytes;
    let data = study(folder.path(), None);
    let first = address(&data, &bytes);
    assert_ne!(address(&study(folder.path(), Some("\n")), &bytes), first, "a separator");
    assert_ne!(address(&data, &TokenizerSpec::Bpe(BpeSpec { vocab_size: Count::new(257) })), first, "a tokenizer");
    fs::write(folder.path().join("c.txt"), "gi").unwrap();
    assert_ne!(address(&data, &bytes), first, "a changed text");
    fs::write(folder.path().join("c.txt"), "gh").unwrap();
    assert_eq!(address(&data, &bytes), first);
    fs::copy(folder.path().join("b.txt"), folder.path().join("moved.txt")).unwrap();
    let train = vec![folder.path().join("a.jsonl"), folder.path().join("moved.txt")].into();
    let files = TextFiles::Splits { train, validation: folder.path().join("c.txt").into(), test: None };
    assert_eq!(address(&DataSpec::Text(TextSpec::of(files)), &bytes), first, "not where a file lies");
}

#[test]
fn a_damaged_entry_is_named_and_made_anew() {
    let folder = TempDir::new().unwrap();
    let (data, cache) = (study(folder.path(), None), cache(folder.path()));
    let address = load(&data, &TokenizerSpec::Bytes, Some(&cache)).0.unwrap().address.unwrap();
    let entry = cache.folder().join(&address);
    let check = |file: &str, content: &[u8], expected: &str, noticed_at_once: bool| {
        fs::write(entry.join(file), content).unwrap();
        let opened = Corpus::open(&cache, &address, 256, crate::spec::Order::Shuffled);
        assert_eq!(opened.is_err(), noticed_at_once, "{file}");
        if let Err(error) = opened {
            let entry = entry.display();
            assert_eq!(error.to_string(), format!("{entry}: expected the tokens that were put there: {expected}"));
        }
        let readonly = Cache::readonly(cache.folder().to_owned());
        let (corpus, seen) = load(&data, &TokenizerSpec::Bytes, Some(&readonly));
        assert_eq!(seen, [&format!("damaged: {expected}"), "train: 7", "validation: 2"]);
        assert!(corpus.unwrap().address.is_none(), "it is in memory");
        let (corpus, seen) = load(&data, &TokenizerSpec::Bytes, Some(&cache));
        assert_eq!(seen, [&format!("damaged: {expected}"), "train: 7", "validation: 2", "made"]);
        assert_eq!(corpus.unwrap().train.tokens.all().unwrap(), b"abcdef\n".map(u32::from));
    };
    check("train.bin", b"a\0", "train.bin has 2 bytes in place of 14", true);
    check("train.bin", b"a\0b\0c\0d\0e\0f\0g\0", "train.bin is not what was written", false);
    check("corpus.json", b"{", "corpus.json: EOF while parsing an object at line 1 column 1", true);
    let other = String::from_utf8(fs::read(entry.join("corpus.json")).unwrap()).unwrap();
    check("corpus.json", other.replace("\"tokens\": 7", "\"tokens\": 6").as_bytes(), "corpus.json is not what was written", true);
}

#[test]
fn one_that_stops_leaves_nothing_and_what_a_killed_one_left_is_removed() {
    let folder = TempDir::new().unwrap();
    let (data, cache) = (study(folder.path(), None), cache(folder.path()));
    let log = Log { stops: AtomicBool::new(true), ..Log::default() };
    let stopped = Corpus::load_with(&data, Some(&TokenizerSpec::Bytes), None, Some(&cache), &log);
    assert!(matches!(stopped, Err(DataError::Stopped)));
    assert!(!cache.folder().exists());
    let short = cache.for_windows_of(2);
    let (refused, _) = load(&data, &TokenizerSpec::Bytes, Some(&short));
    assert!(refused.unwrap_err().to_string().ends_with("c.txt: expected at least 3 tokens (the context and one more), found 2"));
    assert!(!cache.folder().exists());

    let aged = |name: &str| {
        let left = cache.folder().join(name);
        fs::create_dir_all(&left).unwrap();
        let file = fs::File::create(left.join("tokenizer.json")).unwrap();
        file.set_modified(SystemTime::now() - 2 * STALE).unwrap();
        fs::File::open(&left).unwrap().set_modified(SystemTime::now() - 2 * STALE).unwrap();
        file
    };
    drop(aged("x.partial-1-1"));
    let live = aged("y.partial-1-2");
    live.lock().unwrap();
    aged("z.partial-1-3").set_modified(SystemTime::now()).unwrap(); // by another machine, whose lock is not seen here
    let address = load(&data, &TokenizerSpec::Bytes, Some(&cache)).0.unwrap().address.unwrap();
    let mut left = entries(folder.path());
    left.sort();
    let mut expected = vec![address, "y.partial-1-2".to_owned(), "z.partial-1-3".to_owned()];
    expected.sort();
    assert_eq!(left, expected, "other processes still make y and z");
}

#[test]
fn two_that_make_an_entry_at_once_both_have_it() {
    let folder = TempDir::new().unwrap();
    let (data, cache) = (study(folder.path(), None), cache(folder.path()));
    let both: Vec<Corpus> = std::thread::scope(|scope| {
        let load = || Corpus::load_with(&data, Some(&TokenizerSpec::Bytes), None, Some(&cache), &Unwatched).unwrap();
        let threads = [scope.spawn(load), scope.spawn(load)];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    same(&both[0], &both[1]);
    assert_eq!(entries(folder.path()).len(), 1);
}

#[test]
fn whichever_change_to_the_disk_fails_no_entry_looks_whole_that_is_not() {
    static FAILS: Plain = Plain { left: AtomicUsize::new(0) };
    static FAILING: &Plain = &FAILS;
    let folder = TempDir::new().unwrap();
    let data = study(folder.path(), None);
    let cache = Cache::writable(folder.path().join(".tokens"), &FAILING);
    let mut changes = 0;
    loop {
        FAILS.left.store(changes, Ordering::Relaxed);
        let (loaded, _) = load(&data, &TokenizerSpec::Bytes, Some(&cache));
        let Err(error) = loaded else { break };
        assert!(error.to_string().contains("cannot be written: no space left on device"), "{error}");
        for entry in entries(folder.path()) {
            // only the last change, the flush of the name, comes after the entry is whole
            assert!(Entry::read(&cache.folder().join(&entry), &entry).is_ok(), "after {changes} changes: {entry}");
            fs::remove_dir_all(cache.folder().join(&entry)).unwrap();
        }
        changes += 1;
    }
    assert!(changes > 12, "only {changes} changes were made");
}
