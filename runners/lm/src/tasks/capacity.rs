//! Knowledge in bits, and in bits a parameter.
//!
//! With N people, N₀ names that there could be, and `S_a` values that attribute a could have:
//! ```text
//! p₁    mean over people of -ln p(name | a line break), nats
//! p_a   mean over people of -ln p(value | the sentence before it), nats
//! bits  = N max(0, log2(N₀ / e^p₁)) + Σ_a N max(0, log2(S_a / e^p_a))
//! bits per parameter = bits / P,  P all parameters, embeddings and positions included
//! ```
//! This is the capacity ratio that Allen-Zhu & Li 2024, "Physics of language models: part 3.3, knowledge capacity scaling laws",
//! arXiv:2404.05405, define for their bioS, `(N log2(N₀ / e^p₁) + N log2(S₀ / e^p₂)) / P` with `p₂ = Σ_a p_a` and S₀ the product of
//! all `S_a`; that no model can say so much with fewer bits in its weights is their Theorem 3.2 (as they do in the ratio, N₀ stands
//! for the theorem's N₀ - N). A model that knows all has `p₁ = ln N` and `p_a = 0`, hence `N log2(N₀ / N) + N Σ_a log2 S_a` bits:
//! what the data hold. One that knows the pools and no person has `p₁ = ln N₀`, `p_a = ln S_a` and 0 bits.
//!
//! Deviations: their S₀ has a factor 2 for the pronoun, and our text has no pronouns; and a part below 0, of a model that does not
//! know the pools yet, counts as 0. Names and attributes are drawn independently, so each part is a lower bound of its own, and so
//! is their sum. An attribute that follows from another (`S_a = 1`) has no bits.

use super::{Answer, Recall};
use crate::data::biographies::Attribute;
use crate::engine::Measured;
use crate::measure::{MeasureError, Watch};
use regatta_core::libm;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// What a model knows of the people whose biographies it has read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Bits known, names and values.
    pub bits: f64,
    /// The same over the model's parameters.
    pub bits_per_parameter: f64,
    /// Bits of a model that knows all.
    pub bits_to_know: f64,
    /// Fraction of all values that greedy decoding gets right.
    pub value_accuracy: f64,
    /// People who were asked about; the bits are those of all people.
    pub people: usize,
    /// Parameters of the model.
    pub parameters: usize,
    /// Names.
    pub name: Known,
    /// Values, attribute by attribute.
    pub values: Vec<KnownValue>,
}

/// A part of the knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Mean over people of `-ln p`, nats.
    pub loss: f64,
    /// Bits known.
    pub bits: f64,
    /// Bits of a model that knows all.
    pub bits_to_know: f64,
}

/// What is known of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KnownValue {
    /// The attribute.
    pub attribute: Attribute,
    /// Fraction of people whose value greedy decoding gets right.
    pub accuracy: f64,
    /// Loss and bits.
    #[serde(flatten)]
    pub known: Known,
}

impl Capacity {
    /// Asks `model`.
    ///
    /// # Errors
    /// As [`Recall::answers`].
    pub fn measure(model: Measured<'_>, recall: &Recall, watch: Watch<'_>) -> Result<Self, MeasureError> {
        Ok(Self::of(recall, &recall.answers(model, watch)?, model.decoder().parameters()))
    }

    /// The bits that the answers to `recall` prove, in a model of so many parameters.
    ///
    /// # Panics
    /// When there is not one answer a question.
    pub fn of(recall: &Recall, answers: &[Answer], parameters: usize) -> Self {
        assert_eq!(answers.len(), recall.questions.len(), "one answer a question");
        let (all, asked) = (recall.people as f64, answers.len() / 6);
        let mean = |sum: f64| sum / asked as f64;
        // `loss` where there are so many choices; `least` where all is known
        let known = |choices: usize, loss: f64, least: f64| {
            let bits = |loss: f64| all * (libm::log2(choices as f64) - loss / LN_2).max(0.0);
            Known { loss, bits: bits(loss), bits_to_know: bits(least) }
        };
        let names: f64 = answers.iter().step_by(6).map(|answer| answer.name_loss).sum(); // the same in a person's six questions
        let name = known(recall.names, mean(names), libm::log(all));
        let value = |index: usize| {
            let answers = || answers.iter().skip(index).step_by(6);
            let loss = mean(answers().map(|answer| answer.value_loss).sum());
            let accuracy = mean(answers().filter(|answer| answer.right).count() as f64);
            KnownValue { attribute: Attribute::ALL[index], accuracy, known: known(recall.choices[index], loss, 0.0) }
        };
        let values: Vec<KnownValue> = (0..6).map(value).collect();
        let sum = |of: fn(&Known) -> f64| of(&name) + values.iter().map(|value| of(&value.known)).sum::<f64>();
        let bits = sum(|known| known.bits);
        Self {
            bits,
            bits_per_parameter: bits / parameters as f64,
            bits_to_know: sum(|known| known.bits_to_know),
            value_accuracy: values.iter().map(|value| value.accuracy).sum::<f64>() / 6.0,
            people: asked,
            parameters,
            name,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Question;

    /// 8 people of 64 names, 4 dates, 2 cities, and one of all else: 8·(6 - 3) + 8·2 + 8·1 = 48 bits.
    fn recall(asked: usize) -> Recall {
        let question = Question { tokens: vec![0, 1, 2], name: 1..2, value: 2..3 };
        Recall { people: 8, names: 64, choices: [4, 2, 1, 1, 1, 1], questions: vec![question; 6 * asked] }
    }

    /// Every person alike: the name's loss, and that of each value.
    fn answers(asked: usize, name_loss: f64, values: [f64; 6], right: [bool; 6]) -> Vec<Answer> {
        let person = values.iter().zip(right).map(|(&value_loss, right)| Answer { name_loss, value_loss, right });
        std::iter::repeat_n(person.collect::<Vec<_>>(), asked).flatten().collect()
    }

    fn ln(number: f64) -> f64 {
        number.ln()
    }

    fn bits(found: &Capacity) -> Vec<f64> {
        let parts = [found.bits, found.name.bits].into_iter().chain(found.values.iter().map(|value| value.known.bits));
        parts.map(|bits| (bits * 1e9).round() / 1e9).collect()
    }

    #[test]
    fn who_knows_all_has_the_bits_of_the_data() {
        let found = Capacity::of(&recall(8), &answers(8, ln(8.0), [0.0; 6], [true; 6]), 24);
        assert_eq!(bits(&found), [48.0, 24.0, 16.0, 8.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((found.bits - found.bits_to_know).abs() < 1e-12);
        assert!((found.bits_per_parameter - 2.0).abs() < 1e-12);
        assert_eq!((found.value_accuracy, found.people, found.parameters), (1.0, 8, 24));
    }

    #[test]
    fn who_knows_the_pools_or_less_has_none() {
        let pools = [ln(4.0), ln(2.0), 0.0, 0.0, 0.0, 0.0];
        assert_eq!(bits(&Capacity::of(&recall(8), &answers(8, ln(64.0), pools, [false; 6]), 24))[0], 0.0);
        let untrained = Capacity::of(&recall(8), &answers(8, 90.0, [40.0; 6], [false; 6]), 24);
        assert_eq!((untrained.bits, untrained.bits_per_parameter, untrained.value_accuracy), (0.0, 0.0, 0.0));
        assert!((untrained.bits_to_know - 48.0).abs() < 1e-12);
    }

    #[test]
    fn half_known_by_hand_and_a_sample_speaks_for_all() {
        // names down to 16 of 64: 2 bits; dates down to 2 of 4: 1 bit; cities unknown: 0; all of 8 people, of whom 2 were asked
        let losses = [ln(2.0), ln(2.0), 0.0, 0.0, 0.0, 0.0];
        let right = [false, true, true, true, true, false];
        let found = Capacity::of(&recall(2), &answers(2, ln(16.0), losses, right), 48);
        assert_eq!(bits(&found), [24.0, 16.0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!((found.bits_per_parameter - 0.5).abs() < 1e-12);
        assert!((found.value_accuracy - 4.0 / 6.0).abs() < 1e-12);
        let date = &found.values[0];
        assert_eq!((date.attribute, date.accuracy, found.people), (Attribute::BirthDate, 0.0, 2));
    }

    #[test]
    fn records_come_back() {
        let found = Capacity::of(&recall(1), &answers(1, 3.0, [0.5; 6], [true; 6]), 10);
        let text = serde_json::to_string(&found).unwrap();
        assert!(text.contains(r#"{"attribute":"birth_date","accuracy":1.0,"loss":0.5,"#), "{text}");
        assert_eq!(serde_json::from_str::<Capacity>(&text).unwrap(), found);
    }
}
