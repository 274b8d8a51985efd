//! The plots of a study, each as SVG with the numbers that it draws.

pub mod canvas;
mod forest;
mod geometry;
mod heatmap;
mod lines;
pub mod looks;
mod pareto;
pub mod rounding;
mod sizes;
mod spectrum;
mod thin;

use crate::csv::{number, row, text};
use crate::drawn;
use crate::number::fixed;
use crate::text::shortened;
use crate::verdict::corrected_for;
use crate::{Arm, CurvePoint, Difference, Interval, Results, UNIT};
use lines::{Chart, Line, MOST_BANDS, Point};
pub use thin::{MOST_POINTS, thinned};

/// A plot and its data.
#[derive(Debug, Clone)]
pub struct Plot {
    /// A file's name without its extension: `validation_loss`.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// What else a reader should know; may be empty.
    pub remark: String,
    /// The picture: a whole SVG document.
    pub svg: String,
    /// The numbers that it draws as CSV, so that others can redraw it.
    pub data_csv: String,
}

/// The plots that the results have data for: `differences`, `loss_by_cost`, `difference_by_size`, `loss_by_size`,
/// `validation_loss`, `validation_loss_late`, `training_loss`, `mean_cosine` and `effective_rank`, then those of
/// `geometry` and of `rounding`.
pub fn plots(results: &Results) -> Vec<Plot> {
    let cosine = "Mean cosine by layer (1: all states point the same way)";
    let rank = "Effective rank by layer (1: collapsed to a line)";
    let comparisons = [differences(results), pareto::plot(results)];
    let by_size = [sizes::differences(results), sizes::losses(results)];
    let curves = [
        curves(results, "validation_loss", "Validation loss", |arm| &arm.validation_curve),
        late(results),
        curves(results, "training_loss", "Training loss (cross-entropy alone)", |arm| &arm.training_curve),
        layers(results, "mean_cosine", cosine, "mean cosine", |arm| &arm.mean_cosine_by_layer),
        layers(results, "effective_rank", rank, "effective rank, directions", |arm| &arm.effective_rank_by_layer),
    ];
    let of_rows = |plot| with_remark(plot, drawn::remark(results));
    let curves = curves.into_iter().flatten().chain(geometry::plots(results)).chain(rounding::plots(results));
    let by_size = by_size.into_iter().flatten(); // lines are series, of which other ones may be drawn
    comparisons.into_iter().flatten().map(of_rows).chain(by_size).chain(curves.map(of_rows)).collect()
}

/// Most points of all curves of a plot together.
const MOST_IN_ALL: usize = 12_000;

/// The plot, with a sentence in front of its remark.
fn with_remark(plot: Plot, first: Option<String>) -> Plot {
    let remark = first.into_iter().chain([plot.remark]).filter(|remark| !remark.is_empty()).collect::<Vec<_>>().join(" ");
    Plot { remark, ..plot }
}

fn differences(results: &Results) -> Option<Plot> {
    let title = format!("Difference in held-out loss from {}, 95% intervals", shortened(&results.reference(), 36));
    let svg = forest::forest(&title, results)?;
    let with: Vec<_> = results.arms.iter().filter_map(|arm| arm.difference.as_ref().map(|of| (&arm.name, of))).collect();
    let rows = with.iter().map(|(name, of)| {
        let Interval { low, high } = of.corrected;
        row([text(name), number(of.mean), number(low), number(high), of.pairs.to_string(), number(of.detectable)])
    });
    let data_csv = row(["arm", "mean", "low", "high", "pairs", "detectable"].map(String::from)) + &rows.collect::<String>();
    let reach = forest::reach(with.iter().map(|(_, of)| *of));
    let within = |of: &Difference| [of.mean, of.corrected.low, of.corrected.high].iter().all(|end| end.abs() <= reach);
    let mut remarks = Vec::new();
    if let Some(corrected) = with.first().and_then(|(_, of)| corrected_for(of.comparisons)) {
        remarks.push(format!("Intervals are {corrected}."));
    }
    if !with.iter().all(|(_, of)| within(of)) {
        remarks.push(
            "An arrowhead marks an interval that goes on beyond the frame. Points beyond it and unknown intervals are not drawn: the \
             table has the figures."
                .into(),
        );
    }
    Some(Plot { name: "differences".into(), title, remark: remarks.join(" "), svg, data_csv })
}

fn curves(results: &Results, name: &str, title: &str, curve: impl Fn(&Arm) -> &[CurvePoint]) -> Option<Plot> {
    let mut data_csv = row(["arm", "step", "mean", "low", "high"].map(String::from));
    let mut lines = Vec::new();
    let mut bucket = 1;
    let most = (MOST_IN_ALL / drawn::rows(results).iter().filter(|drawn| **drawn).count().max(1)).clamp(1, MOST_POINTS);
    for (arm, look) in looks::rows(results) {
        bucket = bucket.max(thin::bucket(curve(arm).len(), most));
        let points = thinned(curve(arm), most);
        for point in &points {
            data_csv +=
                &row([text(&arm.name), point.step.to_string(), number(point.mean), number(point.low), number(point.high)]);
        }
        let points = points.iter().map(|p| Point { x: p.step as f64, mean: p.mean, low: p.low, high: p.high }).collect();
        lines.extend(look.map(|look| Line { look, points }));
    }
    lines.retain(|line| line.points.iter().any(Point::is_plottable));
    let ceiling = ceiling(&lines);
    let above = lines.iter().flat_map(|line| &line.points).any(|point| Some(point.mean) > ceiling);
    let mut remarks = Vec::new();
    if lines::names(&lines).len() < lines.len() {
        remarks.push("Each colour is an arm; each line is one of its rows.".into());
    }
    if bucket > 1 {
        remarks.push(format!("Each point is the mean of up to {bucket} consecutive measurements."));
    }
    if above {
        remarks.push(format!("Losses above {} run along the top edge.", fixed(ceiling.unwrap_or(f64::NAN), 2)));
    }
    let bands = lines.len() <= MOST_BANDS;
    remarks.push(
        if bands {
            "Shaded: minimum to maximum over seeds."
        } else {
            "Ranges over seeds are omitted because there are many arms."
        }
        .into(),
    );
    let y = format!("loss, {UNIT}");
    let svg = Chart { title, x: "optimizer step", y: &y, marks: false, names: &[], ceiling, lines }.svg()?;
    Some(Plot { name: name.into(), title: title.into(), remark: remarks.join(" "), svg, data_csv })
}

/// The second half of the validation curves: at the scale of the first losses, arms look alike at the end.
fn late(results: &Results) -> Option<Plot> {
    let last = results.arms.iter().filter_map(|arm| arm.validation_curve.last()).map(|point| point.step).max()?;
    let half = |arm: &Arm| arm.validation_curve.partition_point(|point| point.step < last / 2);
    if results.arms.iter().all(|arm| arm.validation_curve.len() - half(arm) < 3) {
        return None;
    }
    curves(results, "validation_loss_late", "Validation loss, second half of training", |arm| &arm.validation_curve[half(arm)..])
}

/// Where a plot of losses is cut: a quarter above the median first loss, since a curve that learns stays below its start.
fn ceiling(lines: &[Line]) -> Option<f64> {
    let mut starts: Vec<f64> =
        lines.iter().filter_map(|line| line.points.iter().map(|p| p.mean).find(|mean| mean.is_finite())).collect();
    starts.sort_by(f64::total_cmp);
    starts.get(starts.len() / 2).filter(|start| **start > 0.0).map(|start| start * 1.25)
}

fn layers(results: &Results, name: &str, title: &str, y: &str, of: impl Fn(&Arm) -> &Vec<f64>) -> Option<Plot> {
    let mut data_csv = row(["arm", "layer", name].map(String::from));
    let mut lines = Vec::new();
    for (arm, look) in looks::rows(results) {
        let value = |(layer, &mean): (usize, &f64)| Point { x: layer as f64, mean, low: f64::NAN, high: f64::NAN };
        let points: Vec<Point> = of(arm).iter().enumerate().map(value).collect();
        for point in &points {
            data_csv += &row([text(&arm.name), number(point.x), number(point.mean)]);
        }
        lines.extend(look.map(|look| Line { look, points }));
    }
    lines.retain(|line| line.points.iter().any(Point::is_plottable));
    let svg = Chart { title, x: "layer (0 is the embedding)", y, marks: true, names: &[], ceiling: None, lines }.svg()?;
    let remark = "Mean over seeds, on the held-out split at the end of training.".to_owned();
    Some(Plot { name: name.into(), title: title.into(), remark, svg, data_csv })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn each_plot_comes_with_its_data() {
        let plots = plots(&sample::results());
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "differences",
                "loss_by_cost",
                "validation_loss",
                "validation_loss_late",
                "training_loss",
                "mean_cosine",
                "effective_rank"
            ]
        );
        assert!(plots[0].data_csv.contains("\ndispersion,-0.031,-0.05,-0.012,3,0.04\n"), "{}", plots[0].data_csv);
        assert!(plots[5].data_csv.contains("\nbaseline,2,0.62\n"), "{}", plots[5].data_csv);
    }

    #[test]
    fn names_are_escaped_in_svg_and_disarmed_in_csv() {
        let mut results = sample::results();
        results.arms[1].name = "=<script>\"&\u{1}".into();
        for plot in plots(&results) {
            assert!(!plot.svg.contains("<script") && plot.svg.contains("=&lt;script&gt;&quot;&amp; "), "{}", plot.name);
            assert!(plot.data_csv.contains("\"'=<script>\"\"&"), "{}", plot.name);
        }
    }

    #[test]
    fn long_curves_are_thinned_and_said_to_be() {
        let mut results = sample::results();
        results.arms[0].training_curve = sample::curve(6_000, 1);
        let plot = plots(&results).into_iter().find(|plot| plot.name == "training_loss").unwrap();
        assert!(plot.remark.starts_with("Each point is the mean of up to 20 consecutive measurements."), "{}", plot.remark);
        assert_eq!(plot.data_csv.lines().filter(|line| line.starts_with("baseline,")).count(), 300);
    }

    #[test]
    fn edges_do_not_panic_and_nan_is_not_drawn() {
        for (what, results) in sample::edges() {
            for plot in plots(&results) {
                assert!(!plot.svg.contains("NaN") && plot.svg.trim_end().ends_with("</svg>"), "{what}: {}", plot.name);
                assert!(plot.svg.len() < 400_000, "{what}: {} has {} bytes", plot.name, plot.svg.len());
            }
        }
    }

    #[test]
    fn only_plots_of_the_best_and_worst_rows_say_that_they_are() {
        let mut results = sample::sweep();
        let rows = 20; // of each of four arms at one size: 80 rows, two series
        results.arms = (0..rows).flat_map(|_| results.arms.clone()).collect();
        let begins = |name: &str| {
            let plot = plots(&results).into_iter().find(|plot| plot.name == name).unwrap();
            plot.remark.starts_with("Drawn: the baseline, the best 10 and the worst 3 of 80 rows")
        };
        assert!(begins("differences") && begins("validation_loss"));
        assert!(!begins("difference_by_size") && !begins("loss_by_size"), "both series are drawn");
    }
}
