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
/// `home: "points: batch, scale: layer_norm"`, after `expects`, says the place in a study's own words, where it is another than the
/// default: the fields of `at`. `explain` shows it. `variants: [expr, ...]`, after these, lists one instance of each other variant
/// or form: the conformance kit checks them all.
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

/// What both kinds share: struct, defaults, card.
#[doc(hidden)]
#[macro_export]
macro_rules! declare_plugin {
    // Three arms: after an optional `variants` the parser could not tell it from the struct's visibility.
    (
        $kind:ident
        name: $name:literal,
        summary: $summary:literal,
        paper: $paper:literal,
        formula: $formula:literal,
        expects: $expects:literal,
        home: $home:literal,
        variants: [$($variant:expr),* $(,)?],
        $(#[$outer:meta])*
        $visibility:vis struct $type:ident {
            $($(#[doc = $doc:literal])+ $field_visibility:vis $field:ident: $field_type:ty = $default:expr,)*
        }
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, $crate::serde::Serialize, $crate::serde::Deserialize)]
        #[serde(crate = "regatta_core::serde", deny_unknown_fields, default)]
        $visibility struct $type {
            $($(#[doc = $doc])+ $field_visibility $field: $field_type,)*
        }

        impl Default for $type {
            fn default() -> Self {
                Self { $($field: const { $default },)* }
            }
        }

        $crate::inventory::submit! {
            $crate::Card {
                name: $name,
                summary: $summary,
                paper: $paper,
                formula: $formula,
                expects: $expects,
                home: $home,
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
        home: $home:literal,
        $($rest:tt)*
    ) => {
        $crate::declare_plugin! {
            $kind
            name: $name,
            summary: $summary,
            paper: $paper,
            formula: $formula,
            expects: $expects,
            home: $home,
            variants: [],
            $($rest)*
        }
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
            home: "",
            $($rest)*
        }
    };
}
