//! The results as JSON at the foot of the page, so that a script can read the page's numbers.

use crate::plot::{MOST_POINTS, thinned};
use crate::{Result, Results};
use serde_json::Value;

/// The parts that are left out, in this order, where the data would be too long, and their names on the page.
const PARTS: [(&str, &str); 5] =
    [("curves", "curves"), ("trials", "trials"), ("geometry", "diagnoses"), ("arms", "arms"), ("tuning", "tuning and sizes")];

/// The results as JSON without `<`, of at most `most` bytes; the names of the parts that were left out.
///
/// Long curves are thinned as they are plotted.
pub fn data(results: &Results, most: usize) -> Result<(String, Vec<&'static str>)> {
    let mut left_out = Vec::new();
    // data of so many trials or rows is always too long: do not serialize them only to drop them
    let many = results.arms.len().saturating_mul(1_000) > most || results.trials.len().saturating_mul(300) > most;
    let mut results = results.clone();
    for arm in &mut results.arms {
        arm.training_curve = thinned(&arm.training_curve, MOST_POINTS);
        arm.validation_curve = thinned(&arm.validation_curve, MOST_POINTS);
    }
    if many {
        results.arms.iter_mut().for_each(|arm| (arm.training_curve, arm.validation_curve) = (vec![], vec![]));
        results.trials.clear();
        left_out.extend([PARTS[0].1, PARTS[1].1]);
    }
    let mut value = serde_json::to_value(&results)?;
    let written = |value: &Value| value.to_string().replace('<', "\\u003c");
    let mut text = written(&value);
    for (part, name) in PARTS {
        if text.len() <= most {
            break;
        }
        if left_out.contains(&name) {
            continue;
        }
        remove(&mut value, part);
        left_out.push(name);
        text = written(&value);
    }
    Ok((text, left_out))
}

fn remove(value: &mut Value, part: &str) {
    let fields: &[&str] = match part {
        "curves" => &["training_curve", "validation_curve"],
        "geometry" => &["geometry"],
        _ => {
            value[part] = Value::Array(Vec::new());
            if part == "tuning" {
                value["sizes"] = Value::Array(Vec::new());
            }
            return;
        }
    };
    for arm in value["arms"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        fields.iter().for_each(|field| {
            arm.remove(*field);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn parts_are_left_out_until_the_data_is_short() {
        let results = sample::many(100);
        let (whole, left_out) = data(&results, 10_000_000).unwrap();
        assert!(left_out.is_empty() && whole.contains("training_curve"));
        let most = whole.len() / 2;
        let (some, left_out) = data(&results, most).unwrap();
        assert!(some.len() <= most && left_out == ["curves"], "{} {left_out:?}", some.len());
        let (least, left_out) = data(&results, 2_000).unwrap();
        assert!(least.len() <= 2_000 && left_out.len() >= 4, "{least}");
        assert!(serde_json::from_str::<Value>(&least).unwrap()["study"] == "quickstart");
    }

    #[test]
    fn escapes_count_among_the_bytes() {
        let mut results = sample::results();
        results.arms[1].terms = "<".repeat(10_000);
        let (text, left_out) = data(&results, 30_000).unwrap();
        assert!(text.len() <= 30_000 && left_out.contains(&"arms"), "{} bytes without {left_out:?}", text.len());
    }
}
