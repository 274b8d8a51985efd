//! `results` and `compare`: what a folder's differences say, for people and for other programs.

use crate::{Study, tiny};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Three arms, trained; then one gets a name that no study may have, as a folder from elsewhere might.
fn trained() -> Study {
    let arms = "  dispersion: [{regularizer: dispersion, weight: 0.1}]\n  odd_name: [{regularizer: vicreg, weight: 0.01}]\n";
    let study = Study::new(&tiny(arms));
    study.run("out", &[], 0);
    let out = study.path().join("out");
    let yaml = std::fs::read_to_string(out.join("study.yaml")).unwrap();
    std::fs::write(out.join("study.yaml"), yaml.replace("odd_name:", "'=odd_|name':")).unwrap();
    let plan = std::fs::read_to_string(out.join("plan.json")).unwrap();
    std::fs::write(out.join("plan.json"), plan.replace("odd_name", "=odd_|name")).unwrap();
    std::fs::rename(out.join("trials/odd_name"), out.join("trials/=odd_|name")).unwrap();
    study
}

#[test]
fn results_are_printed_in_four_formats_and_nothing_is_written() {
    let study = trained();
    std::fs::remove_file(study.path().join("out/report.html")).unwrap();
    let printed = |format: &[&str]| {
        let output = study.regatta(&[&["results", "out"], format].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let markdown = printed(&[]);
    assert!(markdown.starts_with("| arm | loss |") && markdown.contains("\n| =odd\\_\\|name |"), "{markdown}");
    assert!(markdown.contains("(2 seeds)") && markdown.contains("corrected for 2 comparisons"), "{markdown}");
    assert_eq!(printed(&["--format", "md"]), markdown);

    let csv = printed(&["--format", "csv"]);
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), 4, "{csv}");
    let column = |name: &str| rows[0].iter().position(|title| *title == name).unwrap_or_else(|| panic!("{name}: {csv}"));
    let figure = |name| rows[1][column(name)].parse::<f64>();
    assert!(figure("loss").is_ok() && figure("difference").is_err(), "the baseline has no difference: {csv}");

    assert!(rows[3][1] == "'=odd_|name", "{csv}");

    let latex = printed(&["--format", "latex"]);
    assert!(latex.contains("\\begin{tabular}") && latex.contains("odd\\_\\textbar{}name"), "{latex}");

    let json: serde_json::Value = serde_json::from_str(&printed(&["--format", "json"])).unwrap();
    let difference = &json["arms"][1]["difference"];
    for figure in ["mean", "p", "p_holm", "effect_size", "improvement", "detectable"] {
        assert!(difference[figure].is_number(), "{figure}: {difference}");
    }
    // the plain interval lies within the one that holds for both comparisons
    let low = |name: &str| difference[name]["low"].as_f64().unwrap();
    assert!(low("corrected") < low("interval") && difference["comparisons"] == 2, "{difference}");
    let time = &difference["equal_time"];
    assert!(time["pairs"] == 2 && time["mean"].is_number() && time["seconds"].as_f64().unwrap() > 0.0, "{time}");
    assert!(!study.path().join("out/report.html").exists(), "results wrote a page");
}

fn has_line(text: &str, words: [&str; 2]) -> bool {
    text.lines().any(|line| line.split_whitespace().eq(words))
}

#[test]
fn any_two_arms_are_compared() {
    let study = trained();
    let output = study.regatta(&["compare", "out", "dispersion", "baseline"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.starts_with("dispersion against baseline: "), "{printed}");
    for part in ["95% interval, corrected", "p, Wilcoxon", "Effect size", "P(improvement)", "At equal time", "fewer than five"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    assert!(has_line(&printed, ["Comparisons", "2"]), "{printed}");

    let others = text(&study.regatta(&["compare", "out", "=odd_|name", "dispersion"]).stdout);
    assert!(has_line(&others, ["Comparisons", "3"]) && others.contains("one of 3 pairs"), "{others}");
}

#[test]
fn arms_that_are_not_there_are_refused() {
    let study = trained();
    let refused = |arguments: &[&str]| {
        let output = study.regatta(&[&["compare"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let message = text(&output.stderr);
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    let unknown = refused(&["out", "dispersoin", "baseline"]);
    let expected =
        "error: unknown arm `dispersoin`, expected one of `baseline`, `dispersion`, `=odd_|name`; did you mean `dispersion`?";
    assert_eq!(unknown.trim_end(), expected);
    assert!(!refused(&["out", "baseline", "banana\n\u{1b}[31m"]).contains('\u{1b}'));
    assert!(refused(&["out", "baseline", "baseline"]).contains("expected two different arms, found `baseline` twice"));
    assert!(refused(&["nowhere", "a", "b"]).contains("expected the folder of a study"));
    assert_eq!(study.regatta(&["results", "nowhere"]).status.code(), Some(2));
    assert_eq!(study.regatta(&["results", "out", "--format", "yaml"]).status.code(), Some(2));
}

#[test]
fn an_arm_that_diverged_was_tried_and_counts() {
    let arms = "  dispersion: [{regularizer: dispersion, weight: 0.1}]\n  bad: [{regularizer: {misbehaving: {how: nan}}, weight: 0.1}]\n";
    let study = Study::new(&tiny(arms));
    study.run("out", &[], 1);
    let printed = text(&study.regatta(&["results", "out", "--format", "json"]).stdout);
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json["arms"][1]["difference"]["comparisons"], 2, "{json}");
    assert!(json["arms"][2]["difference"].is_null() && json["arms"][2]["verdict"] == "unknown", "{json}");
    let output = study.regatta(&["compare", "out", "bad", "dispersion"]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(printed.starts_with("bad against dispersion: too few paired trials to say."), "{printed}");
    assert!(printed.contains("seed 0 diverged") && !printed.contains("interval, corrected"), "{printed}");
}

#[test]
fn one_seed_and_no_baseline_are_said() {
    let arms = "  first: [{regularizer: dispersion, weight: 0.1}]\n  second: [{regularizer: dispersion, weight: 0.2}]\n";
    let study = Study::new(&tiny(arms).replace("  baseline: []\n", ""));
    study.run("out", &["--set", "seeds=[0]"], 0);
    let printed = text(&study.regatta(&["results", "out"]).stdout);
    let cells: Vec<&str> = printed.lines().nth(3).unwrap().split('|').map(str::trim).collect();
    assert_eq!((cells[1], &cells[3..=7], cells[9]), ("second", &["", "", "", "", "unknown"][..], "1/1"), "{printed}");
    assert!(printed.contains("One seed gives no interval"), "{printed}");
    let report = text(&study.regatta(&["report", "out"]).stdout);
    assert!(report.contains("Every arm has terms: `first` is used as the baseline"), "{report}");
}
