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

/// Three widths and two weights to choose from: six rows.
fn tuned() -> Study {
    let sweep = "vary: {model.width: [8, 16, 32]}\ntune: {weight: [0.01, 0.1]}\n";
    Study::new(&(tiny("  dispersion: [{regularizer: dispersion, weight: 1}]\n") + sweep))
}

#[test]
fn a_sweep_over_sizes_has_effects_and_a_power_law() {
    let study = tuned();
    study.run("out", &[], 0);
    let results = study.results();
    let series = results["sizes"].as_array().unwrap();
    assert_eq!((series.len(), &series[1]["name"]), (2, &Value::from("dispersion")), "{results}");
    for series in series {
        let of = |arm: &Value| {
            let trials = results["trials"].as_array().unwrap().iter().filter(|trial| trial["arm"] == *arm);
            let logs: Vec<f64> = trials.map(|trial| trial["measures"]["test_loss"].as_f64().unwrap().ln()).collect();
            assert_eq!(logs.len(), 2, "{results}");
            (logs[0] + logs[1]) / 2.0
        };
        let points: Vec<(f64, f64)> = series["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| (point["parameters"].as_f64().unwrap().ln(), of(&point["arm"])))
            .collect();
        assert!(points.len() == 3 && points[0].0 < points[1].0 && points[1].0 < points[2].0, "{series}");
        let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / 3.0, y + point.1 / 3.0));
        let [above, below] = points.iter().fold([0.0; 2], |[above, below], point| {
            [above + (point.0 - x) * (point.1 - y), below + (point.0 - x) * (point.0 - x)]
        });
        let fit = &series["fit"];
        let figure = |value: &Value| value.as_f64().unwrap();
        assert!((figure(&fit["b"]) + above / below).abs() < 1e-9, "{series}");
        assert!((figure(&fit["a"]).ln() - (y - above / below * x)).abs() < 1e-9, "{series}");
        let interval = &fit["interval"];
        assert!(figure(&interval["low"]) < figure(&fit["b"]) && figure(&fit["b"]) < figure(&interval["high"]), "{series}");
        assert!(fit["sizes"] == 3 && fit["seeds"] == 2, "{series}");
    }

    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    let markdown = text(&study.regatta(&["results", "out"]).stdout);
    for title in ["Effect against model size", "Loss against parameters", "Tuning"] {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
        assert!(markdown.contains(&format!("\n### {title}\n")), "{title}: {markdown}");
    }
    assert!(page.contains("id=\"difference_by_size\"") && page.contains("id=\"loss_by_size\""));
    assert!(study.path().join("out/plots/difference_by_size.csv").exists());
    let terminal = text(&study.regatta(&["report", "out"]).stdout);
    assert!(terminal.contains("  dispersion: b = "), "{terminal}");
}

#[test]
fn the_whole_tuning_table_is_told_with_the_choice_and_its_edge() {
    let study = tuned();
    study.run("out", &[], 0);
    let results = study.results();
    let tuning = results["tuning"].as_array().unwrap();
    assert_eq!(tuning.len(), 6, "{results}");
    let markdown = text(&study.regatta(&["results", "out"]).stdout);
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    for row in tuning.iter().filter(|row| row["arm"].as_str().unwrap().starts_with("dispersion")) {
        let arm = row["arm"].as_str().unwrap();
        let [less, more] = [0, 1].map(|index| &row["candidates"][index]);
        let loss = |candidate: &Value| candidate["validation_loss"].as_f64().unwrap();
        let best = if loss(more) < loss(less) { more } else { less };
        assert!(best["chosen"] == true && (less["chosen"] == true) != (more["chosen"] == true), "{row}");
        // of two values the better one is always at the end of the list
        let (value, side) = (&best["weight"], if best["weight"] == 0.1 { "largest" } else { "smallest" });
        let caution = format!("{arm}: best weight {value} is the {side} tried: a better one may lie beyond.");
        assert!(markdown.contains(&caution) && page.contains(&caution), "{caution} {markdown}");
        let line = markdown.lines().find(|line| line.starts_with(&format!("| {arm} | {value} | as written | 1000000 |")));
        assert!(line.is_some_and(|line| line.ends_with(&format!("| chosen; {side} weight tried |"))), "{markdown}");
        assert!(page.contains(&format!("<td>chosen; {side} weight tried</td>")), "{side}");
        let judged = results["arms"].as_array().unwrap().iter().find(|row| row["name"] == arm).unwrap();
        assert!(judged["terms"].as_str().unwrap().contains(&format!("weight: {value}")), "{judged}");
    }
    // nothing to tune: as many trials as for the others, with more seeds
    assert_eq!(tuning[0]["candidates"][0]["seeds"], serde_json::json!([1_000_000, 1_000_001]), "{results}");
}

#[test]
fn an_arm_that_could_not_be_tuned_is_not_judged_and_says_why() {
    let arms = "  bad: [{regularizer: {misbehaving: {how: nan}}, weight: 1}]\n";
    let study = Study::new(&(tiny(arms) + "tune: {weight: [0.01, 0.1]}\n"));
    study.run("out", &[], 1);
    let results = study.results();
    let bad = &results["arms"][1];
    let why = "seed 0 not trained: no candidate could be trained with every tuning seed";
    assert!(bad["failures"][0] == why && bad["verdict"] == "unknown", "{results}");
    assert_eq!(results["tuning"][1]["candidates"][1]["failures"][0], "seed 1000000 diverged", "{results}");
    assert!(results["sizes"].as_array().unwrap().is_empty(), "{results}");
}
