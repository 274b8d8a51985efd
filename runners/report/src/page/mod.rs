//! `report.html`: one page that needs nothing but itself.

mod explain;
mod rows;

use crate::answer::{answer, cautions};
use crate::further::{Further, further, measured};
use crate::plot::{MOST_POINTS, Plot, plots, thinned};
use crate::text::one_line;
use crate::verdict::{corrected_for, split};
use crate::{Result, Results, UNIT};
use minijinja::value::Value;
use minijinja::{Environment, context};

/// The plots of how hidden states lie, in the order of reading.
const CONDENSATION: [&str; 6] =
    ["condensation", "cosine_by_layer", "cosine_along_training", "spectrum", "mean_cosine", "effective_rank"];

/// The study as one self-contained page: style, script, plots and data are inside, nothing is fetched.
///
/// Every name and reason is escaped. The data at the foot is the whole of `results` but for long curves, which are thinned as
/// they are plotted.
pub fn page(results: &Results) -> Result<String> {
    let mut environment = Environment::new();
    environment.add_template("page.html", include_str!("page.html"))?; // by its name: escaped as HTML
    let plots = plots(results);
    let of = |name: &&str| plots.iter().find(|plot| plot.name == *name).map(figure);
    let figures = |names: &[&str]| Value::from_iter(names.iter().filter_map(of));
    let section = |table: &Further| {
        let of = |plot: &&Plot| table.plots.iter().any(|name| plot.name.starts_with(name));
        context! { plots => Value::from_iter(plots.iter().filter(of).map(figure)), ..rows::further(table) }
    };
    let (held_out, _) = split(results);
    Ok(environment.get_template("page.html")?.render(context! {
        study => one_line(&results.study),
        question => results.question.as_deref(),
        program => one_line(&results.program),
        answer => answer(results),
        cautions => cautions(results),
        notes => &results.notes,
        baseline => results.reference(),
        held_out => held_out,
        unit => UNIT,
        arms => rows::arms(results),
        dense => results.has_many_rows(),
        known => rows::known(results),
        statistics => rows::statistics_titles(),
        compared => results.arms.iter().any(|arm| arm.difference.is_some()),
        equal_time => results.arms.iter().any(|arm| arm.difference.is_some_and(|of| of.equal_time.is_some())),
        corrected => results.arms.iter().find_map(|arm| arm.difference).and_then(|of| corrected_for(of.comparisons)),
        failures => rows::failures(results),
        differences => figures(&["differences", "loss_by_cost"]),
        further => further(results).iter().map(section).collect::<Vec<_>>(),
        losses => figures(&["validation_loss", "validation_loss_late", "training_loss"]),
        condensation => figures(&CONDENSATION),
        embedding => figures(&["embedding_cosine_by_frequency", "embedding_norm_by_frequency"]),
        measured => measured(results).iter().map(section).collect::<Vec<_>>(),
        setup => rows::setup(results),
        measures => rows::measure_names(results),
        trials => rows::trials(results),
        reasons => results.trials.iter().any(|trial| trial.reason.is_some()),
        explanations => explain::explanations(results),
        style => Value::from_safe_string(include_str!("style.css").to_owned()),
        script => Value::from_safe_string(include_str!("tables.js").to_owned()),
        data => Value::from_safe_string(data(results)?),
    })?)
}

fn figure(plot: &Plot) -> Value {
    let svg = Value::from_safe_string(plot.svg.clone());
    context! { name => plot.name.as_str(), svg, remark => plot.remark.as_str(), wide => plot.name == "condensation" }
}

/// The results as JSON that may stand inside a script element: no `<` is left in it.
fn data(results: &Results) -> Result<String> {
    let mut results = results.clone();
    for arm in &mut results.arms {
        arm.training_curve = thinned(&arm.training_curve, MOST_POINTS);
        arm.validation_curve = thinned(&arm.validation_curve, MOST_POINTS);
    }
    Ok(serde_json::to_string(&results)?.replace('<', "\\u003c"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Trial, sample};

    #[test]
    fn the_page_holds_the_answer() {
        let page = page(&sample::results()).unwrap();
        let expected = [
            "<title>quickstart · Regatta</title>",
            "Does any of it help?",
            "By test loss, dispersion was better than baseline; vicreg was worse;",
            "<strong>better</strong>: 0.031 nats lower (95% interval 0.012 to 0.050, corrected for 3 comparisons; 3 seeds, fewer than five)",
            "<h2>Statistics of the differences</h2>",
            "P(improvement)",
            "−0.021 (−0.040 to\u{a0}−0.002)",
            "3.469 ± 0.012",
            "−0.031",
            "seed 2 diverged at step 14: loss is NaN",
            "gpt2, 4 layers",
            "3 seeds are few",
            "the clock was not idle",
            "regatta 0.1.0",
            "prefers-color-scheme",
        ];
        for part in expected {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg ").count(), 7);
    }

    #[test]
    fn sizes_and_tuning_have_sections() {
        let page = page(&sample::sweep()).unwrap();
        for part in [
            "<h2>Effect against model size</h2>",
            "<figure id=\"difference_by_size\">",
            "<figure id=\"loss_by_size\">",
            "<td class=\"number\" data-sort=\"-0.05\">−0.050 to −0.012</td>",
            "<h2>Loss against parameters</h2>",
            "parameters^(-b)",
            "<h2>Tuning</h2>",
            "<tr class=\"marked\">",
            "<td>chosen; largest weight tried</td>",
            "best weight 0.1 is the largest tried",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!super::page(&sample::results()).unwrap().contains("<h2>Tuning"));
    }

    #[test]
    fn what_was_measured_has_sections_and_what_was_not_has_none() {
        let sections = [
            "<figure id=\"condensation\" class=\"wide\">",
            "<h2>Embeddings of frequent and rare words</h2>",
            "<h2>The last hidden state</h2>",
            "<td class=\"number\" data-sort=\"0.62\">0.620 <small>± 0.010</small></td>",
            "<h2>Robustness to rounding</h2>",
            "<figure id=\"rounding_channel\">",
            "<h2>Minimal pairs and multiple choice</h2>",
        ];
        let (with, without) = (page(&sample::measured()).unwrap(), page(&sample::results()).unwrap());
        for part in sections {
            assert!(with.contains(part) && !without.contains(part), "{part}");
        }
        let place = |part: &str| with.find(part).unwrap();
        assert!(place("<h2>Did it help") < place("<h2>How sure") && place("<h2>Condensation") < place("<h2>Robustness"));
    }

    #[test]
    fn many_rows_are_short() {
        let mut results = sample::sweep();
        assert!(page(&results).unwrap().contains("class=\"sortable arms\""));
        results.arms = (0..4).flat_map(|_| results.arms.clone()).collect();
        let page = page(&results).unwrap();
        assert!(page.contains("class=\"sortable dense\"") && page.contains(">better (3\u{a0}seeds)</td>"));
        assert!(!page.contains("<strong>better</strong>"));
    }

    #[test]
    fn nothing_is_fetched() {
        let page = page(&sample::results()).unwrap();
        let without_namespace = page.replace("http://www.w3.org/2000/svg", "").replace("<link rel=\"icon\" href=\"data:,\">", "");
        assert!(page.contains("default-src 'none'"), "a browser would let it fetch");
        for part in ["http:", "https:", "//cdn", "<link", "src=", "@import", "url("] {
            assert!(!without_namespace.contains(part), "{part}");
        }
    }

    #[test]
    fn markup_in_names_stays_text() {
        let evil = "</script><script>alert(1)</script>";
        let mut results = sample::results();
        results.study = evil.into();
        results.question = Some(evil.into());
        results.notes = vec![evil.into()];
        results.setup = vec![(evil.into(), evil.into())];
        results.held_out = format!("{evil} ({evil})");
        results.baseline = evil.into();
        results.arms[1].name = evil.into();
        results.arms[1].terms = evil.into();
        results.arms[1].failures = vec![evil.into()];
        results.trials[0].reason = Some(evil.into());
        results.trials[0].measures[0].0 = evil.into();
        results.trials[0].state = evil.into();
        let page = page(&results).unwrap();
        assert!(!page.contains("<script>alert"), "a name became markup");
        assert_eq!(page.matches("</script>").count(), 2); // the data and the sorting
        assert!(page.contains("&lt;script&gt;alert(1)"));
    }

    #[test]
    fn the_data_can_be_read_back() {
        let page = page(&sample::results()).unwrap();
        let (_, rest) = page.split_once(r#"<script type="application/json" id="results">"#).unwrap();
        let data: serde_json::Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        assert_eq!(data["arms"][1]["difference"]["mean"], -0.031);
        assert_eq!(data["arms"][1]["difference"]["corrected"]["low"], -0.050);
        assert_eq!(data["arms"][1]["difference"]["equal_time"]["seconds"], 41.5);
        assert_eq!(data["trials"][11]["measures"]["test_loss"], "NaN");
    }

    #[test]
    fn edges_do_not_panic() {
        for (what, results) in sample::edges() {
            let page = page(&results).unwrap();
            assert!(page.trim_end().ends_with("</html>"), "{what}");
            let (page, _) = page.split_once("application/json").unwrap();
            assert!(!page.contains(">none<") && !page.contains("sort=\"none\"") && !page.contains(">NaN to"), "{what}");
        }
    }

    #[test]
    fn a_thousand_trials_take_under_five_seconds() {
        let mut results = sample::results();
        let trial = |seed| Trial {
            seed,
            measures: (0..20).map(|index| (format!("measure_{index}"), Some(seed as f64 / 7.0))).collect(),
            ..results.trials[0].clone()
        };
        results.trials = (0..1000).map(trial).collect();
        let start = std::time::Instant::now();
        let page = page(&results).unwrap();
        assert!(page.matches("<tr>").count() > 1000);
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }
}
