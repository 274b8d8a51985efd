//! Two ways of writing a choice that serde does not offer by itself.

use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, VariantAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A value, or the word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrNone<T> {
    /// The value.
    Some(T),
    /// `none`: no limit.
    None,
}

impl<T> OrNone<T> {
    /// As an option.
    pub fn get(self) -> Option<T> {
        match self {
            OrNone::Some(value) => Some(value),
            OrNone::None => None,
        }
    }
}

impl<T: Serialize> Serialize for OrNone<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OrNone::Some(value) => value.serialize(serializer),
            OrNone::None => serializer.serialize_str("none"),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrNone<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrNone<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for NumberOrNone<T> {
            type Value = OrNone<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or `none`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Self::Value, E> {
                if word == "none" { Ok(OrNone::None) } else { Err(E::invalid_value(de::Unexpected::Str(word), &self)) }
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OrNone::Some)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OrNone::Some)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OrNone::Some)
            }
        }

        deserializer.deserialize_any(NumberOrNone(PhantomData))
    }
}

/// An enum whose variants are written as `{name: {fields}}`, where a bare `name` takes every default.
/// Use as `#[serde(deserialize_with = "bare_or_map")]`.
///
/// # Errors
/// As the enum's own `Deserialize`.
pub fn bare_or_map<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct BareOrMap<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for BareOrMap<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name, or one name with its fields")
        }

        fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
            T::deserialize(de::value::EnumAccessDeserializer::new(BareVariant::<E> { name: name.to_owned(), error: PhantomData }))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(BareOrMap(PhantomData))
}

/// A variant with nothing behind its name: its content is an empty map.
struct BareVariant<E> {
    name: String,
    error: PhantomData<E>,
}

impl<'de, E: de::Error> EnumAccess<'de> for BareVariant<E> {
    type Error = E;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), E> {
        let name = seed.deserialize(self.name.as_str().into_deserializer())?;
        Ok((name, self))
    }
}

impl<'de, E: de::Error> VariantAccess<'de> for BareVariant<E> {
    type Error = E;

    fn unit_variant(self) -> Result<(), E> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, E> {
        seed.deserialize(MapDeserializer::new(std::iter::empty::<(&str, u8)>()))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, E> {
        Err(E::invalid_type(de::Unexpected::UnitVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, E> {
        visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, u8)>()))
    }
}
