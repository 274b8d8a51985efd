//! The language: its words, classes and topics, and the chances of what comes next.

mod speech;

use crate::data::DataError;
use crate::spec::SyntheticSpec;
use regatta_core::Draw;
use regatta_core::libm;

/// How much likelier a word is in its favourite topic, before its class is scaled to sum to 1.
const BOOST: f64 = 8.0;
/// How often the grammar looks at no word before, at the last word, and at the last two words.
const GRAMMAR: [f64; 3] = [0.2, 0.4, 0.4];

/// A language and the process that speaks it; the [module](super) has the formulas.
#[derive(Debug, Clone)]
pub struct Process {
    pub(super) topics: usize,
    /// Chance that the topic stays.
    pub(super) stay: f64,
    /// Chance of a repetition where one is possible.
    pub(super) copy: f64,
    words: Vec<Word>,
    /// Running sum of M. (C)
    class_mass: Vec<f64>,
    /// Words of each class by favourite topic: entry `c·K + t`. (C·K)
    groups: Vec<Group>,
    /// `Σ_{w in c} ζ(w)·b(w, z)`: entry `c·K + z`. (C·K)
    norms: Vec<f64>,
    /// Favourites of each class. (C)
    after_one: Vec<[u32; 2]>,
    /// Favourites of each pair of classes: entry `c₁·C + c₂`. (C²)
    after_two: Vec<[u32; 2]>,
    spec: SyntheticSpec,
}

/// A word, by its rank from 0.
#[derive(Debug, Clone)]
struct Word {
    weight: f64,
    class: usize,
    topic: usize,
}

/// Words of one class and one favourite topic.
#[derive(Debug, Clone, Default)]
struct Group {
    words: Vec<u32>,
    /// Running sum of their weights.
    mass: Vec<f64>,
}

impl Process {
    /// Draws the language of a spec, by its seed.
    ///
    /// # Errors
    /// When there are more classes than words, or a topic would last for less than a word.
    pub fn new(spec: &SyntheticSpec) -> Result<Self, DataError> {
        let (v, c, k) = (spec.vocab_size.get(), spec.classes.get(), spec.topics.get());
        if c > v {
            return Err(DataError::TooManyClasses { classes: c, words: v });
        }
        if spec.topic_length.get() < 1.0 {
            return Err(DataError::TopicTooShort { found: spec.topic_length.get() });
        }
        let mut draw = Draw::new(spec.seed, "language", 0, 0);
        let words = draw_words(v, c, k, spec.zipf.get(), &mut draw);
        let mut class_mass = vec![0.0; c];
        words.iter().for_each(|word| class_mass[word.class] += word.weight);
        let total: f64 = class_mass.iter().sum();
        let class_mass = running_sum(class_mass.iter().map(|mass| mass / total));

        let mut favourites = || [pick(&class_mass, &mut draw) as u32, pick(&class_mass, &mut draw) as u32];
        let after_one = (0..c).map(|_| favourites()).collect();
        let after_two = (0..c * c).map(|_| favourites()).collect();

        let mut groups = vec![Group::default(); c * k];
        for (rank, word) in words.iter().enumerate() {
            let group = &mut groups[word.class * k + word.topic];
            group.words.push(rank as u32);
            group.mass.push(group.mass.last().unwrap_or(&0.0) + word.weight);
        }
        let norms = (0..c * k).map(|i| (0..k).map(|t| groups[i / k * k + t].boosted(t == i % k)).sum()).collect();
        let stay = 1.0 - 1.0 / spec.topic_length.get();
        let copy = spec.copy.get();
        Ok(Self { topics: k, stay, copy, words, class_mass, groups, norms, after_one, after_two, spec: spec.clone() })
    }

    /// Words of the language.
    pub fn vocab_size(&self) -> usize {
        self.words.len()
    }

    /// Class of a word.
    pub fn class(&self, word: u32) -> usize {
        self.words[word as usize].class
    }

    /// `G(class | before)`, `before` the classes of the last word but one and of the last.
    pub fn grammar(&self, class: usize, before: [usize; 2]) -> f64 {
        let below = if class == 0 { 0.0 } else { self.class_mass[class - 1] };
        let fraction = |favourites: [u32; 2]| favourites.iter().filter(|&&f| f as usize == class).count() as f64 / 2.0;
        let [any, one, two] = GRAMMAR;
        any * (self.class_mass[class] - below)
            + one * fraction(self.after_one[before[1]])
            + two * fraction(self.after_two[self.pair(before)])
    }

    /// `p(word | its class, topic)`.
    pub fn in_topic(&self, word: u32, topic: usize) -> f64 {
        let word = &self.words[word as usize];
        let boost = if word.topic == topic { BOOST } else { 1.0 };
        word.weight * boost / self.norms[word.class * self.topics + topic]
    }

    fn pair(&self, before: [usize; 2]) -> usize {
        before[0] * self.class_mass.len() + before[1]
    }
}

impl Group {
    /// Sum of the weights, boosted or not.
    fn boosted(&self, boosted: bool) -> f64 {
        self.mass.last().unwrap_or(&0.0) * if boosted { BOOST } else { 1.0 }
    }
}

/// Words in order of rank, dealt to classes and topics.
fn draw_words(v: usize, c: usize, k: usize, exponent: f64, draw: &mut Draw) -> Vec<Word> {
    let mut words = Vec::with_capacity(v);
    while words.len() < v {
        for class in draw.permutation(c).into_iter().take(v - words.len()) {
            // Under a steep law the rarest weights round to 0; the smallest number keeps their classes possible.
            let weight = libm::pow(words.len() as f64 + 1.0, -exponent).max(f64::MIN_POSITIVE);
            words.push(Word { weight, class, topic: draw.below(k) });
        }
    }
    words
}

fn running_sum(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    numbers
        .scan(0.0, |sum, number| {
            *sum += number;
            Some(*sum)
        })
        .collect()
}

/// An index with chance in proportion to its step in a running sum.
fn pick(running: &[f64], draw: &mut Draw) -> usize {
    let at = draw.uniform() * running[running.len() - 1];
    running.partition_point(|&sum| sum <= at).min(running.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::number::{Count, Positive};

    pub(super) fn process(v: usize, c: usize, k: usize) -> Process {
        let (vocab_size, classes, topics) = (Count::new(v), Count::new(c), Count::new(k));
        Process::new(&SyntheticSpec { vocab_size, classes, topics, ..Default::default() }).unwrap()
    }

    #[test]
    fn each_class_has_frequent_and_rare_words() {
        let process = process(50, 16, 3); // three full rounds of 16 and two words more
        for round in process.words.chunks(16) {
            let mut classes: Vec<usize> = round.iter().map(|word| word.class).collect();
            classes.sort_unstable();
            classes.dedup();
            assert_eq!(classes.len(), round.len());
        }
    }

    #[test]
    fn weights_follow_zipf_and_the_favourite_topic() {
        let process = process(64, 4, 3);
        let (one, other) = (1, (2..64).find(|&w| process.class(w) == process.class(1)).unwrap());
        for z in 0..3 {
            // ζ(2)·b / (ζ(r)·b'), ranks from 1
            let boost = |w: u32| if process.words[w as usize].topic == z { 8.0 } else { 1.0 };
            let expected = (f64::from(other) + 1.0) / 2.0 * boost(one) / boost(other);
            assert!((process.in_topic(one, z) / process.in_topic(other, z) - expected).abs() < 1e-9 * expected);
        }
    }

    #[test]
    fn grammar_and_words_are_distributions() {
        let process = process(100, 7, 5);
        for before in (0..49).map(|i| [i / 7, i % 7]) {
            assert!(((0..7).map(|class| process.grammar(class, before)).sum::<f64>() - 1.0).abs() < 1e-12);
        }
        for (class, z) in (0..35).map(|i| (i / 5, i % 5)) {
            let words = (0..100).filter(|&w| process.class(w) == class);
            assert!((words.map(|w| process.in_topic(w, z)).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn specs_that_contradict_themselves_are_refused() {
        let check = |spec, expected: &str| assert_eq!(Process::new(&spec).unwrap_err().to_string(), expected);
        check(
            SyntheticSpec { vocab_size: Count::new(16), classes: Count::new(17), ..Default::default() },
            "data.synthetic.classes: expected at most as many classes as words (16), found 17",
        );
        check(
            SyntheticSpec { topic_length: Positive::new(0.5), ..Default::default() },
            "data.synthetic.topic_length: expected a number of at least 1, found 0.5",
        );
    }
}
