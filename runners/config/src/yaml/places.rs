//! Where every value of a text stands, from the parser's events.
//!
//! serde_yaml reads all events of a text before it looks at the first; this stops at the first event that a study may not have, so
//! nothing here or after it takes longer than the text is long. The events are those of a port of the parser that serde_yaml
//! calls, so that the two agree on what a bracket is.

use super::{Fault, MAX_BYTES, MERGE, Place, in_one_line};
use indexmap::IndexMap;
use libyaml_safer::{Encoding, Error, Event, EventData, Mark, Parser, ScalarStyle};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};

/// Lists and maps that may lie within each other: deeper ones take the parser time quadratic in their depth.
const MAX_DEPTH: usize = 64;
/// Values and keys that a text may have, each alias counted as often as it is named: aliases can make a small text a huge tree.
const MAX_VALUES: usize = 100_000;

/// Runs code of the parser; `None` where it panics, of which nothing is printed.
fn quietly<T>(run: impl FnOnce() -> T) -> Option<T> {
    thread_local! {
        static QUIET: Cell<bool> = const { Cell::new(false) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let found = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(false);
    found.ok()
}

/// What is looked for at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The name before the `:`.
    Key,
    /// What it names.
    Value,
}

/// The place of a value, and those of what it holds.
#[derive(Debug)]
pub struct Places {
    place: Place,
    held: Held,
    /// Itself included.
    values: usize,
    characters: usize,
}

#[derive(Debug)]
enum Held {
    Text(String),
    List(Vec<Arc<Places>>),
    Map(IndexMap<String, (Place, Arc<Places>)>),
}

impl Places {
    fn new(place: Place, held: Held) -> Self {
        let characters = if let Held::Text(text) = &held { text.len() } else { 0 };
        Self { place, held, values: 1, characters }
    }

    /// Adds the entries of the maps that `<<` names, where the map has none of that name. They stay below `<<` too, so that a path
    /// through it leads somewhere.
    ///
    /// # Errors
    /// When `<<` names anything else: its place, the way from the map to what it names, and what that is.
    fn merge(&mut self) -> Result<(), (Place, Vec<String>, String)> {
        let Held::Map(entries) = &mut self.held else { return Ok(()) };
        let Some((place, named)) = entries.get(MERGE).cloned() else { return Ok(()) };
        let pieces: Vec<(Vec<String>, Arc<Self>)> = match &named.held {
            Held::List(items) => {
                (0..).zip(items).map(|(index, item): (usize, _)| (vec![index.to_string()], item.clone())).collect()
            }
            Held::Map(_) | Held::Text(_) => vec![(Vec::new(), named)],
        };
        for (way, piece) in pieces {
            let found = match &piece.held {
                Held::Map(piece) => {
                    for (name, entry) in piece.iter().filter(|(name, _)| *name != MERGE) {
                        entries.entry(name.clone()).or_insert_with(|| entry.clone());
                    }
                    continue;
                }
                Held::List(_) => "a list".to_owned(),
                Held::Text(text) if text.is_empty() => "nothing".to_owned(),
                Held::Text(text) => format!("`{}`", in_one_line(text)),
            };
            return Err((place, [vec![MERGE.to_owned()], way].concat(), found));
        }
        Ok(())
    }

    /// The places of all values of `text`.
    ///
    /// # Errors
    /// At the first thing that is not YAML, that a study has no use for (tags, directives, a second document, a key twice), or that
    /// nests or repeats too much.
    pub(super) fn of(text: &str) -> Result<Arc<Self>, Fault> {
        let mut parser = Parser::new();
        parser.set_input(text.as_bytes().chain(&b"\n"[..])); // it panics where a text ends with the `\` of an escape
        parser.set_encoding(Encoding::Utf8); // as serde_yaml does: else only one of the two skips a byte order mark in the text
        let (mut reading, mut last) = (Reading::default(), Place::START);
        loop {
            // It panics on a `!` before a comma too, and may elsewhere.
            match quietly(|| parser.parse()) {
                Some(Ok(Event { data: EventData::StreamEnd, .. })) => break,
                Some(Ok(event)) => {
                    last = place(event.start_mark);
                    reading.take(event)?;
                }
                Some(Err(error)) => return Err(reading.mistake(text, &error)),
                None => {
                    let message = "expected YAML, found what the crate `libyaml-safer` panics on, here or after it";
                    return Err(reading.fault(last, message));
                }
            }
        }
        Ok(reading.root.unwrap_or_else(|| Arc::new(Self::new(Place::START, Held::Text(String::new())))))
    }

    /// The place of what `path` leads to, or of the last thing on the way that exists.
    pub fn locate(&self, path: &[String], target: Target) -> Place {
        let (mut here, mut place) = (self, self.place);
        for step in path {
            let next = match &here.held {
                Held::Text(_) => None,
                Held::List(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)).map(|item| (item.place, item)),
                Held::Map(entries) => entries.get(step).map(|(key, value)| (*key, value)),
            };
            let Some((key, value)) = next else { return here.place };
            here = value;
            place = if target == Target::Key { key } else { value.place };
        }
        place
    }
}

/// A list or a map whose end has not been read.
struct Open {
    places: Places,
    /// Which of the anchored values it is, if it is one.
    anchor: Option<usize>,
    /// The name whose value comes next, in a map.
    key: Option<(String, Place)>,
}

/// What is known in the middle of a text.
#[derive(Default)]
struct Reading {
    open: Vec<Open>,
    /// The last value with each anchor, by its index in `anchored`.
    anchors: HashMap<String, usize>,
    /// `None` where the value has not ended.
    anchored: Vec<Option<Arc<Places>>>,
    documents: usize,
    root: Option<Arc<Places>>,
}

impl Reading {
    fn take(&mut self, Event { data, start_mark, .. }: Event) -> Result<(), Fault> {
        let place = place(start_mark);
        match data {
            EventData::StreamStart { .. } | EventData::StreamEnd | EventData::DocumentEnd { .. } => Ok(()),
            EventData::DocumentStart { version_directive, tag_directives, .. } => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.fault(place, "expected one document, found a second"));
                }
                if version_directive.is_some() || !tag_directives.is_empty() {
                    return Err(self.fault(place, "expected a study, found a YAML directive"));
                }
                Ok(())
            }
            EventData::Scalar { tag: Some(_), .. }
            | EventData::SequenceStart { tag: Some(_), .. }
            | EventData::MappingStart { tag: Some(_), .. } => {
                Err(self.fault(place, "expected a plain value, found a tag: a study has none"))
            }
            EventData::Alias { anchor } => {
                let node = self.alias(&anchor).map_err(|message| self.fault(place, message))?;
                self.put(place, node)
            }
            EventData::Scalar { anchor, value, style, .. } => {
                if style == ScalarStyle::Plain {
                    representable(&value).map_err(|message| self.fault(place, message))?;
                }
                let node = Arc::new(Places::new(place, Held::Text(value)));
                if let Some(index) = self.anchor(anchor) {
                    self.anchored[index] = Some(node.clone());
                }
                self.put(place, node)
            }
            EventData::SequenceStart { anchor, .. } => self.begin(place, Held::List(Vec::new()), anchor),
            EventData::MappingStart { anchor, .. } => self.begin(place, Held::Map(IndexMap::new()), anchor),
            EventData::SequenceEnd | EventData::MappingEnd => {
                let Open { mut places, anchor, .. } = self.open.pop().expect("what ends has begun");
                if let Err((place, way, found)) = places.merge() {
                    let message = format!("expected a map to merge, or a list of maps, found {found}");
                    return Err(Fault { place, path: [self.path(), way].concat(), message });
                }
                let (place, node) = (places.place, Arc::new(places));
                if let Some(index) = anchor {
                    self.anchored[index] = Some(node.clone());
                }
                self.put(place, node)
            }
        }
    }

    fn begin(&mut self, place: Place, held: Held, anchor: Option<String>) -> Result<(), Fault> {
        if self.open.len() == MAX_DEPTH {
            return Err(Fault::new(place, format!("expected lists and maps at most {MAX_DEPTH} deep, found more")));
        }
        let anchor = self.anchor(anchor);
        self.open.push(Open { places: Places::new(place, held), anchor, key: None });
        Ok(())
    }

    /// Adds a value that has ended, or a key, to what holds it.
    fn put(&mut self, place: Place, node: Arc<Places>) -> Result<(), Fault> {
        let Some(Open { places, key, .. }) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        if places.values + node.values > MAX_VALUES || places.characters + node.characters > MAX_BYTES {
            let most = format!("expected at most {MAX_VALUES} values and {MAX_BYTES} bytes of words, found more");
            return Err(self.fault(place, most));
        }
        places.values += node.values;
        places.characters += node.characters;
        let known = match &mut places.held {
            Held::Text(_) => unreachable!("a text holds nothing"),
            Held::List(items) => {
                items.push(node);
                None
            }
            Held::Map(entries) => match (key.take(), &node.held) {
                (Some((name, key)), _) => {
                    entries.insert(name, (key, node));
                    None
                }
                (None, Held::Text(name)) => {
                    *key = Some((name.clone(), place));
                    entries.contains_key(name).then(|| name.clone())
                }
                (None, held) => {
                    let found = if let Held::List(_) = held { "a list" } else { "a map" };
                    return Err(self.fault(place, super::not_a_name(found)));
                }
            },
        };
        match known {
            Some(name) => {
                let hint = if name == MERGE { ": write a list of what to merge, `<<: [*a, *b]`" } else { "" };
                Err(self.fault(place, format!("expected each name once, found `{}` twice{hint}", in_one_line(&name))))
            }
            None => Ok(()),
        }
    }

    /// A new index for what has this anchor.
    fn anchor(&mut self, anchor: Option<String>) -> Option<usize> {
        let index = self.anchored.len();
        self.anchors.insert(anchor?, index);
        self.anchored.push(None);
        Some(index)
    }

    fn alias(&self, anchor: &str) -> Result<Arc<Places>, String> {
        let shown = in_one_line(anchor);
        match self.anchors.get(anchor).map(|&index| &self.anchored[index]) {
            Some(Some(node)) => Ok(node.clone()),
            Some(None) => Err(format!("expected an alias of a value that has ended, found `*{shown}` within it")),
            None => Err(format!("expected the alias of an anchor, found `*{shown}`: unknown anchor")),
        }
    }

    /// Keys and indices down to the value that comes next.
    fn path(&self) -> Vec<String> {
        let step = |Open { places, key, .. }: &Open| match &places.held {
            Held::List(items) => Some(items.len().to_string()),
            _ => key.as_ref().map(|(name, _)| name.clone()),
        };
        self.open.iter().filter_map(step).collect()
    }

    fn fault(&self, place: Place, message: impl Into<String>) -> Fault {
        Fault { place, path: self.path(), message: message.into() }
    }

    fn mistake(&self, text: &str, error: &Error) -> Fault {
        let offset = error.problem_mark().map_or(0, |mark| mark.index as usize).min(text.len());
        let place = Place::of(text.as_bytes(), offset);
        if error.problem().contains("<document start>") {
            return self.fault(place, "expected one document, found a second");
        }
        let mark = error.problem_mark();
        let there = mark.and_then(|mark| text.split('\n').nth(mark.line as usize)?.chars().nth(mark.column as usize));
        if there == Some('\t') {
            return self.fault(place, "expected spaces, found a tab: YAML is indented by spaces alone");
        }
        let context = error.context().zip(error.context_mark()).map(|(context, mark)| format!(" {context} at {mark}"));
        let message = format!("expected YAML, found a mistake: {}{}", error.problem(), context.unwrap_or_default());
        self.fault(place, message)
    }
}

fn place(mark: Mark) -> Place {
    Place { line: mark.line as usize + 1, column: mark.column as usize + 1 }
}

/// Whole numbers are those of 64 bits.
fn representable(text: &str) -> Result<(), String> {
    let is_number = !text.trim_start_matches(['+', '-']).starts_with('0'); // digits after a 0 are words
    match (text.parse::<u128>(), text.parse::<i128>()) {
        (Ok(number), _) if is_number && number > u128::from(u64::MAX) => {
            Err(format!("expected a whole number below 2^64, found {number}"))
        }
        (_, Ok(number)) if is_number && number < i128::from(i64::MIN) => {
            Err(format!("expected a whole number above -2^63, found {number}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const TEXT: &str = "a: 1\nb:\n  - c: [x, 'y']\n    d: &d {e: 2}\n  - *d\n";

    fn found(path: &str, target: Target, line: usize, column: usize) {
        let path: Vec<String> = path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        assert_eq!(Places::of(TEXT).unwrap().locate(&path, target), Place { line, column }, "{path:?}");
    }

    #[test]
    fn values_and_keys_are_found() {
        found("", Target::Value, 1, 1);
        found("a", Target::Value, 1, 4);
        found("a", Target::Key, 1, 1);
        found("b.0.c.1", Target::Value, 3, 12);
        found("b.0.d", Target::Key, 4, 5);
        found("b.1.e", Target::Key, 4, 12); // where the alias leads
    }

    #[test]
    fn a_path_that_ends_early_leads_to_the_last_thing_that_exists() {
        found("b.0.x.y", Target::Value, 3, 5);
        found("b.7", Target::Value, 3, 3);
        found("a.x", Target::Value, 1, 4);
        found("z", Target::Key, 1, 1);
    }

    #[test]
    fn brackets_count_and_those_in_words_do_not() {
        let deepest = |text: &str| {
            let nested = |depth: usize| format!("{}{text}{}", "[".repeat(depth), "]".repeat(depth));
            MAX_DEPTH - (0..=MAX_DEPTH).rev().find(|&depth| Places::of(&nested(depth)).is_ok()).unwrap()
        };
        assert_eq!([deepest("1"), deepest("[1, {c: 2}]"), deepest("'[[' , \"[[\\\"[\""), deepest("it's")], [0, 2, 0, 0]);
        let hidden = format!("a: b \"\nc: {}", "[".repeat(MAX_DEPTH));
        assert!(Places::of(&hidden).unwrap_err().message.contains("at most 64 deep"), "a quote within a word opens nothing");
        for words in ["a: |\n  {}\nb: 1", "a: b \"\n  {}", "# {}\na: 1", "a: >2\n   x\n  {}\n"] {
            assert!(Places::of(&words.replace("{}", &"[".repeat(80))).is_ok(), "{words}");
        }
    }

    #[test]
    fn no_mark_of_a_tag_is_taken_for_another_character() {
        let text = "a!: b!c\n'!d': '!'\na`: 1\n";
        assert_eq!(super::super::parse(text).unwrap().to_string(), r#"{"a!":"b!c","!d":"!","a`":1}"#);
        let place = |key: &str| Places::of(text).unwrap().locate(&[key.to_owned()], Target::Value);
        assert_eq!(["a!", "!d", "a`"].map(|key| (place(key).line, place(key).column)), [(1, 5), (2, 7), (3, 5)]);
        assert!(Places::of("a!: 1\na!: 2").unwrap_err().message.contains("found `a!` twice"));
    }

    #[test]
    fn a_panic_of_the_parser_is_a_refusal() {
        let fault = Places::of("b: 1\na: [x, !, y]").unwrap_err();
        assert!(fault.message.contains("`libyaml-safer` panics on"), "{}", fault.message);
        assert_eq!((fault.place, fault.path.join(".")), (Place { line: 2, column: 5 }, "a.1".into()));
    }

    #[test]
    fn keys_count_as_values() {
        let map = |keys: usize| (0..keys).map(|key| format!("k{key}: 1\n")).collect::<String>();
        assert!(Places::of(&map(49_999)).is_ok(), "with the map itself, 99,999 values");
        let fault = Places::of(&map(50_000)).unwrap_err();
        assert!(fault.message.contains("at most 100000 values"), "{}", fault.message);
        assert_eq!((fault.place.line, fault.place.column), (50_000, 9)); // the last value
    }

    fn shape(places: &Places) -> Value {
        match &places.held {
            Held::Text(_) => Value::Null,
            Held::List(items) => items.iter().map(|item| shape(item)).collect(),
            Held::Map(entries) => {
                let own = entries.iter().filter(|(name, _)| *name != MERGE);
                own.map(|(name, (_, value))| (name.clone(), shape(value))).collect()
            }
        }
    }

    fn without_words(value: Value) -> Value {
        match value {
            Value::Array(list) => list.into_iter().map(without_words).collect(),
            Value::Object(map) => map.into_iter().map(|(name, value)| (name, without_words(value))).collect(),
            _ => Value::Null,
        }
    }

    proptest::proptest! {
        /// Else a bomb could hide from one in what is a word to the other.
        #[test]
        fn both_parsers_see_the_same(text in "([-\\[\\]{}:?,'\"#|>&*a0 \n\u{feff}]|: |- |\\[\\[|\\]\\]){0,24}") {
            match (super::super::parse(&text), serde_yaml::from_str::<serde_yaml::Value>(&text)) {
                (Ok(value), _) => proptest::prop_assert_eq!(shape(&Places::of(&text).unwrap()), without_words(value)),
                (Err(fault), Ok(_)) => proptest::prop_assert!(!fault.message.contains("found a mistake"), "{}", fault.message),
                (Err(_), Err(_)) => {}
            }
        }
    }
}
