//! `regatta check STUDY.yaml --project gpu=h200,mfu=0.4,price=3.5`

use crate::failure::{Failure, say};
use regatta_analysis::{SizeForecast, forecasts, varies_size};
use regatta_config::StudyFile;
use regatta_study::Prepared;
use regatta_study::projection::{Request, Row};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints the study's projected cost on the machine of `request`, and the loss that its finished trials predict there.
pub(super) fn project(
    file: &StudyFile,
    prepared: &[Prepared],
    request: &Request,
    out: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let rows = request.rows(&file.study, file.variants(), prepared);
    let rows = rows.map_err(|message| Failure::refused(format!("--project: {message}")))?;
    let folder = out.map_or_else(|| PathBuf::from("runs").join(&file.study.name), Path::to_owned);
    let losses = losses(file, &rows, &folder, out.is_some())?;
    say(format_args!("machine     {}", machine(request)))?;
    for line in models(&rows) {
        say(format_args!("model       {line}"))?;
    }
    say("\none trial of each arm, and all its trials:")?;
    let name = |row: &Row| if row.point.is_empty() { row.arm.clone() } else { format!("{} {}", row.arm, row.point) };
    let widest = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(0).min(48);
    for row in &rows {
        let (one, all) = (row.flops(), row.flops() * row.trials as f64);
        say(format_args!(
            "  {:<widest$}  {} per token, {} tokens: {}, {}; {} trials: {}",
            name(row),
            flops(row.flops_per_token),
            count(row.tokens as f64),
            flops(one),
            hours(request, one),
            row.trials,
            hours(request, all)
        ))?;
    }
    let (trials, total) =
        rows.iter().fold((0, 0.0), |(trials, total), row| (trials + row.trials, total + row.flops() * row.trials as f64));
    say(format_args!("in all      {trials} trials: {}, {}", flops(total), hours(request, total)))?;
    say("            FLOPs of matrix products in training; not what penalties compute themselves, nor evaluation")?;

    say("")?;
    for line in losses {
        say(line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn machine(request: &Request) -> String {
    let name = match request.accelerator {
        Some(of) => format!("{}, {} TFLOP/s of dense bfloat16 ({})", of.name, of.teraflops, of.source),
        None => format!("{} TFLOP/s, as given", request.peak),
    };
    let price = request.price.map(|price| format!(", {price} per hour")).unwrap_or_default();
    format!("{name}; model FLOPs utilisation (mfu) {}{price}", request.mfu)
}

/// The models, a line for each size.
fn models(rows: &[Row]) -> Vec<String> {
    let line = |row: &Row| {
        let config = &row.config;
        let [layers, width, parameters] = [config.layers, config.width, config.parameters()];
        format!(
            "{}, {layers} layers, width {width}, MLP {}, context {}, vocabulary {}: {} parameters",
            config.kind(),
            config.mlp_width,
            row.context,
            config.vocab_size,
            count(parameters as f64)
        )
    };
    let mut lines: Vec<String> = Vec::new();
    for line in rows.iter().map(line) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// The losses that the trials in `folder` predict; `named` where the user named it.
fn losses(file: &StudyFile, rows: &[Row], folder: &Path, named: bool) -> Result<Vec<String>, Failure> {
    let wanted = if varies_size(&file.study) {
        "run this study: it varies the size".to_owned()
    } else {
        "run a study with `vary: {model.width: [64, 128, 256]}`".to_owned()
    };
    let none = |why: &str| vec![format!("loss        unknown: {why}. For a power law of loss against size, {wanted}")];
    if !folder.join("study.yaml").exists() {
        let message = format!("{}: expected the folder of a study, found none", folder.display());
        return if named { Err(Failure::refused(message)) } else { Ok(none(&format!("{} holds no study", folder.display()))) };
    }
    let of_arm = |arm: &str| {
        let sizes: BTreeSet<usize> = rows.iter().filter(|row| row.arm == arm).map(|row| row.config.parameters()).collect();
        sizes.into_iter().collect()
    };
    let found = match forecasts(folder, &file.study, &of_arm) {
        Ok(found) => found,
        Err(error) if named => return Err(Failure::refused(error)),
        Err(error) => return Ok(none(&error.to_string())),
    };
    if found.is_empty() {
        return Ok(none(&format!("no two sizes are finished in {}", folder.display())));
    }
    let mut lines =
        vec![format!("loss        by the power law of each arm through its trials in {}, nats per token:", folder.display())];
    lines.extend(found.iter().map(|forecast| format!("  {}", expected(forecast))));
    lines.push(caution(rows, &found));
    Ok(lines)
}

fn expected(of: &SizeForecast) -> String {
    let interval = match (of.interval, of.sizes) {
        (Some(interval), 2) => format!(" (95% interval from the seeds' noise only {:.4} to {:.4})", interval.low, interval.high),
        (Some(interval), _) => format!(" (95% interval {:.4} to {:.4})", interval.low, interval.high),
        (None, _) => " (no interval: one seed at two sizes gives no uncertainty)".to_owned(),
    };
    let [least, most] = of.measured;
    let reach = match of.parameters {
        size if size > most => {
            format!("{} times the largest that was trained", significant(size as f64 / most as f64))
        }
        size if size < least => format!("{:.2} of the smallest that was trained", size as f64 / least as f64),
        _ => "within the sizes that were trained".to_owned(),
    };
    let (size, sizes, seeds) = (count(of.parameters as f64), of.sizes, of.seeds);
    format!("{}: {:.4}{interval} at {size} parameters, {reach}; {sizes} sizes, {seeds} seeds", of.name, of.loss)
}

/// The limits of the power law.
fn caution(rows: &[Row], found: &[SizeForecast]) -> String {
    let known: BTreeSet<usize> = found.iter().filter_map(|of| of.tokens).collect();
    let same = rows.iter().all(|row| known.iter().all(|tokens| *tokens as u64 == row.tokens)) && !known.is_empty();
    let tokens: Vec<String> = known.iter().map(|tokens| count(*tokens as f64)).collect();
    let tokens = match (same, tokens.is_empty()) {
        (true, _) => String::new(),
        (false, true) => " The law was fitted to other numbers of tokens per trial than the one projected.".to_owned(),
        (false, false) => format!(" It was fitted to {} tokens per trial, not to the number projected.", tokens.join(" or ")),
    };
    format!(
        "            A power law is uncertain beyond the sizes it was fitted to, and does not cover another context length or text.{tokens}"
    )
}

/// `12.3 GPU hours, price 43.05`
fn hours(request: &Request, flops: f64) -> String {
    let hours = request.hours(flops);
    let price = request.price.map(|price| format!(", price {}", significant(hours * price))).unwrap_or_default();
    format!("{} GPU hours{price}", significant(hours))
}

/// Three digits and a unit.
fn flops(value: f64) -> String {
    const UNITS: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let unit = ((value.max(1.0).log10() / 3.0) as usize).min(UNITS.len() - 1);
    format!("{} {}FLOP", significant(value / 1000f64.powi(unit as i32)), UNITS[unit])
}

fn significant(value: f64) -> String {
    regatta_report::significant(value, 3)
}

/// `1,234,567`
fn count(value: f64) -> String {
    regatta_report::grouped(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_statistics::Interval;

    #[test]
    fn operations_have_a_fitting_unit() {
        let said = [0.0, 999.0, 1_234.0, 2.5e9, 3.2e18, 4e24].map(flops);
        assert_eq!(said, ["0 FLOP", "999 FLOP", "1.23 kFLOP", "2.50 GFLOP", "3.20 EFLOP", "4000000 EFLOP"]);
    }

    #[test]
    fn hours_and_price_by_hand() {
        // 989e12 · 0.5 FLOPs per second: 1.7802e18 per hour
        let request: Request = "gpu=h100,mfu=0.5,price=3".parse().unwrap();
        assert_eq!(hours(&request, 1.7802e18), "1.00 GPU hours, price 3.00");
        let request: Request = "gpu=h100,mfu=0.5".parse().unwrap();
        assert_eq!(hours(&request, 1.7802e19), "10.0 GPU hours");
    }

    #[test]
    fn a_forecast_says_how_far_it_reaches_and_what_its_interval_knows() {
        let of = |parameters, sizes, interval| SizeForecast {
            name: "baseline".into(),
            parameters,
            loss: 3.25,
            interval,
            sizes,
            seeds: 3,
            measured: [1000, 4000],
            tokens: Some(10),
        };
        let interval = Some(Interval { low: 3.0, high: 3.5 });
        let far = expected(&of(50_000, 3, interval));
        let words =
            "3.2500 (95% interval 3.0000 to 3.5000) at 50,000 parameters, 12.5 times the largest that was trained; 3 sizes";
        assert!(far.contains(words), "{far}");
        assert!(expected(&of(2000, 2, interval)).contains("seeds' noise only 3.0000 to 3.5000) at 2,000 parameters, within"));
        assert!(expected(&of(500, 2, None)).contains("(no interval: one seed at two sizes"), "{}", expected(&of(500, 2, None)));
        assert!(expected(&of(500, 2, None)).contains("0.50 of the smallest"));
    }
}
