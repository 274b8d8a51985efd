//! A plugin as a study names it.

use crate::{Intervention, Regularizer, forms};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A plugin as a study names it: a bare name takes the defaults (`dispersion`), a name with fields changes some
/// (`{dispersion: {temperature: 0.5}}`). Written back with every field spelled out. `Plugin` alone is a regularizer,
/// `Plugin<dyn Intervention>` an intervention.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Plugin<T: ?Sized = dyn Regularizer>(pub Box<T>);

/// A trait that plugins implement and studies choose from by name.
pub trait Pluggable: 'static {
    /// The key in YAML that such a plugin stands behind.
    const WORD: &'static str;
    /// The same with its article.
    const ONE: &'static str;

    /// The word in YAML.
    fn name(&self) -> &'static str;
}

impl Pluggable for dyn Regularizer {
    const WORD: &'static str = "regularizer";
    const ONE: &'static str = "a regularizer";

    fn name(&self) -> &'static str {
        self.typetag_name()
    }
}

impl Pluggable for dyn Intervention {
    const WORD: &'static str = "intervention";
    const ONE: &'static str = "an intervention";

    fn name(&self) -> &'static str {
        self.typetag_name()
    }
}

impl<T: Pluggable + ?Sized> Plugin<T> {
    /// The word in YAML.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl<'de, T: Pluggable + ?Sized> Deserialize<'de> for Plugin<T>
where
    Box<T>: DeserializeOwned,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bare = |name: &str| {
            let no_fields = MapDeserializer::new(std::iter::empty::<(&str, u8)>());
            Box::<T>::deserialize(MapDeserializer::new(std::iter::once((name, no_fields)))).map(One)
        };
        let forms = forms::by_name(format!("the name of {}, or one name with its fields", T::ONE), bare);
        forms.read(deserializer).map(|One(plugin)| Plugin(plugin))
    }
}

/// One name with its fields, and no second name.
struct One<T: ?Sized>(Box<T>);

impl<'de, T: Pluggable + ?Sized> Deserialize<'de> for One<T>
where
    Box<T>: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Names(PhantomData)).map(One)
    }
}

struct Names<T: ?Sized>(PhantomData<T>);

impl<'de, T: Pluggable + ?Sized> Visitor<'de> for Names<T>
where
    Box<T>: Deserialize<'de>,
{
    type Value = Box<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one name with its fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let plugin = Box::<T>::deserialize(MapAccessDeserializer::new(&mut map))?;
        match map.next_key::<String>()? {
            None => Ok(plugin),
            Some(second) => {
                let word = T::WORD;
                Err(A::Error::custom(format!("expected one {word}, found `{second}` beside it: give it an entry of its own")))
            }
        }
    }
}

/// A choice of the plugins linked into this program.
impl<T: Pluggable + ?Sized> JsonSchema for Plugin<T> {
    fn schema_name() -> Cow<'static, str> {
        T::WORD.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let cards = super::cards().unwrap_or_default().into_values().filter(|card| card.kind.word() == T::WORD);
        let choices = cards.map(|card| {
            let description = format!("{}\n\n{}\n\n{}", card.summary, card.formula, card.paper);
            (card.name.to_owned(), description, Some(card.schema(generator).to_value()))
        });
        let choices = choices.collect();
        forms::named(generator, choices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Positive;
    use crate::{Action, Cloud, Draw, EmbeddingNoise, Tensor};
    use serde_json::json;

    #[derive(Debug, Clone, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Own {
        One,
    }

    crate::regularizer! {
        name: "mean_square",
        summary: "mean of squares",
        paper: "none",
        formula: "scale mean(z^2)",
        expects: "any points",
        struct MeanSquare {
            /// Factor in front.
            scale: Positive = Positive::new(2.0),
            /// A type without a schema.
            own: Own = Own::One,
        }
    }

    #[crate::typetag::serde(name = "mean_square")]
    impl Regularizer for MeanSquare {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> crate::Result<Tensor> {
            Ok((cloud.points().sqr()?.mean_all()? * self.scale.get())?)
        }
    }

    crate::intervention! {
        name: "shift",
        summary: "moves every embedding by as much",
        paper: "none",
        formula: "x + by",
        variants: [Shift { by: Positive::new(3.0) }],
        struct Shift {
            /// By how much.
            by: Positive = Positive::new(1.0),
        }
    }

    #[crate::typetag::serde(name = "shift")]
    impl Intervention for Shift {
        fn action(&self) -> Option<Action<'_>> {
            Some(Action::EmbeddingNoise(self))
        }
    }

    impl EmbeddingNoise for Shift {
        fn noise(&self, noise: &mut [f32], _: usize, _: &mut Draw) {
            noise.fill(self.by.get() as f32);
        }
    }

    fn read<T: Pluggable + Serialize + ?Sized>(json: &str) -> Result<String, String>
    where
        Box<T>: serde::de::DeserializeOwned,
    {
        let plugin: Plugin<T> = serde_json::from_str(json).map_err(|e| e.to_string())?;
        Ok(serde_json::to_string(&plugin).unwrap())
    }

    #[test]
    fn a_bare_name_takes_the_defaults_and_fields_change_them() {
        let check = |json: &str, expected: &str| assert_eq!(read::<dyn Regularizer>(json).unwrap(), expected);
        check(r#""mean_square""#, r#"{"mean_square":{"scale":2.0,"own":"one"}}"#);
        check(r#"{"mean_square": {}}"#, r#"{"mean_square":{"scale":2.0,"own":"one"}}"#);
        check(r#"{"mean_square": {"scale": 3.0}}"#, r#"{"mean_square":{"scale":3.0,"own":"one"}}"#);
        assert_eq!(read::<dyn Intervention>(r#""shift""#).unwrap(), r#"{"shift":{"by":1.0}}"#);
        assert_eq!(read::<dyn Intervention>(r#"{"shift": {"by": 2}}"#).unwrap(), r#"{"shift":{"by":2.0}}"#);
    }

    #[test]
    fn what_is_no_plugin_of_the_kind_is_refused() {
        let refused = |json, part: &str| assert!(read::<dyn Regularizer>(json).unwrap_err().contains(part), "{json}");
        refused(r#""mean_sqare""#, "unknown variant `mean_sqare`, expected `mean_square`");
        refused(r#""shift""#, "unknown variant `shift`, expected `mean_square`");
        refused(r#"{"mean_square": {"scale": 0.0}}"#, "expected a finite number above 0, found 0");
        refused(r#"{"mean_square": {"scael": 1.0}}"#, "unknown field `scael`, expected `scale` or `own`");
        refused(r#"{"mean_square": {}, "other": {}}"#, "expected one regularizer, found `other` beside it");
        refused("3", "the name of a regularizer");
        let refused = |json, part: &str| assert!(read::<dyn Intervention>(json).unwrap_err().contains(part), "{json}");
        refused(r#""mean_square""#, "unknown variant `mean_square`, expected `shift`");
        refused(r#"{"shift": {}, "other": {}}"#, "expected one intervention, found `other` beside it");
        refused("null", "the name of an intervention");
    }

    #[test]
    fn schemas_have_every_plugin_of_the_kind_with_its_fields() {
        let schema = Plugin::<dyn Regularizer>::json_schema(&mut SchemaGenerator::default()).to_value();
        let bare = &schema["anyOf"][0];
        assert_eq!((&bare["const"], schema["anyOf"].as_array().unwrap().len()), (&"mean_square".into(), 2), "no intervention");
        let fields = &schema["anyOf"][1]["properties"]["mean_square"]["anyOf"][0];
        let scale = json!({"type": "number", "exclusiveMinimum": 0, "description": "Factor in front.", "default": 2.0});
        assert_eq!((&fields["properties"]["scale"], &fields["additionalProperties"]), (&scale, &false.into()));
        let kind = &fields["properties"]["own"];
        assert_eq!(kind, &json!({"description": "A type without a schema.", "default": "one"}));
    }

    #[test]
    fn both_kinds_are_in_one_registry() {
        let cards = crate::registry::cards().unwrap();
        let kinds: Vec<(&str, &str, usize)> =
            cards.values().map(|card| (card.name, card.kind.word(), card.written().len())).collect();
        assert_eq!(kinds, [("mean_square", "regularizer", 1), ("shift", "intervention", 2)]);
        assert_eq!(cards["shift"].defaults()["by"], 1.0);
    }

    #[test]
    fn both_conform() {
        crate::conformance::conforms::<MeanSquare>();
        crate::conformance::intervention_conforms::<Shift>();
    }
}
