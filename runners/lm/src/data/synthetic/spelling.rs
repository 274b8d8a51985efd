//! How the words of the synthetic language are written, where a tokenizer is to read them.

const CONSONANTS: [char; 14] = ['t', 'n', 's', 'r', 'l', 'd', 'm', 'k', 'p', 'b', 'v', 'g', 'f', 'z'];
const VOWELS: [char; 5] = ['a', 'e', 'i', 'o', 'u'];

/// Spelling of the word of a rank (from 0): syllables of a consonant and a vowel, one for the 70 most frequent words, two for the
/// next 4900, three beyond. Each word has its own.
pub fn spelling(rank: u32) -> String {
    let syllables = (CONSONANTS.len() * VOWELS.len()) as u32;
    let mut letters = Vec::new();
    let mut rest = rank;
    loop {
        let syllable = (rest % syllables) as usize;
        letters.push(VOWELS[syllable % VOWELS.len()]);
        letters.push(CONSONANTS[syllable / VOWELS.len()]);
        if rest < syllables {
            return letters.into_iter().rev().collect();
        }
        rest = rest / syllables - 1; // less one: "ta" in front is a syllable like any other, unlike a leading zero
    }
}

/// Words written out, a space between them.
pub fn text(words: &[u32]) -> String {
    words.iter().map(|&word| spelling(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn frequent_words_are_short() {
        let check = |rank, expected| assert_eq!(spelling(rank), expected);
        check(0, "ta");
        check(1, "te");
        check(5, "na");
        check(69, "zu");
        check(70, "tata");
        check(71, "tate");
        check(140, "teta");
        check(4969, "zuzu");
        check(4970, "tatata");
        assert_eq!(text(&[0, 70, 69]), "ta tata zu");
    }

    #[test]
    fn each_word_has_its_own_spelling() {
        assert_eq!((0..65_536).map(spelling).collect::<HashSet<_>>().len(), 65_536);
    }
}
