//! The language, and text drawn from it.

use super::{Oracle, text};
use crate::data::{DataError, Split};
use crate::spec::SyntheticSpec;
use regatta_core::Draw;
use regatta_core::libm;

/// How much likelier a word is in its favourite topic, before its class is scaled to sum to 1.
const BOOST: f64 = 8.0;
/// Shares of the grammar: whatever the words before, the last word, the last two words.
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
        let share = |favourites: [u32; 2]| favourites.iter().filter(|&&f| f as usize == class).count() as f64 / 2.0;
        let [any, one, two] = GRAMMAR;
        any * (self.class_mass[class] - below)
            + one * share(self.after_one[before[1]])
            + two * share(self.after_two[self.pair(before)])
    }

    /// `p(word | its class, topic)`.
    pub fn in_topic(&self, word: u32, topic: usize) -> f64 {
        let word = &self.words[word as usize];
        let boost = if word.topic == topic { BOOST } else { 1.0 };
        word.weight * boost / self.norms[word.class * self.topics + topic]
    }

    /// The three splits of the spec, each a text of its own whose words are the tokens; the oracle's losses come with validation
    /// and test.
    pub fn splits(&self) -> [Split; 3] {
        let [train, validation, test] = self.streams();
        let heard = |tokens: &Vec<u32>| Some(Oracle::new(self).losses(tokens));
        let split = |(name, tokens), best_loss| Split { name, tokens, bytes: None, best_loss };
        let (of_validation, of_test) = (heard(&validation.1), heard(&test.1));
        [split(train, None), split(validation, of_validation), split(test, of_test)]
    }

    /// The same three, written out: names and texts.
    pub fn texts(&self) -> [(String, String); 3] {
        self.streams().map(|(name, words)| (name, text(&words)))
    }

    fn streams(&self) -> [(String, Vec<u32>); 3] {
        let stream = |name: &str, length: usize| {
            let mut draw = Draw::new(self.spec.seed, &format!("synthetic {name}"), 0, 0);
            (format!("data.synthetic.{name}_tokens"), self.speak(length, &mut draw))
        };
        let spec = &self.spec;
        [
            stream("train", spec.train_tokens.get()),
            stream("validation", spec.validation_tokens.get()),
            stream("test", spec.test_tokens.get()),
        ]
    }

    /// A text of `length` words, drawn from `draw`.
    pub fn speak(&self, length: usize, draw: &mut Draw) -> Vec<u32> {
        let mut text: Vec<u32> = Vec::with_capacity(length);
        let mut topic = draw.below(self.topics);
        let mut classes = [0, 0];
        let mut followed_by: Vec<Option<u32>> = vec![None; self.vocab_size()];
        for _ in 0..length {
            if !text.is_empty() && draw.uniform() >= self.stay {
                topic = draw.below(self.topics);
            }
            let last = text.last().map(|&word| word as usize);
            let word = match last.and_then(|last| followed_by[last]) {
                Some(repeated) if draw.uniform() < self.copy => repeated,
                _ => self.draw_word(classes, topic, draw),
            };
            if let Some(last) = last {
                followed_by[last] = Some(word);
            }
            classes = [classes[1], self.class(word)];
            text.push(word);
        }
        text
    }

    fn draw_word(&self, before: [usize; 2], topic: usize, draw: &mut Draw) -> u32 {
        let share = draw.uniform();
        let class = if share < GRAMMAR[0] {
            pick(&self.class_mass, draw)
        } else if share < GRAMMAR[0] + GRAMMAR[1] {
            self.after_one[before[1]][draw.below(2)] as usize
        } else {
            self.after_two[self.pair(before)][draw.below(2)] as usize
        };
        // First the favourite topic of the word, then the word: a group's weights are all boosted or none is.
        let groups = &self.groups[class * self.topics..(class + 1) * self.topics];
        let mut left = draw.uniform() * self.norms[class * self.topics + topic];
        let mut chosen = None;
        for (favourite, group) in groups.iter().enumerate().filter(|(_, group)| !group.words.is_empty()) {
            chosen = Some(group); // the last group stands where rounding leaves a rest
            left -= group.boosted(favourite == topic);
            if left < 0.0 {
                break;
            }
        }
        let group = chosen.expect("no class is empty");
        group.words[pick(&group.mass, draw)]
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
    use crate::data::unigram_entropy;
    use regatta_core::number::{Count, NonNegative, Positive};

    fn process(v: usize, c: usize, k: usize) -> Process {
        let (vocab_size, classes, topics) = (Count::new(v), Count::new(c), Count::new(k));
        Process::new(&SyntheticSpec { vocab_size, classes, topics, ..Default::default() }).unwrap()
    }

    #[test]
    fn each_class_has_frequent_and_rare_words() {
        let process = process(50, 16, 3); // three full turns of 16 and two words more
        for turn in process.words.chunks(16) {
            let mut classes: Vec<usize> = turn.iter().map(|word| word.class).collect();
            classes.sort_unstable();
            classes.dedup();
            assert_eq!(classes.len(), turn.len());
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
    fn words_are_drawn_as_often_as_the_formulas_say() {
        let process = process(16, 3, 2);
        let mut draw = Draw::new(0, "test", 0, 0);
        let mut counts = [0.0; 16];
        (0..100_000).for_each(|_| counts[process.draw_word([2, 1], 1, &mut draw) as usize] += 1.0);
        for (word, count) in (0..16).zip(counts) {
            let p = process.grammar(process.class(word), [2, 1]) * process.in_topic(word, 1);
            assert!((count - 1e5 * p).abs() < 4.0 * (1e5 * p * (1.0 - p)).sqrt() + 1.0, "{word}: {count}, expected {}", 1e5 * p);
        }
    }

    #[test]
    fn frequencies_follow_zipf_roughly() {
        let process = Process::new(&SyntheticSpec::default()).unwrap();
        let mut counts = vec![0.0f64; 1024];
        process.speak(1_000_000, &mut Draw::new(0, "test", 0, 0)).iter().for_each(|&word| counts[word as usize] += 1.0);
        counts.sort_by(|a, b| b.total_cmp(a));
        // Slope of ln count over ln rank, by least squares over ranks 1 to 500; the law says -1.
        let points: Vec<_> = (0..500).map(|i| ((i as f64 + 1.0).ln(), counts[i].ln())).collect();
        let mean = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / 500.0;
        let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
        let slope = mean(&|p| (p.0 - x) * (p.1 - y)) / mean(&|p| (p.0 - x).powi(2));
        assert!((slope + 1.0).abs() < 0.15, "{slope}");
    }

    #[test]
    fn there_is_structure_beyond_bigrams() {
        let spec =
            SyntheticSpec { vocab_size: Count::new(64), classes: Count::new(8), topics: Count::new(4), ..Default::default() };
        let process = Process::new(&spec).unwrap();
        let tokens = process.speak(200_000, &mut Draw::new(0, "test", 0, 0));
        let best = Oracle::new(&process).losses(&tokens).iter().map(|&loss| f64::from(loss)).sum::<f64>() / 2e5;
        let pairs = tokens.windows(2).map(|pair| pair[0] * 64 + pair[1]).collect();
        let entropy = |tokens| unigram_entropy(&Split { name: String::new(), tokens, bytes: None, best_loss: None });
        let both = entropy(pairs);
        let one = entropy(tokens);
        let bigram = both - one; // H(w₂ | w₁); an estimate that errs on the low side
        assert!(best < bigram - 0.2 && bigram < one - 0.1, "best {best}, bigram {bigram}, unigram {one}");
    }

    #[test]
    fn equal_specs_speak_equal_words_and_splits_differ() {
        let spec = |seed| SyntheticSpec {
            train_tokens: Count::new(100),
            validation_tokens: Count::new(100),
            seed,
            ..Default::default()
        };
        let [train, validation, _] = Process::new(&spec(0)).unwrap().splits();
        assert_eq!(Process::new(&spec(0)).unwrap().splits()[0], train);
        assert_ne!(Process::new(&spec(1)).unwrap().splits()[0].tokens, train.tokens);
        assert_ne!(validation.tokens, train.tokens);
        assert_eq!(Process::new(&spec(0)).unwrap().texts()[0].1, text(&train.tokens));
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

    #[test]
    fn extremes_are_spoken_too() {
        for (zipf, v, c, k) in [(1e300, 16, 16, 256), (30.0, 4000, 16, 8), (0.0, 16, 1, 1)] {
            let (vocab_size, classes, topics) = (Count::new(v), Count::new(c), Count::new(k));
            let spec = SyntheticSpec { vocab_size, classes, topics, zipf: NonNegative::new(zipf), ..Default::default() };
            let process = Process::new(&spec).unwrap();
            let tokens = process.speak(2000, &mut Draw::new(0, "test", 0, 0));
            assert!(Oracle::new(&process).losses(&tokens).iter().all(|loss| loss.is_finite()));
        }
    }
}
