use super::*;
use regatta_core::number::Count;
use std::collections::{HashMap, HashSet};

fn spec(people: usize, exposures: usize) -> BiographiesSpec {
    let (people, exposures) = (Count::try_from(people as u64).unwrap(), Count::try_from(exposures as u64).unwrap());
    BiographiesSpec { people, exposures, ..Default::default() }
}

#[test]
fn the_pools_are_those_of_the_paper() {
    let biographies = Biographies::new(&spec(50, 1)).unwrap();
    assert_eq!(biographies.names(), 400 * 400 * 1000);
    assert_eq!(Attribute::ALL.map(|attribute| biographies.choices(attribute)), [12 * 28 * 200, 200, 300, 100, 263, 1]);
    // log2(12·28·200·200·300·100·263) = 46.59, their 47.6 bits less one for the gender
    let bits: f64 = Attribute::ALL.iter().map(|&attribute| (biographies.choices(attribute) as f64).log2()).sum();
    assert!((bits - 46.592).abs() < 1e-3, "{bits}");
}

#[test]
fn a_world_of_one_value_each_reads_so() {
    let spec = BiographiesSpec {
        first_names: Count::new(2),
        middle_names: one_of(),
        last_names: one_of(),
        years: one_of(),
        cities: one_of(),
        universities: one_of(),
        majors: one_of(),
        employers: one_of(),
        ..spec(2, 1)
    };
    let biographies = Biographies::new(&spec).unwrap();
    assert_eq!([biographies.name(0), biographies.name(1)], ["Belba Ambel Ashbank", "Casba Ambel Ashbank"]);
    let values = Attribute::ALL.map(|attribute| biographies.value(0, attribute));
    assert!(values[0].ends_with(" 1900"), "{values:?}");
    assert_eq!(values[1..], ["Aldbay", "Abbey Academy", "Ancient Architecture", "Amber Airlines", "Aldbay"]);
    let (attribute, question) = &biographies.questions(1)[4];
    assert_eq!(*attribute, Attribute::Employer);
    assert!(Attribute::Employer.phrases().iter().any(|phrase| *question == format!("Casba Ambel Ashbank {phrase}")));
}

fn one_of<const MOST: usize>() -> Count<1, MOST> {
    Count::new(1)
}

#[test]
fn each_pass_tells_of_everybody_once_in_other_words() {
    let biographies = Biographies::new(&spec(30, 4)).unwrap();
    let [(_, train), (_, validation), (_, test)] = biographies.texts();
    let lines: Vec<&str> = train.lines().collect();
    assert_eq!((lines.len(), validation.lines().count(), test.lines().count()), (120, 30, 30));
    let mut told: HashMap<&str, Vec<&str>> = HashMap::new();
    for pass in lines.chunks(30) {
        let people: HashSet<&str> = pass.iter().map(|line| subject(line)).collect();
        assert_eq!(people.len(), 30);
        pass.iter().for_each(|line| told.entry(subject(line)).or_default().push(line));
    }
    for person in 0..30 {
        let lines = &told[biographies.name(person)];
        assert_eq!(lines.iter().collect::<HashSet<_>>().len(), 4);
        for attribute in Attribute::ALL {
            let said = |line: &&&str| {
                let value = biographies.value(person, attribute);
                attribute.phrases().iter().any(|phrase| line.contains(&format!("{} {phrase} {value}.", biographies.name(person))))
            };
            assert!(lines.iter().all(|line| said(&line)), "{attribute} of {lines:?}");
        }
    }
    assert_ne!(validation, test);
    assert_eq!(train.matches('.').count(), 120 * 6);
}

/// The three words of a line's name.
fn subject(line: &str) -> &str {
    let end = line.match_indices(' ').nth(2).unwrap().0;
    &line[..end]
}

#[test]
fn work_cities_follow_from_employers() {
    let biographies = Biographies::new(&BiographiesSpec { employers: Count::new(5), ..spec(100, 1) }).unwrap();
    let mut seats: HashMap<String, HashSet<String>> = HashMap::new();
    for person in 0..100 {
        let city = biographies.value(person, Attribute::WorkCity);
        seats.entry(biographies.value(person, Attribute::Employer)).or_default().insert(city);
    }
    assert!(seats.len() == 5 && seats.values().all(|cities| cities.len() == 1), "{seats:?}");
}

#[test]
fn the_seed_alone_decides() {
    let text = |spec: &BiographiesSpec| Biographies::new(spec).unwrap().texts()[0].1.clone();
    assert_eq!(text(&spec(20, 2)), text(&spec(20, 2)));
    assert_ne!(text(&spec(20, 2)), text(&BiographiesSpec { seed: 1, ..spec(20, 2) }));
    assert!(text(&spec(20, 3)).starts_with(&text(&spec(20, 2)))); // a further exposure changes none before it
}

#[test]
fn too_many_are_refused() {
    let few = BiographiesSpec { first_names: Count::new(3), middle_names: one_of(), last_names: one_of(), ..spec(4, 1) };
    let message = Biographies::new(&few).unwrap_err().to_string();
    assert_eq!(message, "data.biographies.people: expected at most as many people as names (3), found 4");
    let message = Biographies::new(&spec(100_000, 21)).unwrap_err().to_string();
    assert_eq!(message, "data.biographies: expected at most 2000000 biographies (people times exposures), found 2100000");
}
