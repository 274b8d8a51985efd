//! The setup that all arms share, in lines.

use super::arm::ArmRecords;
use super::folder::Records;
use super::machines::Machines;
use super::optimizer;
use super::study::{StudyRecord, TrainSection, TuneSection, assignments};
use super::terms::in_one_line;
use regatta_records::{DataFacts, Manifest, ModelFacts};
use serde_json::Number;
use std::collections::BTreeSet;

/// Label and value of each line. Varied and tuned settings come first; a line that does not apply to all rows says so.
pub(super) fn lines(records: &Records) -> Vec<(String, String)> {
    let Records { study, manifest, arms, .. } = records;
    let mut lines = Vec::new();
    let mut line = |label: &str, value: String| lines.push((label.to_owned(), value));
    if study.vary.is_some() {
        line("Varied", varied(study));
    }
    if let Some(tune) = &study.tune {
        line("Tuned, arm by arm", tuned(tune));
    }
    if let Some(Manifest { model: facts, data, .. }) = manifest {
        line("Model", model(study, facts));
        if let Some(folder) = &study.model.init {
            line("Start", folder.clone());
        }
        line("Data", self::data(study, data, facts.vocab_size));
        if let Some(tokens) = tokens(study, facts.context, arms) {
            line("Tokens per trial", tokens);
        }
    }
    line("Optimizer", optimizer(study, arms));
    line("Dropout", if study.varies("train.dropout") { "varied".into() } else { study.train.dropout.to_string() });
    line("Seeds", study.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    if let Some(manifest) = manifest {
        line("Made with", made_with(manifest, arms));
    }
    lines
}

/// Each path that varies with its values, both in the order written and each once.
fn varied(study: &StudyRecord) -> String {
    let mut paths: Vec<(&str, Vec<String>)> = Vec::new();
    for (path, value) in assignments(study.vary.as_ref()) {
        let index = paths.iter().position(|(known, _)| *known == path).unwrap_or_else(|| {
            paths.push((path, Vec::new()));
            paths.len() - 1
        });
        let (value, values) = (in_one_line(value), &mut paths[index].1);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    paths.iter().map(|(path, values)| format!("{path}: {}", values.join(", "))).collect::<Vec<_>>().join("; ")
}

fn tuned(tune: &TuneSection) -> String {
    let list = |values: &[String]| format!("[{}]", values.join(", "));
    let grid = |name: &str, values: &Option<Vec<Number>>| {
        let values: Vec<String> = values.as_ref()?.iter().map(Number::to_string).collect();
        Some(format!("{name} of {}", list(&values)))
    };
    let grids: Vec<String> = [grid("weight", &tune.weight), grid("lr", &tune.lr)].into_iter().flatten().collect();
    let seeds: Vec<String> = tune.seeds.iter().map(u64::to_string).collect();
    format!("{}; tuning seeds {}", grids.join(", "), list(&seeds))
}

fn model(study: &StudyRecord, facts: &ModelFacts) -> String {
    let gpt2 = || format!("GPT-2, {} blocks of width {}, {} heads", facts.layers, facts.width, facts.heads);
    let words = facts.words.clone().unwrap_or_else(gpt2); // before there were families
    let parameters = thousands(facts.parameters);
    format!("{words}, {parameters} parameters{}", at_first_point(study, &["model", "tokenizer", "data"]))
}

fn data(study: &StudyRecord, facts: &DataFacts, vocab_size: usize) -> String {
    let [train, validation, vocabulary] = [facts.train_tokens, facts.validation_tokens, vocab_size].map(thousands);
    let test = facts.test_tokens.map_or("none".into(), thousands);
    let source = &facts.source;
    let first = at_first_point(study, &["tokenizer", "data"]);
    format!("{source}: {train} train, {validation} validation, {test} test tokens, vocabulary {vocabulary}{first}")
}

/// The remark of a line that is about the first point, where the sweep varies one of `sections`.
fn at_first_point(study: &StudyRecord, sections: &[&str]) -> &'static str {
    let varies = sections.iter().any(|section| study.varies(section));
    if varies { " (at the first point of the sweep)" } else { "" }
}

/// Tokens of each trial, and how they come about; `None` where neither a plan nor the study names them.
fn tokens(study: &StudyRecord, context: usize, arms: &[ArmRecords]) -> Option<String> {
    let TrainSection { batch_size, steps, .. } = study.train;
    let per_step = batch_size * context;
    let planned = || arms.iter().filter_map(|arm| arm.tokens);
    let least = planned().min().or(steps.map(|steps| steps * per_step))?; // of folders older than plans
    if let Some(most) = planned().max().filter(|most| *most != least) {
        return Some(format!("{} to {}", thousands(least), thousands(most)));
    }
    if per_step == 0 || ["train.batch_size", "train.context", "model.context"].iter().any(|path| study.varies(path)) {
        return Some(thousands(least)); // in other numbers of steps from point to point
    }
    Some(format!("{} ({} steps of {batch_size} x {context})", thousands(least), least / per_step))
}

fn optimizer(study: &StudyRecord, arms: &[ArmRecords]) -> String {
    let train = &study.train;
    let words = train.optimizer().map_or("varied".to_owned(), |optimizer| optimizer::in_words(&optimizer));
    let schedule = train.schedule.as_ref().map_or("varied".to_owned(), in_one_line);
    let exceptions: Vec<&str> = [
        ("what varies", study.varies("train")),
        ("the tuned lr", study.tune.as_ref().is_some_and(|tune| tune.lr.is_some())),
        ("arms with an lr of their own", arms.iter().any(|arm| arm.terms.lr().is_some())),
    ]
    .into_iter()
    .filter_map(|(words, is_one)| is_one.then_some(words))
    .collect();
    let but = if exceptions.is_empty() { String::new() } else { format!("; but for {}", exceptions.join(" and ")) };
    let (lr, clip) = (&train.lr, in_one_line(&train.grad_clip));
    format!("{words}; lr {lr}, schedule {schedule}, gradient clip {clip}{but}")
}

/// Program and machine; where several machines trained the trials, their table has them. What trials did not record is the run's.
fn made_with(manifest: &Manifest, arms: &[ArmRecords]) -> String {
    let machines = Machines::of(&arms.iter().collect::<Vec<_>>()).rows();
    let hosts = machines.iter().map(|machine| &machine.host).collect::<BTreeSet<_>>().len();
    if hosts > 1 {
        return format!("{} on {hosts} machines", manifest.program);
    }
    let first = machines.first();
    let processor = first.and_then(|machine| machine.processor.as_ref()).or(manifest.processor.as_ref());
    let processor = processor.unwrap_or(&manifest.platform);
    let threads = first.map_or(manifest.threads, |machine| machine.threads);
    let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
    let device = manifest.device.as_ref().map(|device| format!(", {device}")).unwrap_or_default();
    format!("{} on {processor}, {threads}{device}", manifest.program)
}

/// `1234567` as `1,234,567`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::tests::early;

    #[test]
    fn a_grid_and_a_list_of_points_read_alike() {
        let words = |vary: &str| varied(&early(&format!(", vary: {vary}")).unwrap());
        assert_eq!(words("{model.width: [16, 32]}"), "model.width: 16, 32");
        let points = "[{model.width: 16, train.lr: 0.1}, {model.width: 32, train.lr: 0.1}, {model.width: 16, train.lr: 0.2}]";
        assert_eq!(words(points), "model.width: 16, 32; train.lr: 0.1, 0.2");
    }

    #[test]
    fn grids_are_shown_as_written() {
        let study = early(", tune: {weight: [0.1, 1], metric: validation_loss, seeds: [1000000, 1000001]}").unwrap();
        assert_eq!(tuned(study.tune.as_ref().unwrap()), "weight of [0.1, 1]; tuning seeds [1000000, 1000001]");
    }

    #[test]
    fn steps_are_shown_where_all_trials_have_as_many() {
        let check = |more: &str, planned: &[usize], expected: Option<&str>| {
            let rows: Vec<ArmRecords> =
                planned.iter().map(|tokens| ArmRecords { tokens: Some(*tokens), ..ArmRecords::empty("a") }).collect();
            assert_eq!(tokens(&early(more).unwrap(), 8, &rows).as_deref(), expected, "{more} {planned:?}");
        };
        check("", &[], Some("160 (5 steps of 4 x 8)")); // older than plans: 5 steps of the study
        check("", &[3200, 3200], Some("3,200 (100 steps of 4 x 8)"));
        check("", &[160, 3200], Some("160 to 3,200"));
        check(", vary: {train.batch_size: [2, 8]}", &[3200, 3200], Some("3,200")); // no arm has the study's own batch size
    }

    #[test]
    fn what_the_sweep_chooses_is_not_shown_as_null() {
        let train = "{batch_size: 4, lr: 0.001, grad_clip: 1.0, dropout: 0.0}";
        let vary = "{train.optimizer.muon.lr: [0.01, 0.02], train.schedule.wsd.decay: [0.1, 0.2], train.dropout: [0, 0.1]}";
        let study = StudyRecord::parse(&format!("{{name: s, seeds: [0], arms: {{}}, train: {train}, vary: {vary}}}")).unwrap();
        let words = optimizer(&study, &[]);
        assert_eq!(words, "varied; lr 0.001, schedule varied, gradient clip 1.0; but for what varies");
        assert_eq!(tokens(&study, 8, &[]), None);
        let records = Records { study, manifest: None, arms: vec![], tuning: vec![] };
        assert!(lines(&records).contains(&("Dropout".to_owned(), "varied".to_owned())));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(["7", "1,234", "12,345,678"].map(str::to_owned), [7, 1_234, 12_345_678].map(thousands));
    }
}
