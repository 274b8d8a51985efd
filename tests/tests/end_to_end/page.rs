//! The page of a study that measures all: its sections and numbers, and what a browser makes of it.

use crate::{Study, worth};
use regatta_lm::training::Diagnosis;
use serde_json::Value;
use std::fs;
use std::process::Command;

const ALL: &str = "evaluate: {every: 4, minimal_pairs: [pairs.jsonl], diagnostics: {every: 4, points: 48}, \
                   quantisation: {bits: [8, 2, binary], granularity: [channel, 8]}}";

/// Baseline and an arm, each with two seeds, on a text.
fn study(evaluate: &str) -> Study {
    let study = worth::study(evaluate);
    let yaml = fs::read_to_string(study.path().join("study.yaml")).unwrap();
    study.write("study.yaml", &format!("{yaml}  spread:\n    - {{regularizer: dispersion, weight: 0.1}}\n"));
    study
}

impl Study {
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn last_diagnosis(&self, arm: &str, seed: u64) -> Diagnosis {
        let lines = fs::read_to_string(self.trial("out", arm, seed).join("diagnostics.jsonl")).unwrap();
        serde_json::from_str(lines.lines().last().unwrap()).unwrap()
    }

    /// The cells of the row of a plot's data that begins so.
    fn row(&self, plot: &str, start: &str) -> Vec<f64> {
        let data = self.text(&format!("out/plots/{plot}.csv"));
        let rest = data.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_else(|| panic!("{start}: {data}"));
        rest.split(',').map(|cell| cell.parse().unwrap()).collect()
    }
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "found {found}, expected {expected}");
}

#[test]
fn what_was_measured_is_on_the_page_and_beside_it() {
    let study = study(ALL);
    study.run("out", &[], 0);
    let page = study.text("out/report.html");
    for part in [
        "<h2>Condensation</h2>",
        "<figure id=\"condensation\" class=\"wide\">",
        "<figure id=\"cosine_along_training\">",
        "<h2>Embeddings of frequent and rare words</h2>",
        "<h2>The last hidden state</h2>",
        "<h2>Robustness to rounding</h2>",
        "<figure id=\"rounding_8\">",
        "<h2>Minimal pairs and multiple choice</h2>",
        "<figure id=\"loss_by_cost\">",
    ] {
        assert!(page.contains(part), "{part}");
    }

    // the mean over seeds of what the trials wrote
    let mean =
        |arm: &str, of: &dyn Fn(&Diagnosis) -> f64| (of(&study.last_diagnosis(arm, 0)) + of(&study.last_diagnosis(arm, 1))) / 2.0;
    for arm in ["baseline", "spread"] {
        let within = |of: &Diagnosis| of.hidden_states[1].within.clone().unwrap();
        near(study.row("cosine_by_layer", &format!("{arm},end,8,1,"))[0], mean(arm, &|of| within(of).mean));
        let top = |of: &Diagnosis| within(of).histogram[127];
        near(study.row("condensation", &format!("{arm},end,8,1,0.984375,1,"))[0], mean(arm, &top));
        near(study.row("spectrum", &format!("{arm},1,"))[0], mean(arm, &|of| of.hidden_states[1].all.spectrum[0]));
        let norm = |of: &Diagnosis| of.by_frequency.deciles[0].mean_norm.unwrap();
        near(study.row("embedding_norm_by_frequency", &format!("{arm},1,"))[0], mean(arm, &norm));
        let increase = |seed| {
            let found: Value = study.json("out", arm, seed, "evaluation.json");
            let rounded = found["quantised"].as_array().unwrap().iter().find(|of| of["bits"] == "binary").unwrap().clone();
            rounded["loss"].as_f64().unwrap() - found["loss"].as_f64().unwrap()
        };
        near(study.row("rounding_channel", &format!("{arm},channel,binary,"))[0], (increase(0) + increase(1)) / 2.0);
    }
    assert_eq!(study.text("out/plots/cosine_along_training.csv").lines().count(), 1 + 2 * 3); // after 0, 4 and 8 updates
    for plot in ["condensation", "loss_by_cost", "rounding_8"] {
        assert!(study.text(&format!("out/plots/{plot}.svg")).contains("aria-label"), "{plot}");
    }

    let csv = study.text("out/results.csv");
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let isoscore = header.iter().position(|name| *name == "isoscore_last").unwrap();
    let of_trial: f64 = csv.lines().nth(1).unwrap().split(',').nth(isoscore).unwrap().parse().unwrap();
    near(of_trial, study.last_diagnosis("baseline", 0).hidden_states[1].all.isoscore.unwrap());
}

#[test]
fn what_was_not_measured_leaves_no_trace() {
    let study = study("evaluate: {every: 4}");
    study.run("out", &[], 0);
    let page = study.text("out/report.html");
    for part in
        ["id=\"condensation\"", "Embeddings of frequent", "The last hidden state", "Robustness to rounding", "Minimal pairs"]
    {
        assert!(!page.contains(part), "{part}");
    }
    assert!(!study.path().join("out/plots/condensation.csv").exists());
    assert!(!study.text("out/results.csv").contains("isoscore_last"));
}

/// Runs before the page's own script: what goes wrong is kept.
const WATCH: &str = r#"<script>
const wrong = [];
addEventListener("error", (event) => wrong.push(event.message));
addEventListener("securitypolicyviolation", (event) => wrong.push(event.blockedURI));
</script>"#;

/// Runs after it: uses the first table as a reader does, and reports the result.
const USE: &str = r#"<script>
addEventListener("load", () => {
  const table = document.querySelector("table.sortable"), button = table.querySelectorAll("thead button")[1];
  const losses = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[1].dataset.sort));
  const rising = (all) => all.every((loss, index) => index === 0 || all[index - 1] <= loss);
  button.focus();
  const focused = document.activeElement === button;
  button.click();
  const up = rising(losses());
  button.click();
  const down = rising(losses().reverse());
  const field = table.closest("section").querySelector("input[type=search]");
  field.value = "spread";
  field.dispatchEvent(new Event("input"));
  const left = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[0].innerText.split("\n")[0]);
  const requests = performance.getEntriesByType("resource").length;
  const words = { focused, up, down, left, requests, wrong: wrong.length };
  document.body.dataset.found = Object.entries(words).map(([name, value]) => `${name}=${value}`).join(" ");
});
</script>"#;

#[test]
fn a_browser_shows_the_page_sorts_it_and_asks_for_nothing() {
    let browsers = ["chromium", "chromium-browser", "google-chrome"];
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    let Some(browser) = browsers.iter().find(runs) else {
        println!("skipped: found none of {}", browsers.join(", "));
        return;
    };
    let study = study(ALL);
    study.run("out", &[], 0);
    let page = study.text("out/report.html").replacen("<head>", &format!("<head>{WATCH}"), 1);
    let page = page.replacen("</body>", &format!("{USE}</body>"), 1);
    study.write("page.html", &page);
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr", "--v=0"])
        .arg(format!("--user-data-dir={}", study.path().join("browser").display()))
        .arg(format!("file://{}", study.path().join("page.html").display()))
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let found = dom.split_once("data-found=\"").and_then(|(_, rest)| rest.split('"').next());
    assert_eq!(found, Some("focused=true up=true down=true left=spread requests=0 wrong=0"), "{log}");
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{console:?}");
}
