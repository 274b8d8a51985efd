//! The terms of arms, shortened to what differs from the defaults and from the other arms.

use crate::text::one_line;
use crate::{Arm, Results, Setting};
use std::collections::BTreeMap;

/// The settings of a study's terms, compared over all arms.
pub struct Terms<'a> {
    /// By plugin and key: the value of the first term, and whether all terms of the plugin have it.
    of_plugin: BTreeMap<(&'a str, &'a str), (&'a str, bool)>,
    /// Settings that differ from the defaults and that every term of every arm has, as key and value.
    shared: Vec<(&'a str, &'a str)>,
}

impl<'a> Terms<'a> {
    /// Compares the terms of all arms.
    pub fn of(results: &'a Results) -> Self {
        let mut of_plugin: BTreeMap<(&str, &str), (&str, bool)> = BTreeMap::new();
        let mut counts: BTreeMap<(&str, &str), (usize, bool)> = BTreeMap::new();
        let mut terms = 0;
        for term in results.arms.iter().flat_map(|arm| &arm.listed) {
            terms += 1;
            for Setting { key, value, is_default } in &term.settings {
                let known = of_plugin.entry((&term.plugin, key)).or_insert((value, true));
                known.1 &= known.0 == value;
                let count = counts.entry((key, value)).or_default();
                count.0 += 1;
                count.1 |= !is_default;
            }
        }
        let shared = |(_, (count, changed)): &(&(&str, &str), &(usize, bool))| *count == terms && *changed && terms > 1;
        let shared = counts.iter().filter(shared).map(|(setting, _)| *setting).collect();
        Self { of_plugin, shared }
    }

    /// The terms of an arm, as in `vicreg weight: 0.01, at.points: batch`; its whole YAML where its settings are not known.
    pub fn of_arm(&self, arm: &Arm) -> String {
        if arm.listed.is_empty() {
            return one_line(&arm.terms);
        }
        let differs = |plugin: &str, setting: &Setting| {
            let alike = self.of_plugin.get(&(plugin, setting.key.as_str())).is_some_and(|(_, alike)| *alike);
            !alike || !setting.is_default && !self.shared.contains(&(setting.key.as_str(), setting.value.as_str()))
        };
        let term = |term: &crate::Term| {
            let shown = term.settings.iter().filter(|setting| differs(&term.plugin, setting));
            let settings: Vec<String> = shown.map(|setting| format!("{}: {}", setting.key, setting.value)).collect();
            one_line(format!("{} {}", term.plugin, settings.join(", ")).trim())
        };
        arm.listed.iter().map(term).collect::<Vec<_>>().join("; ")
    }

    /// The settings that every term changes alike, in a sentence, if any.
    pub fn shared(&self) -> Option<String> {
        let shared: Vec<String> = self.shared.iter().map(|(key, value)| one_line(&format!("{key}: {value}"))).collect();
        (!shared.is_empty()).then(|| format!("All terms have {}.", shared.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Term, sample};

    fn results(arms: &[&[(&str, &str, bool)]]) -> Results {
        let mut results = sample::results();
        for (arm, settings) in results.arms.iter_mut().skip(1).zip(arms) {
            let setting =
                |&(key, value, is_default): &(&str, &str, bool)| Setting { key: key.into(), value: value.into(), is_default };
            arm.listed = vec![Term { plugin: "vicreg".into(), settings: settings.iter().map(setting).collect() }];
        }
        results
    }

    fn check(arms: &[&[(&str, &str, bool)]], expected: &[&str], shared: Option<&str>) {
        let results = results(arms);
        let terms = Terms::of(&results);
        let found: Vec<String> = results.arms.iter().skip(1).take(arms.len()).map(|arm| terms.of_arm(arm)).collect();
        assert_eq!(found, expected);
        assert_eq!(terms.shared().as_deref(), shared);
    }

    #[test]
    fn defaults_that_all_arms_have_are_left_out() {
        check(&[&[("weight", "0.1", false), ("gamma", "1", true)]], &["vicreg weight: 0.1"], None);
    }

    #[test]
    fn a_default_is_shown_where_another_arm_differs_from_it() {
        let arms: [&[_]; 2] =
            [&[("gamma", "1", true), ("epsilon", "0.1", true)], &[("gamma", "2", false), ("epsilon", "0.1", true)]];
        check(&arms, &["vicreg gamma: 1", "vicreg gamma: 2"], None);
    }

    #[test]
    fn what_every_term_has_is_said_once() {
        let arms: [&[_]; 2] =
            [&[("weight", "0.1", false), ("at.layers", "last", false)], &[("weight", "1", false), ("at.layers", "last", false)]];
        check(&arms, &["vicreg weight: 0.1", "vicreg weight: 1"], Some("All terms have at.layers: last."));
    }

    #[test]
    fn terms_whose_settings_are_not_known_are_shown_whole() {
        let results = sample::results();
        assert_eq!(Terms::of(&results).of_arm(&results.arms[1]), "[{regularizer: dispersion, weight: 0.1}]");
    }
}
