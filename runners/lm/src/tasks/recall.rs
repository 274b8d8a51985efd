//! What a model recalls of the people whose biographies it has read.

use super::batched::by_length;
use crate::data::biographies::{Attribute, Biographies};
use crate::data::{DataError, Tokenizer};
use crate::engine::Measured;
use crate::measure::{MeasureError, Watch};
use crate::spec::CapacitySpec;
use std::ops::Range;

/// Numbers among the logits of a batch, at most about: 64 MB.
const LOGITS: usize = 1 << 24;

/// Tokens that go through the model at once, where its vocabulary lets them.
const TOKENS: usize = 4096;

/// People, of whom some are asked about, and what there is to know of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Recall {
    /// People N whom the train split tells of.
    pub people: usize,
    /// Names N₀ that there could be.
    pub names: usize,
    /// Values that each attribute could have; 1 where it follows from another.
    pub choices: [usize; 6],
    /// Six for each person who is asked about, by [`Attribute::ALL`].
    pub questions: Vec<Question>,
}

/// A sentence up to its value's end, after a line break.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Those of the name.
    pub name: Range<usize>,
    /// Those of the value, the last ones.
    pub value: Range<usize>,
}

/// What a model says to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// `-ln p(name | a line break)`: the sum over its tokens, nats.
    pub name_loss: f64,
    /// `-ln p(value | the sentence before)`, nats.
    pub value_loss: f64,
    /// Whether each of the value's tokens is the likeliest after those before it: what greedy decoding says.
    pub right: bool,
}

impl Recall {
    /// Asks about as many people as `spec` says, spread evenly, each attribute in one of its phrases, drawn by the data's seed.
    ///
    /// # Errors
    /// When a tokenizer from a file has no tokens for a sentence.
    pub fn new(biographies: &Biographies, tokenizer: &Tokenizer, spec: &CapacitySpec) -> Result<Self, DataError> {
        let (people, asked) = (biographies.people(), spec.people.get().min(biographies.people()));
        let mut questions = Vec::with_capacity(6 * asked);
        for person in (0..asked).map(|index| index * people / asked) {
            for (attribute, before) in biographies.questions(person) {
                let value = biographies.value(person, attribute);
                questions.push(Question::new(tokenizer, biographies.name(person), &before, &value)?);
            }
        }
        let choices = Attribute::ALL.map(|attribute| biographies.choices(attribute));
        Ok(Self { people, names: biographies.names(), choices, questions })
    }

    /// Positions that the longest question takes in a model.
    pub fn longest(&self) -> usize {
        self.questions.iter().map(|question| question.tokens.len() - 1).max().unwrap_or(0)
    }

    /// What `model` says to each question.
    ///
    /// # Errors
    /// When a question exceeds the model's positions or vocabulary, or `watch` ends it.
    pub fn answers(&self, model: Measured<'_>, watch: Watch<'_>) -> Result<Vec<Answer>, MeasureError> {
        let vocabulary = model.decoder().vocab_size;
        let sequences: Vec<&[u32]> = self.questions.iter().map(|question| &question.tokens[..]).collect();
        let mut answers = vec![Answer { name_loss: 0.0, value_loss: 0.0, right: false }; sequences.len()];
        by_length(model, &sequences, TOKENS.min(LOGITS / vocabulary), watch, |pass, batch, targets| {
            let time = targets.len() / batch.len();
            let (losses, logits) = (pass.losses(targets)?, pass.logits()?);
            for (row, &index) in batch.iter().enumerate() {
                let question = &self.questions[index];
                let at = |range: &Range<usize>| row * time + range.start - 1..row * time + range.end - 1; // one token earlier
                let sum = |range| losses[at(range)].iter().map(|&loss| f64::from(loss)).sum::<f64>();
                let likeliest = |position: usize| greatest(&logits[position * vocabulary..][..vocabulary]);
                answers[index] = Answer {
                    name_loss: sum(&question.name),
                    value_loss: sum(&question.value),
                    right: at(&question.value).all(|position| likeliest(position) == targets[position] as usize),
                };
            }
            Ok(())
        })?;
        Ok(answers)
    }
}

/// The index of the greatest number, the first among equals.
fn greatest(numbers: &[f32]) -> usize {
    (1..numbers.len()).fold(0, |best, index| if numbers[index] > numbers[best] { index } else { best })
}

impl Question {
    /// The sentence `before` begins with the name; the value comes after it.
    fn new(tokenizer: &Tokenizer, name: &str, before: &str, value: &str) -> Result<Self, DataError> {
        let count = |text: String| Ok::<usize, DataError>(tokenizer.encode(&text)?.len());
        let mut tokens = tokenizer.encode(&format!("\n{before} {value}."))?;
        let name_tokens = count("\n".into())?..count(format!("\n{name}"))?;
        let value_tokens = count(format!("\n{before}"))?..count(format!("\n{before} {value}"))?.min(tokens.len());
        let nothing = |expected, found: &str| Err(DataError::NothingLeft { expected, found: found.to_owned() });
        if name_tokens.start == 0 {
            return nothing("a line break", "\n");
        }
        if name_tokens.is_empty() {
            return nothing("a name", name);
        }
        if value_tokens.is_empty() {
            return nothing("a value", value);
        }
        tokens.truncate(value_tokens.end);
        Ok(Self { tokens, name: name_tokens, value: value_tokens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Keep, Pass};
    use crate::model::{Decoder, Family, Model, Sizes};
    use crate::spec::BiographiesSpec;
    use regatta_core::number::Count;

    fn recall(people: usize) -> (Biographies, Recall) {
        let spec = BiographiesSpec { people: Count::new(6), exposures: Count::new(1), ..Default::default() };
        let biographies = Biographies::new(&spec).unwrap();
        let asked = CapacitySpec { people: Count::try_from(people as u64).unwrap() };
        let recall = Recall::new(&biographies, &Tokenizer::bytes(), &asked).unwrap();
        (biographies, recall)
    }

    fn read(tokens: &[u32]) -> String {
        tokens.iter().map(|&byte| char::from(byte as u8)).collect()
    }

    #[test]
    fn names_and_values_are_found_in_their_sentences() {
        let (biographies, recall) = recall(3); // of six: 0, 2, 4
        assert_eq!((recall.people, recall.names, recall.questions.len()), (6, 160_000_000, 18));
        for (index, question) in recall.questions.iter().enumerate() {
            let (person, attribute) = (index / 6 * 2, Attribute::ALL[index % 6]);
            let text = read(&question.tokens);
            assert!(text.starts_with(&format!("\n{} ", biographies.name(person))), "{text}");
            assert_eq!(read(&question.tokens[question.name.clone()]), biographies.name(person));
            let value = biographies.value(person, attribute);
            assert_eq!(read(&question.tokens[question.value.clone()]), format!(" {value}"));
            assert_eq!(question.value.end, question.tokens.len());
        }
    }

    #[test]
    fn byte_pairs_give_the_same_words() {
        let (biographies, _) = recall(6);
        let text = &biographies.texts()[0].1;
        let tokenizer = Tokenizer::bpe(text, 400).unwrap();
        let spec = CapacitySpec { people: Count::new(2) };
        let recall = Recall::new(&biographies, &tokenizer, &spec).unwrap();
        for question in &recall.questions {
            assert!((1..question.value.start).contains(&question.name.end) && question.name.start == 1, "{question:?}");
        }
        let (name, value) = (biographies.name(0), biographies.value(0, Attribute::BirthDate));
        let first = &recall.questions[0];
        assert_eq!(first.tokens[first.name.clone()], tokenizer.encode(name).unwrap());
        assert_eq!(first.tokens[first.value.clone()], tokenizer.encode(&format!(" {value}")).unwrap());
    }

    #[test]
    fn answers_are_those_of_a_pass_by_itself() {
        let (_, recall) = recall(2);
        let spec = Sizes { layers: 1, width: 8, heads: 2, context: recall.longest(), mlp_width: 16 };
        let mut model = Model::fresh(Decoder::new(Family::Gpt2, spec, 256), 0);
        model.parameters_mut().numbers_mut().iter_mut().for_each(|w| *w *= 20.0); // far from equal likelihoods
        let answers = recall.answers((&model).into(), &|| true).unwrap();
        for (question, answer) in recall.questions.iter().zip(&answers) {
            let (inputs, targets) = (&question.tokens[..question.tokens.len() - 1], &question.tokens[1..]);
            let mut pass = Pass::new(model.decoder(), 1, inputs.len(), Keep::Last);
            pass.forward(&model, inputs, None).unwrap();
            let losses = pass.losses(&model, targets);
            let sum = |range: &Range<usize>| range.clone().map(|token| f64::from(losses[token - 1])).sum::<f64>();
            assert!((answer.name_loss - sum(&question.name)).abs() < 1e-3, "{answer:?}");
            assert!((answer.value_loss - sum(&question.value)).abs() < 1e-3, "{answer:?}");
            assert!(!answer.right);
        }
        assert!(matches!(recall.answers((&model).into(), &|| false), Err(MeasureError::Interrupted)));
    }

    #[test]
    fn a_value_is_right_when_each_of_its_tokens_is_the_likeliest() {
        // Without weights all logits are 0, and the likeliest token is the first, 0.
        let spec = Sizes { layers: 1, width: 8, heads: 2, context: 8, mlp_width: 16 };
        let mut model = Model::fresh(Decoder::new(Family::Gpt2, spec, 4), 0);
        model.parameters_mut().numbers_mut().fill(0.0);
        let question = |tokens: &[u32]| Question { tokens: tokens.to_vec(), name: 1..3, value: 4..tokens.len() };
        let questions = vec![question(&[1, 2, 3, 3, 0, 0]), question(&[1, 2, 3, 3, 0, 1]), question(&[1, 2, 3, 3, 2])];
        let recall = Recall { people: 1, names: 4, choices: [1; 6], questions };
        let answers = recall.answers((&model).into(), &|| true).unwrap();
        assert_eq!(answers.iter().map(|answer| answer.right).collect::<Vec<_>>(), [true, false, false]);
        let lost = |tokens: f64| tokens * 4f64.ln();
        let expected = [(lost(2.0), lost(2.0)), (lost(2.0), lost(2.0)), (lost(2.0), lost(1.0))];
        for (answer, (name, value)) in answers.iter().zip(expected) {
            assert!((answer.name_loss - name).abs() < 1e-6 && (answer.value_loss - value).abs() < 1e-6, "{answer:?}");
        }
    }
}
