//! What is the same for all arms, in lines that a reader checks first.

use super::folder::Records;
use super::optimizer;
use regatta_records::Manifest;
use serde_json::Value;

/// Label and value of each line. What varies or is tuned is named first, and said where a line is not true of all rows.
pub(super) fn lines(records: &Records) -> Vec<(String, String)> {
    let Records { study, manifest, seeds, arms, .. } = records;
    let mut lines = Vec::new();
    let mut line = |label: &str, value: String| lines.push((label.to_owned(), value));
    let varied = varied(&study["vary"]);
    if !varied.is_empty() {
        line(
            "Varied",
            varied.iter().map(|(path, values)| format!("{path}: {}", values.join(", "))).collect::<Vec<_>>().join("; "),
        );
    }
    let tune = &study["tune"];
    if tune.is_object() {
        let grid = |name: &str| Some(format!("{name} of {}", plain(tune.get(name).filter(|grid| grid.is_array())?)));
        let grids = ["weight", "lr"].iter().filter_map(|name| grid(name)).collect::<Vec<_>>().join(", ");
        line("Tuned, arm by arm", format!("{grids}; tuning seeds {}", plain(&tune["seeds"])));
    }
    let unless = |sections: &[&str]| {
        let concerned = varied.iter().any(|(path, _)| sections.iter().any(|section| path.split('.').next() == Some(section)));
        if concerned { " (at the first point of the sweep)" } else { "" }
    };
    let train = &study["train"];
    if let Some(Manifest { model, data, .. }) = manifest {
        let gpt2 = || format!("GPT-2, {} blocks of width {}, {} heads", model.layers, model.width, model.heads);
        let words = model.words.clone().unwrap_or_else(gpt2); // before there were families
        let parameters = thousands(model.parameters);
        line("Model", format!("{words}, {parameters} parameters{}", unless(&["model", "tokenizer", "data"])));
        if let Some(folder) = study["model"]["init"].as_str() {
            line("Start", folder.to_owned());
        }
        let test = data.test_tokens.map_or("none".into(), thousands);
        let (train_tokens, validation) = (thousands(data.train_tokens), thousands(data.validation_tokens));
        line(
            "Data",
            format!(
                "{}: {train_tokens} train, {validation} validation, {test} test tokens, vocabulary {}{}",
                data.source,
                thousands(model.vocab_size),
                unless(&["tokenizer", "data"])
            ),
        );
        let number = |value: &Value| value.as_u64().unwrap_or_default() as usize;
        let a_step = number(&train["batch_size"]) * model.context;
        let a_trial = number(&train["steps"]) * a_step; // of folders that are older than plans
        let (least, most) = (arms.iter().filter_map(|arm| arm.tokens).min(), arms.iter().filter_map(|arm| arm.tokens).max());
        match least.zip(most).filter(|(least, most)| least != most) {
            Some((least, most)) => line("Tokens a trial", format!("{} to {}", thousands(least), thousands(most))),
            None => {
                let tokens = least.unwrap_or(a_trial);
                let steps = tokens / a_step.max(1);
                line(
                    "Tokens a trial",
                    format!("{} ({steps} steps of {} x {})", thousands(tokens), train["batch_size"], model.context),
                );
            }
        }
    }
    let optimizer = format!("{}; lr {}, schedule {}", optimizer::in_words(train), train["lr"], plain(&train["schedule"]));
    let mut exceptions: Vec<&str> = Vec::new();
    if varied.iter().any(|(path, _)| path.starts_with("train")) {
        exceptions.push("what varies");
    }
    if tune["lr"].is_array() {
        exceptions.push("the tuned lr");
    }
    if arms.iter().any(|arm| arm.own_lr().is_some()) {
        exceptions.push("arms with an lr of their own");
    }
    let but = if exceptions.is_empty() { String::new() } else { format!("; but for {}", exceptions.join(" and ")) };
    line("Optimizer", format!("{optimizer}, gradient clip {}{but}", plain(&train["grad_clip"])));
    line("Dropout", train["dropout"].to_string());
    line("Seeds", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    if let Some(manifest) = manifest {
        let processor = manifest.processor.clone().unwrap_or_else(|| manifest.platform.clone());
        let threads = if manifest.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", manifest.threads) };
        line("Made with", format!("{} on {processor}, {threads}", manifest.program));
    }
    lines
}

/// What `vary` names, in the order written: each path and its values, each once.
fn varied(vary: &Value) -> Vec<(String, Vec<String>)> {
    let mut paths: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |path: &String, value: &Value| {
        let index = paths.iter().position(|(known, _)| known == path).unwrap_or_else(|| {
            paths.push((path.clone(), Vec::new()));
            paths.len() - 1
        });
        let (value, values) = (plain(value), &mut paths[index].1);
        if !values.contains(&value) {
            values.push(value);
        }
    };
    for (path, values) in vary.as_object().into_iter().flatten() {
        values.as_array().into_iter().flatten().for_each(|value| add(path, value));
    }
    for (path, value) in vary.as_array().into_iter().flatten().filter_map(Value::as_object).flatten() {
        add(path, value);
    }
    paths
}

/// A value as a reader would write it in one line of YAML.
fn plain(value: &Value) -> String {
    value.to_string().replace('"', "").replace(',', ", ").replace(':', ": ")
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

    #[test]
    fn a_grid_and_a_list_of_points_read_alike() {
        let expected = vec![("model.width".to_owned(), vec!["16".to_owned(), "32".to_owned()])];
        assert_eq!(varied(&serde_json::json!({ "model.width": [16, 32] })), expected);
        assert_eq!(varied(&serde_json::json!([{ "model.width": 16 }, { "model.width": 32 }, { "model.width": 16 }])), expected);
        assert!(varied(&Value::Null).is_empty());
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(["7", "1,234", "12,345,678"].map(str::to_owned), [7, 1_234, 12_345_678].map(thousands));
    }
}
