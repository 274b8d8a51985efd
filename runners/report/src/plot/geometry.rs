//! The geometry of hidden states and embeddings as curves: by layer, along training, by frequency.

use super::canvas::MUTED;
use super::lines::{Chart, Line, MOST_BANDS, Point};
use super::looks::{self, Look};
use super::{Plot, heatmap, spectrum};
use crate::csv::{number, row, text};
use crate::{Arm, Depths, FrequencyClass, Geometry, OverSeeds, Results};

/// `condensation`, `cosine_by_layer`, `cosine_along_training`, `spectrum`, `embedding_cosine_by_frequency`,
/// `embedding_norm_by_frequency`, as far as they were measured.
pub fn plots(results: &Results) -> Vec<Plot> {
    let cosine = "Embedding: mean cosine by how often tokens occur";
    let norm = "Embedding: mean norm by how often tokens occur";
    let plots = [
        heatmap::condensation(results),
        by_layer(results),
        along_training(results),
        spectrum::spectrum(results),
        by_frequency(results, "embedding_cosine_by_frequency", cosine, "mean cosine", |class| class.cosine),
        by_frequency(results, "embedding_norm_by_frequency", norm, "mean norm", |class| class.norm),
    ];
    plots.into_iter().flatten().collect()
}

/// The rows that have a geometry.
fn rows(results: &Results) -> impl Iterator<Item = (&Arm, &Geometry, Option<Look>)> {
    looks::rows(results).into_iter().filter_map(|(arm, look)| Some((arm, arm.geometry.as_ref()?, look)))
}

fn point(x: usize, of: &OverSeeds) -> Point {
    Point { x: x as f64, mean: of.mean, low: of.low, high: of.high }
}

fn cells(of: &OverSeeds) -> [String; 4] {
    [of.mean, of.sd, of.low, of.high].map(number)
}

/// The remark on ranges over seeds.
fn ranges(lines: &[Line]) -> &'static str {
    if lines.len() <= MOST_BANDS { "Shaded: minimum to maximum over seeds." } else { "Ranges over seeds are omitted." }
}

fn by_layer(results: &Results) -> Option<Plot> {
    let mut data_csv = row(["arm", "moment", "step", "layer", "mean", "sd", "low", "high"].map(String::from));
    let mut lines = Vec::new();
    let mut starts = Vec::new();
    for (arm, geometry, look) in rows(results) {
        let is_drawn = look.is_some();
        let mut line = |look: Option<Look>, moment: &str, depths: &Depths| {
            for (layer, of) in depths.layers.iter().enumerate() {
                let place = [text(&arm.name), moment.to_owned(), depths.step.to_string(), layer.to_string()];
                data_csv += &row(place.into_iter().chain(cells(&of.cosine)));
            }
            let points = depths.layers.iter().enumerate().map(|(x, of)| point(x, &of.cosine)).collect();
            look.map(|look| Line { look, points })
        };
        lines.extend(line(look, "end", &geometry.end));
        if let Some(start) = &geometry.start {
            let look = is_drawn.then(|| Look { name: "first weights".into(), colour: MUTED, round: 2 });
            starts.extend(line(look, "start", start).map(|line| (&arm.baseline, line)));
        }
    }
    starts.dedup_by_key(|(baseline, _)| *baseline); // arms with one baseline start from the same weights
    lines.extend(starts.into_iter().map(|(_, line)| line));
    let title = "Mean cosine within sequences by layer";
    let remark = format!("At the end of training; dotted: the first weights. {}", ranges(&lines));
    let svg = Chart { title, x: "layer (0 is the embedding)", y: "mean cosine", marks: true, names: &[], ceiling: None, lines }
        .svg()?;
    Some(Plot { name: "cosine_by_layer".into(), title: title.into(), remark, svg, data_csv })
}

/// `None` where there is only one diagnosis.
fn along_training(results: &Results) -> Option<Plot> {
    let mut data_csv = row(["arm", "step", "mean", "low", "high"].map(String::from));
    let mut lines = Vec::new();
    for (arm, geometry, look) in rows(results).filter(|(_, geometry, _)| geometry.last_cosine.len() > 1) {
        for point in &geometry.last_cosine {
            let numbers = [point.mean, point.low, point.high].map(number);
            data_csv += &row([text(&arm.name), point.step.to_string()].into_iter().chain(numbers));
        }
        let points = geometry.last_cosine.iter();
        let points = points.map(|p| Point { x: p.step as f64, mean: p.mean, low: p.low, high: p.high }).collect();
        lines.extend(look.map(|look| Line { look, points }));
    }
    let title = "Mean cosine of the last hidden state along training";
    let remark = format!("Within sequences. {}", ranges(&lines));
    let marks = lines.iter().all(|line| line.points.len() <= 24);
    let svg = Chart { title, x: "optimizer step", y: "mean cosine", marks, names: &[], ceiling: None, lines }.svg()?;
    Some(Plot { name: "cosine_along_training".into(), title: title.into(), remark, svg, data_csv })
}

fn by_frequency(
    results: &Results,
    name: &str,
    title: &str,
    y: &str,
    of: impl Fn(&FrequencyClass) -> Option<OverSeeds>,
) -> Option<Plot> {
    let mut data_csv = row(["arm", "class", "mean", "sd", "low", "high"].map(String::from));
    let mut lines = Vec::new();
    let mut classes: Vec<String> = Vec::new();
    for (arm, geometry, look) in rows(results) {
        let known = || geometry.by_frequency.iter().filter_map(|class| Some((class, of(class)?)));
        for (class, measure) in known() {
            data_csv += &row([text(&arm.name), class.class.clone()].into_iter().chain(cells(&measure)));
        }
        if geometry.by_frequency.len() > classes.len() {
            classes = geometry.by_frequency.iter().map(|class| class.class.clone()).collect();
        }
        let place = |class: &FrequencyClass| geometry.by_frequency.iter().position(|other| other.class == class.class);
        let points = known().filter_map(|(class, measure)| Some(point(place(class)?, &measure))).collect();
        lines.extend(look.map(|look| Line { look, points }));
    }
    let remark =
        format!("Rows of the embedding matrix; tokens that never occur in training are a class of their own. {}", ranges(&lines));
    let x = "tenth of the tokens, the most frequent first";
    let svg = Chart { title, x, y, marks: true, names: &classes, ceiling: None, lines }.svg()?;
    Some(Plot { name: name.into(), title: title.into(), remark, svg, data_csv })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn each_curve_comes_with_its_numbers() {
        let plots = plots(&sample::measured());
        let names: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
        let expected = [
            "condensation",
            "cosine_by_layer",
            "cosine_along_training",
            "spectrum",
            "embedding_cosine_by_frequency",
            "embedding_norm_by_frequency",
        ];
        assert_eq!(names, expected);
        let [by_layer, along, frequency] = [1, 2, 4].map(|index: usize| &plots[index]);
        assert!(by_layer.data_csv.contains("\nbaseline,end,600,2,0.62,0.01,0.61,0.63\n"), "{}", by_layer.data_csv);
        assert_eq!(by_layer.svg.matches(">first weights<").count() + by_layer.svg.matches("first weights\n").count(), 1);
        assert!(along.data_csv.contains("\nbaseline,600,0.62,0.61,0.63\n"), "{}", along.data_csv);
        assert!(frequency.svg.contains("never") && frequency.data_csv.contains("\nbaseline,never,"), "{}", frequency.data_csv);
        assert!(super::plots(&sample::results()).is_empty());
    }

    #[test]
    fn one_diagnosis_has_no_curve_along_training() {
        let mut results = sample::measured();
        results.arms.iter_mut().filter_map(|arm| arm.geometry.as_mut()).for_each(|of| of.last_cosine.truncate(1));
        assert!(along_training(&results).is_none());
    }
}
