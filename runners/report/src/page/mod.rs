//! `report.html`: one self-contained page.

mod data;
mod explain;
mod rows;
mod series;
mod table;

use crate::answer::{answer, cautions};
use crate::drawn;
use crate::further::{Further, further, machines, measured, one_machine};
use crate::plot::{Plot, plots};
use crate::terms::Terms;
use crate::text::{listed, one_line, shortened};
use crate::verdict::{corrected_for, split};
use crate::{Result, Results, UNIT, Verdict};
use minijinja::value::Value;
use minijinja::{Environment, context};
use std::collections::BTreeMap;
use table::Table;

/// The plots of the geometry of hidden states, in reading order.
const CONDENSATION: [&str; 6] =
    ["condensation", "cosine_by_layer", "cosine_along_training", "spectrum", "mean_cosine", "effective_rank"];

/// Most bytes of the rows of all tables, of the series that plots are redrawn from, and of the data at the end: with the plots, the
/// page stays below 5 MB.
const MOST_OF_ROWS: usize = 2_000_000;
const MOST_OF_SERIES: usize = 1_100_000;
const MOST_OF_DATA: usize = 600_000;
/// More rows than this have short verdicts, and short terms in the table.
const MOST_IN_WORDS: usize = 40;

/// The study as one self-contained page: style, script, plots and data are inside, nothing is fetched.
///
/// Every name and reason is escaped. The page stays below 5 MB: for a large study, the plots draw the best and the worst arms and
/// those that a reader chooses, and long tables are paged. The page says what it leaves out, which is in the files beside it.
pub fn page(results: &Results) -> Result<String> {
    let mut environment = Environment::new();
    environment.add_template("page.html", include_str!("page.html"))?; // by its name: escaped as HTML
    let plots = plots(results);
    let of = |name: &&str| plots.iter().find(|plot| plot.name == *name).map(figure);
    let figures = |names: &[&str]| Value::from_iter(names.iter().filter_map(of));
    let dense = results.has_many_rows() || results.arms.len() > MOST_IN_WORDS;
    let priority = priority(results);
    let tables = tables(results, dense, &priority);
    let on_page: Vec<&str> = plots.iter().map(|plot| plot.name.as_str()).collect();
    let series = series::series(results, &on_page, &priority, MOST_OF_SERIES);
    let (data, left_out) = data::data(results, MOST_OF_DATA)?;
    let section = |(of, rows): &(Further, Table)| {
        let of_table = |plot: &&Plot| of.plots.iter().any(|name| plot.name.starts_with(name));
        context! {
            title => of.title,
            remark => of.remark.as_str(),
            plots => Value::from_iter(plots.iter().filter(of_table).map(figure)),
            table => rows.context(drawn::ranking(results)),
        }
    };
    let table = |table: &Table| (!table.rows.is_empty()).then(|| table.context(drawn::ranking(results)));
    let with_difference = || results.arms.iter().filter_map(|arm| arm.difference);
    let scripts = [include_str!("tables.js"), if series.is_some() { include_str!("plots.js") } else { "" }].concat();
    Ok(environment.get_template("page.html")?.render(context! {
        study => shortened(&results.study, 200),
        question => results.question.as_deref().map(|question| shortened(question, MOST_OF_A_NOTE)),
        program => one_line(&results.program),
        answer => answer(results),
        cautions => cautions(results),
        notes => results.notes.iter().map(|note| shortened(note, MOST_OF_A_NOTE)).collect::<Vec<_>>(),
        baseline => results.reference(),
        held_out => split(results).0,
        unit => UNIT,
        arms => table(&tables.arms),
        dense,
        condensed => results.arms.iter().any(|arm| !arm.mean_cosine_by_layer.is_empty() || !arm.effective_rank_by_layer.is_empty()),
        shared_terms => Terms::of(results).shared(),
        statistics => with_difference().next().and_then(|_| table(&tables.statistics)),
        equal_time => with_difference().any(|of| of.equal_time.is_some()),
        corrected => with_difference().next().and_then(|of| corrected_for(of.comparisons)),
        failures => rows::failures(results),
        differences => figures(&["differences", "loss_by_cost"]),
        further => tables.further.iter().map(section).collect::<Vec<_>>(),
        losses => figures(&["validation_loss", "validation_loss_late", "training_loss"]),
        condensation => figures(&CONDENSATION),
        embedding => figures(&["embedding_cosine_by_frequency", "embedding_norm_by_frequency"]),
        measured => tables.measured.iter().map(section).collect::<Vec<_>>(),
        measures => table(&tables.measures),
        mixed_machines => results.has_mixed_machines(),
        machines => tables.machines.as_ref().map(section),
        one_machine => one_machine(results),
        setup => rows::setup(results),
        trials => table(&tables.trials),
        explanations => explain::explanations(results),
        style => Value::from_safe_string(include_str!("style.css").to_owned()),
        script => Value::from_safe_string(scripts),
        series => series.map(Value::from_safe_string),
        data => Value::from_safe_string(data),
        left_out => (!left_out.is_empty()).then(|| listed(&left_out.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())),
    })?)
}

/// Most characters of a note or a question: a note may list thousands of arms.
const MOST_OF_A_NOTE: usize = 1_500;

/// The tables of the page.
struct Tables {
    arms: Table,
    statistics: Table,
    measures: Table,
    trials: Table,
    further: Vec<(Further, Table)>,
    measured: Vec<(Further, Table)>,
    machines: Option<(Further, Table)>,
}

/// All tables, together within their bytes.
fn tables(results: &Results, dense: bool, priority: &[usize]) -> Tables {
    let indices: BTreeMap<&str, usize> = results.arms.iter().enumerate().map(|(index, arm)| (arm.name.as_str(), index)).collect();
    let with_rows = |of: Further| {
        let rows = rows::further(&of, &indices);
        (of, rows)
    };
    let mut tables = Tables {
        arms: rows::arms(results, dense),
        statistics: rows::statistics(results),
        measures: rows::measures(results),
        trials: rows::trials(results, &indices),
        further: further(results).into_iter().map(with_rows).collect(),
        measured: measured(results).into_iter().map(with_rows).collect(),
        machines: machines(results).map(with_rows),
    };
    let Tables { arms, statistics, measures, trials, further, measured, machines } = &mut tables;
    let of_sections = further.iter_mut().chain(measured).chain(machines).map(|(_, table)| table);
    table::fit(
        &mut [arms, statistics, measures, trials].into_iter().chain(of_sections).collect::<Vec<_>>(),
        MOST_OF_ROWS,
        priority,
    );
    tables
}

/// The priority of each arm, 0 first: baselines, then alternately the best and the worst, then those without a number.
fn priority(results: &Results) -> Vec<usize> {
    let ranked = drawn::ranked(results);
    let in_turn =
        (0..ranked.len()).map(|step| if step % 2 == 0 { ranked[step / 2] } else { ranked[ranked.len() - 1 - step / 2] });
    let mut priority = vec![results.arms.len(); results.arms.len()];
    in_turn.enumerate().for_each(|(place, index)| priority[index] = place + 1);
    let baselines = results.arms.iter().zip(&mut priority).filter(|(arm, _)| arm.verdict == Verdict::Baseline);
    baselines.for_each(|(_, priority)| *priority = 0);
    priority
}

fn figure(plot: &Plot) -> Value {
    let svg = Value::from_safe_string(plot.svg.clone());
    context! { name => plot.name.as_str(), svg, remark => plot.remark.as_str(), wide => plot.name == "condensation" }
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
            "<strong>better</strong> (3\u{a0}seeds)</td>",
            "−0.031 <small>−0.050 to −0.012</small>",
            "<h2>Statistics of the differences</h2>",
            "P(improvement)",
            "−0.021 (−0.040 to\u{a0}−0.002)",
            "3.469 <small>± 0.012</small>",
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
    fn one_machine_is_folded_and_several_are_a_table() {
        let (one, mixed) = (page(&sample::results()).unwrap(), page(&sample::mixed()).unwrap());
        let line = "<details>\n<summary>One machine, node-1: EPYC, 2 threads, avx2; 11 trials in 2.75 hours</summary>";
        assert!(
            one.contains(line) && one.matches(">Host<").count() == 1,
            "folded, and no column of hosts in the table of trials"
        );
        assert_eq!(mixed.matches(">Host<").count(), 2);
        assert!(!mixed.contains("<details>") && mixed.contains("<h2>Who ran what</h2>"));
        for part in [
            "<th scope=\"row\">node-2</th>\n<td>Xeon</td>",
            "1.10× <small>2 of 3 pairs</small>",
            "– <small>0 of 3 pairs</small>",
            "There is no cost ratio and no difference at equal time for infonce: no seed has both trials on one kind of machine.",
            "(−0.040 to\u{a0}−0.002), 2 pairs",
            "Not drawn: infonce",
        ] {
            assert!(mixed.contains(part) && !one.contains(part), "{part}");
        }
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
        assert!(page.contains("class=\"rows\"") && page.matches("<tr>").count() < 200, "the table is paged");
        assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    }

    /// A curve without a figure stopped the script that redraws all of them.
    #[test]
    fn every_curve_that_is_redrawn_has_a_figure() {
        let mut results = sample::many(300);
        results.arms.iter_mut().for_each(|arm| arm.validation_curve.truncate(2));
        let page = page(&results).unwrap();
        let (_, rest) = page.split_once(r#"<script type="application/json" id="series">"#).unwrap();
        let series: serde_json::Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
        let ids: Vec<&str> = series["curves"].as_array().unwrap().iter().map(|curve| curve["id"].as_str().unwrap()).collect();
        assert!(ids.contains(&"validation_loss") && !ids.contains(&"validation_loss_late"), "{ids:?}");
        for id in ids {
            assert!(page.contains(&format!("<figure id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn the_page_has_a_bound_and_the_same_bytes_twice() {
        let results = sample::many(300);
        let some = page(&results).unwrap();
        assert_eq!(some, page(&results).unwrap());
        assert!(some.len() < 2_000_000 && some.contains("id=\"series\""), "{} bytes", some.len());
        let most = page(&sample::many(10_000)).unwrap();
        assert!(most.len() < 5_000_000, "{} bytes", most.len());
        assert!(most.contains("The page has the best and the worst") && most.contains("without curves, trials"));
        assert!(!super::page(&sample::results()).unwrap().contains("id=\"series\""), "few arms are all drawn");
    }
}
