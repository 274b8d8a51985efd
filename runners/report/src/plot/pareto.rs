//! Loss against cost: each arm by its name, and the front of those that no other arm beats in both.

use super::Plot;
use super::canvas::*;
use super::looks::{self, Look};
use crate::csv::{number, row, text};
use crate::number::fixed;
use crate::text::{listed, shortened};
use crate::verdict::corrected_for;
use crate::{Arm, Interval, Results, UNIT};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use std::collections::BTreeSet;
use std::ops::Range;

const WIDTH: i32 = 560;
const HEIGHT: i32 = 380;
/// Larger values are not plotted.
const LARGEST: f64 = 1e9;
/// Shown pixels of a place that one dot marks, and how many dots are drawn at most.
const DOT: i32 = 4;
const MOST_DOTS: usize = 1_500;

/// An arm: its cost and its loss, each with its whisker.
struct Spot {
    look: Look,
    cost: f64,
    costs: Option<Interval>,
    loss: f64,
    losses: Option<Interval>,
}

/// Held-out loss against the time of a step; in a sweep, where losses of different points are not alike, the difference from the
/// baseline of the same point.
pub fn plot(results: &Results) -> Option<Plot> {
    let sweep = results.is_sweep();
    let mut data_csv = row(["arm", "cost", "cost_low", "cost_high", "loss", "loss_low", "loss_high"].map(String::from));
    let (mut spots, mut others) = (Vec::new(), Vec::new());
    for (arm, look) in looks::rows(results) {
        let (Some(cost), Some([loss, low, high])) = (arm.cost_ratio, loss(arm, sweep)) else { continue };
        let costs = arm.cost_range.map_or([f64::NAN; 2], |range| [range.low, range.high]);
        let cells = [cost, costs[0], costs[1], loss, low, high];
        data_csv += &row([text(&arm.name)]
            .into_iter()
            .chain(cells.map(|value| if value.is_nan() { String::new() } else { number(value) })));
        let range = |[low, high]: [f64; 2]| (plottable(low) && plottable(high)).then_some(Interval { low, high });
        if plottable(cost) && cost > 0.0 && plottable(loss) {
            let Some(look) = look else {
                others.push((cost, loss));
                continue;
            };
            spots.push(Spot { look, cost, costs: range(costs), loss, losses: range([low, high]) });
        }
    }
    if spots.len() < 2 {
        return None;
    }
    let title = if sweep { "Difference in held-out loss against cost" } else { "Held-out loss against cost" };
    let svg = svg(title, results, &spots, &others);
    let places = spots.iter().map(|spot| (format!("{} at {}×", spot.look.name, fixed(spot.cost, 2)), spot.loss));
    let svg = described(svg, title, "loss", places);
    let comparisons = results.arms.iter().find_map(|arm| arm.difference).and_then(|of| corrected_for(of.comparisons));
    let corrected = comparisons.map(|words| format!(", {words}")).unwrap_or_default();
    let cut = if are_cut(&spots, &others, sweep) {
        " An arrowhead marks a whisker that goes on beyond the frame; one that does on both sides is not drawn: the table has it."
    } else {
        ""
    };
    let dots = if others.is_empty() { "" } else { " Small dots: the other rows, the outermost 1% cut off." };
    let remark = format!(
        "Lower and further left is better. Vertical whiskers: the 95% interval of the paired difference from the baseline{corrected}; \
         horizontal whiskers: minimum to maximum over seeds.{cut} Stepped line: by their means, no arm has both a lower loss and a lower cost \
         than those on it.{dots} {}",
        times(results)
    );
    Some(Plot { name: "loss_by_cost".into(), title: title.into(), remark, svg, data_csv })
}

/// What the costs rest on, and which arms have none.
fn times(results: &Results) -> String {
    if !results.has_mixed_machines() {
        return "Times are of one kind of machine.".to_owned();
    }
    let lost = results.arms.iter().filter(|arm| arm.timed_pairs.why_no_ratio().is_some());
    let lost: Vec<String> = lost.map(|arm| shortened(&arm.name, 60)).collect();
    let not_drawn = match lost.len() {
        0 => String::new(),
        1..=6 => format!(" Not drawn: {}, whose pairs all ran on two kinds.", listed(&lost)),
        count => format!(" Not drawn: {count} arms whose pairs all ran on two kinds."),
    };
    format!("Costs are of pairs on one kind of machine.{not_drawn}")
}

/// Loss with the ends of its interval: that of the difference, about the loss.
fn loss(arm: &Arm, sweep: bool) -> Option<[f64; 3]> {
    let interval = arm.difference.map_or([f64::NAN; 2], |of| [of.corrected.low - of.mean, of.corrected.high - of.mean]);
    let at = if sweep { arm.difference?.mean } else { arm.loss?.mean };
    Some([at, at + interval[0], at + interval[1]])
}

fn plottable(value: f64) -> bool {
    value.is_finite() && value.abs() < LARGEST
}

/// `others` are arms that are drawn as dots alone.
fn svg(title: &str, results: &Results, spots: &[Spot], others: &[(f64, f64)]) -> String {
    let (x, y) = ranges(spots, others, results.is_sweep());
    sheet(title, WIDTH as u32, HEIGHT as u32, |area| {
        let frame = Frame {
            x: x.clone(),
            y: y.clone(),
            descriptions: [
                &format!("time of a step over that of {}", shortened(&results.reference(), 30)),
                &format!("{}, {UNIT}", if results.is_sweep() { "difference" } else { "held-out loss" }),
            ],
            left: 60.0,
            labels: [7, 7],
            x_tick: &|value| tick(value, &x) + "×",
        };
        let mut chart = frame.draw(area)?;
        chart.draw_series([PathElement::new(front(spots, others, &x, &y), stroke(GRID, 2.5))])?;
        let within = |at: (f64, f64)| (at.0.clamp(x.start, x.end), at.1.clamp(y.start, y.end));
        let dots = dots(others, |at| chart.plotting_area().map_coordinate(&at), &x, &y);
        chart.draw_series(dots.into_iter().map(|at| Circle::new(at, px(1.5), MUTED.mix(0.4).filled())))?;
        for spot in spots {
            let style = stroke(spot.look.colour.mix(0.55), 1.5);
            let whisker = |from, to| PathElement::new(vec![within(from), within(to)], style);
            let (losses, costs) =
                (spot.losses.and_then(|of| within_frame(of, &y)), spot.costs.and_then(|of| within_frame(of, &x)));
            chart.draw_series(losses.map(|(of, _)| whisker((spot.cost, of.low), (spot.cost, of.high))))?;
            chart.draw_series(costs.map(|(of, _)| whisker((of.low, spot.loss), (of.high, spot.loss))))?;
            let place = |at: (f64, f64)| chart.plotting_area().map_coordinate(&within(at));
            for (end, beyond) in losses.into_iter().flat_map(|(of, [low, high])| [(of.low, low), (of.high, -high)]) {
                arrowheads(area, place((spot.cost, end)), (0, -beyond), style)?;
            }
            for (end, beyond) in costs.into_iter().flat_map(|(of, [low, high])| [(of.low, low), (of.high, -high)]) {
                arrowheads(area, place((end, spot.loss)), (beyond, 0), style)?;
            }
        }
        let place = |spot: &Spot| {
            let (x, y) = chart.plotting_area().map_coordinate(&within((spot.cost, spot.loss)));
            (x / SCALE, y / SCALE)
        };
        let places: Vec<(i32, i32)> = spots.iter().map(place).collect();
        let inside = chart.plotting_area().get_pixel_range();
        chart.draw_series(
            spots.iter().map(|spot| Circle::new(within((spot.cost, spot.loss)), px(4.5), spot.look.colour.filled())),
        )?;
        let edges = (inside.0.start / SCALE, inside.0.end / SCALE);
        for (index, (left, middle)) in labels(spots, &places, edges).into_iter().enumerate().filter_map(|(i, at)| Some((i, at?)))
        {
            write(area, &named(&spots[index].look), (left, middle), &kind(12.0, INK, HPos::Left))?;
        }
        Ok(())
    })
}

/// Whether a whisker goes on beyond the frame.
fn are_cut(spots: &[Spot], others: &[(f64, f64)], sweep: bool) -> bool {
    let (x, y) = ranges(spots, others, sweep);
    let cut = |of: Option<Interval>, frame: &Range<f64>| of.is_some_and(|of| of.low < frame.start || of.high > frame.end);
    spots.iter().any(|spot| cut(spot.losses, &y) || cut(spot.costs, &x))
}

/// The part of an interval that a frame shows, and 1 for each end that goes on beyond it; `None` where both do: it would be a bar
/// across the whole frame.
fn within_frame(of: Interval, frame: &Range<f64>) -> Option<(Interval, [i32; 2])> {
    let beyond = [of.low < frame.start, of.high > frame.end];
    let shown = Interval { low: of.low.clamp(frame.start, frame.end), high: of.high.clamp(frame.start, frame.end) };
    (beyond != [true; 2]).then_some((shown, beyond.map(i32::from)))
}

/// An arrowhead, where its direction is not 0.
fn arrowheads(area: &Area, at: (i32, i32), back: (i32, i32), style: ShapeStyle) -> Drawn {
    if back == (0, 0) { Ok(()) } else { arrowhead(area, at, back, style) }
}

/// The dots inside the frame, one for each place of [`DOT`] shown pixels, so that their number has a bound.
fn dots(others: &[(f64, f64)], place: impl Fn((f64, f64)) -> (i32, i32), x: &Range<f64>, y: &Range<f64>) -> Vec<(f64, f64)> {
    let mut taken = BTreeSet::new();
    let inside = others.iter().copied().filter(|(cost, loss)| x.contains(cost) && y.contains(loss));
    inside
        .filter(|at| {
            taken.insert({
                let (x, y) = place(*at);
                (x / (DOT * SCALE), y / (DOT * SCALE))
            })
        })
        .take(MOST_DOTS)
        .collect()
}

/// The middle 98% of the dots: a few far ones shall not press the others together.
fn middle(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some([values[last / 100], values[last - last / 100]])
}

/// Both axes: all spots and their whiskers, but on either side no farther than twice the span of the spots and dots themselves. Of
/// differences, 0 is on the axis.
fn ranges(spots: &[Spot], others: &[(f64, f64)], of_differences: bool) -> (Range<f64>, Range<f64>) {
    let range = |at: fn(&Spot) -> f64, whisker: fn(&Spot) -> Option<Interval>, dots: Vec<f64>| {
        let fold = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (low, high) = fold(&mut spots.iter().map(at).chain(dots));
        let (least, greatest) = fold(&mut spots.iter().filter_map(whisker).flat_map(|of| [of.low, of.high]));
        let reach = 2.0 * (high - low);
        with_air(least.clamp(low - reach, low), greatest.clamp(high, high + reach), 0.08)
    };
    let (costs, losses) = others.iter().copied().unzip();
    let of_costs = middle(costs).into_iter().flatten().collect();
    let of_losses = middle(losses).into_iter().flatten().chain(of_differences.then_some(0.0)).collect();
    (range(|spot| spot.cost, |spot| spot.costs, of_costs), range(|spot| spot.loss, |spot| spot.losses, of_losses))
}

/// The stairs below which no arm is.
fn front(spots: &[Spot], others: &[(f64, f64)], x: &Range<f64>, y: &Range<f64>) -> Vec<(f64, f64)> {
    let inside = others.iter().copied().filter(|(cost, loss)| x.contains(cost) && y.contains(loss));
    let mut sorted: Vec<(f64, f64)> = spots.iter().map(|spot| (spot.cost, spot.loss)).chain(inside).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut stairs: Vec<(f64, f64)> = Vec::new();
    for (cost, loss) in sorted {
        let before = stairs.last().map_or(y.end, |last| last.1);
        if loss < before {
            stairs.extend([(cost, before), (cost, loss)]);
        }
    }
    let foot = stairs.last().map(|last| (x.end, last.1));
    stairs.extend(foot);
    stairs
}

fn named(look: &Look) -> String {
    shortened(&look.name, 28)
}

/// Where each name begins, left and middle, so that it covers no spot and no other name; none where there is no such place, or
/// where a row of the same look has its name already.
fn labels(spots: &[Spot], places: &[(i32, i32)], (from, to): (i32, i32)) -> Vec<Option<(i32, i32)>> {
    let mut taken: Vec<[i32; 4]> = places.iter().map(|&(x, y)| [x - 6, y - 6, x + 6, y + 6]).collect();
    let mut known: Vec<(&str, RGBColor)> = Vec::new();
    let mut labels = Vec::new();
    for (spot, &(x, y)) in spots.iter().zip(places) {
        let long = text_width(&named(&spot.look), 12.0);
        let (right, left, middle) = (x + 9, x - 9 - long, x - long / 2);
        let sides = [(right, y - 9), (left, y - 9), (right, y + 9), (left, y + 9), (middle, y - 16), (middle, y + 16)];
        let boxed = |(left, middle): (i32, i32)| [left, middle - 7, left + long, middle + 7];
        let free = |&at: &(i32, i32)| {
            let own = boxed(at);
            let apart = |other: &[i32; 4]| own[2] < other[0] || other[2] < own[0] || own[3] < other[1] || other[3] < own[1];
            at.0 >= from && at.0 + long <= to && taken.iter().all(apart)
        };
        let look = (spot.look.name.as_str(), spot.look.colour);
        let at = sides.into_iter().find(free).filter(|_| !known.contains(&look));
        if let Some(at) = at {
            taken.push(boxed(at));
            known.push(look);
        }
        labels.push(at);
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn spot(cost: f64, loss: f64) -> Spot {
        Spot { look: Look { name: format!("arm {cost}"), colour: INK, round: 0 }, cost, costs: None, loss, losses: None }
    }

    #[test]
    fn the_front_is_what_no_arm_beats() {
        let spots = [spot(1.0, 3.0), spot(1.5, 2.0), spot(1.2, 3.5), spot(2.0, 2.5)];
        let found = front(&spots, &[], &(0.9..2.1), &(1.9..3.6));
        assert_eq!(found, [(1.0, 3.6), (1.0, 3.0), (1.5, 3.0), (1.5, 2.0), (2.1, 2.0)]);
    }

    #[test]
    fn an_interval_is_shown_whole_or_marked() {
        let with = |loss: f64, low: f64, high: f64| Spot { losses: Some(Interval { low, high }), ..spot(1.0, loss) };
        // losses 3.4 to 3.5: the frame reaches 0.2 beyond them, and a bit of air
        let near = [with(3.4, 3.226, 3.574), with(3.5, 3.45, 3.55)];
        let (_, y) = ranges(&near, &[], false);
        assert!(y.start < 3.226 && y.end > 3.574 && !are_cut(&near, &[], false), "{y:?}");
        let far = [with(3.4, 3.0, 3.45), with(3.5, -9.0, 16.0)];
        let (_, y) = ranges(&far, &[], false);
        assert!(are_cut(&far, &[], false) && y.start > 3.0, "{y:?}");
        let shown = within_frame(far[0].losses.unwrap(), &y).unwrap();
        assert_eq!((shown.0.low, shown.1), (y.start, [1, 0]));
        assert!(within_frame(far[1].losses.unwrap(), &y).is_none(), "a bar across the whole frame");
        let (_, y) = ranges(&[with(0.05, -0.21, 0.31), with(0.13, -0.12, 0.38)], &[], true);
        assert!(y.start < -0.21 && y.end > 0.38, "{y:?}");
        assert!(ranges(&[spot(1.0, 0.1), spot(1.1, 0.12)], &[], true).1.contains(&0.0), "no difference is on the axis");
    }

    #[test]
    fn names_stand_apart() {
        let spots = [spot(1.0, 3.0), spot(1.0, 3.0), spot(1.0, 3.0)];
        let found = labels(&spots[..1], &[(100, 100)], (60, 540));
        assert_eq!(found, [Some((109, 91))]);
        let mut apart = [spot(1.0, 3.0), spot(1.1, 3.0)];
        apart[1].look.name = "other".into();
        let found = labels(&apart, &[(100, 100), (104, 102)], (60, 540));
        assert!(found[0] != found[1] && found.iter().all(Option::is_some), "{found:?}");
    }

    #[test]
    fn every_arm_with_a_cost_is_drawn() {
        let plot = plot(&sample::results()).unwrap();
        assert_eq!(plot.svg.matches("<circle").count(), 4);
        assert!(plot.data_csv.contains("\nbaseline,1.1,1.05,1.2,3.5,,\n"), "{}", plot.data_csv);
        assert!(super::plot(&Results { arms: vec![], ..sample::results() }).is_none());
    }
}
