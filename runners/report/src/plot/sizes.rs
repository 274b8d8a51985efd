//! Series against the number of parameters, on a logarithmic axis with a tick at each size tried.

use super::canvas::*;
use super::lines::{Legend, Line, MOST_BANDS, Point, dashes, names};
use super::{Plot, forest, looks};
use crate::csv::{number, row, text};
use crate::number::brief;
use crate::verdict::corrected_for;
use crate::{Results, SizePoint, UNIT};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

const WIDTH: i32 = 560;
const HEIGHT: i32 = 340;
/// Shown pixels between two ticks' labels.
const APART: i32 = 46;

/// Each arm's difference from the baseline of its size, with its corrected interval.
pub fn differences(results: &Results) -> Option<Plot> {
    let of = |point: &SizePoint| {
        let of = point.difference?;
        Some([of.mean, of.corrected.low, of.corrected.high])
    };
    let all = || results.sizes.iter().flat_map(|series| &series.points).filter_map(|point| point.difference.as_ref());
    let intervals = all().next().and_then(|of| corrected_for(of.comparisons)).map(|of| format!("Intervals are {of}."));
    let title = "Difference from the baseline of the same size";
    plot(results, "difference_by_size", title, &intervals.unwrap_or_default(), Some(forest::reach(all())), of)
}

/// Each arm's held-out loss, with its standard deviation over seeds.
pub fn losses(results: &Results) -> Option<Plot> {
    let of = |point: &SizePoint| {
        let loss = point.loss?;
        Some([loss.mean, loss.mean - loss.sd, loss.mean + loss.sd])
    };
    let remark = "Whiskers: the standard deviation over seeds.";
    plot(results, "loss_by_size", "Held-out loss against model size", remark, None, of)
}

/// Mean, low and high of each size.
fn plot(
    results: &Results,
    name: &str,
    title: &str,
    whiskers: &str,
    reach: Option<f64>,
    of: impl Fn(&SizePoint) -> Option<[f64; 3]>,
) -> Option<Plot> {
    let mut data_csv = row(["arm", "parameters", "mean", "low", "high"].map(String::from));
    let mut lines = Vec::new();
    let all = looks::series(results);
    let (count, drawn) = (all.len(), all.iter().filter(|(_, look)| look.is_some()).count());
    for (series, look) in all {
        let mut points = Vec::new();
        for (point, [mean, low, high]) in series.points.iter().filter_map(|point| Some((point, of(point)?))) {
            data_csv += &row([text(&series.name), point.parameters.to_string(), number(mean), number(low), number(high)]);
            points.push(Point { x: point.parameters as f64, mean, low, high });
        }
        lines.extend(look.map(|look| Line { look, points }));
    }
    lines.retain(|line| line.points.iter().any(Point::is_plottable));
    let mut remarks = vec![whiskers];
    if lines.len() > MOST_BANDS {
        lines.iter_mut().flat_map(|line| &mut line.points).for_each(|point| (point.low, point.high) = (f64::NAN, f64::NAN));
        remarks = vec!["Intervals are omitted because there are many lines: the table has them."];
    }
    if names(&lines).len() < lines.len() {
        remarks.push("Each colour is an arm.");
    }
    let chosen = format!("{drawn} of {count} lines are drawn: the best and the worst at the largest size.");
    if drawn < count {
        remarks.push(&chosen);
    }
    let remark = remarks.join(" ").trim().to_owned();
    let svg = SizesPlot { title, y: UNIT, lines, reach }.svg()?;
    Some(Plot { name: name.into(), title: title.into(), remark, svg, data_csv })
}

/// A plot of lines over parameters. Whiskers go from low to high; values beyond `reach` on either side of 0 end at the frame.
struct SizesPlot<'a> {
    title: &'a str,
    y: &'a str,
    lines: Vec<Line>,
    reach: Option<f64>,
}

impl SizesPlot<'_> {
    /// The plot as SVG; none where there is nothing to draw.
    fn svg(&self) -> Option<String> {
        let within = |value: f64| self.reach.map_or(value, |reach| value.clamp(-reach, reach));
        let points = || self.lines.iter().flat_map(|line| &line.points).filter(|point| point.is_plottable() && point.x > 0.0);
        let ends = |point: &Point| {
            let whisker = point.has_range().then_some([point.low, point.high]);
            std::iter::once(point.mean).chain(whisker.into_iter().flatten()).map(within).collect::<Vec<_>>()
        };
        let heights: Vec<f64> = points().flat_map(ends).chain(self.reach.map(|_| 0.0)).collect();
        points().next()?;
        let fold = |values: &[f64]| {
            (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        };
        let (low, high) = fold(&heights);
        let mut sizes: Vec<f64> = points().map(|point| point.x).collect();
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        let (first, last) = (sizes.first()?.log10(), sizes.last()?.log10());
        let air = ((last - first) * 0.08).max(0.02);
        let (x, y) = (first - air..last + air, with_air(low, high, 0.06));
        let legend = Legend::new(&self.lines);
        Some(sheet(self.title, WIDTH as u32, (HEIGHT + legend.height()) as u32, |area| {
            let (chart, below) = area.split_vertically(HEIGHT * SCALE);
            self.paint(&chart, x, y, &sizes)?;
            legend.paint(&below, &self.lines)
        }))
    }

    fn paint(&self, area: &Area, x: std::ops::Range<f64>, y: std::ops::Range<f64>, sizes: &[f64]) -> Drawn {
        let label = kind(11.5, MUTED, HPos::Center);
        let frame = Frame {
            x: x.clone(),
            y: y.clone(),
            descriptions: ["parameters, logarithmic", self.y],
            left: 60.0,
            labels: [0, 7],
            x_tick: &|_| String::new(),
        };
        let mut chart = frame.draw(area)?;
        let mut taken = -APART;
        for size in sizes {
            let (at, bottom) = chart.plotting_area().map_coordinate(&(size.log10(), y.start));
            area.draw(&PathElement::new(vec![(at, bottom), (at, bottom + px(4.0))], stroke(MUTED, 1.0)))?;
            if at / SCALE - taken >= APART {
                taken = at / SCALE;
                write(area, &short(*size), (taken, bottom / SCALE + 13), &label)?;
            }
        }
        if self.reach.is_some() {
            chart.draw_series([PathElement::new(vec![(x.start, 0.0), (x.end, 0.0)], stroke(MUTED, 1.25))])?;
        }
        let within = |value: f64| value.clamp(y.start, y.end);
        // whiskers of one size stand side by side
        let whiskers = self.lines.iter().flat_map(|line| &line.points).any(Point::has_range);
        let step = if whiskers { (x.end - x.start) * 0.012 } else { 0.0 };
        for (index, line) in self.lines.iter().enumerate() {
            let shift = (index as f64 - (self.lines.len() as f64 - 1.0) / 2.0) * step;
            let points: Vec<&Point> = line.points.iter().filter(|point| point.is_plottable() && point.x > 0.0).collect();
            let at = |point: &Point| (point.x.log10() + shift, within(point.mean));
            let curve: Vec<(f64, f64)> = points.iter().map(|point| at(point)).collect();
            match dashes(line.look.round) {
                None => chart.draw_series(LineSeries::new(curve.iter().copied(), stroke(line.look.colour, 1.75)))?,
                Some((dash, gap)) => {
                    let style = stroke(line.look.colour, 1.75);
                    chart.draw_series(DashedLineSeries::new(curve.iter().copied(), px(dash) as u32, px(gap) as u32, style))?
                }
            };
            chart.draw_series(curve.iter().map(|&at| Circle::new(at, px(3.5), line.look.colour.filled())))?;
            let whiskers = points.iter().filter(|point| point.has_range()).map(|point| {
                let (x, _) = at(point);
                PathElement::new(vec![(x, within(point.low)), (x, within(point.high))], stroke(line.look.colour, 1.5))
            });
            chart.draw_series(whiskers)?;
        }
        Ok(())
    }
}

/// A size in three digits: 12.5k, 3.1M.
fn short(size: f64) -> String {
    match size {
        size if size >= 1e9 => brief(size / 1e9, 3) + "B",
        size if size >= 1e6 => brief(size / 1e6, 3) + "M",
        size if size >= 1e3 => brief(size / 1e3, 3) + "k",
        size => brief(size, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::super::looks::Look;
    use super::*;

    fn drawn(points: &[(f64, f64)], reach: Option<f64>) -> Option<String> {
        let points = points.iter().map(|&(x, mean)| Point { x, mean, low: mean - 1.0, high: mean + 1.0 }).collect();
        let lines = vec![Line { look: Look { name: "a & b".into(), colour: COLOURS[0], round: 0 }, points }];
        SizesPlot { title: "effect", y: "nats per token", lines, reach }.svg()
    }

    #[test]
    fn ticks_are_the_sizes() {
        let svg = drawn(&[(3_400.0, 0.1), (12_500.0, -0.1), (1_200_000.0, 0.0)], Some(0.5)).unwrap();
        for part in ["3.4k", "12.5k", "1.2M", "a &amp; b", "logarithmic"] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn odd_numbers_are_not_drawn() {
        assert!(drawn(&[(0.0, 1.0), (5.0, f64::NAN)], None).is_none());
        let svg = drawn(&[(10.0, 1.0), (10.0, 1.0)], None).unwrap();
        assert!(!svg.contains("NaN") && svg.trim_end().ends_with("</svg>"));
    }
}
