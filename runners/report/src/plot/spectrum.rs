//! Singular values of the last hidden state by their rank, both axes logarithmic.

use super::canvas::*;
use super::lines::{Legend, Line, Point, dashes};
use super::{Plot, looks};
use crate::Results;
use crate::csv::{number, row, text};
use crate::number::brief;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use std::ops::Range;

const WIDTH: i32 = 560;
const HEIGHT: i32 = 340;
/// Shares below this are rounding, and would stretch the axis.
const LEAST: f64 = 1e-6;

/// The spectrum of each arm, mean over seeds.
pub fn spectrum(results: &Results) -> Option<Plot> {
    let mut data_csv = row(["arm", "rank", "share"].map(String::from));
    let mut lines = Vec::new();
    for (arm, look) in looks::rows(results) {
        let Some(geometry) = &arm.geometry else { continue };
        let shares = geometry.spectrum.iter().enumerate().map(|(index, share)| (index + 1, *share));
        data_csv +=
            &shares.clone().map(|(rank, share)| row([text(&arm.name), rank.to_string(), number(share)])).collect::<String>();
        let point =
            |(rank, share): (usize, f64)| Point { x: (rank as f64).log10(), mean: share.log10(), low: f64::NAN, high: f64::NAN };
        let points = shares.filter(|(_, share)| *share >= LEAST).map(point).collect();
        lines.extend(look.map(|look| Line { look, points }));
    }
    lines.retain(|line: &Line| line.points.iter().any(Point::is_plottable));
    let title = "Singular values of the last hidden state";
    let svg = svg(title, &lines)?;
    let ranks = lines.iter().map(|line| (line.look.name.clone(), 10f64.powf(line.points[0].mean)));
    let svg = described(svg, title, "fraction of the first", ranks);
    let remark =
        "As shares of their sum, largest first; mean over seeds, at the end of training. A steep fall: few directions hold \
                  all states."
            .to_owned();
    Some(Plot { name: "spectrum".into(), title: title.into(), remark, svg, data_csv })
}

fn svg(title: &str, lines: &[Line]) -> Option<String> {
    let points = || lines.iter().flat_map(|line| &line.points).filter(|point| point.is_plottable());
    let fold = |of: fn(&Point) -> f64| {
        points().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((_, last), (low, high)) = (fold(|point| point.x), fold(|point| point.mean));
    points().next()?;
    let (x, y) = (0.0..last.max(0.1), with_air(low, high, 0.05));
    let legend = Legend::new(lines);
    Some(sheet(title, WIDTH as u32, (HEIGHT + legend.height()) as u32, |area| {
        let (chart, below) = area.split_vertically(HEIGHT * SCALE);
        paint(&chart, x, y, lines)?;
        legend.paint(&below, lines)
    }))
}

fn paint(area: &Area, x: Range<f64>, y: Range<f64>, lines: &[Line]) -> Drawn {
    let label = kind(11.5, MUTED, HPos::Center);
    let frame = Frame {
        x: x.clone(),
        y: y.clone(),
        descriptions: ["rank, logarithmic", "fraction of their sum, logarithmic"],
        left: 60.0,
        labels: [0, 0],
        x_tick: &|_| String::new(),
    };
    let mut chart = frame.draw(area)?;
    for value in ticks(&x) {
        let (at, bottom) = chart.plotting_area().map_coordinate(&(value.log10(), y.start));
        area.draw(&PathElement::new(vec![(at, bottom), (at, bottom + px(4.0))], stroke(MUTED, 1.0)))?;
        write(area, &brief(value, 3), (at / SCALE, bottom / SCALE + 13), &label)?;
    }
    for value in ticks(&y) {
        chart.draw_series([PathElement::new(vec![(x.start, value.log10()), (x.end, value.log10())], stroke(GRID, 1.0))])?;
        let (left, at) = chart.plotting_area().map_coordinate(&(x.start, value.log10()));
        write(area, &brief(value, 3), (left / SCALE - 6, at / SCALE), &kind(11.5, MUTED, HPos::Right))?;
    }
    for line in lines.iter().rev() {
        let points = line.points.iter().filter(|point| point.is_plottable()).map(|point| (point.x, point.mean));
        let style = stroke(line.look.colour, 1.75);
        match dashes(line.look.round) {
            None => chart.draw_series(LineSeries::new(points, style))?,
            Some((dash, gap)) => chart.draw_series(DashedLineSeries::new(points, px(dash) as u32, px(gap) as u32, style))?,
        };
    }
    Ok(())
}

/// Round values within `range`, which is of their logarithms: decades, and 2 and 5 of each where there are few of them.
fn ticks(range: &Range<f64>) -> Vec<f64> {
    let steps: &[f64] = if range.end - range.start < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = range.start.floor() as i32..=range.end.ceil() as i32;
    let values = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    values.filter(|value| value.log10() >= range.start - 1e-9 && value.log10() <= range.end + 1e-9).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn ticks_are_round() {
        let check = |range: Range<f64>, expected: &[f64]| {
            let found = ticks(&range);
            assert!(
                found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a / b - 1.0).abs() < 1e-9),
                "{found:?}"
            );
        };
        check(0.0..1.0, &[1.0, 2.0, 5.0, 10.0]);
        check(-3.0..0.0, &[1e-3, 1e-2, 1e-1, 1.0]);
    }

    #[test]
    fn every_share_is_in_the_data() {
        let plot = spectrum(&sample::measured()).unwrap();
        assert!(plot.data_csv.contains("\nbaseline,1,0.5\nbaseline,2,0.25\n"), "{}", plot.data_csv);
        assert!(spectrum(&sample::results()).is_none());
    }
}
