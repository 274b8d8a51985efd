//! Biographies of invented people: text of which it is known how many bits of knowledge it holds.
//!
//! After bioS of Allen-Zhu & Li 2024, "Physics of language models: part 3.3, knowledge capacity scaling laws", arXiv:2404.05405,
//! section 2. All is drawn from the data's own seed:
//! - N people get different names, uniformly from all `N₀ = first · middle · last` names, without replacement.
//! - Each gets a birth date (28 · 12 · years), birth city, university, major and employer, uniformly and independently.
//! - Each employer has one city, drawn uniformly; it is the work city of everyone who works there, so it adds no knowledge.
//!
//! A biography is a line of six sentences, one an attribute: the name, one of five phrases at random, the value, a full stop. Order
//! and phrases are drawn afresh for each biography. The train split is `exposures` passes over all people, each pass in another
//! order; validation and test are one further pass each, of the same people and the same facts. What is lost on them tells how well
//! the facts were *memorised*: nothing in them could be known without having seen the train split.
//!
//! ```text
//! bits of knowledge = N log2(N₀ / N) + N log2(28 · 12 · years · cities · universities · majors · employers)
//! ```
//! as the paper counts (`log2 binomial(N₀, N)` less about `N log2 e`). What the pools' words are, how they are spelt, and in which
//! city an employer sits, is not counted.
//!
//! Deviations: the full name stands in every sentence (their variant `fullname`), so that none depends on the window that it is cut
//! into; there is no gender, for there are no pronouns; five phrases per attribute where they have about fifty; words from lists of
//! our own.

mod attribute;
mod words;

pub use attribute::Attribute;

use super::DataError;
use crate::spec::BiographiesSpec;
use attribute::PHRASES;
use regatta_core::Draw;

/// The most text that is of use to a small model: about 600 MB.
const MOST_BIOGRAPHIES: usize = 2_000_000;

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
/// Days of every month, so that all dates are as likely.
const DAYS: usize = 28;
const FIRST_YEAR: usize = 1900;

/// The people, and all that is to be known of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Biographies {
    spec: BiographiesSpec,
    people: Vec<Person>,
}

/// Values by [`Attribute::ALL`], as indices into their pools.
#[derive(Debug, Clone, PartialEq)]
struct Person {
    name: String,
    values: [usize; 6],
}

impl Biographies {
    /// Draws the people of a spec, by its seed.
    ///
    /// # Errors
    /// When there are more people than names, or more biographies than memory should hold.
    pub fn new(spec: &BiographiesSpec) -> Result<Self, DataError> {
        let (people, [first, middle, last]) = (spec.people.get(), names(spec));
        let biographies = people * spec.exposures.get();
        if people > first * middle * last {
            return Err(DataError::TooFewNames { people, names: first * middle * last });
        }
        if biographies > MOST_BIOGRAPHIES {
            return Err(DataError::TooManyBiographies { most: MOST_BIOGRAPHIES, found: biographies });
        }
        let mut draw = Draw::new(spec.seed, "biographies", 0, 0);
        let seats: Vec<usize> = (0..spec.employers.get()).map(|_| draw.below(spec.cities.get())).collect();
        let names = draw.sample(first * middle * last, people);
        let person = |name: usize| {
            let mut values = [0; 6];
            values.iter_mut().zip(pools(spec)).take(5).for_each(|(value, pool)| *value = draw.below(pool));
            values[5] = seats[values[4]];
            let (f, m, l) = (name % first, name / first % middle, name / first / middle);
            let name = [words::FIRST_NAMES.word(f), words::MIDDLE_NAMES.word(m), words::LAST_NAMES.word(l)].join(" ");
            Person { name, values }
        };
        Ok(Self { spec: spec.clone(), people: names.into_iter().map(person).collect() })
    }

    /// People N.
    pub fn people(&self) -> usize {
        self.people.len()
    }

    /// Names N₀ that a person could have.
    pub fn names(&self) -> usize {
        names(&self.spec).into_iter().product()
    }

    /// Values that an attribute could have, once all attributes before it are known: 1 for the work city.
    pub fn choices(&self, attribute: Attribute) -> usize {
        pools(&self.spec)[attribute as usize]
    }

    /// A person's name.
    ///
    /// # Panics
    /// When there is no such person.
    pub fn name(&self, person: usize) -> &str {
        &self.people[person].name
    }

    /// The value of a person's attribute, as it is written.
    ///
    /// # Panics
    /// When there is no such person.
    pub fn value(&self, person: usize, attribute: Attribute) -> String {
        let value = self.people[person].values[attribute as usize];
        match attribute {
            Attribute::BirthDate => {
                let (day, month, year) = (value % DAYS, value / DAYS % 12, value / DAYS / 12);
                format!("{} {} {}", day + 1, MONTHS[month], FIRST_YEAR + year)
            }
            Attribute::BirthCity | Attribute::WorkCity => words::CITIES.word(value),
            Attribute::University => words::UNIVERSITIES.word(value),
            Attribute::Major => words::MAJORS.word(value),
            Attribute::Employer => words::EMPLOYERS.word(value),
        }
    }

    /// Name and phrase of the sentence in which a person is asked about, attribute after attribute; the value would come next.
    ///
    /// # Panics
    /// When there is no such person.
    pub fn questions(&self, person: usize) -> [(Attribute, String); 6] {
        let mut draw = Draw::new(self.spec.seed, "biographies.questions", person as u64, 0);
        let name = self.name(person);
        Attribute::ALL.map(|attribute| (attribute, format!("{name} {}", attribute.phrases()[draw.below(PHRASES)])))
    }

    /// Names and texts of train, validation and test.
    pub fn texts(&self) -> [(String, String); 3] {
        let text = |purpose: &str, passes: usize| {
            let mut text = String::new();
            (0..passes).for_each(|pass| self.tell(&mut text, &mut Draw::new(self.spec.seed, purpose, pass as u64, 0)));
            text
        };
        [
            ("data.biographies (train)".into(), text("biographies.train", self.spec.exposures.get())),
            ("data.biographies (validation)".into(), text("biographies.validation", 1)),
            ("data.biographies (test)".into(), text("biographies.test", 1)),
        ]
    }

    /// One pass over all people.
    fn tell(&self, text: &mut String, draw: &mut Draw) {
        for person in draw.permutation(self.people()) {
            let sentences = draw.permutation(6).into_iter().map(|index| {
                let attribute = Attribute::ALL[index];
                let phrase = attribute.phrases()[draw.below(PHRASES)];
                format!("{} {phrase} {}.", self.name(person), self.value(person, attribute))
            });
            text.push_str(&sentences.collect::<Vec<_>>().join(" "));
            text.push('\n');
        }
    }
}

/// First, middle and last names.
fn names(spec: &BiographiesSpec) -> [usize; 3] {
    [spec.first_names.get(), spec.middle_names.get(), spec.last_names.get()]
}

/// See [`Biographies::choices`].
fn pools(spec: &BiographiesSpec) -> [usize; 6] {
    let dates = DAYS * 12 * spec.years.get();
    [dates, spec.cities.get(), spec.universities.get(), spec.majors.get(), spec.employers.get(), 1]
}

#[cfg(test)]
mod tests;
