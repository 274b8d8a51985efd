//! The loss after rounding, by bits: a plot for each granularity.

use super::lines::{Chart, Line, MOST_BANDS, Point};
use super::{Plot, looks};
use crate::csv::{number, row, text};
use crate::{Results, Rounding, UNIT};

/// `rounding_channel` and others, one for each granularity.
pub fn plots(results: &Results) -> Vec<Plot> {
    granularities(results).into_iter().filter_map(|granularity| plot(results, &granularity)).collect()
}

/// The granularities, in the order of their first.
pub fn granularities(results: &Results) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for rounding in results.arms.iter().flat_map(|arm| &arm.roundings) {
        if !known.contains(&rounding.granularity) {
            known.push(rounding.granularity.clone());
        }
    }
    known
}

/// `one scale for each output channel`.
pub fn in_words(granularity: &str) -> String {
    match granularity {
        "tensor" => "one scale a matrix".to_owned(),
        "channel" => "one scale an output channel".to_owned(),
        group => format!("one scale for {group} weights"),
    }
}

/// The position of a number of bits: more bits come first.
fn order(bits: &str) -> usize {
    match bits {
        "ternary" => 101,
        "binary" => 102,
        whole => whole.parse::<usize>().map_or(103, |bits| 100 - bits.min(100)),
    }
}

fn plot(results: &Results, granularity: &str) -> Option<Plot> {
    let of = |rounding: &&Rounding| rounding.granularity == granularity;
    let mut bits: Vec<String> =
        results.arms.iter().flat_map(|arm| &arm.roundings).filter(of).map(|rounding| rounding.bits.clone()).collect();
    bits.sort_by_key(|bits| order(bits));
    bits.dedup();
    let mut data_csv = row(["arm", "granularity", "bits", "mean", "sd", "low", "high", "seeds"].map(String::from));
    let mut lines = Vec::new();
    for (arm, look) in looks::rows(results) {
        let mut points = Vec::new();
        for rounding in arm.roundings.iter().filter(of) {
            let increase = &rounding.increase;
            let numbers = [increase.mean, increase.sd, increase.low, increase.high].map(number);
            let labels = [text(&arm.name), text(granularity), rounding.bits.clone()];
            data_csv += &row(labels.into_iter().chain(numbers).chain([increase.count.to_string()]));
            let Some(x) = bits.iter().position(|bits| *bits == rounding.bits) else { continue };
            points.push(Point { x: x as f64, mean: increase.mean, low: increase.low, high: increase.high });
        }
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        lines.extend(look.map(|look| Line { look, points }));
    }
    lines.retain(|line| line.points.iter().any(Point::is_plottable));
    let title = format!("Loss after rounding: {}", in_words(granularity));
    let remark =
        if lines.len() <= MOST_BANDS { "Shaded: minimum to maximum over seeds." } else { "Ranges over seeds are omitted." };
    let y = format!("increase of loss, {UNIT}");
    let svg = Chart { title: &title, x: "bits of a weight", y: &y, marks: true, names: &bits, ceiling: None, lines }.svg()?;
    // a group's size is a number, so the name is safe for a file
    Some(Plot { name: format!("rounding_{granularity}"), title, remark: remark.to_owned(), svg, data_csv })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn bits_fall_to_the_right() {
        let mut bits = ["binary", "2", "8", "ternary", "4"];
        bits.sort_by_key(|bits| order(bits));
        assert_eq!(bits, ["8", "4", "2", "ternary", "binary"]);
    }

    #[test]
    fn a_plot_for_each_granularity() {
        let plots = plots(&sample::measured());
        assert_eq!(plots.iter().map(|plot| plot.name.as_str()).collect::<Vec<_>>(), ["rounding_channel", "rounding_32"]);
        assert!(plots[0].data_csv.contains("\nbaseline,channel,binary,0.25,0.01,0.24,0.26,3\n"), "{}", plots[0].data_csv);
        for word in ["ternary", "binary", "one scale an output channel", "nats per token"] {
            assert!(plots[0].svg.contains(word), "{word}");
        }
        assert!(super::plots(&sample::results()).is_empty());
    }
}
