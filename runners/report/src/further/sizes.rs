//! Effect against model size, and the power laws through the losses.

use super::{Cell, Further, Row};
use crate::figures::interval;
use crate::number::{decimals_for, fixed, grouped, signed, significant};
use crate::text::shortened;
use crate::verdict::{VerdictWords, corrected_for, difference_decimals, split};
use crate::{Results, SizePoint, SizeSeries};

/// Decimals of an exponent.
const DECIMALS: usize = 4;

/// Each arm's difference at each size; `None` where all models have the same size.
pub fn effects(results: &Results) -> Option<Further> {
    let points = || results.sizes.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
    points().next()?;
    let decimals = difference_decimals(points().filter_map(|(_, point)| point.difference.as_ref()));
    let loss_decimals = decimals_for(points().filter_map(|(_, point)| point.loss.map(|loss| loss.sd)));
    let row = |(series, point): (&SizeSeries, &SizePoint)| Row {
        cells: vec![
            Cell::words(&series.name),
            Cell::number(grouped(point.parameters as f64), point.parameters as f64),
            point.loss.map_or(Cell::words(""), |loss| Cell::number(fixed(loss.mean, loss_decimals), loss.mean)),
            point.difference.map_or(Cell::words(""), |of| Cell::number(signed(of.mean, decimals), of.mean)),
            Cell::interval(point.difference.map(|of| of.corrected), decimals),
            Cell::words(&point.verdict.column(point.difference)),
        ],
        marked: false,
    };
    let corrected = points().find_map(|(_, point)| point.difference).and_then(|of| corrected_for(of.comparisons));
    let remark = format!(
        "Differences are from {}, a model of the same size. Intervals are at 95%{}.",
        results.reference(),
        corrected.map(|of| format!(", {of}")).unwrap_or_default()
    );
    let titles =
        [("arm", false), ("parameters", true), ("loss", true), ("difference", true), ("95% interval", true), ("verdict", false)];
    Some(Further {
        title: "Effect against model size",
        plots: &["difference_by_size", "loss_by_size"],
        remark,
        titles: titles.to_vec(),
        rows: points().map(row).collect(),
    })
}

/// Each arm's power law; `None` where none could be fitted.
pub fn laws(results: &Results) -> Option<Further> {
    let fits: Vec<_> = results.sizes.iter().filter_map(|series| Some((series, series.fit?))).collect();
    if fits.is_empty() {
        return None;
    }
    let rows = fits.iter().map(|(series, fit)| Row {
        cells: vec![
            Cell::words(&series.name),
            Cell::number(significant(fit.a, 4), fit.a),
            Cell::number(fixed(fit.b, DECIMALS), fit.b),
            Cell::interval(fit.interval, DECIMALS),
            Cell::number(fit.sizes.to_string(), fit.sizes as f64),
            Cell::number(fit.seeds.to_string(), fit.seeds as f64),
        ],
        marked: false,
    });
    let basis = match (fits.iter().any(|(_, fit)| fit.sizes == 2), fits.iter().any(|(_, fit)| fit.sizes > 2)) {
        (true, false) => {
            "Two sizes always lie on a line: the interval reflects only the noise of seeds, not whether the law holds."
        }
        (true, true) => {
            "With two sizes the interval reflects only the noise of seeds; with more, how far the mean losses lie off the line."
        }
        _ => "The interval reflects how far the mean losses lie off the line.",
    };
    let remark = format!(
        "loss = a · parameters^(-b), by least squares on logarithms of the {} losses of seeds that every size finished. The \
         intervals of b are at 95%, not corrected, and no verdict is read from them. {basis} No claim is made about sizes beyond \
         those tried.",
        split(results).0
    );
    let titles = [("arm", false), ("a", true), ("b", true), ("95% interval of b", true), ("sizes", true), ("seeds", true)];
    Some(Further { title: "Loss against parameters", plots: &[], remark, titles: titles.to_vec(), rows: rows.collect() })
}

/// The laws for the terminal: a heading, and a line each.
pub fn lines(results: &Results) -> (&'static str, Vec<String>) {
    let law = |series: &SizeSeries| {
        let fit = series.fit?;
        let interval = fit.interval.and_then(|of| interval(&of, DECIMALS));
        let interval = interval.map(|interval| format!(" (95% interval {interval})")).unwrap_or_default();
        Some(format!("{}: b = {}{interval}", shortened(&series.name, 60), fixed(fit.b, DECIMALS)))
    };
    ("Loss against parameters, as a · parameters^(-b):", results.sizes.iter().filter_map(law).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use crate::sample;

    #[test]
    fn an_effect_stands_beside_its_size() {
        let table = effects(&sample::sweep()).unwrap();
        assert_eq!(row(&table, 0), ["baseline", "1,000", "3.500", "", "", "baseline"]);
        assert_eq!(row(&table, 3), ["dispersion", "4,000", "3.469", "-0.031", "-0.050 to -0.012", "better (3 seeds)"]);
        assert!(table.remark.contains("from baseline at the same point"), "{}", table.remark);
        assert!(table.remark.ends_with("at 95%, corrected for 3 comparisons."), "{}", table.remark);
    }

    #[test]
    fn a_law_says_what_its_interval_rests_on() {
        let mut results = sample::sweep();
        let table = laws(&results).unwrap();
        assert_eq!(row(&table, 0), ["baseline", "9.000", "0.1250", "+0.1000 to +0.1500", "2", "3"]);
        assert!(table.remark.contains("Two sizes always lie on a line"), "{}", table.remark);
        results.sizes[0].fit.as_mut().unwrap().sizes = 3;
        assert!(laws(&results).unwrap().remark.contains("With two sizes the interval reflects"));
        results.sizes.iter_mut().for_each(|series| series.fit = None);
        assert!(laws(&results).is_none() && effects(&results).is_some());
    }
}
