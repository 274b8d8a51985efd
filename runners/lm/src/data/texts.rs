//! The text of a study's data, before it becomes tokens.

use super::biographies::Biographies;
use super::differs::Differs;
use super::files::{cut, text};
use super::synthetic::Process;
use super::{DataError, Split, Tokenizer};
use crate::spec::{DataSpec, Order, TextFiles, TextSpec};
use std::path::Path;

/// A text and what messages call it.
type Named = (String, String);

/// The texts of the splits.
pub(super) struct Texts {
    train: Named,
    validation: Named,
    test: Option<Named>,
    /// Order in which windows of the train split are seen.
    pub order: Order,
    /// Of whom the text tells, where that is known.
    pub biographies: Option<Biographies>,
}

impl Texts {
    /// The texts that `data` name, synthetic words written out; none where the data are token ids.
    ///
    /// # Errors
    /// When a file cannot be read or is not text, or the data cannot be made.
    pub fn of(data: &DataSpec) -> Result<Option<Self>, DataError> {
        let drawn =
            |[train, validation, test]: [Named; 3], order| Self { train, validation, test: Some(test), order, biographies: None };
        Ok(Some(match data {
            DataSpec::Tokens(_) => return Ok(None),
            DataSpec::Text(spec) => Self::read(spec)?,
            DataSpec::Synthetic(spec) => drawn(Process::new(spec)?.texts(), spec.order),
            DataSpec::Biographies(spec) => {
                let biographies = Biographies::new(spec)?;
                Self { biographies: Some(biographies.clone()), ..drawn(biographies.texts(), spec.order) }
            }
        }))
    }

    fn read(spec: &TextSpec) -> Result<Self, DataError> {
        let (order, biographies) = (spec.order, None);
        match &spec.files {
            TextFiles::Splits { train, validation, test } => {
                let read = |path: &Path| Ok((path.display().to_string(), text(path)?));
                let test = test.as_deref().map(read).transpose()?;
                Ok(Self { train: read(train)?, validation: read(validation)?, test, order, biographies })
            }
            TextFiles::Cut { file, split } => {
                let whole = text(file)?;
                let [train, validation, test] = cut(&whole, *split);
                let named = |part, text: &str| (format!("{} ({part} part)", file.display()), text.to_owned());
                let (train, validation) = (named("train", train), named("validation", validation));
                Ok(Self { train, validation, test: Some(named("test", test)), order, biographies })
            }
        }
    }

    /// What a tokenizer may learn from.
    pub fn train(&self) -> &str {
        &self.train.1
    }

    /// Train, validation, and test where there is one, in tokens.
    ///
    /// # Errors
    /// When a tokenizer from a file has no token for a part of a text.
    pub fn encode(&self, tokenizer: &Tokenizer) -> Result<([Split; 2], Option<Split>), DataError> {
        let split = |(name, text): &Named| {
            let tokens = tokenizer.encode(text)?;
            let lost = tokenizer.lost(text, &tokens)?;
            Ok(Split { name: name.clone(), tokens: tokens.into(), bytes: Some(text.len()), lost, best_loss: None })
        };
        Ok(([split(&self.train)?, split(&self.validation)?], self.test.as_ref().map(split).transpose()?))
    }

    /// Where `tokenizer` first makes other ids of these texts than those of `splits`.
    ///
    /// # Errors
    /// When it has no token for a part of a text.
    pub fn first_difference<'a>(
        &self,
        tokenizer: &Tokenizer,
        splits: impl Iterator<Item = &'a Split>,
    ) -> Result<Option<Box<Differs>>, DataError> {
        for ((name, text), split) in [&self.train, &self.validation].into_iter().chain(&self.test).zip(splits) {
            let ids = tokenizer.encode(text)?;
            let known = split.tokens.all()?;
            let differs = |position: &usize| ids.get(*position) != known.get(*position);
            if let Some(position) = (0..ids.len().max(known.len())).find(differs) {
                let [expected, found] = [&known, &ids].map(|ids| ids.get(position).copied());
                return Ok(Some(Box::new(Differs { text: name.clone(), position, expected, found })));
            }
        }
        Ok(None)
    }
}
