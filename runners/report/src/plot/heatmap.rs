//! Condensation: for each arm, the distribution of cosines within sequences at each layer. All panels share one colour scale.

use super::Plot;
use super::canvas::*;
use crate::csv::{number, row, text};
use crate::drawn;
use crate::number::{brief, fixed};
use crate::text::shortened;
use crate::{Depths, Results};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::colors::colormaps::ViridisRGB;
use plotters::style::text_anchor::HPos;
use std::collections::BTreeSet;

/// Panels that are drawn at most.
const MOST_PANELS: usize = 12;
/// Panels side by side.
const COLUMNS: usize = 4;
/// Shown pixels of a panel's cells: a whole number of drawn ones for each of 128 bins.
const PANEL: i32 = 224;
/// Between panels, and right of the last.
const GAP: i32 = 34;
/// Left of the first: the layers.
const LEFT: i32 = 40;
/// Above the first row: the plot's title. Above each row: the panels'.
const TOP: [i32; 2] = [38, 24];
/// Below each row: the cosines.
const TICKS: i32 = 26;
/// Below all: what the axis is, and the colours.
const BAR: i32 = 62;
/// Steps of the scale.
const LEVELS: usize = 64;

/// A heatmap: layers by cosines.
struct Panel<'a> {
    name: String,
    /// Whether it is of the first weights.
    start: bool,
    depths: &'a Depths,
}

/// A panel for the first weights, which the arms share, and one for each arm at the end.
pub fn condensation(results: &Results) -> Option<Plot> {
    let panels = panels(results);
    let shares = || panels.iter().flat_map(|panel| &panel.depths.layers).flat_map(|layer| &layer.histogram).copied();
    let greatest = shares().filter(|share| share.is_finite()).fold(0.0, f64::max);
    if panels.is_empty() || greatest <= 0.0 {
        return None;
    }
    let title = "Condensation: cosines within sequences, layer by layer";
    let drawn = chosen(results, &panels);
    let svg = svg(title, &drawn, greatest);
    let mean = |panel: &&Panel| Some((panel.name.clone(), panel.depths.layers.last()?.cosine.mean));
    let svg = described(svg, title, "mean cosine of the last layer", drawn.iter().filter_map(mean));
    let mut remark =
        "Fraction of the pairs of tokens within a sequence by their cosine, from the embedding (0) up; mean over seeds, on the \
                      held-out split. Dots mark the mean. All panels share one colour scale; a narrow stripe at 1 is a layer \
                      that has condensed."
            .to_owned();
    if panels.len() > drawn.len() {
        remark += &format!(" {} of {} panels are drawn; the CSV file of the plot has all.", drawn.len(), panels.len());
    }
    Some(Plot { name: "condensation".into(), title: title.into(), remark, svg, data_csv: data(&panels) })
}

/// The panels that are drawn: of the first weights, and of arms that other plots draw. Where there are too many, the first weights
/// take at most half of the panels.
fn chosen<'a>(results: &Results, panels: &'a [Panel<'a>]) -> Vec<&'a Panel<'a>> {
    let rows = drawn::rows(results);
    let names: BTreeSet<&str> = results.arms.iter().zip(rows).filter(|of| of.1).map(|(arm, _)| arm.name.as_str()).collect();
    let starts = panels.iter().filter(|panel| panel.start);
    let ends: Vec<&Panel> = panels.iter().filter(|panel| !panel.start && names.contains(panel.name.as_str())).collect();
    let most = (MOST_PANELS / 2).max(MOST_PANELS.saturating_sub(ends.len()));
    starts.take(most).chain(ends).take(MOST_PANELS).collect()
}

fn panels(results: &Results) -> Vec<Panel<'_>> {
    // arms with one baseline start from the same weights
    let mut known: Vec<&str> = Vec::new();
    let mut starts: Vec<Panel> = Vec::new();
    for arm in &results.arms {
        let Some(start) = arm.geometry.as_ref().and_then(|geometry| geometry.start.as_ref()) else { continue };
        if known.contains(&arm.baseline.as_str()) {
            continue;
        }
        known.push(&arm.baseline);
        let same = |other: &Panel| {
            other.depths.layers.iter().map(|layer| &layer.histogram).eq(start.layers.iter().map(|l| &l.histogram))
        };
        if !starts.iter().any(same) {
            starts.push(Panel { name: arm.point.clone(), start: true, depths: start });
        }
    }
    let alone = starts.len() == 1;
    for start in &mut starts {
        start.name = if alone { "first weights".to_owned() } else { format!("first weights, {}", start.name) };
    }
    let ends = results.arms.iter().filter_map(|arm| {
        let depths = &arm.geometry.as_ref()?.end;
        Some(Panel { name: arm.name.clone(), start: false, depths })
    });
    starts.into_iter().chain(ends).collect()
}

fn data(panels: &[Panel]) -> String {
    let mut csv = row(["arm", "moment", "step", "layer", "cosine_from", "cosine_to", "share"].map(String::from));
    for Panel { name, start, depths } in panels {
        for (layer, of) in depths.layers.iter().enumerate() {
            let bins = of.histogram.len() as f64;
            for (bin, share) in of.histogram.iter().enumerate() {
                let edge = |bin: usize| number(-1.0 + 2.0 * bin as f64 / bins);
                let moment = if *start { "start" } else { "end" };
                let place = [depths.step.to_string(), layer.to_string(), edge(bin), edge(bin + 1)];
                csv += &row([text(name), moment.to_owned()].into_iter().chain(place).chain([number(*share)]));
            }
        }
    }
    csv
}

/// A fraction's step on the colour scale, which is linear in the root of fractions: otherwise one condensed layer would darken all
/// others.
fn level(share: f64, greatest: f64) -> usize {
    let place = (share.max(0.0) / greatest).sqrt();
    if place.is_finite() { ((place * (LEVELS - 1) as f64).round() as usize).min(LEVELS - 1) } else { 0 }
}

fn colour(level: usize) -> RGBColor {
    ViridisRGB::get_color(level as f64 / (LEVELS - 1) as f64)
}

fn svg(title: &str, panels: &[&Panel], greatest: f64) -> String {
    let columns = panels.len().min(COLUMNS);
    let rows = panels.len().div_ceil(COLUMNS) as i32;
    let deepest = panels.iter().map(|panel| panel.depths.layers.len()).max().unwrap_or(1) as i32;
    let tall = (deepest * 22).clamp(66, 176);
    let width = LEFT + columns.max(2) as i32 * (PANEL + GAP);
    let height = TOP[0] + rows * (TOP[1] + tall + TICKS) + BAR;
    let svg = sheet(title, width as u32, height as u32, |area| {
        for (index, panel) in panels.iter().enumerate() {
            let (row, column) = ((index / COLUMNS) as i32, (index % COLUMNS) as i32);
            let (x, y) = (LEFT + column * (PANEL + GAP), TOP[0] + TOP[1] + row * (TOP[1] + tall + TICKS));
            paint(area, panel, (x, y), tall, greatest)?;
        }
        bar(area, height - BAR + 14, greatest)
    });
    // no seams between cells, and marks that are round
    let svg = svg.replacen("<svg ", "<svg shape-rendering=\"crispEdges\" ", 1);
    svg.replace("<circle ", "<circle shape-rendering=\"auto\" ")
}

/// One panel whose cells begin at `(x, y)`.
fn paint(area: &Area, panel: &Panel, (x, y): (i32, i32), tall: i32, greatest: f64) -> Drawn {
    let layers = &panel.depths.layers;
    write(area, &shortened(&panel.name, 32), (x, y - 10), &kind(12.5, INK, HPos::Left))?;
    let cells = area.clone().shrink((x * SCALE, y * SCALE), (PANEL * SCALE, tall * SCALE));
    cells.fill(&colour(0))?;
    let pixels = (x * SCALE..(x + PANEL) * SCALE, y * SCALE..(y + tall) * SCALE);
    let grid = Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(-1.0..1.0, 0.0..layers.len() as f64, pixels);
    let cells = cells.apply_coord_spec(grid);
    for (layer, of) in layers.iter().enumerate() {
        // the embedding is at the bottom; neighbouring bins of one colour are one rectangle, bins without pairs have none
        let (top, bottom) = ((layers.len() - layer - 1) as f64, (layers.len() - layer) as f64);
        let bins = of.histogram.len() as f64;
        let levels: Vec<usize> = of.histogram.iter().map(|share| level(*share, greatest)).collect();
        let mut from = 0;
        for run in levels.chunk_by(|a, b| a == b) {
            let (left, right) = (-1.0 + 2.0 * from as f64 / bins, -1.0 + 2.0 * (from + run.len()) as f64 / bins);
            from += run.len();
            if run[0] > 0 {
                cells.draw(&Rectangle::new([(left, top), (right, bottom)], colour(run[0]).filled()))?;
            }
        }
        if of.cosine.mean.is_finite() && of.cosine.mean.abs() <= 1.0 {
            let at = (of.cosine.mean, top + 0.5);
            cells.draw(&Circle::new(at, px(2.6), RGBColor(0, 0, 0).filled()))?;
            cells.draw(&Circle::new(at, px(1.8), WHITE.filled()))?;
        }
    }
    let right = kind(11.5, MUTED, HPos::Right);
    let every = layers.len().div_ceil((tall / 15) as usize).max(1);
    for layer in (0..layers.len()).step_by(every) {
        let middle = y + ((layers.len() - layer) * 2 - 1) as i32 * tall / (2 * layers.len() as i32);
        write(area, &layer.to_string(), (x - 6, middle), &right)?;
    }
    for (cosine, label) in [(-1, "−1"), (0, "0"), (1, "1")] {
        write(area, label, (x + (cosine + 1) * PANEL / 2, y + tall + 10), &kind(11.5, MUTED, HPos::Center))?;
    }
    Ok(())
}

/// The scale of colours, and what the axes are.
fn bar(area: &Area, y: i32, greatest: f64) -> Drawn {
    let left = kind(11.5, MUTED, HPos::Left);
    write(area, "cosine (across) by layer (up)", (LEFT, y + 6), &left)?;
    let (x, long) = (LEFT + PANEL + GAP, PANEL);
    for step in 0..LEVELS {
        let edge = |step: usize| (x * SCALE) + (long * SCALE) * step as i32 / LEVELS as i32;
        let corners = [(edge(step), y * SCALE), (edge(step + 1), (y + 12) * SCALE)];
        area.draw(&Rectangle::new(corners, colour(step).filled()))?;
    }
    for quarter in 0..=4 {
        let place = f64::from(quarter) / 4.0;
        let share = greatest * place * place * 100.0;
        let text = if share < 10.0 { brief(share, 2) } else { fixed(share, 0) };
        write(area, &(text + "%"), (x + quarter * long / 4, y + 22), &kind(11.5, MUTED, HPos::Center))?;
    }
    write(area, "fraction of the pairs in one bin", (x + long / 2, y + 38), &kind(11.5, MUTED, HPos::Center))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_panel_for_each_arm_and_one_for_the_first_weights() {
        let plot = condensation(&sample::measured()).unwrap();
        for name in ["first weights", "baseline", "dispersion", "fraction of the pairs"] {
            assert!(plot.svg.contains(name), "{name}");
        }
        assert_eq!(plot.svg.matches("first weights<").count() + plot.svg.matches("first weights\n<").count(), 1);
        assert!(plot.svg.contains(
            "aria-label=\"Condensation: cosines within sequences, layer by layer; mean cosine of the last layer: first weights "
        ));
        assert_eq!(plot.data_csv.lines().count(), 1 + 5 * 3 * 128); // five panels of three layers
        assert!(plot.data_csv.contains("\nfirst weights,start,0,0,-1,-0.984375,"), "{}", &plot.data_csv[..200]);
        assert!(plot.data_csv.contains("\nbaseline,end,600,2,0.984375,1,"));
        assert!(condensation(&sample::results()).is_none());
    }

    #[test]
    fn the_embedding_is_at_the_foot() {
        let svg = condensation(&sample::measured()).unwrap().svg;
        let number = |mark: &str, name: &str| -> f64 {
            let (_, rest) = mark.split_once(&format!(" {name}=\"")).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let marks: Vec<[f64; 2]> = svg.split("<circle").skip(1).map(|mark| ["cx", "cy"].map(|name| number(mark, name))).collect();
        // two circles a mark, three layers a panel; the baseline's is the second, and its cosines rise from 0.1 to 0.62
        let (first, last) = (marks[6], marks[10]);
        assert!(first[1] > last[1] && first[0] < last[0], "{first:?} {last:?}");
    }

    #[test]
    fn the_scale_is_of_roots() {
        assert_eq!((level(0.0, 0.5), level(0.5, 0.5), level(0.125, 0.5)), (0, LEVELS - 1, 32)); // a quarter is half way
        assert_eq!((level(f64::NAN, 0.5), level(-1.0, 0.5), level(9.0, 0.5)), (0, 0, LEVELS - 1));
    }

    #[test]
    fn first_weights_leave_panels_for_the_arms() {
        let results = sample::measured();
        let depths = &results.arms[0].geometry.as_ref().unwrap().end;
        let panel = |name: &str, start: bool| Panel { name: name.to_owned(), start, depths };
        let starts = (0..MOST_PANELS).map(|_| panel("first weights", true)); // of a sweep over twelve widths
        let panels: Vec<Panel> = starts.chain(results.arms.iter().map(|arm| panel(&arm.name, false))).collect();
        let names: Vec<&str> = chosen(&results, &panels).into_iter().map(|panel| panel.name.as_str()).collect();
        assert_eq!(names[..8], ["first weights"; 8]);
        assert_eq!(names[8..], ["baseline", "dispersion", "infonce", "vicreg"]);
    }
}
