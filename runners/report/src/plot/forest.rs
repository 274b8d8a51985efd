//! The forest plot: each arm's difference from the baseline with its corrected interval, and the line of no difference.

use super::canvas::*;
use crate::drawn;
use crate::text::shortened;
use crate::verdict::VerdictWords;
use crate::{Difference, Interval, Results, UNIT, Verdict};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// Width in shown pixels; more where names are long.
const WIDTH: i32 = 580;
/// The smallest width of the intervals.
const FRAME: i32 = 320;
/// Right of the frame: the verdicts.
const RIGHT: i32 = 104;
/// Height of a row, and of a row among many.
const ROW: [i32; 2] = [30, 21];
/// Most rows of full height.
const MOST_WIDE: usize = 24;
const TOP: i32 = 44;
const BOTTOM: i32 = 58;

/// The differences as SVG; `None` where no arm has one.
pub fn forest(title: &str, results: &Results) -> Option<String> {
    let forest = Forest::new(results)?;
    Some(sheet(title, forest.width as u32, forest.height as u32, |area| {
        forest.paint_intervals(area)?;
        forest.write_labels(area)
    }))
}

/// The rows, and where they are drawn, in shown pixels.
struct Forest<'a> {
    rows: Vec<(String, &'a Difference, Verdict)>,
    /// How far the axis goes on both sides of 0.
    reach: f64,
    left: i32,
    width: i32,
    height: i32,
    row: i32,
}

impl<'a> Forest<'a> {
    fn new(results: &'a Results) -> Option<Self> {
        let longest = if results.is_sweep() { 52 } else { 26 }; // the names of a sweep include its point
        let drawn = drawn::rows(results);
        let arms = results.arms.iter().zip(drawn).filter(|(_, drawn)| *drawn).map(|(arm, _)| arm);
        let mut rows: Vec<(String, &Difference, Verdict)> = arms
            .filter_map(|arm| arm.difference.as_ref().map(|difference| (shortened(&arm.name, longest), difference, arm.verdict)))
            .filter(|(_, difference, _)| plottable(difference.mean))
            .collect();
        if rows.is_empty() {
            return None;
        }
        if !drawn::all(results) {
            rows.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
        }
        let left = 28 + rows.iter().map(|(name, ..)| text_width(name, 12.5)).max().unwrap_or(0);
        let row = ROW[usize::from(rows.len() > MOST_WIDE)];
        Some(Self {
            reach: reach(rows.iter().map(|(_, difference, _)| *difference)),
            left,
            width: WIDTH.max(left + FRAME + RIGHT),
            height: TOP + row * rows.len() as i32 + BOTTOM,
            row,
            rows,
        })
    }

    /// The frame, and in it the mean and the interval of each row.
    fn paint_intervals(&self, area: &Area) -> Drawn {
        let x = with_air(-self.reach, self.reach, 0.04);
        let count = self.rows.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin_top(TOP * SCALE)
            .margin_right(RIGHT * SCALE)
            .margin_left(self.left * SCALE)
            .margin_bottom(22 * SCALE)
            .x_label_area_size((BOTTOM - 22) * SCALE)
            .build_cartesian_2d(x.clone(), count..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .bold_line_style(stroke(GRID, 1.0))
            .light_line_style(TRANSPARENT)
            .axis_style(stroke(GRID, 1.0))
            .set_all_tick_mark_size(px(4.0))
            .label_style(kind(11.5, MUTED, HPos::Center))
            .x_labels(7)
            .x_label_formatter(&|value| tick(*value, &x))
            .draw()?;
        chart.draw_series([PathElement::new(vec![(0.0, 0.0), (0.0, count)], stroke(MUTED, 1.25))])?;
        for (index, (_, difference, verdict)) in self.rows.iter().enumerate() {
            let (y, colour) = (index as f64 + 0.5, colour(*verdict));
            let ends = [difference.corrected.low, difference.corrected.high];
            if ends.into_iter().all(plottable) {
                let line = ends.map(|end| (end.clamp(-self.reach, self.reach), y));
                chart.draw_series([PathElement::new(line.to_vec(), stroke(colour, 2.0))])?;
                for (end, back) in beyond(difference.corrected, self.reach) {
                    let tip = chart.plotting_area().map_coordinate(&(end, y));
                    arrowhead(area, tip, (back, 0), stroke(colour, 2.0))?;
                }
                let caps = ends.into_iter().filter(|end| end.abs() <= self.reach);
                let cap = |end| PathElement::new(vec![(end, y - 0.14), (end, y + 0.14)], stroke(colour, 2.0));
                chart.draw_series(caps.map(cap))?;
            }
            if difference.mean.abs() <= self.reach {
                chart.draw_series([Circle::new((difference.mean, y), px(4.5), colour.filled())])?;
            }
        }
        Ok(())
    }

    /// Names on the left, verdicts on the right, and the directions below.
    fn write_labels(&self, area: &Area) -> Drawn {
        let (left, right) = (self.left, self.width - RIGHT);
        for (index, (name, _, verdict)) in self.rows.iter().enumerate() {
            let y = TOP + self.row * index as i32 + self.row / 2;
            write(area, name, (left - 10, y), &kind(12.5, INK, HPos::Right))?;
            write(area, verdict.label(), (right + 10, y), &kind(12.5, colour(*verdict), HPos::Left))?;
        }
        let below = self.height - 24;
        write(area, "← lower loss", (left, below), &kind(11.5, MUTED, HPos::Left))?;
        write(area, UNIT, ((left + right) / 2, below), &kind(11.5, MUTED, HPos::Center))?;
        write(area, "higher loss →", (right, below), &kind(11.5, MUTED, HPos::Right))
    }
}

pub fn colour(verdict: Verdict) -> RGBColor {
    match verdict {
        Verdict::Better => COLOURS[0],
        Verdict::Worse => COLOURS[1],
        Verdict::Baseline | Verdict::NoDifference | Verdict::Unknown => MUTED,
    }
}

/// Where an interval goes on beyond the frame, and the way back to its middle.
fn beyond(of: Interval, reach: f64) -> impl Iterator<Item = (f64, i32)> {
    [(of.low < -reach).then_some((-reach, 1)), (of.high > reach).then_some((reach, -1))].into_iter().flatten()
}

fn plottable(value: f64) -> bool {
    value.is_finite() && value.abs() < 1e9
}

/// How far the axis goes on both sides of 0: to the farthest end, but no farther than six times the median one.
pub fn reach<'a>(differences: impl Iterator<Item = &'a Difference>) -> f64 {
    let far = |difference: &Difference| {
        let ends = [difference.mean, difference.corrected.low, difference.corrected.high];
        ends.into_iter().filter(|end| plottable(*end)).map(f64::abs).fold(0.0, f64::max)
    };
    let mut ends: Vec<f64> = differences.map(far).collect();
    ends.sort_by(f64::total_cmp);
    let farthest = ends.last().copied().unwrap_or(0.0);
    let median = ends.get(ends.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    let reach = if median > 0.0 { farthest.min(6.0 * median) } else { farthest };
    if reach > 1e-6 { reach } else { 0.01 } // all alike: a frame around 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_difference_is_drawn() {
        let svg = forest("differences", &sample::results()).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3); // three arms, the baseline has none
        for word in ["dispersion", "infonce", "vicreg", "none detected", "lower loss"] {
            assert!(svg.contains(word), "{word}");
        }
    }

    #[test]
    fn an_interval_that_goes_on_beyond_the_frame_is_marked() {
        let marks = |low, high| beyond(Interval { low, high }, 1.0).collect::<Vec<_>>();
        assert_eq!(marks(-1.0, 1.0), []);
        assert_eq!(marks(-3.0, 0.5), [(-1.0, 1)]);
        assert_eq!(marks(-3.0, 2.0), [(-1.0, 1), (1.0, -1)]);
    }

    #[test]
    fn one_far_arm_does_not_flatten_the_others() {
        let difference = |far| sample::difference([far; 3]);
        assert_eq!(reach([difference(0.1), difference(-0.2), difference(0.3)].iter()), 0.3);
        assert!((reach([difference(0.1), difference(-0.2), difference(50.0)].iter()) - 1.2).abs() < 1e-12); // six times 0.2
        assert_eq!(reach([difference(0.0)].iter()), 0.01);
    }
}
