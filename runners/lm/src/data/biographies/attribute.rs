//! The attributes of a person, and the phrases that state them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of the six facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// Day, month and year.
    BirthDate,
    /// A city.
    BirthCity,
    /// Where they studied.
    University,
    /// What they studied.
    Major,
    /// For whom they work.
    Employer,
    /// The employer's city: it follows from the employer.
    WorkCity,
}

/// Ways to say a fact.
pub(super) const PHRASES: usize = 5;

impl Attribute {
    /// All of them, in the order in which people's values are drawn.
    pub const ALL: [Self; 6] = [Self::BirthDate, Self::BirthCity, Self::University, Self::Major, Self::Employer, Self::WorkCity];

    /// What stands between the name and the value. The value comes last, so that all before it is known when it is asked for.
    pub(super) fn phrases(self) -> [&'static str; PHRASES] {
        match self {
            Self::BirthDate => {
                ["was born on", "came into the world on", "has a birth certificate of", "entered life on", "first cried on"]
            }
            Self::BirthCity => {
                ["was born in", "spent the first years in", "comes from", "has a birthplace called", "took the first steps in"]
            }
            Self::University => {
                ["studied at", "graduated from", "holds a degree from", "attended lectures at", "passed the exams of"]
            }
            Self::Major => ["majored in", "specialised in", "wrote a thesis in", "chose the subject of", "was taught"],
            Self::Employer => ["works for", "is employed by", "has a contract with", "joined the staff of", "is paid by"],
            Self::WorkCity => ["works in", "goes to work in", "has a desk in", "earns a living in", "spends the working days in"],
        }
    }
}

impl fmt::Display for Attribute {
    /// As it is written in records: `birth_date`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BirthDate => "birth_date",
            Self::BirthCity => "birth_city",
            Self::University => "university",
            Self::Major => "major",
            Self::Employer => "employer",
            Self::WorkCity => "work_city",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_phrase_belongs_to_one_attribute() {
        let all: Vec<&str> = Attribute::ALL.iter().flat_map(|attribute| attribute.phrases()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 6 * PHRASES);
    }

    #[test]
    fn a_name_is_shown_as_it_is_written() {
        for attribute in Attribute::ALL {
            assert_eq!(serde_json::to_string(&attribute).unwrap(), format!("\"{attribute}\""));
        }
    }
}
