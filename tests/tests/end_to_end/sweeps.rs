//! What a sweep's and a tuned study's folder says: rows with their own baselines, effects against size, the tuning table.

use crate::{Study, tiny};
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Study {
    fn results(&self) -> Value {
        let output = self.regatta(&["results", "out", "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Two widths, two weights: six rows.
fn swept() -> Study {
    let sweep = "vary: {model.width: [16, 32], 'arms.*.0.weight': [0.01, 0.1]}\n";
    Study::new(&(tiny("  dispersion: [{regularizer: dispersion, weight: 0.1}]\n") + sweep))
}

#[test]
fn each_row_is_compared_with_the_baseline_of_its_own_width() {
    let study = swept();
    study.run("out", &[], 0);
    let results = study.results();
    let rows: Vec<(&str, &str, u64)> = results["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| {
            let comparisons = arm["difference"]["comparisons"].as_u64().unwrap_or(0);
            (arm["name"].as_str().unwrap(), arm["baseline"].as_str().unwrap(), comparisons)
        })
        .collect();
    let expected = [
        ("baseline width=16", "baseline width=16", 0),
        ("dispersion width=16,weight=0.01", "baseline width=16", 4),
        ("dispersion width=16,weight=0.1", "baseline width=16", 4),
        ("baseline width=32", "baseline width=32", 0),
        ("dispersion width=32,weight=0.01", "baseline width=32", 4),
        ("dispersion width=32,weight=0.1", "baseline width=32", 4),
    ];
    assert_eq!(rows, expected);
    // the difference is that of losses of one width
    let loss = |row: usize| results["arms"][row]["loss"]["mean"].as_f64().unwrap();
    let difference = results["arms"][5]["difference"]["mean"].as_f64().unwrap();
    assert!((difference - (loss(5) - loss(3))).abs() < 1e-12, "{results}");
    assert!(results["arms"][2]["terms"].as_str().unwrap().contains("weight: 0.1"), "{results}");
    assert_eq!(results["trials"].as_array().unwrap().len(), 12);

    let against = |arm: &str, other: &str| study.regatta(&["compare", "out", arm, other]);
    let planned = text(&against("dispersion width=16,weight=0.1", "baseline width=16").stdout);
    assert!(planned.lines().any(|line| line.split_whitespace().eq(["Comparisons", "4"])), "{planned}");
    let across = text(&against("baseline width=16", "baseline width=32").stdout);
    assert!(across.contains("one of 15 pairs") && across.contains("The models differ in size"), "{across}");
    let unknown = against("dispersion width=16,weight=0.2", "baseline width=16");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean `dispersion width=16,weight="), "{}", text(&unknown.stderr));
}
