//! The names of a new plugin: its crate, its tag in studies, and its type.

use regatta_core::registry;
use std::collections::BTreeMap;

/// What a new plugin is called.
#[derive(Debug, PartialEq)]
pub(super) struct Names {
    /// The package, `my-spread` or `regatta-my-spread`.
    pub package: String,
    /// The package as Rust code names it, `my_spread` or `regatta_my_spread`.
    pub library: String,
    /// The tag in YAML, `my_spread`.
    pub tag: String,
    /// `MySpread`
    pub type_name: String,
}

/// Packages that a new crate depends on.
const DEPENDENCIES: [&str; 3] = ["regatta-core", "regatta-cli", "regatta-builtin"];

/// Words of Rust, crates that every crate sees, names that cargo keeps for its own folders, and words that YAML does not read as
/// text.
const RESERVED: [&str; 70] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "no",
    "null",
    "off",
    "on",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "y",
    "yes",
    "yield",
    "n",
    "none",
    "baseline",
    "regatta",
];

/// Types that the templates use; a plugin's own must not hide them.
const TYPES: [&str; 30] = [
    "Action",
    "AsMut",
    "AsRef",
    "Box",
    "Clone",
    "Cloud",
    "Copy",
    "Debug",
    "Default",
    "Device",
    "Draw",
    "EmbeddingNoise",
    "Drop",
    "Err",
    "Eq",
    "Fraction",
    "From",
    "Into",
    "Intervention",
    "Iterator",
    "NonNegative",
    "Ok",
    "Option",
    "Ord",
    "Regularizer",
    "Result",
    "Some",
    "String",
    "Tensor",
    "Vec",
];

impl Names {
    /// The names for the crate `name`, where no plugin of `cards` has its tag.
    ///
    /// # Errors
    /// When the name cannot be a crate, a tag and a type at once, or is taken.
    pub fn of(name: &str, cards: &BTreeMap<&'static str, &'static registry::Card>) -> Result<Self, String> {
        let shape = "expected a name of 1 to 64 lower-case letters, digits, `_` or `-`, beginning with a letter";
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || name.len() > 64 || !name.chars().all(legal) || name.ends_with(['_', '-']) {
            // what is left of a word without its letters of other alphabets is nobody's name
            let hint =
                snake(name).filter(|_| name.is_ascii()).map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
            return Err(format!("{shape}, found {name:?}{hint}"));
        }
        let library = name.replace('-', "_");
        let tag = library.strip_prefix("regatta_").unwrap_or(&library).to_owned();
        if DEPENDENCIES.contains(&library.replace('_', "-").as_str()) {
            return Err(format!("expected a name of your own, found `{name}`, a crate of Regatta that yours depends on"));
        }
        if RESERVED.contains(&tag.as_str()) || RESERVED.contains(&library.as_str()) {
            return Err(format!("expected a name of your own, found `{name}`, which Rust, cargo or a study uses itself"));
        }
        if let Some(card) = cards.get(tag.as_str()) {
            let kind = card.kind.word();
            return Err(format!(
                "expected a new name, found `{tag}`, which is a linked {kind} already (`regatta explain {tag}`)"
            ));
        }
        let type_name = camel(&tag);
        let starts = type_name.starts_with(|c: char| c.is_ascii_uppercase());
        if !starts || TYPES.contains(&type_name.as_str()) {
            return Err(format!(
                "expected a name of your own, found `{name}`: its type, `{type_name}`, would hide one that it uses"
            ));
        }
        Ok(Self { package: name.to_owned(), library, tag, type_name })
    }
}

/// `my_spread` to `MySpread`.
fn camel(tag: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    tag.split('_').filter(|part| !part.is_empty()).map(word).collect()
}

/// A legal name near an illegal one: `MySpread 2` to `my_spread_2`; `None` where there is none.
fn snake(name: &str) -> Option<String> {
    let mut found = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && found.ends_with(|last: char| last.is_ascii_lowercase() || last.is_ascii_digit()) {
            found.push('_');
        }
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => found.push(c),
            _ if found.is_empty() || found.ends_with('_') => {}
            _ => found.push('_'),
        }
    }
    let found = found.trim_end_matches('_').trim_start_matches(|c: char| !c.is_ascii_lowercase());
    (!found.is_empty() && found.len() <= 64).then(|| found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: Result<[&str; 4], &str>) {
        let cards = registry::cards().unwrap();
        match (Names::of(name, &cards), expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!([found.package, found.library, found.tag, found.type_name], expected.map(str::to_owned), "{name}");
            }
            (Err(found), Err(part)) => assert!(found.contains(part), "{name}: {found}"),
            (found, expected) => panic!("{name}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_crate_a_word_and_a_type_come_from_one_name() {
        check("spread", Ok(["spread", "spread", "spread", "Spread"]));
        check("my-spread2", Ok(["my-spread2", "my_spread2", "my_spread2", "MySpread2"]));
        check("l2_norm", Ok(["l2_norm", "l2_norm", "l2_norm", "L2Norm"]));
        check("regatta-my-spread", Ok(["regatta-my-spread", "regatta_my_spread", "my_spread", "MySpread"]));
    }

    #[test]
    fn illegal_names_are_refused_with_a_legal_one_near_by() {
        check(
            "MySpread",
            Err("lower-case letters, digits, `_` or `-`, beginning with a letter, found \"MySpread\"; did you mean `my_spread`?"),
        );
        check("my spread", Err("did you mean `my_spread`?"));
        check("2fast", Err("did you mean `fast`?"));
        check("../spread", Err("did you mean `spread`?"));
        for name in ["größe", "été"] {
            let refused = Names::of(name, &BTreeMap::new()).unwrap_err();
            assert!(refused.ends_with(&format!("beginning with a letter, found {name:?}")), "{refused}");
        }
        check("spread-", Err("did you mean `spread`?"));
        check("", Err("found \"\""));
        check(&"a".repeat(65), Err("1 to 64"));
    }

    #[test]
    fn names_that_something_else_has_are_refused() {
        for word in ["match", "test", "std", "build", "true", "null", "baseline"] {
            check(word, Err("which Rust, cargo or a study uses itself"));
        }
        for word in ["regatta-core", "regatta_cli", "regatta-builtin"] {
            check(word, Err("a crate of Regatta that yours depends on"));
        }
        for word in ["cloud", "draw", "option", "regatta-tensor"] {
            check(word, Err("would hide one that it uses"));
        }
        check("mean_square", Err("`mean_square`, which is a linked regularizer already")); // of the tests of `costs`
        check("regatta-mean-square", Err("a linked regularizer already"));
    }

    #[test]
    fn every_type_that_a_template_imports_is_refused_as_a_name() {
        for template in
            [include_str!("../../../templates/plugin/regularizer.rs"), include_str!("../../../templates/plugin/intervention.rs")]
        {
            let imports = template.lines().filter(|line| line.trim_start().starts_with("use ") && !line.contains("super::*"));
            let words = imports.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
            for word in words.filter(|word| word.starts_with(char::is_uppercase)) {
                assert!(TYPES.contains(&word), "`{word}` is imported by a template");
            }
        }
    }
}
