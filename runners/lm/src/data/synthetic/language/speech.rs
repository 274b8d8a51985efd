//! Text drawn from the language.

use super::{GRAMMAR, Process, pick};
use crate::data::Split;
use crate::data::synthetic::{Oracle, text};
use regatta_core::Draw;

impl Process {
    /// The three splits of the spec, each a text of its own whose words are the tokens; the oracle's losses come with validation
    /// and test.
    pub fn splits(&self) -> [Split; 3] {
        let [train, validation, test] = self.streams();
        let heard = |tokens: &Vec<u32>| Some(Oracle::new(self).losses(tokens));
        let split = |(name, tokens): (String, Vec<u32>), best_loss| Split {
            name,
            tokens: tokens.into(),
            bytes: None,
            lost: None,
            best_loss,
        };
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
        let rule = draw.uniform();
        let class = if rule < GRAMMAR[0] {
            pick(&self.class_mass, draw)
        } else if rule < GRAMMAR[0] + GRAMMAR[1] {
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
}

#[cfg(test)]
mod tests {
    use super::super::tests::process;
    use super::*;
    use crate::data::unigram_entropy;
    use crate::spec::SyntheticSpec;
    use regatta_core::number::{Count, NonNegative};

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
        let entropy = |tokens: Vec<u32>| {
            let split = Split { name: String::new(), tokens: tokens.into(), bytes: None, lost: None, best_loss: None };
            unigram_entropy(&split).unwrap()
        };
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
        assert_eq!(Process::new(&spec(0)).unwrap().texts()[0].1, text(&train.tokens.all().unwrap()));
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
