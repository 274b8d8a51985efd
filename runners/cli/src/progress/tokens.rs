//! Progress of text that becomes tokens: a live line on a terminal, plain lines elsewhere.

use super::is_live;
use crate::log;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use regatta_lm::data::{Amount, Entry, Seen, Watch};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two plain lines.
const EVERY: Duration = Duration::from_secs(10);

/// Shows the progress of tokenizing; a signal stops it.
pub(crate) struct Tokens {
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
}

/// An entry of a cache that was used or made.
pub(crate) struct Used {
    pub folder: PathBuf,
    pub entry: Entry,
    /// Seconds that it took, where it was made.
    pub made: Option<f64>,
}

#[derive(Default)]
struct State {
    /// When the entry began, and when its current part did.
    since: Option<Instant>,
    part: Option<(&'static str, Instant)>,
    last_line: Option<Instant>,
    live: Option<ProgressBar>,
    used: Vec<Used>,
}

impl Tokens {
    pub fn new(stop: &Arc<AtomicBool>) -> Self {
        Self { stop: Arc::clone(stop), state: Mutex::default() }
    }

    /// The entries so far, each once.
    pub fn used(&self) -> Vec<Used> {
        std::mem::take(&mut self.state().used)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Tokens {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn sees(&self, seen: Seen<'_>) {
        let mut state = self.state();
        match seen {
            Seen::Hashes => {
                (state.since, state.last_line) = (Some(Instant::now()), Some(Instant::now()));
                state.show("reading files");
            }
            Seen::Counts { bytes } => {
                let seconds = state.seconds("words of train");
                state.tell(&format!("words of train: {}{}", megabytes(bytes), rate(bytes, seconds)));
            }
            Seen::Learns => state.tell("learning byte pairs"),
            Seen::Tokenizes { split, amount } => {
                let seconds = state.seconds(split);
                state.tell(&in_words(split, amount, seconds));
            }
            Seen::Damaged { folder, why } => tracing::warn!("{}: {why}: its tokens are made anew", folder.display()),
            Seen::Entry { folder, entry, made } => state.entry(folder, entry, made),
        }
    }
}

impl State {
    /// Seconds since this part began.
    fn seconds(&mut self, part: &'static str) -> f64 {
        match self.part {
            Some((current, since)) if current == part => since.elapsed().as_secs_f64(),
            _ => {
                self.part = Some((part, Instant::now()));
                0.0
            }
        }
    }

    fn show(&mut self, line: &str) {
        if is_live() {
            let live = self.live.get_or_insert_with(|| {
                log::table().set_draw_target(ProgressDrawTarget::stderr_with_hz(8));
                let line = log::table().add(ProgressBar::new_spinner());
                line.set_style(ProgressStyle::default_spinner());
                line
            });
            live.set_message(line.to_owned());
            live.tick();
        }
    }

    fn tell(&mut self, line: &str) {
        self.show(line);
        if self.live.is_none() && self.last_line.is_none_or(|time| time.elapsed() >= EVERY) {
            self.last_line = Some(Instant::now());
            tracing::info!("{line}");
        }
    }

    fn entry(&mut self, folder: &Path, entry: &Entry, made: bool) {
        if let Some(live) = self.live.take() {
            live.finish_and_clear();
            log::table().remove(&live);
        }
        let seconds = self.since.map(|since| since.elapsed().as_secs_f64()).filter(|_| made);
        if let Some(seconds) = seconds {
            let (bytes, tokens) = entry.splits.values().fold((0, 0), |(b, t), split| (b + split.bytes, t + split.tokens));
            tracing::info!(
                "tokenized {}: {} tokens in {seconds:.1} s, kept in {}",
                megabytes(bytes),
                grouped(tokens),
                folder.display()
            );
        }
        self.part = None;
        match self.used.iter_mut().find(|used| used.folder == folder) {
            Some(used) => used.made = used.made.or(seconds),
            None => self.used.push(Used { folder: folder.to_owned(), entry: entry.clone(), made: seconds }),
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            live.finish_and_clear();
        }
    }
}

fn in_words(split: &str, Amount { documents, bytes, tokens }: Amount, seconds: f64) -> String {
    let documents = if documents == 1 { "1 document".to_owned() } else { format!("{} documents", grouped(documents)) };
    format!("{split}: {documents}, {}{}, {} tokens", megabytes(bytes), rate(bytes, seconds), grouped(tokens))
}

/// `27.5 MB`
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn rate(bytes: u64, seconds: f64) -> String {
    if seconds < 0.1 { String::new() } else { format!(", {:.1} MB/s", bytes as f64 / 1e6 / seconds) }
}

/// `7,834,111`
pub(crate) fn grouped(number: u64) -> String {
    regatta_report::grouped(number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_words() {
        let amount = Amount { documents: 1_234, bytes: 27_500_000, tokens: 7_834_111 };
        assert_eq!(in_words("train", amount, 5.0), "train: 1,234 documents, 27.5 MB, 5.5 MB/s, 7,834,111 tokens");
        let amount = Amount { documents: 1, bytes: 40_000, tokens: 999 };
        assert_eq!(in_words("test", amount, 0.0), "test: 1 document, 0.0 MB, 999 tokens");
    }
}
