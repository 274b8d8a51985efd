//! From documents to token ids, as a stream: one thread reads and cuts, all threads encode, and the ids come out in order.

use super::documents::Chunks;
use super::texts::{Text, Texts};
use super::tokenizer::{Cutter, Lost, Piece};
use super::watch::{Amount, Seen, Watch};
use super::{DataError, Differs, Split, Tokenizer};
use rayon::prelude::*;
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

/// Bytes of text that are encoded at a time.
const BATCH: usize = 4 << 20;

/// How text becomes tokens.
pub(super) struct Tokenizing<'a> {
    pub tokenizer: &'a Tokenizer,
    /// The token between two documents.
    pub separator: Option<u32>,
    pub watch: &'a dyn Watch,
}

impl<'a> Tokenizing<'a> {
    /// With this text between documents.
    ///
    /// # Errors
    /// When it is not one token.
    pub fn new(tokenizer: &'a Tokenizer, separator: Option<&str>, watch: &'a dyn Watch) -> Result<Self, DataError> {
        let separator = separator.map(|text| one_token(tokenizer, text)).transpose()?;
        Ok(Self { tokenizer, separator, watch })
    }

    /// Hands the ids of a text to `take`, in order, and says how many there were and what they lose. Between two documents, and not
    /// behind the last, stands the separator; a document without text is as if it were not there.
    ///
    /// # Errors
    /// When the text cannot be read, holds no document or has no tokens, when `take` fails, and on request.
    pub fn run(
        &self,
        split: &'static str,
        text: &Text,
        mut take: impl FnMut(&[u32]) -> Result<(), DataError>,
    ) -> Result<(Amount, Lost), DataError> {
        let (mut amount, mut lost) = (Amount::default(), Lost::default());
        std::thread::scope(|scope| {
            let (sender, batches) = sync_channel(2);
            scope.spawn(move || {
                for batch in Batches::of(text, self.tokenizer.cutter()) {
                    if sender.send(batch).is_err() {
                        break; // whoever took the ids has failed
                    }
                }
            });
            for batch in batches {
                if self.watch.stops() {
                    return Err(DataError::Stopped);
                }
                let pieces = batch?;
                let encode = |piece: &Piece| {
                    let ids = self.tokenizer.encode_piece(&piece.text)?;
                    let lost = self.tokenizer.lost(&piece.text, &ids)?;
                    Ok::<_, DataError>((ids, lost))
                };
                let encoded: Vec<_> = pieces.par_iter().map(encode).collect::<Result<_, _>>()?;
                for (piece, (ids, of_piece)) in pieces.iter().zip(encoded) {
                    if let Some(separator) = self.separator.filter(|_| piece.begins && amount.documents > 0) {
                        take(&[separator])?;
                        amount.tokens += 1;
                    }
                    take(&ids)?;
                    amount.documents += u64::from(piece.begins);
                    amount.bytes += piece.text.len() as u64;
                    amount.tokens += ids.len() as u64;
                    lost = lost.and(of_piece);
                }
                self.watch.sees(Seen::Tokenizes { split, amount });
            }
            Ok((amount, lost))
        })
    }

    /// The ids of a text, in memory.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn in_memory(&self, split: &'static str, text: &Text) -> Result<Split, DataError> {
        let mut tokens = Vec::new();
        let (amount, lost) = self.run(split, text, |ids| {
            tokens.extend_from_slice(ids);
            Ok(())
        })?;
        let bytes = Some(amount.bytes as usize);
        Ok(Split { name: text.name.clone(), tokens: tokens.into(), bytes, lost: lost.fraction(), best_loss: None })
    }

    /// Where the tokens of these texts first differ from those of `splits`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn first_difference<'s>(
        &self,
        texts: &Texts,
        splits: impl Iterator<Item = &'s Split>,
    ) -> Result<Option<Box<Differs>>, DataError> {
        for ((which, text), split) in texts.splits().zip(splits) {
            let (mut position, mut differs) = (0, None);
            let mut compare = |ids: &[u32]| {
                let end = split.tokens.len().min(position + ids.len());
                let known = split.tokens.read(position.min(end)..end)?;
                let first = (0..ids.len()).find(|&index| known.get(index) != ids.get(index));
                differs = first.map(|index| (position + index, known.get(index).copied(), Some(ids[index])));
                position += ids.len();
                if differs.is_some() { Err(DataError::Stopped) } else { Ok(()) }
            };
            match self.run(which, text, &mut compare) {
                Err(DataError::Stopped) if differs.is_some() => {}
                Err(error) => return Err(error),
                Ok(_) if position < split.tokens.len() => {
                    differs = Some((position, split.tokens.read(position..position + 1)?.first().copied(), None));
                }
                Ok(_) => {}
            }
            if let Some((position, expected, found)) = differs {
                return Ok(Some(Box::new(Differs { text: text.name.clone(), position, expected, found })));
            }
        }
        Ok(None)
    }
}

/// The one token that a text is.
fn one_token(tokenizer: &Tokenizer, text: &str) -> Result<u32, DataError> {
    let ids = tokenizer.encode(text)?;
    match ids[..] {
        [id] if !text.is_empty() => Ok(id),
        _ => {
            let shown: Vec<String> = ids.iter().take(8).map(|id| tokenizer.shown(*id)).collect();
            let more = if ids.len() > shown.len() { ", ..." } else { "" };
            let found = match ids.len() {
                0 => "none".to_owned(),
                1 => "one of no text".to_owned(),
                many => format!("{many}: {}{more}", shown.join(", ")),
            };
            Err(DataError::Separator {
                tokenizer: format!("the tokenizer (`{}`)", tokenizer.kind()),
                text: text.to_owned(),
                found,
            })
        }
    }
}

/// Byte-pair encoding, learned from a text.
///
/// # Errors
/// When the text cannot be read, or the trainer fails, and on request.
pub(super) fn learn(text: &Text, vocab_size: usize, watch: &dyn Watch) -> Result<Tokenizer, DataError> {
    let failed = Mutex::new(None);
    let mut bytes = 0;
    let batches = Batches::of(text, Cutter::at_line_breaks()).map_while(|batch| {
        let batch = if watch.stops() { Err(DataError::Stopped) } else { batch };
        let pieces = batch.map_err(|error| *failed.lock().expect("no thread panics with it") = Some(error)).ok()?;
        bytes += pieces.iter().map(|piece| piece.text.len() as u64).sum::<u64>();
        watch.sees(Seen::Counts { bytes });
        Some(pieces)
    });
    let pieces = batches.flatten().map(|piece| piece.text);
    let learned = Tokenizer::learn(
        pieces.chain(std::iter::from_fn(|| {
            watch.sees(Seen::Learns);
            None
        })),
        vocab_size,
    );
    match failed.into_inner().expect("no thread panics with it") {
        Some(error) => Err(error),
        None => learned,
    }
}

/// Pieces of a text, [`BATCH`] bytes at a time. It fails where there are none.
struct Batches<'a> {
    chunks: Chunks<'a>,
    cutter: Cutter,
    name: &'a str,
    is_empty: bool,
    has_ended: bool,
}

impl<'a> Batches<'a> {
    fn of(text: &'a Text, cutter: Cutter) -> Self {
        Self { chunks: text.chunks(), cutter, name: &text.name, is_empty: true, has_ended: false }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<Vec<Piece>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while !self.has_ended && bytes < BATCH {
            match self.chunks.next() {
                Some(Ok(chunk)) => self.cutter.push(&chunk.text, chunk.ends, |piece: Piece| {
                    bytes += piece.text.len();
                    pieces.push(piece);
                }),
                Some(Err(error)) => {
                    (self.has_ended, self.is_empty) = (true, false);
                    return Some(Err(error));
                }
                None => self.has_ended = true,
            }
        }
        if pieces.is_empty() {
            let none = DataError::NoDocuments { name: self.name.to_owned() };
            return std::mem::take(&mut self.is_empty).then_some(Err(none));
        }
        self.is_empty = false;
        Some(Ok(pieces))
    }
}
