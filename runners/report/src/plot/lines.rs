//! A chart of curves: one line per arm, its range over seeds shaded, the legend below.

use super::canvas::*;
use super::looks::{Look, ROUNDS};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use std::ops::Range;

/// Shown width of a chart, in pixels.
const WIDTH: i32 = 560;
/// Shown height without the legend.
const HEIGHT: i32 = 340;
/// More lines than this, and shaded ranges would hide each other: they are left out.
pub const MOST_BANDS: usize = 8;
/// Larger values are not plotted: plotters' ticks go wrong near the end of f64.
const LARGEST: f64 = 1e12;

/// A chart, its labels with units.
pub struct Chart<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
    /// What stands at 0, 1, 2 and so on along x; empty where x is a number.
    pub names: &'a [String],
    /// Draw a mark at each point: for curves of few points.
    pub marks: bool,
    /// Values above this run along the top edge, so that one diverging arm does not flatten the others.
    pub ceiling: Option<f64>,
    pub lines: Vec<Line>,
}

/// One arm's curve.
pub struct Line {
    pub look: Look,
    pub points: Vec<Point>,
}

/// A point with its range over seeds.
#[derive(Clone, Copy)]
pub struct Point {
    pub x: f64,
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

impl Point {
    /// Whether its mean can be drawn.
    pub fn is_plottable(&self) -> bool {
        [self.x, self.mean].iter().all(|value| value.is_finite() && value.abs() < LARGEST)
    }

    /// Whether its ends can be.
    pub fn has_range(&self) -> bool {
        [self.low, self.high].iter().all(|value| value.is_finite() && value.abs() < LARGEST)
    }
}

impl Chart<'_> {
    /// The chart as SVG; none where there is nothing to draw.
    pub fn svg(&self) -> Option<String> {
        let (x, y) = self.ranges()?;
        let legend = Legend::new(&self.lines);
        let height = HEIGHT + legend.height();
        let svg = sheet(self.title, WIDTH as u32, height as u32, |area| {
            let (chart, below) = area.split_vertically(HEIGHT * SCALE);
            self.paint(&chart, x, y)?;
            legend.paint(&below, &self.lines)
        });
        let last = |line: &Line| line.points.iter().rev().find(|point| point.is_plottable()).map(|point| point.mean);
        let ends = self.lines.iter().filter_map(|line| Some((line.look.name.clone(), last(line)?)));
        Some(described(svg, self.title, "at the right end", ends))
    }

    /// The ranges of both axes over what can be drawn.
    fn ranges(&self) -> Option<(Range<f64>, Range<f64>)> {
        let bands = self.lines.len() <= MOST_BANDS;
        let points: Vec<&Point> = self.lines.iter().flat_map(|line| &line.points).filter(|point| point.is_plottable()).collect();
        let heights = points.iter().flat_map(|point| {
            let range = (bands && point.has_range()).then_some([point.low, point.high]);
            std::iter::once(point.mean).chain(range.into_iter().flatten())
        });
        let (low, high) = bounds(heights.map(|height| height.min(self.ceiling.unwrap_or(LARGEST))))?;
        let (start, end) = bounds(points.iter().map(|point| point.x))?;
        Some((if start < end { start..end } else { start..start + 1.0 }, with_air(low, high, 0.05)))
    }

    fn x_tick(&self, value: f64) -> String {
        let whole = (value - value.round()).abs() < 0.01 && value > -0.5;
        match self.names {
            [] => step_tick(value),
            names => names.get(value.round() as usize).filter(|_| whole).cloned().unwrap_or_default(),
        }
    }

    fn paint(&self, area: &Area, x: Range<f64>, y: Range<f64>) -> Drawn {
        let frame = Frame {
            x,
            y: y.clone(),
            descriptions: [self.x, self.y],
            left: 56.0,
            labels: [if self.names.is_empty() { 8 } else { self.names.len() + 1 }, 7],
            x_tick: &|value| self.x_tick(value),
        };
        let mut chart = frame.draw(area)?;
        let top = self.ceiling.map_or(y.end, |ceiling| ceiling.min(y.end));
        if self.lines.len() <= MOST_BANDS {
            for line in &self.lines {
                for run in runs(&line.points, |point| point.is_plottable() && point.has_range()) {
                    let upper = run.iter().map(|point| (point.x, point.high.min(top)));
                    let lower = run.iter().rev().map(|point| (point.x, point.low.min(top)));
                    chart.draw_series([Polygon::new(
                        upper.chain(lower).collect::<Vec<_>>(),
                        line.look.colour.mix(0.14).filled(),
                    )])?;
                }
            }
        }
        for line in self.lines.iter().rev() {
            for run in runs(&line.points, Point::is_plottable) {
                let points: Vec<(f64, f64)> = run.iter().map(|point| (point.x, point.mean.min(top))).collect();
                match dashes(line.look.round) {
                    None => chart.draw_series(LineSeries::new(points.iter().copied(), stroke(line.look.colour, 1.75)))?,
                    Some((dash, gap)) => {
                        let style = stroke(line.look.colour, 1.75);
                        chart.draw_series(DashedLineSeries::new(
                            points.iter().copied(),
                            px(dash) as u32,
                            px(gap) as u32,
                            style,
                        ))?
                    }
                };
                if self.marks || points.len() == 1 {
                    chart.draw_series(points.iter().map(|&at| Circle::new(at, px(3.0), line.look.colour.filled())))?;
                }
            }
        }
        Ok(())
    }
}

/// Dash and gap in shown pixels of each kind of stroke.
pub fn dashes(round: usize) -> Option<(f64, f64)> {
    [None, Some((7.0, 4.0)), Some((2.0, 3.0)), Some((12.0, 5.0)), Some((4.0, 7.0))][round % ROUNDS]
}

/// Least and greatest of some finite numbers.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// The stretches of points that can be drawn: NaN breaks a line.
fn runs(points: &[Point], can: impl Fn(&Point) -> bool) -> Vec<&[Point]> {
    points.split(|point| !can(point)).filter(|run| !run.is_empty()).collect()
}

/// The lines that a legend names: of several that look alike, the first.
pub fn names(lines: &[Line]) -> Vec<&Look> {
    let mut names: Vec<&Look> = Vec::new();
    for Line { look, .. } in lines {
        if !names.iter().any(|known| (&known.name, known.colour, known.round) == (&look.name, look.colour, look.round)) {
            names.push(look);
        }
    }
    names
}

/// Names beside strokes of their lines, in as many columns as fit.
pub struct Legend {
    columns: usize,
    item: i32,
    rows: usize,
}

impl Legend {
    /// The legend of some lines.
    pub fn new(lines: &[Line]) -> Self {
        let names = names(lines);
        let longest = names.iter().map(|look| text_width(&look.name, 12.0)).max().unwrap_or(0);
        let item = (longest + 46).min(WIDTH - 68);
        let columns = (((WIDTH - 68) / item) as usize).clamp(1, 4);
        Self { columns, item, rows: names.len().div_ceil(columns) }
    }

    /// Its height in shown pixels.
    pub fn height(&self) -> i32 {
        self.rows as i32 * 19 + 20
    }

    /// Draws it.
    pub fn paint(&self, area: &Area, lines: &[Line]) -> Drawn {
        for (index, line) in names(lines).into_iter().enumerate() {
            let (row, column) = (index / self.columns, index % self.columns);
            let (x, y) = (62 + column as i32 * self.item, row as i32 * 19 + 16);
            let (from, to) = ((x * SCALE, y * SCALE), ((x + 24) * SCALE, y * SCALE));
            match dashes(line.round) {
                None => area.draw(&PathElement::new(vec![from, to], stroke(line.colour, 2.5)))?,
                Some((dash, gap)) => {
                    let style = stroke(line.colour, 2.5);
                    area.draw(&DashedPathElement::new(vec![from, to], px(dash) as u32, px(gap) as u32, style))?;
                }
            }
            write(area, &line.name, (x + 31, y), &kind(12.0, INK, HPos::Left))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(heights: &[f64], ceiling: Option<f64>) -> Option<String> {
        let point = |(x, &mean): (usize, &f64)| Point { x: x as f64, mean, low: mean, high: mean };
        let points = heights.iter().enumerate().map(point).collect();
        let lines = vec![Line { look: Look { name: "a & b".into(), colour: INK, round: 0 }, points }];
        Chart { title: "loss", x: "step", y: "nats per token", marks: false, names: &[], ceiling, lines }.svg()
    }

    #[test]
    fn nan_breaks_the_line() {
        let lines = |svg: &str| svg.matches("<polyline").count();
        let whole = lines(&chart(&[3.0, 2.0, 1.0, 0.5, 0.4], None).unwrap());
        let broken = lines(&chart(&[3.0, 2.0, f64::NAN, 0.5, 0.4], None).unwrap());
        assert_eq!(broken, whole + 1);
        assert!(chart(&[f64::NAN, f64::INFINITY, 1e300], None).is_none());
    }

    #[test]
    fn a_diverging_curve_runs_along_the_top() {
        let svg = chart(&[3.0, 2.0, 5000.0], Some(4.0)).unwrap();
        let (head, drawn) = svg.split_once('>').unwrap();
        assert!(head.contains("at the right end: a &amp; b 5000") && !drawn.contains("5000"), "{svg}"); // said, not drawn
    }

    #[test]
    fn names_and_units_are_in_the_picture() {
        let svg = chart(&[3.0, 2.0], None).unwrap();
        assert!(svg.contains("a &amp; b") && svg.contains("nats per token") && svg.contains("step"), "{svg}");
    }
}
