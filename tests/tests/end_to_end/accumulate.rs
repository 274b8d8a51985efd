//! A batch that goes through the model in parts gives the same training.

use crate::losses::{INTERVENTIONS, KINDS, KINDS_OF_VIEWS};
use crate::{Study, tiny};

/// Every regularizer on clouds of the whole batch, four on clouds of sequences of which points are sampled, every intervention.
fn arms() -> String {
    let whole = |(name, kind): &(&str, &str)| {
        format!("  {name}: [{{regularizer: {kind}, weight: 0.05, at: {{scale: layer_norm, points: batch}}}}]\n")
    };
    let sampled = |(name, kind): &(&str, &str)| {
        format!("  {name}-sampled: [{{regularizer: {kind}, weight: 0.05, at: {{max_points: 9}}}}]\n")
    };
    let changed = |(name, kind): &(&str, &str)| format!("  {name}: [{{intervention: {kind}}}]\n");
    let regularized =
        KINDS.iter().chain(&KINDS_OF_VIEWS).map(whole).chain([KINDS[0], KINDS[7], KINDS[8], KINDS[14]].iter().map(sampled));
    let arms: String = regularized.chain(INTERVENTIONS.iter().map(changed)).collect();
    arms.replace("every: 40", "every: 3")
        + "  several: [{regularizer: koleo, weight: 0.1, at: {points: pooled}}, {regularizer: vicreg, weight: 0.01}, {intervention: byol}]\n"
}

#[test]
fn every_method_trains_alike_in_parts() {
    let yaml =
        tiny(&arms()).replace("seeds: [0, 1]", "seeds: [0]").replace("schedule: constant", "schedule: constant, dropout: 0.1");
    let study = Study::new(&(yaml + "vary: {train.accumulate: [1, 2, 4]}\n"));
    study.run("out", &["--jobs", "2"], 0);
    let arms = std::fs::read_dir(study.path().join("out/trials")).unwrap();
    let arms: Vec<String> = arms.map(|arm| arm.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(arms.len(), 1 + KINDS.len() + KINDS_OF_VIEWS.len() + 4 + INTERVENTIONS.len() + 1);
    for arm in arms {
        let metrics = |parts: usize| study.metrics("out", &format!("{arm}/accumulate={parts}"), 0);
        let whole = metrics(1);
        for parts in [2, 4] {
            for (found, expected) in metrics(parts).iter().zip(&whole) {
                for field in ["loss", "penalty", "grad_norm"] {
                    let [found, expected] = [found, expected].map(|record| record[field].as_f64().unwrap());
                    let apart = (found - expected).abs() / expected.abs().max(1.0);
                    // rounding differs, and whitening and ternary weights magnify it from step to step
                    assert!(apart < 2e-3, "{arm} in {parts} parts: {field} {found}, whole {expected}");
                }
            }
            let [found, expected] = [&metrics(parts)[0], &whole[0]].map(|record| record["grad_norm"].as_f64().unwrap());
            assert!((found / expected - 1.0).abs() < 1e-5, "{arm} in {parts} parts: first gradient {found}, whole {expected}");
        }
    }
}

#[test]
fn parts_that_are_not_alike_are_refused() {
    let study = Study::new(&tiny("").replace("batch_size: 4", "batch_size: 4, accumulate: 3"));
    let output = study.regatta(&["check", "study.yaml"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
    assert!(text.contains("train.accumulate: expected a divisor of `train.batch_size`, 4, found 3"), "{text}");
}
