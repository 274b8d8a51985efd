//! One program for every processor: the same bytes with whatever instructions it runs.

use crate::losses::{INTERVENTIONS, KINDS, KINDS_OF_VIEWS};
use crate::{Study, tiny};

const VARIABLE: &str = "REGATTA_INSTRUCTIONS";

/// The levels that this machine has, the lowest first, as the program says.
fn levels(study: &Study) -> Vec<String> {
    let text = String::from_utf8(study.regatta(&["--version"]).stdout).unwrap();
    let listed =
        text.split("this machine has ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_else(|| panic!("{text}"));
    listed.split(", ").map(str::to_owned).collect()
}

/// Every regularizer and every intervention.
fn everything() -> String {
    let regularized = |(name, kind): &(&str, &str)| {
        format!("  {name}: [{{regularizer: {kind}, weight: 0.05, at: {{scale: layer_norm, points: batch}}}}]\n")
    };
    let changed = |(name, kind): &(&str, &str)| format!("  {name}: [{{intervention: {kind}}}]\n");
    let distilled = "  distilled: [{intervention: {distillation: {teacher: teacher}}}]\n";
    let mut arms: String = KINDS.iter().chain(&KINDS_OF_VIEWS).map(regularized).collect();
    arms.extend(INTERVENTIONS.iter().map(changed));
    let arms = arms.replace("every: 40", "every: 3");
    arms + distilled
}

/// Of a model whose width and vocabulary fill no whole number of registers, with dropout, so that views differ.
fn study(settings: &str) -> Study {
    let larger =
        |yaml: &str| yaml.replace("layers: 1, width: 16", "layers: 2, width: 40").replace("vocab_size: 32", "vocab_size: 37");
    let yaml = tiny(&everything()).replace("seeds: [0, 1]", "seeds: [0]").replace("batch_size: 4", "batch_size: 9");
    let study = Study::new(&larger(&yaml.replace("schedule: constant", &format!("dropout: 0.1{settings}"))));
    std::fs::write(study.path().join("teacher.yaml"), larger(&tiny("").replace("seeds: [0, 1]", "seeds: [3]"))).unwrap();
    let run = study.regatta(&["run", "teacher.yaml", "--out", "teachers"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    std::fs::create_dir(study.path().join("teacher")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        let from = study.trial("teachers", "baseline", 3).join("checkpoint").join(file);
        std::fs::copy(from, study.path().join("teacher").join(file)).unwrap();
    }
    study
}

fn run(study: &Study, out: &str, variable: &str, value: &str) {
    let mut command = study.command(&["run", "study.yaml", "--out", out, "--jobs", "2"]);
    let run = command.env(variable, value).timeout(std::time::Duration::from_secs(600)).output().unwrap();
    assert!(run.status.success(), "{out}: {}", String::from_utf8_lossy(&run.stderr));
}

/// All that a trial found out, but for times and memory.
fn measures(study: &Study, out: &str, arm: &str) -> serde_json::Value {
    let mut evaluation = study.json(out, arm, 0, "evaluation.json");
    let of_the_machine = [
        "wall_seconds",
        "step_ms",
        "tokens_per_second",
        "peak_memory_mib",
        "peak_rss_mib",
        "energy_joules",
        "instructions",
        "machine",
    ];
    for key in of_the_machine {
        evaluation.as_object_mut().unwrap().remove(key).unwrap_or_else(|| panic!("no {key}"));
    }
    evaluation
}

fn arms(study: &Study, out: &str) -> Vec<String> {
    let trials = std::fs::read_dir(study.path().join(out).join("trials")).unwrap();
    let arms: Vec<String> = trials.map(|arm| arm.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(arms.len(), 1 + KINDS.len() + KINDS_OF_VIEWS.len() + INTERVENTIONS.len() + 1);
    arms
}

fn assert_same(study: &Study, one: &str, other: &str) {
    for arm in arms(study, one) {
        study.assert_equal_trials(one, other, &arm, 0, &format!("{arm}: {one} and {other}"));
        assert_eq!(measures(study, one, &arm), measures(study, other, &arm), "{arm}: {one} and {other}");
    }
}

#[test]
fn every_level_gives_the_same_bytes() {
    let study = study("");
    let levels = levels(&study);
    for level in &levels {
        run(&study, level, VARIABLE, level);
        let found = study.json(level, "koleo", 0, "evaluation.json");
        assert_eq!([&found["instructions"], &found["machine"]["instructions"]], [level.as_str(); 2]);
        assert_same(&study, &levels[0], level);
    }
}

/// The system's own library has a version of its functions for each kind of processor, and these settings make it choose others: no
/// byte may depend on them. Where the system has another library, they change nothing.
#[test]
fn the_systems_functions_change_no_bytes() {
    let study = study("");
    run(&study, "all", "GLIBC_TUNABLES", "");
    let less = "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F,-AVX2_Usable,-FMA_Usable,-AVX512F_Usable";
    run(&study, "fewer", "GLIBC_TUNABLES", less);
    assert_same(&study, "all", "fewer");
}

/// Where no instruction multiplies bfloat16 numbers they are multiplied as float32, in one order at all those levels.
#[test]
fn rounded_products_agree_at_the_levels_without_an_instruction_for_them() {
    let study = study(", precision: bf16");
    let levels: Vec<String> = levels(&study).into_iter().filter(|level| !["avx512_bf16", "amx"].contains(&&**level)).collect();
    for level in &levels {
        run(&study, level, VARIABLE, level);
        assert_same(&study, &levels[0], level);
    }
}

/// An arm that joins a finished study on another kind of machine, here with other instructions.
#[test]
fn times_of_other_instructions_are_not_compared() {
    let arm = |name: &str| format!("  {name}: [{{regularizer: dispersion, weight: 0.1}}]\n");
    let study = Study::new(&tiny(&arm("early")));
    let levels = levels(&study);
    let [lowest, .., highest] = &levels[..] else { return };
    run(&study, "out", VARIABLE, lowest);
    study.write("study.yaml", &tiny(&(arm("early") + &arm("late").replace("0.1", "0.2"))));
    run(&study, "out", VARIABLE, highest);
    let found = study.json("out", "late", 0, "evaluation.json");
    assert!(found.get("earlier_machines").is_none(), "trained in one go: {found}");
    let output = study.regatta(&["results", "out", "--format", "csv"]);
    let csv = String::from_utf8(output.stdout).unwrap();
    let row = |arm: &str| csv.lines().find(|line| line.starts_with(&format!("tiny,{arm},"))).unwrap_or_else(|| panic!("{csv}"));
    assert!(row("early").ends_with(",2,"), "{csv}");
    assert!(row("late").ends_with(",0,no seed has both trials on one kind of machine"), "{csv}");
    let output = study.regatta(&["report", "out"]);
    let said = String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "Time is not compared for late (2 of 2 seeds): with those seeds, the two trials of a pair ran on ";
    let no_ratio = "There is no cost ratio and no difference at equal time for late: no seed has both trials on one kind";
    assert!(said.contains(expected) && said.contains(no_ratio), "{said}");
    let page = std::fs::read_to_string(study.path().join("out/report.html")).unwrap();
    assert!(
        page.contains(expected) && page.contains("<h2>Who ran what</h2>") && !page.contains("<details>"),
        "two kinds, unfolded"
    );
}

#[test]
fn a_level_that_is_not_there_is_refused_before_anything_is_read() {
    let study = Study::new("no: study");
    for (asked, said) in [("avx5", "did you mean `avx2`?"), ("neon", "expected one of `portable`, `avx2`")] {
        let refused = study.command(&["check", "study.yaml"]).env(VARIABLE, asked).output().unwrap();
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.starts_with("error: REGATTA_INSTRUCTIONS: ") && message.contains(said), "{message}");
    }
    if !levels(&study).contains(&"amx".to_owned()) {
        let refused = study.command(&["list"]).env(VARIABLE, "amx").output().unwrap();
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains("this machine has no `amx` instructions; it has `portable`"), "{message}");
    }
}

#[test]
fn bench_says_which_instructions_it_measured() {
    let study = Study::new("");
    let bench =
        ["bench", "--shape", "tiny", "--layers", "1", "--width", "32", "--batch", "2", "--steps", "1", "--warmup", "0", "--json"];
    let output = study.command(&bench).env(VARIABLE, "portable").output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["instructions"], "portable");
}

/// What varies, each point with the same bytes at every level, of a model whose sizes fill no whole number of registers.
fn varied_alike(vary: &str, points: &[&str]) {
    let yaml = tiny("").replace("seeds: [0, 1]", "seeds: [0]").replace("batch_size: 4", "batch_size: 9");
    let yaml = yaml
        .replace("layers: 1, width: 16, heads: 2", "layers: 2, width: 40, heads: 5")
        .replace("vocab_size: 32", "vocab_size: 37");
    let study = Study::new(&(yaml + vary));
    let levels = levels(&study);
    for level in &levels {
        run(&study, level, VARIABLE, level);
        for point in points {
            study.assert_equal_trials(level, &levels[0], &format!("baseline/{point}"), 0, level);
        }
    }
}

#[test]
fn every_optimizer_has_the_same_bytes_at_every_level() {
    let points = ["optimizer=muon", "optimizer=coupled_adam"];
    varied_alike("vary: {train.optimizer: [muon, coupled_adam]}\n", &points);
}

#[test]
fn every_family_has_the_same_bytes_at_every_level() {
    let families = ["llama", "qwen2", "qwen3", "gpt_neox", "olmo2"];
    let points = families.map(|family| format!("family={family}"));
    let points: Vec<&str> = points.iter().map(String::as_str).collect();
    varied_alike(&format!("vary: {{model.family: [{}]}}\n", families.join(", ")), &points);
}
