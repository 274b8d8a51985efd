//! Values that are written in one of several forms: a number or a word, a flag or a list.
//!
//! A type lists its forms once, as data. [`Forms::read`] picks the form by the kind of value that it finds, and [`Forms::schema`]
//! describes all of them to editors, so that the two cannot disagree:
//!
//! ```
//! use regatta_core::{forms, forms::Forms, number::Positive};
//!
//! #[derive(Debug, PartialEq)]
//! enum Limit {
//!     None,
//!     At(Positive),
//! }
//!
//! forms! {
//!     Limit => Forms::expecting("a number above 0 or `none`")
//!         .constant("none", "No limit.", Limit::None)
//!         .number(|at| Ok(Limit::At(at)))
//! }
//!
//! let read = |text: &str| serde_json::from_str::<Limit>(text);
//! assert_eq!(read("2").unwrap(), Limit::At(Positive::new(2.0)));
//! assert_eq!(read("\"none\"").unwrap(), Limit::None);
//! assert!(read("\"nil\"").unwrap_err().to_string().contains("expected a number above 0 or `none`"));
//! ```

mod choice;
mod distinct;

pub(crate) use choice::choice as by_name;
pub use choice::{Choice, bare_or_map, named};
pub use distinct::{Distinct, canonical, distinct};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::Value;
use std::fmt;
use std::ops::RangeInclusive;

/// Implements `Deserialize` and `JsonSchema` of a type by its [`Forms`].
#[macro_export]
macro_rules! forms {
    ($type:ty => $forms:expr) => {
        impl<'de> $crate::serde::Deserialize<'de> for $type {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                ($forms).read(deserializer)
            }
        }

        impl $crate::schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut $crate::schemars::SchemaGenerator) -> $crate::schemars::Schema {
                let forms: $crate::forms::Forms<$type> = $forms;
                forms.schema(generator)
            }
        }
    };
}

type Read<T> = Box<dyn FnOnce(&mut dyn erased_serde::Deserializer<'_>) -> Result<T, erased_serde::Error>>;
/// What can be read and described.
pub trait Form: DeserializeOwned + JsonSchema + 'static {}

impl<U: DeserializeOwned + JsonSchema + 'static> Form for U {}

type Describe = Box<dyn FnOnce(&mut SchemaGenerator) -> Schema>;

/// Whole numbers in a range, and what they make.
type Whole<T> = (RangeInclusive<u64>, fn(u64) -> T);

/// What a text makes; `None` where it is none of its words.
type Words<T> = Box<dyn FnOnce(&str) -> Result<Option<T>, erased_serde::Error>>;

/// The forms of a `T`, in the order in which they are described. There is at most one for each kind of value.
pub struct Forms<T> {
    expected: String,
    constants: Vec<(Value, T)>,
    whole: Option<Whole<T>>,
    whole_as_float: bool,
    fraction: Option<fn(f64) -> T>,
    number: Option<Read<T>>,
    text: Option<Words<T>>,
    list: Option<Read<T>>,
    map: Option<Read<T>>,
    described: Vec<Describe>,
}

impl<T: 'static> Forms<T> {
    /// No form yet; `expected` names them all in messages, with words between backticks.
    pub fn expecting(expected: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            constants: Vec::new(),
            whole: None,
            whole_as_float: false,
            fraction: None,
            number: None,
            text: None,
            list: None,
            map: None,
            described: Vec::new(),
        }
    }

    /// A word or a flag, and what it means.
    #[must_use]
    pub fn constant(mut self, written: impl Into<Value>, meaning: &'static str, value: T) -> Self {
        let written = written.into();
        self.constants.push((written.clone(), value));
        self.described(move |_| json_schema!({"const": written, "description": meaning}))
    }

    /// A whole number in `range`.
    #[must_use]
    pub fn whole(mut self, range: RangeInclusive<u64>, make: fn(u64) -> T) -> Self {
        let (least, most) = (*range.start(), *range.end());
        self.whole = Some((range, make));
        self.described(move |_| match most {
            u64::MAX => json_schema!({"type": "integer", "minimum": least}),
            _ => json_schema!({"type": "integer", "minimum": least, "maximum": most}),
        })
    }

    /// The whole number may be written as a float, `2e7`.
    #[must_use]
    pub fn or_as_float(mut self) -> Self {
        self.whole_as_float = true;
        self
    }

    /// A number with a point, from 0.0 to below 1.
    #[must_use]
    pub fn fraction(mut self, make: fn(f64) -> T) -> Self {
        self.fraction = Some(make);
        self.described(|_| json_schema!({"type": "number", "minimum": 0, "exclusiveMaximum": 1}))
    }

    /// A number that a `U` is, and says why it is not.
    #[must_use]
    pub fn number<U: Form>(mut self, make: impl FnOnce(U) -> Result<T, String> + 'static) -> Self {
        self.number = Some(reader(make));
        self.described(SchemaGenerator::subschema_for::<U>)
    }

    /// Text that `make` makes sense of; `pattern` is a regular expression that admits no more.
    #[must_use]
    pub fn text(mut self, pattern: &'static str, make: impl FnOnce(&str) -> Option<T> + 'static) -> Self {
        self.text = Some(Box::new(|text| Ok(make(text))));
        self.described(move |_| json_schema!({"type": "string", "pattern": pattern}))
    }

    /// A list that a `U` is.
    #[must_use]
    pub fn list<U: Form>(mut self, make: impl FnOnce(U) -> Result<T, String> + 'static) -> Self {
        self.list = Some(reader(make));
        self.described(SchemaGenerator::subschema_for::<U>)
    }

    /// A map that a `U` is.
    #[must_use]
    pub fn map<U: Form>(mut self, make: impl FnOnce(U) -> Result<T, String> + 'static) -> Self {
        self.map = Some(reader(make));
        self.described(SchemaGenerator::subschema_for::<U>)
    }

    /// What the form before this stands for, for editors and the reference.
    ///
    /// # Panics
    /// When there is no form before this.
    #[must_use]
    pub fn meaning(mut self, meaning: &'static str) -> Self {
        let describe = self.described.pop().expect("a form before its meaning");
        self.described(move |generator| {
            let mut schema = describe(generator);
            schema.insert("description".into(), meaning.into());
            schema
        })
    }

    fn described(mut self, describe: impl FnOnce(&mut SchemaGenerator) -> Schema + 'static) -> Self {
        self.described.push(Box::new(describe));
        self
    }

    /// Reads the form that is there.
    ///
    /// # Errors
    /// When no form fits what is there, with all that were expected; when the one that fits refuses it, with its reason.
    pub fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }

    /// All forms, for editors.
    pub fn schema(self, generator: &mut SchemaGenerator) -> Schema {
        let mut forms: Vec<Schema> = self.described.into_iter().map(|describe| describe(generator)).collect();
        if forms.len() == 1 { forms.remove(0) } else { json_schema!({"anyOf": forms}) }
    }

    fn constant_of(&mut self, found: &Value) -> Option<T> {
        let index = self.constants.iter().position(|(written, _)| written == found)?;
        Some(self.constants.swap_remove(index).1)
    }
}

fn reader<T, U: DeserializeOwned>(make: impl FnOnce(U) -> Result<T, String> + 'static) -> Read<T> {
    Box::new(|deserializer| erased_serde::deserialize(deserializer).and_then(|value| make(value).map_err(Error::custom)))
}

fn read_by<'de, T, D: Deserializer<'de>>(read: Read<T>, deserializer: D) -> Result<T, D::Error> {
    read(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer)).map_err(D::Error::custom)
}

/// The one visitor: each method is a kind of value.
impl<'de, T: 'static> Visitor<'de> for Forms<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expected)
    }

    fn visit_bool<E: Error>(mut self, flag: bool) -> Result<T, E> {
        self.constant_of(&flag.into()).ok_or_else(|| E::invalid_type(Unexpected::Bool(flag), &self))
    }

    fn visit_u64<E: Error>(mut self, number: u64) -> Result<T, E> {
        match (&self.whole, self.number.take()) {
            (Some((range, make)), _) if range.contains(&number) => Ok(make(number)),
            (None, Some(read)) => read_by(read, IntoDeserializer::<E>::into_deserializer(number)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(mut self, number: i64) -> Result<T, E> {
        match self.number.take() {
            Some(read) => read_by(read, IntoDeserializer::<E>::into_deserializer(number)),
            None => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(mut self, number: f64) -> Result<T, E> {
        if let Some(read) = self.number.take() {
            return read_by(read, IntoDeserializer::<E>::into_deserializer(number));
        }
        let whole = self.whole_as_float && number.fract() == 0.0 && (0.0..=9e15).contains(&number);
        match (&self.whole, self.fraction) {
            (Some((range, make)), _) if whole && range.contains(&(number as u64)) => Ok(make(number as u64)),
            (_, Some(make)) if (0.0..1.0).contains(&number) => Ok(make(number)),
            _ => Err(E::invalid_value(Unexpected::Float(number), &self)),
        }
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<T, E> {
        if let Some(value) = self.constant_of(&text.into()) {
            return Ok(value);
        }
        match self.text.take().map(|make| make(text)) {
            Some(Ok(Some(value))) => Ok(value),
            Some(Err(error)) => Err(E::custom(error)),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, list: A) -> Result<T, A::Error> {
        match self.list.take() {
            Some(read) => read_by(read, SeqAccessDeserializer::new(list)),
            None => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<T, A::Error> {
        match self.map.take() {
            Some(read) => read_by(read, MapAccessDeserializer::new(map)),
            None => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Positive;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, PartialEq)]
    enum Any {
        Off,
        Word,
        Steps(u64),
        Fraction(f64),
        List(Vec<u8>),
        Map(Positive),
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Fields {
        size: Positive,
    }

    crate::forms! {
        Any => Forms::expecting("one of six")
            .constant(false, "Nothing.", Any::Off)
            .constant("word", "A word.", Any::Word)
            .whole(0..=9, Any::Steps)
            .fraction(Any::Fraction)
            .meaning("Of ten.")
            .list(|list| Ok(Any::List(list)))
            .map(|Fields { size }| if size.get() < 9.0 { Ok(Any::Map(size)) } else { Err("too large".into()) })
    }

    #[test]
    fn the_kind_of_value_picks_the_form() {
        let read = |text: &str| serde_json::from_str::<Any>(text).unwrap();
        assert_eq!([read("false"), read("\"word\"")], [Any::Off, Any::Word]);
        assert_eq!([read("9"), read("0.5")], [Any::Steps(9), Any::Fraction(0.5)]);
        assert_eq!([read("[1, 2]"), read("{\"size\": 2}")], [Any::List(vec![1, 2]), Any::Map(Positive::new(2.0))]);
    }

    #[test]
    fn what_fits_no_form_is_refused_by_all_and_what_fits_one_by_that() {
        let refused = |text: &str, part: &str| {
            let error = serde_json::from_str::<Any>(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        refused("true", "invalid type: boolean `true`, expected one of six");
        refused("10", "invalid value: integer `10`, expected one of six");
        refused("-1", "invalid value: integer `-1`, expected one of six");
        refused("1.0", "invalid value: floating point `1.0`, expected one of six");
        refused("\"wrod\"", "invalid value: string \"wrod\", expected one of six");
        refused("null", "invalid type: null, expected one of six");
        refused("[-1]", "expected u8");
        refused("{\"size\": 0}", "expected a finite number above 0, found 0");
        refused("{\"szie\": 1}", "unknown field `szie`, expected `size`");
        refused("{\"size\": 9}", "too large");
    }

    #[test]
    fn every_form_is_described() {
        let schema = serde_json::to_value(schemars::schema_for!(Any)).unwrap();
        let forms = schema["anyOf"].as_array().unwrap();
        assert_eq!(forms.len(), 6);
        assert_eq!(forms[1], json!({"const": "word", "description": "A word."}));
        assert_eq!(forms[2], json!({"type": "integer", "minimum": 0, "maximum": 9}));
        assert_eq!(forms[3], json!({"type": "number", "minimum": 0, "exclusiveMaximum": 1, "description": "Of ten."}));
    }
}
