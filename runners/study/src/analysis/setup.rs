//! What is the same for all arms, in lines that a reader checks first.

use crate::records::Manifest;
use serde_json::Value;

/// Label and value of each line.
pub(super) fn lines(study: &Value, manifest: Option<&Manifest>, seeds: &[u64]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut line = |label: &str, value: String| lines.push((label.to_owned(), value));
    let (train, number) = (&study["train"], |value: &Value| value.as_u64().unwrap_or_default());
    if let Some(Manifest { model, data, .. }) = manifest {
        line(
            "Model",
            format!(
                "GPT-2, {} blocks, {} wide, {} heads, {} parameters",
                model.layers,
                model.width,
                model.heads,
                thousands(model.parameters)
            ),
        );
        if let Some(folder) = study["model"]["init"].as_str() {
            line("Start", folder.to_owned());
        }
        let test = data.test_tokens.map_or("none".into(), thousands);
        let (train_tokens, validation) = (thousands(data.train_tokens), thousands(data.validation_tokens));
        line(
            "Data",
            format!(
                "{}: {train_tokens} train, {validation} validation, {test} test tokens, vocabulary {}",
                data.source,
                thousands(model.vocab_size)
            ),
        );
        let a_trial = number(&train["steps"]) as usize * number(&train["batch_size"]) as usize * model.context;
        line(
            "Tokens a trial",
            format!("{} ({} steps of {} x {})", thousands(a_trial), train["steps"], train["batch_size"], model.context),
        );
    }
    let schedule =
        serde_json::to_string(&train["schedule"]).unwrap_or_default().replace('"', "").replace(',', ", ").replace(':', ": ");
    let optimizer = format!(
        "AdamW, lr {}, schedule {schedule}, betas {}, weight decay {}",
        train["lr"], train["betas"], train["weight_decay"]
    );
    line("Optimizer", format!("{optimizer}, gradient clip {}", train["grad_clip"].to_string().replace('"', "")));
    line("Dropout", train["dropout"].to_string());
    line("Seeds", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    if let Some(manifest) = manifest {
        let processor = manifest.processor.clone().unwrap_or_else(|| manifest.platform.clone());
        line("Made with", format!("{} on {processor}, {} threads", manifest.program, manifest.threads));
    }
    lines
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
    fn thousands_are_grouped() {
        assert_eq!(["7", "1,234", "12,345,678"].map(str::to_owned), [7, 1_234, 12_345_678].map(thousands));
    }
}
