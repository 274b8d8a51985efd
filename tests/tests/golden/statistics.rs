//! The statistics of a study against numbers computed by SciPy: `golden/statistics.json`.

use crate::fixture;
use regatta_statistics::{Paired, holm, interquartile_mean, mean, wilcoxon_p};
use serde_json::Value;

const TOLERANCE: f64 = 1e-6;

/// The fixture; `None` where `GOLDEN_DIR` does not hold it.
pub fn statistics() -> Option<Value> {
    let path = fixture("statistics.json")?;
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

pub fn cases<'a>(fixture: &'a Value, name: &str) -> &'a [Value] {
    let cases = fixture[name].as_array().unwrap_or_else(|| panic!("expected a list of cases `{name}`"));
    assert!(!cases.is_empty(), "`{name}` has no cases");
    cases
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap_or_else(|| panic!("expected a list of numbers, found {value}")).iter().map(number).collect()
}

pub fn check(what: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() < TOLERANCE, "{what}: found {found}, expected {expected}");
}

#[test]
fn golden_paired_differences() {
    let Some(fixture) = statistics() else { return };
    for case in cases(&fixture, "paired") {
        let (arm, baseline) = (numbers(&case["arm"]), numbers(&case["baseline"]));
        let differences: Vec<f64> = arm.iter().zip(&baseline).map(|(arm, baseline)| arm - baseline).collect();
        let paired = Paired::of(&differences).expect("two pairs or more");
        let expected = &case["expected"];
        assert_eq!(Some(paired.pairs as u64), expected["n"].as_u64());
        for (field, found) in [
            ("mean", paired.mean),
            ("t", paired.t),
            ("p_t", paired.p),
            ("cohen_dz", paired.effect_size),
            ("minimum_detectable_effect_80", paired.detectable(1)),
            ("p_wilcoxon", wilcoxon_p(&differences).expect("differences that are not 0")),
        ] {
            check(&format!("{field} of {} pairs", paired.pairs), found, number(&expected[field]));
        }
        check("low end of the interval", paired.interval(1).low, number(&expected["ci95"][0]));
        check("high end of the interval", paired.interval(1).high, number(&expected["ci95"][1]));
        check("mean of the arm less mean of the baseline", mean(&arm).unwrap() - mean(&baseline).unwrap(), paired.mean);
    }
}

#[test]
fn golden_holm_adjustment() {
    let Some(fixture) = statistics() else { return };
    for case in cases(&fixture, "holm") {
        let (found, expected) = (holm(&numbers(&case["p"])), numbers(&case["adjusted"]));
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(found, expected)| check("an adjusted p", *found, expected));
    }
}

#[test]
fn golden_interquartile_mean() {
    let Some(fixture) = statistics() else { return };
    for case in cases(&fixture, "interquartile_mean") {
        let values = numbers(&case["values"]);
        let found = interquartile_mean(&values).expect("finite values");
        check(&format!("interquartile mean of {} values", values.len()), found, number(&case["iqm"]));
    }
}
