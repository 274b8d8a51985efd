//! The numbers from which the page redraws its plots for the arms that a reader chooses. Only a study with more arms than its
//! plots draw needs them.

use crate::drawn;
use crate::text::{counted, shortened};
use crate::{Arm, CurvePoint, Results, UNIT};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most points of a curve: enough to compare a few curves on a small plot.
const MOST_POINTS: usize = 32;
/// The digits of a number, six bits each; the script has the same.
const SIGNS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// A plot of curves: its name, its axes, and the points of an arm.
struct Plot {
    id: &'static str,
    axes: [&'static str; 2],
    points: Points,
}

/// The points of an arm, as x and value.
type Points = Box<dyn Fn(&Arm) -> Vec<(f64, f64)>>;

/// The series of the plots that are `on_page` as JSON that is safe in a script element, of at most about `most` bytes; `None` where the plots draw all arms. Arms
/// beyond the limit, those with the largest `priority`, cannot be chosen.
pub fn series(results: &Results, on_page: &[&str], priority: &[usize], most: usize) -> Option<String> {
    if drawn::all(results) {
        return None;
    }
    let drawn = plots().into_iter().filter(|plot| on_page.contains(&plot.id));
    let curves: Vec<Value> = drawn.filter_map(|plot| encoded(&plot, &results.arms)).collect();
    let bytes = |index: usize| {
        let curves: usize = curves.iter().map(|curve| curve["rows"][index].as_str().map_or(0, str::len) + 3).sum();
        curves + results.arms[index].name.len().min(80) + 80
    };
    let mut kept: Vec<usize> = (0..results.arms.len()).collect();
    kept.sort_by_key(|index| priority[*index]);
    let mut used = 0;
    kept.retain(|index| {
        used += bytes(*index);
        used <= most
    });
    kept.sort_unstable();
    let place: BTreeMap<usize, usize> = kept.iter().enumerate().map(|(place, index)| (*index, place)).collect();
    let names: BTreeMap<&str, usize> = kept.iter().map(|index| (results.arms[*index].name.as_str(), place[index])).collect();
    let arms = || kept.iter().map(|index| &results.arms[*index]);
    let left_out = results.arms.len() - kept.len();
    let left_out =
        (left_out > 0).then(|| format!(" {} between the best and the worst cannot be chosen here.", counted(left_out, "row")));
    let ranked: Vec<usize> = drawn::ranked(results).iter().filter_map(|index| place.get(index).copied()).collect();
    let series = json!({
        "names": arms().map(|arm| shortened(&arm.name, 80)).collect::<Vec<_>>(),
        "baselines": arms().enumerate().map(|(own, arm)| names.get(arm.baseline.as_str()).copied().unwrap_or(own)).collect::<Vec<_>>(),
        "ranked": ranked,
        "ranking": drawn::ranking(results),
        "best": drawn::BEST,
        "worst": drawn::WORST,
        "left_out": left_out.unwrap_or_default(),
        "differences": arms().map(difference).collect::<Vec<_>>(),
        "costs": arms().map(|arm| cost(arm, results.is_sweep())).collect::<Vec<_>>(),
        "curves": curves.into_iter().map(|curve| with_rows(curve, &kept)).collect::<Vec<_>>(),
    });
    Some(series.to_string().replace('<', "\\u003c"))
}

/// Six digits are more than a plot shows.
fn brief(value: f64) -> Value {
    if value.is_finite() { format!("{value:.5e}").parse::<f64>().map_or(Value::Null, Value::from) } else { Value::Null }
}

fn difference(arm: &Arm) -> Option<[Value; 3]> {
    let of = arm.difference.filter(|of| of.mean.is_finite())?;
    Some([of.mean, of.corrected.low, of.corrected.high].map(brief))
}

fn cost(arm: &Arm, sweep: bool) -> Option<[Value; 2]> {
    let loss = if sweep { arm.difference?.mean } else { arm.loss?.mean };
    let cost = arm.cost_ratio?;
    (cost.is_finite() && loss.is_finite()).then(|| [brief(cost), brief(loss)])
}

fn with_rows(mut curve: Value, kept: &[usize]) -> Value {
    let rows = kept.iter().map(|index| curve["rows"][*index].take()).collect();
    curve["rows"] = Value::Array(rows);
    curve
}

fn plots() -> Vec<Plot> {
    fn curve(id: &'static str, of: fn(&Arm) -> &[CurvePoint]) -> Plot {
        let points = move |arm: &Arm| of(arm).iter().map(|point| (point.step as f64, point.mean)).collect();
        Plot { id, axes: ["optimizer step", UNIT], points: Box::new(points) }
    }
    fn layers(id: &'static str, up: &'static str, of: fn(&Arm) -> &[f64]) -> Plot {
        let points = move |arm: &Arm| of(arm).iter().enumerate().map(|(layer, value)| (layer as f64, *value)).collect();
        Plot { id, axes: ["layer (0 is the embedding)", up], points: Box::new(points) }
    }
    fn late(arm: &Arm) -> &[CurvePoint] {
        let last = arm.validation_curve.last().map_or(0, |point| point.step);
        &arm.validation_curve[arm.validation_curve.partition_point(|point| point.step < last / 2)..]
    }
    vec![
        curve("validation_loss", |arm| &arm.validation_curve),
        curve("validation_loss_late", late),
        curve("training_loss", |arm| &arm.training_curve),
        layers("mean_cosine", "mean cosine", |arm| &arm.mean_cosine_by_layer),
        layers("effective_rank", "effective rank, directions", |arm| &arm.effective_rank_by_layer),
    ]
}

/// The curves of all arms on one grid of x, each number in three characters; `None` without points.
fn encoded(plot: &Plot, arms: &[Arm]) -> Option<Value> {
    let curves: Vec<Vec<(f64, f64)>> = arms.iter().map(|arm| (plot.points)(arm)).collect();
    let finite = || curves.iter().flatten().filter(|(_, value)| value.is_finite() && value.abs() < 1e12);
    let grid = grid(finite().map(|(x, _)| *x).collect());
    let (low, high) =
        finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| (low.min(*value), high.max(*value)));
    if grid.is_empty() {
        return None;
    }
    // a diverging arm must not cost the others their resolution
    let mut starts: Vec<f64> =
        curves.iter().filter_map(|curve| curve.first()).map(|(_, value)| *value).filter(|v| v.is_finite()).collect();
    starts.sort_by(f64::total_cmp);
    let ceiling = starts
        .get(starts.len() / 2)
        .filter(|start| **start > 0.0 && plot.axes[1] == UNIT)
        .map_or(high, |start| high.min(start * 1.25));
    let rows: Vec<String> = curves.iter().map(|curve| row(curve, &grid, low, ceiling)).collect();
    let x: Vec<f64> = grid.iter().map(|cell| ((cell[0] + cell[1]) / 2.0).round()).collect();
    Some(json!({"id": plot.id, "across": plot.axes[0], "up": plot.axes[1], "x": x, "low": low, "high": ceiling, "rows": rows}))
}

/// The x of some points, as ranges: each x its own, or equal parts where there are more than [`MOST_POINTS`].
fn grid(mut x: Vec<f64>) -> Vec<[f64; 2]> {
    x.sort_by(f64::total_cmp);
    x.dedup();
    x.chunks(x.len().div_ceil(MOST_POINTS).max(1)).map(|part| [part[0], part[part.len() - 1]]).collect()
}

/// Means over each part of the grid, scaled to `low..high`, in three digits each; dots where there is none.
fn row(curve: &[(f64, f64)], grid: &[[f64; 2]], low: f64, high: f64) -> String {
    let mut text = String::new();
    for [from, to] in grid {
        let of = curve.iter().filter(|(x, value)| (from..=to).contains(&x) && value.is_finite()).map(|(_, value)| *value);
        let (sum, count) = of.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
        if count == 0 {
            text.push_str("...");
            continue;
        }
        let place = (sum / f64::from(count) - low) / (high - low);
        let place = if place.is_finite() { (place.clamp(0.0, 1.0) * 262_143.0).round() as usize } else { 0 };
        text.extend([place >> 12, place >> 6 & 63, place & 63].map(|digit| char::from(SIGNS[digit])));
    }
    text.truncate(text.trim_end_matches('.').len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const ALL: [&str; 5] = ["validation_loss", "validation_loss_late", "training_loss", "mean_cosine", "effective_rank"];

    #[test]
    fn three_signs_hold_a_number() {
        let grid = [[0.0, 0.0], [1.0, 2.0], [3.0, 3.0], [4.0, 4.0]];
        let curve = [(0.0, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 5.0)];
        // 0 of 4; the mean 3 is 0.5 of the range, 131,072 = 32·64² + 0·64 + 0; a gap; the whole range
        assert_eq!(row(&curve, &grid, 1.0, 5.0), "000W00...___");
        assert_eq!(row(&curve[..1], &grid, 1.0, 5.0), "000");
    }

    #[test]
    fn a_long_grid_has_equal_parts() {
        assert_eq!(grid(vec![2.0, 1.0, 2.0]), [[1.0, 1.0], [2.0, 2.0]]);
        let parts = grid((0..96).map(f64::from).collect());
        assert_eq!((parts.len(), parts[0], parts[31]), (32, [0.0, 2.0], [93.0, 95.0]));
    }

    #[test]
    fn arms_beyond_the_bytes_cannot_be_chosen() {
        let results = sample::many(100);
        let priority: Vec<usize> = (0..101).collect();
        let all: Value = serde_json::from_str(&series(&results, &ALL, &priority, 1_000_000).unwrap()).unwrap();
        assert_eq!((all["names"].as_array().unwrap().len(), &all["left_out"]), (101, &json!("")));
        assert_eq!((&all["ranked"][0], &all["baselines"][5]), (&json!(1), &json!(0)));
        let some: Value = serde_json::from_str(&series(&results, &ALL, &priority, 20_000).unwrap()).unwrap();
        let count = some["names"].as_array().unwrap().len();
        assert!((20..100).contains(&count), "{count}");
        assert_eq!(some["curves"][0]["rows"].as_array().unwrap().len(), count);
        assert_eq!(some["left_out"], format!(" {} rows between the best and the worst cannot be chosen here.", 101 - count));
        assert!(series(&sample::results(), &ALL, &[], 1_000_000).is_none());
    }
}
