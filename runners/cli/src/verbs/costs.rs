//! What each plugin costs, as a file that `regatta bench --costs` writes and `regatta list --costs` reads.

use regatta_core::registry::Kind;
use regatta_core::{Card, Intervention, Regularizer};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What a plugin adds to a training step, as a fraction of a step without it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Costs {
    /// What the numbers are, and how to measure them again.
    pub about: String,
    /// The model's shape, as `regatta bench --shape` names it.
    pub shape: String,
    /// Fractions by plugin, a regularizer as `regatta bench --regularizer` takes it; null where it was not measured.
    pub shares: BTreeMap<String, Option<f64>>,
}

impl Costs {
    /// Reads the file, which may lack plugins of this program but must not name others.
    pub fn read(path: &Path, cards: &BTreeMap<&'static str, &'static Card>) -> Result<Self, String> {
        let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| at(&error))?;
        let costs: Self = serde_json::from_str(&text).map_err(|error| {
            at(&format!("expected costs as `regatta bench --costs` writes them, found another file ({error})"))
        })?;
        let known: Vec<String> = cards.values().flat_map(|card| forms(card)).map(|(words, _)| words).collect();
        for words in costs.shares.keys() {
            if !known.contains(words) {
                let nearest = regatta_core::registry::nearest(words, known.iter().map(String::as_str));
                let hint = nearest.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(at(&format!("shares: expected a plugin of this program or a form of one, found `{words}`{hint}")));
            }
        }
        Ok(costs)
    }

    /// The cost of a card's default, and the range over its forms.
    pub fn cell(&self, card: &Card) -> String {
        let forms = forms(card);
        let share = |words: &String| self.shares.get(words).copied().flatten();
        let mut cell = share(&forms[0].0).map_or("not measured".to_owned(), percent);
        if matches!(&forms[0].1, Form::Regularizer(form) if form.needs_view()) {
            cell += ", and a second pass";
        }
        let mut known: Vec<f64> = forms.iter().filter_map(|(words, _)| share(words)).collect();
        known.sort_by(f64::total_cmp);
        if let [least, .., most] = known[..] {
            let (least, most) = (percent(least), percent(most));
            cell += &if least == most { format!("; each form {least}") } else { format!("; by form {least} to {most}") };
            let missing = forms.len() - known.len();
            if missing > 0 {
                cell += &format!(", {missing} not measured");
            }
        }
        cell
    }
}

/// A difference of whole steps is accurate to about a percent, and may come out negative.
fn percent(share: f64) -> String {
    if share < 0.01 { "below 1%".to_owned() } else { format!("{:.1}%", 100.0 * share) }
}

/// A plugin as it is written in a study.
#[derive(Debug)]
pub(super) enum Form {
    Regularizer(Box<dyn Regularizer>),
    Intervention(Box<dyn Intervention>),
}

/// A plugin's default and one of each other variant or form, each with its words: the name alone, or with the fields that differ
/// from the default's.
pub(super) fn forms(card: &Card) -> Vec<(String, Form)> {
    let defaults = card.defaults();
    let words = |written: Value| {
        let fields = written[card.name].as_object();
        let other = fields.into_iter().flatten().filter(|(key, value)| defaults.get(*key) != Some(value));
        let other: Vec<String> = other.map(|(key, value)| format!("{key}: {}", plain(value))).collect();
        if other.is_empty() { card.name.to_owned() } else { format!("{}: {{{}}}", card.name, other.join(", ")) }
    };
    match card.kind {
        Kind::Regularizer(variants) => {
            let forms = variants().into_iter().map(|form| (words(written(&form)), Form::Regularizer(form)));
            forms.collect()
        }
        Kind::Intervention(variants) => {
            let forms = variants().into_iter().map(|form| (words(written(&form)), Form::Intervention(form)));
            forms.collect()
        }
    }
}

fn written(form: &impl Serialize) -> Value {
    serde_json::to_value(form).unwrap_or_default()
}

/// A word without its quotation marks, as YAML takes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_core::number::{NonNegative, Positive};
    use regatta_core::{Cloud, Draw, Tensor, registry, regularizer, typetag};

    regularizer! {
        name: "mean_square",
        summary: "mean of squares",
        paper: "none",
        formula: "scale mean(z^2) + shift",
        expects: "any points",
        variants: [
            MeanSquare { scale: Positive::new(2.5), ..Default::default() },
            MeanSquare { scale: Positive::new(3.0), shift: NonNegative::new(1.0) },
        ],
        struct MeanSquare {
            /// Factor in front.
            scale: Positive = Positive::new(1.0),
            /// Added.
            shift: NonNegative = NonNegative::new(0.0),
        }
    }

    #[typetag::serde(name = "mean_square")]
    impl Regularizer for MeanSquare {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> regatta_core::Result<Tensor> {
            Ok(cloud.points().sqr()?.mean_all()?.affine(self.scale.get(), self.shift.get())?)
        }
    }

    const SECOND: &str = "mean_square: {scale: 2.5}";

    fn cell(shares: &[(&str, Option<f64>)]) -> String {
        let shares = shares.iter().map(|(words, share)| ((*words).to_owned(), *share)).collect();
        let costs = Costs { about: String::new(), shape: "small".into(), shares };
        costs.cell(registry::cards().unwrap()["mean_square"])
    }

    #[test]
    fn words_name_what_differs_from_the_default_and_are_read_again() {
        let forms = forms(registry::cards().unwrap()["mean_square"]);
        let words: Vec<&str> = forms.iter().map(|(words, _)| words.as_str()).collect();
        assert_eq!(words, ["mean_square", SECOND, "mean_square: {scale: 3.0, shift: 1.0}"]);
        for (words, form) in &forms {
            let Form::Regularizer(form) = form else { panic!("{words} is a regularizer") };
            let read = regatta_config::regularizer(words).unwrap();
            assert_eq!(serde_json::to_value(&read.0).unwrap(), serde_json::to_value(form).unwrap(), "{words}");
        }
    }

    #[test]
    fn a_cell_says_what_was_measured_and_what_not() {
        assert_eq!(cell(&[]), "not measured");
        assert_eq!(cell(&[("mean_square", Some(0.0495))]), "5.0%");
        assert_eq!(cell(&[("mean_square", None), (SECOND, None)]), "not measured");
        assert_eq!(cell(&[("mean_square", Some(-0.002))]), "below 1%");
        let two = [("mean_square", Some(0.05)), (SECOND, Some(0.2184))];
        assert_eq!(cell(&two), "5.0%; by form 5.0% to 21.8%, 1 not measured");
        let equal = [("mean_square", Some(0.0429)), (SECOND, Some(0.0434))];
        assert_eq!(cell(&equal), "4.3%; each form 4.3%, 1 not measured");
    }

    #[test]
    fn a_file_that_names_another_regularizer_is_refused() {
        let cards = registry::cards().unwrap();
        let read = |shares: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), format!(r#"{{"about": "", "shape": "small", "shares": {shares}}}"#)).unwrap();
            Costs::read(file.path(), &cards)
        };
        assert_eq!(read(r#"{"mean_square": 0.5}"#).unwrap().shares["mean_square"], Some(0.5));
        assert!(read(r#"{"mean_sqare": 0.5}"#).unwrap_err().contains("did you mean `mean_square`?"));
        let refused = read(r#"{"mean_square": "half"}"#).unwrap_err();
        assert!(refused.contains("expected costs as `regatta bench --costs` writes them, found another file"), "{refused}");
    }
}
