//! The exact probability of the next word.

use super::Process;
use regatta_core::libm;

/// Hears a text word by word and knows the chance of each word that may come next; the [module](super) has the formula.
#[derive(Debug, Clone)]
pub struct Oracle<'a> {
    process: &'a Process,
    /// α: the chance of each topic at the next word, given all words so far. (K)
    topics: Vec<f64>,
    /// What followed the last occurrence of each word. (V)
    followed_by: Vec<Option<u32>>,
    last: Option<u32>,
    /// Classes of the last word but one and of the last.
    classes: [usize; 2],
}

impl<'a> Oracle<'a> {
    /// Before the first word.
    pub fn new(process: &'a Process) -> Self {
        let k = process.topics;
        let followed_by = vec![None; process.vocab_size()];
        Self { process, topics: vec![1.0 / k as f64; k], followed_by, last: None, classes: [0, 0] }
    }

    /// `p(word | history)`.
    pub fn probability(&self, word: u32) -> f64 {
        let (repeated, spoken) = self.parts(word);
        let spoken_in = |(z, chance): (usize, &f64)| chance * self.process.in_topic(word, z);
        repeated + spoken * self.topics.iter().enumerate().map(spoken_in).sum::<f64>()
    }

    /// Takes note of a word.
    pub fn hear(&mut self, word: u32) {
        let (repeated, spoken) = self.parts(word);
        for (z, chance) in self.topics.iter_mut().enumerate() {
            *chance *= repeated + spoken * self.process.in_topic(word, z);
        }
        let total: f64 = self.topics.iter().sum();
        let fresh = (1.0 - self.process.stay) / self.topics.len() as f64;
        self.topics.iter_mut().for_each(|chance| *chance = self.process.stay * *chance / total + fresh);
        if let Some(last) = self.last.replace(word) {
            self.followed_by[last as usize] = Some(word);
        }
        self.classes = [self.classes[1], self.process.class(word)];
    }

    /// `-ln p(tokens[i] | tokens[..i])` of a text's words from its first, in nats.
    pub fn losses(mut self, tokens: &[u32]) -> Vec<f32> {
        let mut loss = |&word: &u32| {
            let probability = self.probability(word);
            self.hear(word);
            -libm::log(probability) as f32
        };
        tokens.iter().map(&mut loss).collect()
    }

    /// The word's chance in topic z is `repeated + spoken·p(word | class, z)`.
    fn parts(&self, word: u32) -> (f64, f64) {
        let grammar = self.process.grammar(self.process.class(word), self.classes);
        match self.last.and_then(|last| self.followed_by[last as usize]) {
            Some(follower) => (if follower == word { self.process.copy } else { 0.0 }, (1.0 - self.process.copy) * grammar),
            None => (0.0, grammar),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SyntheticSpec;
    use regatta_core::Draw;
    use regatta_core::number::{Count, Fraction, Positive};

    fn process(k: usize) -> Process {
        Process::new(&SyntheticSpec {
            vocab_size: Count::new(16),
            classes: Count::new(3),
            topics: Count::new(k),
            topic_length: Positive::new(3.0),
            copy: Fraction::new(0.3),
            ..Default::default()
        })
        .unwrap()
    }

    /// The joint probability of a text by its definition: a sum over all topics at each word and over whether each was repeated.
    fn joint(process: &Process, text: &[u32], k: usize) -> f64 {
        let n = text.len() as u32;
        let repeated = |i: usize| (1..i).rev().find(|&j| text[j - 1] == text[i - 1]).map(|j| text[j]);
        let class = |i: usize, back: usize| if i < back { 0 } else { process.class(text[i - back]) };
        let mut total = 0.0;
        for (path, repeats) in (0..k.pow(n)).flat_map(|path| (0..1 << n).map(move |repeats| (path, repeats))) {
            let topic = |i: usize| path / k.pow(i as u32) % k;
            let mut chance = 1.0 / k as f64;
            for (i, &word) in text.iter().enumerate() {
                if i > 0 {
                    chance *= (1.0 / 3.0) / k as f64 + if topic(i) == topic(i - 1) { 2.0 / 3.0 } else { 0.0 };
                }
                let spoken = process.grammar(class(i, 0), [class(i, 2), class(i, 1)]) * process.in_topic(word, topic(i));
                let is_repeat = repeats >> i & 1 == 1;
                chance *= match (if i > 0 { repeated(i) } else { None }, is_repeat) {
                    (Some(follower), true) => {
                        if follower == word {
                            0.3
                        } else {
                            0.0
                        }
                    }
                    (Some(_), false) => 0.7 * spoken,
                    (None, true) => 0.0,
                    (None, false) => spoken,
                };
            }
            total += chance;
        }
        total
    }

    fn check(k: usize, text: &[u32]) {
        let process = process(k);
        let mut oracle = Oracle::new(&process);
        let mut product = 1.0;
        for i in 0..text.len() {
            product *= oracle.probability(text[i]);
            oracle.hear(text[i]);
            let expected = joint(&process, &text[..=i], k);
            assert!((product - expected).abs() < 1e-12 * expected, "{k} topics, word {i}: {product}, expected {expected}");
        }
    }

    #[test]
    fn the_product_of_its_chances_is_the_joint_probability() {
        check(2, &[3, 5, 3, 5, 7, 5]); // 5 follows 3 again: a repetition; 7 follows 5 where 3 did: none
        check(2, &[0, 0, 0, 1, 0, 1]); // a word that follows itself
        check(3, &[9, 2, 14, 9, 2, 9]);
        check(3, &[15, 0, 15, 1, 15, 1]); // what followed last counts: 1, not 0
    }

    #[test]
    fn its_chances_sum_to_1() {
        let process = process(3);
        let mut oracle = Oracle::new(&process);
        for word in process.speak(200, &mut Draw::new(0, "test", 0, 0)) {
            assert!(((0..16).map(|w| oracle.probability(w)).sum::<f64>() - 1.0).abs() < 1e-12);
            oracle.hear(word);
        }
    }

    #[test]
    fn it_is_right_about_how_right_it_is() {
        // -ln p(word) less the entropy of its own forecast has mean 0 and no memory, if the text is what the oracle thinks it is.
        let (vocab_size, classes, topics) = (Count::new(64), Count::new(4), Count::new(4));
        let process = Process::new(&SyntheticSpec { vocab_size, classes, topics, ..Default::default() }).unwrap();
        let mut oracle = Oracle::new(&process);
        let surprise = |word: u32| {
            let entropy: f64 = (0..64).map(|w| oracle.probability(w)).map(|p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum();
            let loss = -oracle.probability(word).ln();
            oracle.hear(word);
            loss - entropy
        };
        let surprises: Vec<f64> = process.speak(50_000, &mut Draw::new(1, "test", 0, 0)).into_iter().map(surprise).collect();
        let mean = surprises.iter().sum::<f64>() / 5e4;
        let variance = surprises.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 5e4;
        assert!(mean.abs() < 4.0 * (variance / 5e4).sqrt(), "{mean}");
    }

    #[test]
    fn its_mean_loss_is_the_same_on_another_text() {
        // Losses have a memory (topics), so the standard error comes from the means of 100 blocks of 500 words.
        let process = process(3);
        let blocks = |seed| {
            let losses = Oracle::new(&process).losses(&process.speak(50_000, &mut Draw::new(seed, "test", 0, 0)));
            let means: Vec<f64> = losses.chunks(500).map(|block| f64::from(block.iter().sum::<f32>()) / 500.0).collect();
            let mean = means.iter().sum::<f64>() / 100.0;
            (mean, means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 99.0 / 100.0)
        };
        let ((one, variance), (other, other_variance)) = (blocks(0), blocks(1));
        assert!((one - other).abs() < 4.0 * (variance + other_variance).sqrt(), "{one} and {other}");
    }
}
