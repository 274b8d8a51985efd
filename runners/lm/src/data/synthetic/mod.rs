//! Text drawn from a known process: words by Zipf's law, with topics, a grammar and repetition.
//!
//! A language of V words, C classes and K topics is drawn once from its seed:
//! - The word of rank r (from 1) has the weight `ζ = r^-s`. Ranks are dealt to the classes in rounds of C, in random order, so that
//!   each class holds frequent and rare words and none is empty. `M(c)` is the fraction of all weight that class c has.
//! - Each word has one favourite topic, at random.
//! - Each class, and each pair of classes, has two favourites among the classes, drawn with chance M (they may coincide).
//!
//! The text then grows word by word. Let z be the topic, c₁ and c₂ the classes of the last word but one and of the last word:
//! ```text
//! topic      z stays with chance 1 - 1/topic_length, and is otherwise drawn again, uniformly from all K
//! grammar    G(c | c₁, c₂) = 0.2·M(c) + 0.4·(fraction of c among the favourites of c₂) + 0.4·(the same of (c₁, c₂))
//! words      p(w | c, z) = ζ(w)·b(w, z) / Σ_{w' in c} ζ(w')·b(w', z),    b = 8 where z is w's favourite topic, 1 elsewhere
//! repetition where the last word has been seen before, with chance `copy` the word that followed it then, the last time, comes again
//! ```
//! With f the word that repetition would give, what is known of the next word w from all words before it is
//! ```text
//! p(w | history) = copy·[w = f] + (1 - copy)·Σ_z α(z)·G(c(w) | c₁, c₂)·p(w | c(w), z)
//! ```
//! or the sum alone where there is no f. `α(z)` is the chance of topic z given the history, by the forward algorithm: α starts
//! uniform; on each word it is multiplied by that word's chance in topic z, repetition included (for nobody sees whether a word
//! was repeated), scaled to sum to 1, and then mixed with the uniform: `α' = (1 - 1/topic_length)·α + 1/(topic_length·K)`.
//! Before the first word stand two words of class 0 that belong to no topic and repeat nothing.
//!
//! Favourites drawn with chance M keep the frequencies of words near Zipf's law; favourites of a pair of classes, topics and
//! repetition are structure that no table of bigrams holds.
//!
//! The [`Oracle`] computes this probability exactly; its mean loss is the best that any model can expect to reach. It knows the
//! whole history, a model only its context, so a model's excess over it is an upper bound on what the model could still gain.

mod language;
mod oracle;
mod spelling;

pub use language::Process;
pub use oracle::Oracle;
pub use spelling::{spelling, text};
