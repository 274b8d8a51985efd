//! What people are called, and where they may live, learn and work: every word is a beginning and an end from two short lists.
//!
//! In no list is one entry the beginning of another, so no word is the beginning of another word of its pool. Chances of the words
//! of a pool, as a model spells them, then add up to at most 1, on which the count of bits rests.

/// Beginnings and ends, and what stands between them.
pub(super) struct Pool {
    beginnings: &'static [&'static str],
    ends: &'static [&'static str],
    between: &'static str,
}

impl Pool {
    /// Words that there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.beginnings.len() * self.ends.len()
    }

    /// The word `index`, from 0: beginnings change first.
    pub fn word(&self, index: usize) -> String {
        let (beginning, end) = (index % self.beginnings.len(), index / self.beginnings.len());
        [self.beginnings[beginning], self.between, self.ends[end]].concat()
    }
}

pub(super) const FIRST_NAMES: Pool = Pool {
    beginnings: &[
        "Bel", "Cas", "Dor", "El", "Fan", "Gil", "Hed", "Ing", "Jo", "Kat", "Lin", "Mar", "Nel", "Os", "Per", "Rod", "Sel",
        "Tor", "Ul", "Wil",
    ],
    ends: &[
        "ba", "bert", "da", "dric", "fa", "gard", "ka", "lo", "ma", "mund", "na", "nor", "ra", "rick", "sa", "son", "ta", "ton",
        "vin", "wen",
    ],
    between: "",
};

pub(super) const MIDDLE_NAMES: Pool = Pool {
    beginnings: &[
        "Am", "Bri", "Cor", "Dun", "Ev", "Fer", "Gar", "Hol", "Is", "Jas", "Ken", "Lor", "Mil", "Nor", "Or", "Pas", "Quin",
        "Rus", "Sim", "Tal",
    ],
    ends: &[
        "bel", "cott", "den", "dy", "ey", "fort", "gan", "ice", "ley", "lin", "mont", "ney", "ora", "rell", "ric", "sley", "tin",
        "ule", "vale", "yn",
    ],
    between: "",
};

pub(super) const LAST_NAMES: Pool = Pool {
    beginnings: &[
        "Ash", "Bar", "Black", "Brad", "Car", "Chil", "Clay", "Crow", "Dal", "East", "Fair", "Field", "Glen", "Gold", "Green",
        "Hart", "Haw", "High", "Kel", "Lang", "Mar", "Mead", "Mill", "Nether", "North", "Oak", "Over", "Pem", "Rad", "Red",
        "Shel", "South", "Stan", "Stock", "Thorn", "Under", "Wake", "West", "Whit", "Win",
    ],
    ends: &[
        "bank", "beck", "bourne", "bridge", "by", "combe", "cote", "dale", "den", "field", "ford", "grave", "ham", "hurst",
        "land", "ley", "low", "man", "mere", "ridge", "side", "stead", "ton", "well", "wood",
    ],
    between: "",
};

pub(super) const CITIES: Pool = Pool {
    beginnings: &[
        "Ald", "Bram", "Cald", "Dray", "Ember", "Frost", "Gran", "Hollow", "Iron", "Jasper", "King", "Lake", "Moss", "New",
        "Otter", "Pine", "Quarry", "River", "Silver", "Timber",
    ],
    ends: &[
        "bay", "brook", "bury", "castle", "cliff", "cross", "dean", "falls", "gate", "haven", "hill", "holm", "marsh", "minster",
        "mouth", "point", "port", "shore", "stow", "wick",
    ],
    between: "",
};

pub(super) const UNIVERSITIES: Pool = Pool {
    beginnings: &[
        "Abbey", "Beacon", "Cardinal", "Delta", "Eastern", "Founders", "Garnet", "Harbour", "Inland", "Juniper", "Keystone",
        "Lakeside", "Meridian", "Northern", "Oakwood", "Pacific", "Regent", "Southern", "Trinity", "Western",
    ],
    ends: &[
        "Academy",
        "Business School",
        "College",
        "Conservatory",
        "Faculty",
        "Graduate School",
        "Hall",
        "House",
        "Institute",
        "Law School",
        "Polytechnic",
        "Seminary",
        "Technical School",
        "Union",
        "University",
    ],
    between: " ",
};

pub(super) const MAJORS: Pool = Pool {
    beginnings: &[
        "Ancient",
        "Applied",
        "Comparative",
        "Computational",
        "Environmental",
        "Experimental",
        "General",
        "Industrial",
        "Marine",
        "Modern",
        "Rural",
        "Theoretical",
    ],
    ends: &[
        "Architecture",
        "Biology",
        "Chemistry",
        "Design",
        "Economics",
        "Geography",
        "History",
        "Law",
        "Linguistics",
        "Music",
        "Philosophy",
        "Statistics",
    ],
    between: " ",
};

pub(super) const EMPLOYERS: Pool = Pool {
    beginnings: &[
        "Amber", "Bolt", "Copper", "Dawn", "Echo", "Falcon", "Globe", "Horizon", "Ivory", "Jade", "Kestrel", "Lantern", "Maple",
        "Nimbus", "Orchid", "Pearl", "Quartz", "Raven", "Summit", "Tiger",
    ],
    ends: &[
        "Airlines",
        "Books",
        "Cement",
        "Dairy",
        "Energy",
        "Foods",
        "Glass",
        "Hotels",
        "Insurance",
        "Jewels",
        "Kitchens",
        "Logistics",
        "Motors",
        "Networks",
        "Optics",
        "Paper",
        "Railways",
        "Shipping",
        "Textiles",
        "Vaccines",
    ],
    between: " ",
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn pools_are_as_large_as_the_spec_allows() {
        let pools = [FIRST_NAMES, MIDDLE_NAMES, LAST_NAMES, CITIES, UNIVERSITIES, MAJORS, EMPLOYERS];
        assert_eq!(pools.map(|pool| pool.len()), [400, 400, 1000, 400, 300, 144, 400]);
        assert_eq!([0, 1, 20, 399].map(|index| FIRST_NAMES.word(index)), ["Belba", "Casba", "Belbert", "Wilwen"]);
        assert_eq!(UNIVERSITIES.word(20), "Abbey Business School");
    }

    #[test]
    fn no_word_is_the_beginning_of_another() {
        for pool in [FIRST_NAMES, MIDDLE_NAMES, LAST_NAMES, CITIES, UNIVERSITIES, MAJORS, EMPLOYERS] {
            let mut words: Vec<String> = (0..pool.len()).map(|index| pool.word(index)).collect();
            assert_eq!(words.iter().collect::<HashSet<_>>().len(), pool.len());
            words.sort(); // a word's beginning stands right before the first word that it begins
            assert!(words.windows(2).all(|pair| !pair[1].starts_with(&pair[0])), "{words:?}");
        }
    }
}
