//! Arms whose regularizers are told the token that the model is to predict at each point.

use super::arm::ArmRecords;
use regatta_core::Plugin;

/// What stands behind the name of such an arm, in every table and plot.
const MARK: &str = " (label-aware)";

/// Marks the names of such arms. A plugin that is not linked is taken for one that sees no labels.
pub(super) fn mark(arms: &mut [ArmRecords]) {
    for arm in arms.iter_mut().filter(|arm| is_label_aware(arm)) {
        arm.name += MARK;
    }
}

fn is_label_aware(arm: &ArmRecords) -> bool {
    let regularizers = arm.terms.written().filter_map(|entry| entry.get("regularizer"));
    let mut plugins = regularizers.filter_map(|plugin| serde_json::from_value::<Plugin>(plugin.clone()).ok());
    plugins.any(|plugin| plugin.0.needs_labels())
}

/// What the mark means, where an arm has it.
pub(super) fn note(arms: &[&ArmRecords]) -> Option<String> {
    arms.iter().any(|arm| is_label_aware(arm)).then(|| {
        "Label-aware arms are told the next token of each point, which no other arm sees: a difference to them is one of what is known, \
         too."
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Terms;
    use regatta_core::{Cloud, Draw, Regularizer, Tensor, regularizer, typetag};

    regularizer! {
        name: "told",
        summary: "sees labels",
        paper: "none: for tests",
        formula: "mean(z²)",
        expects: "points with labels",
        struct Told {}
    }

    #[typetag::serde(name = "told")]
    impl Regularizer for Told {
        fn penalty(&self, cloud: &Cloud, _: &mut Draw) -> regatta_core::Result<Tensor> {
            cloud.labels()?;
            Ok(cloud.points().sqr()?.mean_all()?)
        }

        fn needs_labels(&self) -> bool {
            true
        }
    }

    #[test]
    fn arms_that_see_labels_are_marked() {
        let of = |name: &str, regularizer: &str| {
            let terms = serde_json::json!([{"regularizer": {regularizer: {}}, "weight": 1.0, "at": {}}]);
            ArmRecords { terms: Terms::read(&terms).unwrap(), ..ArmRecords::empty(name) }
        };
        let mut arms = [ArmRecords::empty("baseline"), of("a", "told"), of("b", "not_linked")];
        mark(&mut arms);
        assert_eq!(arms.each_ref().map(|arm| &*arm.name), ["baseline", "a (label-aware)", "b"]);
        assert!(note(&arms.each_ref()).is_some() && note(&[&arms[0], &arms[2]]).is_none());
    }
}
