//! The optimizer of a study in words, for who reads the report.

use serde_json::Value;

/// What `train` says of its optimizer: `AdamW, betas [0.9, 0.95], weight decay 0.1`. Studies of older programs have AdamW's numbers
/// in `train` itself.
pub(super) fn in_words(train: &Value) -> String {
    let Some((name, fields)) = train["optimizer"].as_object().and_then(|optimizer| optimizer.iter().next()) else {
        return format!("AdamW, {}", adamw(train));
    };
    match name.as_str() {
        "muon" => {
            let lr = fields.get("lr").filter(|lr| lr.is_number()).map_or(String::new(), |lr| format!("lr {lr}, "));
            let kind = if fields["nesterov"] == Value::Bool(true) { "momentum" } else { "plain momentum" };
            format!(
                "Muon on the blocks' matrices ({lr}{kind} {}, {} Newton-Schulz steps, scale {}, weight decay {}); on all else AdamW, {}",
                fields["momentum"],
                fields["steps"],
                word(&fields["scale"]),
                fields["weight_decay"],
                adamw(&fields["adamw"])
            )
        }
        "coupled_adam" => {
            let matrices = match word(&fields["coupled"]) {
                "unembedding" => "the output matrix",
                "both" => "the embedding and the output matrix",
                _ => "the embedding",
            };
            format!("Coupled Adam (one second moment for all tokens of {matrices}), {}", adamw(&fields["adamw"]))
        }
        _ => format!("AdamW, {}", adamw(fields)),
    }
}

fn adamw(fields: &Value) -> String {
    let mut words = format!("betas {}, weight decay {}", fields["betas"].to_string().replace(',', ", "), fields["weight_decay"]);
    if let Some(epsilon) = fields["epsilon"].as_f64().filter(|&epsilon| epsilon != 1e-8) {
        words += &format!(", epsilon {epsilon}");
    }
    let is_group = |(_, group): &(&String, &Value)| group.get("lr").or(group.get("weight_decay")).is_some();
    for (name, group) in fields.as_object().into_iter().flatten().filter(is_group) {
        let of = |field: &str, label: &str| Some(format!("{label} {}", group.get(field).filter(|value| value.is_number())?));
        let own: Vec<String> = of("lr", "lr").into_iter().chain(of("weight_decay", "weight decay")).collect();
        words += &format!("; {name}: {}", own.join(", "));
    }
    words
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_lm::spec::TrainSpec;
    use serde_json::json;

    fn check(optimizer: Value, expected: &str) {
        let train: TrainSpec = serde_json::from_value(json!({ "optimizer": optimizer })).unwrap();
        assert_eq!(in_words(&serde_json::to_value(train).unwrap()), expected);
    }

    #[test]
    fn each_says_its_numbers() {
        check(json!("adamw"), "AdamW, betas [0.9, 0.95], weight decay 0.1");
        check(
            json!({"adamw": {"epsilon": 1e-6, "embedding": {"lr": 0.01}, "norms": {"lr": 1, "weight_decay": 0}}}),
            "AdamW, betas [0.9, 0.95], weight decay 0.1, epsilon 0.000001; embedding: lr 0.01; norms: lr 1.0, weight decay 0.0",
        );
        check(
            json!({"muon": {"lr": 0.02, "scale": "original"}}),
            "Muon on the blocks' matrices (lr 0.02, momentum 0.95, 5 Newton-Schulz steps, scale original, weight decay 0.1); on all \
             else AdamW, betas [0.9, 0.95], weight decay 0.1",
        );
        check(
            json!({"coupled_adam": {"coupled": "both"}}),
            "Coupled Adam (one second moment for all tokens of the embedding and the output matrix), betas [0.9, 0.95], weight decay 0.1",
        );
    }

    #[test]
    fn older_studies_are_read_too() {
        let train = json!({"lr": 0.001, "betas": [0.9, 0.99], "weight_decay": 0.01});
        assert_eq!(in_words(&train), "AdamW, betas [0.9, 0.99], weight decay 0.01");
    }
}
