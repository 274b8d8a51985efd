//! The macros that declare a plugin.

/// Declares a regularizer: its struct, its defaults, and its card in the registry.
///
/// ```
/// use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, number::Positive, regularizer, typetag};
///
/// regularizer! {
///     name: "spread",
///     summary: "reciprocal of the mean squared norm",
///     paper: "none: an example",
///     formula: "scale / mean(z^2)",
///     expects: "any points, at the scale that is to grow",
///     /// Reciprocal of the mean square.
///     pub struct Spread {
///         /// Factor in front.
///         pub scale: Positive = Positive::new(1.0),
///     }
/// }
///
/// #[typetag::serde(name = "spread")]
/// impl Regularizer for Spread {
///     fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> {
///         let square = cloud.points().sqr()?.mean((1, 2))?;                  // (g)
///         Ok((square.recip()? * self.scale.get())?.mean_all()?)
///     }
/// }
/// # let cards = regatta_core::registry::cards().unwrap();
/// # assert_eq!(cards["spread"].fields[0].name, "scale");
/// # assert_eq!(cards["spread"].defaults()["scale"], 1.0);
/// ```
///
/// `variants: [expr, ...]`, after `expects`, lists one instance of each other variant or form: the conformance kit checks them all.
///
/// A field that matters to some of them alone says so after its default, by a pattern of the field that chooses or by a condition.
/// Elsewhere it is neither read nor written, so that two arms that differ in it cannot be the same arm:
///
/// ```
/// # use regatta_core::{Cloud, Draw, Regularizer, Result, Tensor, number::{NonNegative, Positive}, regularizer, typetag};
/// # use regatta_core::serde::{Deserialize, Serialize};
/// #[derive(Debug, Clone, Copy, Serialize, Deserialize)]
/// #[serde(crate = "regatta_core::serde", rename_all = "snake_case")]
/// enum Norm { Square, Power }
///
/// regularizer! {
///     name: "size",
///     summary: "the size of points",
///     paper: "none: an example",
///     formula: "square: offset + mean(z^2); power: mean |z|^exponent",
///     expects: "any points",
///     variants: [Size { norm: Norm::Power, ..Default::default() }],
///     /// The size of points.
///     struct Size {
///         /// Which norm.
///         norm: Norm = Norm::Square,
///         /// Exponent of power.
///         exponent: Positive = Positive::new(1.0) => [norm: Norm::Power],
///         /// What is added to square.
///         offset: NonNegative = NonNegative::new(0.0) => [norm: Norm::Square],
///     }
/// }
/// # #[typetag::serde(name = "size")]
/// # impl Regularizer for Size {
/// #     fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> Result<Tensor> { Ok(cloud.points().sqr()?.mean_all()?) }
/// # }
/// # let read = |text: &str| regatta_core::serde_json::from_str::<regatta_core::Plugin>(text);
/// # assert!(read(r#"{"size": {"norm": "power", "exponent": 3}}"#).is_ok());
/// # assert!(read(r#"{"size": {"power": {"exponent": 3}}}"#).is_ok());
/// # assert!(read(r#"{"size": {"exponent": 3}}"#).is_err());
/// ```
///
/// `size: {norm: power, exponent: 3}` may also be written `size: {power: {exponent: 3}}`.
#[macro_export]
macro_rules! regularizer {
    ($($declaration:tt)*) => { $crate::declare_plugin! { Regularizer $($declaration)* } };
}

/// Declares an intervention, as [`regularizer!`](crate::regularizer) declares a regularizer.
///
/// ```
/// use regatta_core::{Action, Draw, EmbeddingNoise, Intervention, intervention, number::Positive, typetag};
///
/// intervention! {
///     name: "jitter",
///     summary: "Gaussian noise on every embedding",
///     paper: "none: an example",
///     formula: "x + size e, e standard normal",
///     /// Gaussian noise.
///     pub struct Jitter {
///         /// Standard deviation.
///         pub size: Positive = Positive::new(0.01),
///     }
/// }
///
/// #[typetag::serde(name = "jitter")]
/// impl Intervention for Jitter {
///     fn action(&self) -> Option<Action<'_>> {
///         Some(Action::EmbeddingNoise(self))
///     }
/// }
///
/// impl EmbeddingNoise for Jitter {
///     fn noise(&self, noise: &mut [f32], _dims: usize, draw: &mut Draw) {
///         noise.fill_with(|| (self.size.get() * draw.normal()) as f32);
///     }
/// }
/// # regatta_core::conformance::intervention_conforms::<Jitter>();
/// ```
#[macro_export]
macro_rules! intervention {
    (
        name: $name:literal,
        summary: $summary:literal,
        paper: $paper:literal,
        formula: $formula:literal,
        $($rest:tt)*
    ) => {
        $crate::declare_plugin! {
            Intervention
            name: $name,
            summary: $summary,
            paper: $paper,
            formula: $formula,
            expects: "",
            $($rest)*
        }
    };
}

/// What both kinds share: struct, defaults, card, and how a study writes them.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_plugin {
    // Two arms: after an optional `variants` the parser could not tell it from the struct's visibility.
    (
        $kind:ident
        name: $name:literal,
        summary: $summary:literal,
        paper: $paper:literal,
        formula: $formula:literal,
        expects: $expects:literal,
        variants: [$($variant:expr),* $(,)?],
        $(#[$outer:meta])*
        $visibility:vis struct $type:ident {
            $(
                $(#[doc = $doc:literal])+
                $field_visibility:vis $field:ident: $field_type:ty = $default:expr $(=> [$($used:tt)+])?,
            )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone)]
        $visibility struct $type {
            $($(#[doc = $doc])+ $field_visibility $field: $field_type,)*
        }

        impl Default for $type {
            fn default() -> Self {
                Self { $($field: const { $default },)* }
            }
        }

        const _: () = {
            /// Of each field, whether it has an effect.
            #[allow(unused_variables)] // of a plugin without fields
            fn used(plugin: &$type) -> Vec<(&'static str, bool)> {
                vec![$((stringify!($field), $crate::field_is_used!(plugin $($($used)+)?)),)*]
            }

            impl $crate::serde::Serialize for $type {
                fn serialize<S: $crate::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                    #[allow(unused_imports)]
                    use $crate::serde::ser::SerializeStruct as _;
                    let used = used(self);
                    #[allow(unused_mut)]
                    let mut fields =
                        serializer.serialize_struct(stringify!($type), used.iter().filter(|(_, used)| *used).count())?;
                    $(
                        if $crate::field_is_used!(self $($($used)+)?) {
                            fields.serialize_field(stringify!($field), &self.$field)?;
                        }
                    )*
                    fields.end()
                }
            }

            /// The fields that a study names.
            #[derive(Default)]
            struct Named {
                $($field: ::std::option::Option<$field_type>,)*
            }

            impl $crate::registry::Fields for Named {
                const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

                #[allow(unused_variables)]
                fn read<'de, A: $crate::serde::de::MapAccess<'de>>(
                    &mut self,
                    key: &str,
                    map: &mut A,
                ) -> ::std::result::Result<bool, A::Error> {
                    $(
                        if key == stringify!($field) {
                            if self.$field.is_some() {
                                return Err(<A::Error as $crate::serde::de::Error>::duplicate_field(stringify!($field)));
                            }
                            self.$field = Some(map.next_value()?);
                            return Ok(true);
                        }
                    )*
                    Ok(false)
                }

                #[allow(unused_variables)]
                fn choose(&mut self, word: &str) -> bool {
                    $($($crate::field_is_chosen!(self word $($used)+);)?)*
                    false
                }
            }

            impl<'de> $crate::serde::Deserialize<'de> for $type {
                fn deserialize<D: $crate::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                    #[allow(unused_variables)]
                    let named: Named = $crate::registry::named_fields(deserializer)?;
                    let given: &[(&str, bool)] = &[$((stringify!($field), named.$field.is_some()),)*];
                    let plugin = Self { $($field: named.$field.unwrap_or_else(|| const { $default }),)* };
                    let of_variants = || [<$type>::default() $(, $variant)*].iter().map(|plugin| {
                        ($crate::registry::fields_of(plugin), used(plugin))
                    }).collect();
                    $crate::registry::all_are_used(given, &used(&plugin), of_variants)?;
                    Ok(plugin)
                }
            }
        };

        $crate::inventory::submit! {
            $crate::Card {
                name: $name,
                summary: $summary,
                paper: $paper,
                formula: $formula,
                expects: $expects,
                fields: &[$($crate::registry::Field {
                    name: stringify!($field),
                    doc: &[$($doc),+],
                    schema: |generator| {
                        #[allow(unused_imports)] // whichever the type of the field calls for
                        use $crate::registry::{Anything as _, Described as _};
                        (&$crate::registry::Probe::<$field_type>::NEW).describe(generator)
                    },
                },)*],
                kind: $crate::registry::Kind::$kind(|| vec![Box::new(<$type>::default()) $(, Box::new($variant))*]),
                version: env!("CARGO_PKG_VERSION"),
            }
        }
    };
    (
        $kind:ident
        name: $name:literal,
        summary: $summary:literal,
        paper: $paper:literal,
        formula: $formula:literal,
        expects: $expects:literal,
        variants: $variants:tt,
        $($rest:tt)*
    ) => {
        ::std::compile_error!(concat!(
            "plugin `", $name, "`: expected a struct each of whose settings has a doc comment, a type and a default: ",
            "`/// What it is.`, then `pub name: Type = default,`"
        ));
    };
    (
        $kind:ident
        name: $name:literal,
        summary: $summary:literal,
        paper: $paper:literal,
        formula: $formula:literal,
        expects: $expects:literal,
        $($rest:tt)*
    ) => {
        $crate::declare_plugin! {
            $kind
            name: $name,
            summary: $summary,
            paper: $paper,
            formula: $formula,
            expects: $expects,
            variants: [],
            $($rest)*
        }
    };
}

/// Whether a field of `plugin` has an effect: always, where a pattern of another field fits, or where a condition holds.
#[doc(hidden)]
#[macro_export]
macro_rules! field_is_used {
    ($plugin:ident) => {
        true
    };
    ($plugin:ident if $condition:expr) => {
        ($condition as fn(&_) -> bool)($plugin)
    };
    ($plugin:ident $chooser:ident: $pattern:pat) => {
        matches!($plugin.$chooser, $pattern)
    };
}

/// Takes `word` as the value of the field that chooses, where the pattern of another names one.
#[doc(hidden)]
#[macro_export]
macro_rules! field_is_chosen {
    ($named:ident $word:ident if $condition:expr) => {};
    ($named:ident $word:ident $chooser:ident: $pattern:pat) => {
        if $named.$chooser.is_none()
            && let Some(chosen) = $crate::registry::value_of_word($word)
        {
            $named.$chooser = Some(chosen);
            return true;
        }
    };
}
