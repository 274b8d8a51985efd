//! Writes a page of invented numbers, to look at: `cargo run -p regatta-report --example sample_page -- PATH.html
//! [measured|sweep|many|mixed]`.

mod measured;
mod sweep;

use regatta_report::{
    Arm, CurvePoint, Difference, EqualTime, Interval, Machine, Results, Spent, Spread, TimedPairs, Trial, Verdict, page,
    terminal_table,
};

/// Name, difference with its interval, last layer's cosine and rank, ratio of cost.
const ARMS: [(&str, [f64; 3], f64, f64, f64); 5] = [
    ("dispersion", [-0.0312, -0.0496, -0.0128], 0.21, 44.2, 1.18),
    ("whitening", [0.0071, -0.0174, 0.0316], 0.08, 58.9, 1.41),
    ("vicreg", [-0.0108, -0.0189, -0.0027], 0.17, 49.5, 1.22),
    ("sigreg", [0.0643, 0.0311, 0.0975], 0.03, 61.0, 1.67),
    ("infonce", [-0.0046, -0.0263, 0.0171], 0.26, 40.8, 1.20),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("expected the path of the page to write")?;
    let results = match std::env::args().nth(2).as_deref() {
        Some("sweep") => sweep::sweep(sample()),
        Some("many") => many(sample()),
        Some("mixed") => mixed(sample()),
        Some("measured") => measured::measured(sample()),
        _ => sample(),
    };
    let start = std::time::Instant::now();
    let page = page(&results)?;
    eprintln!("{} bytes in {:.2} s", page.len(), start.elapsed().as_secs_f64());
    std::fs::write(&path, page)?;
    print!("{}", terminal_table(&results, 100));
    Ok(())
}

fn sample() -> Results {
    let mut arms = vec![arm("baseline", None, 0.62, 21.3, 1.0)];
    arms.extend(ARMS.iter().map(|(name, difference, cosine, rank, cost)| arm(name, Some(*difference), *cosine, *rank, *cost)));
    arms[4].done = 2;
    arms[4].failures = vec!["seed 2 diverged at step 214: loss is NaN".into()];
    let trials = arms.iter().flat_map(|arm| (0..3).map(|seed| trial(arm, seed)).collect::<Vec<_>>()).collect();
    let setup = [
        ("Model", "gpt2: 4 layers, 64 wide, 4 heads, context 64; 266,240 parameters"),
        ("Tokenizer", "the data's own words, 1,024 of them"),
        ("Data", "synthetic: 2,000,000 training tokens; best possible loss 2.871"),
        ("Tokens per trial", "614,400 (600 steps x 16 sequences x 64 tokens)"),
        (
            "Optimizer",
            "AdamW, betas [0.9, 0.95], weight decay 0.1; lr 0.001, schedule {cosine: {warmup: 30, final: 0.1}}, gradient clip 1.0",
        ),
        ("Seeds", "0, 1, 2"),
        ("Machine", "two cores, two threads"),
    ];
    Results {
        study: "sample (invented numbers)".into(),
        question: Some("Which regularizer keeps hidden states from condensing, and does that lower the loss?".into()),
        program: "regatta 0.1.0".into(),
        setup: setup.map(|(label, value)| (label.into(), value.into())).to_vec(),
        seeds: vec![0, 1, 2],
        baseline: "baseline".into(),
        held_out: "test".into(),
        arms,
        sizes: vec![],
        tuning: vec![],
        trials,
        machines: vec![machine("node-17", "AMD EPYC 7B13", 1)],
        notes: vec!["All numbers on this page are invented: it shows what a report looks like.".into()],
    }
}

fn machine(host: &str, processor: &str, kind: usize) -> Machine {
    Machine {
        host: Some(host.into()),
        processor: Some(processor.into()),
        threads: 2 * kind,
        instructions: Some(if kind == 1 { "avx2" } else { "avx512_bf16" }.into()),
        device: "cpu".into(),
        kind,
        trials: 17 - 5 * kind,
        hours: 0.28 / kind as f64,
    }
}

/// The sample on three machines of two kinds.
fn mixed(mut sample: Results) -> Results {
    sample.machines.push(machine("node-18", "AMD EPYC 7B13", 1));
    sample.machines.push(machine("node-101", "Intel(R) Xeon(R) Platinum 8480+", 2));
    sample.arms[2].timed_pairs.alike = 2;
    sample.arms[3].timed_pairs.alike = 0;
    sample.arms[3].cost_ratio = None;
    sample.arms[3].difference.as_mut().expect("an arm with a difference").equal_time = None;
    sample.trials.iter_mut().filter(|trial| trial.arm == "vicreg").for_each(|trial| trial.machine = Some(2));
    sample.notes.push(
        "Time is not compared for whitening (1 of 3 seeds) and vicreg (3 of 3 seeds): with those seeds, the two trials of a \
         pair ran on AMD EPYC 7B13 (2 threads, avx2) and on Intel(R) Xeon(R) Platinum 8480+ (4 threads, avx512_bf16)."
            .into(),
    );
    sample
}

/// Three thousand arms and a baseline, with two seeds each.
fn many(sample: Results) -> Results {
    let of = |index: usize| {
        let (kind, _, cosine, rank, cost) = ARMS[index % ARMS.len()];
        let mean = 0.2 * (index as f64 * 12.9898).sin() * (index as f64 * 0.618).cos();
        arm(&format!("{kind}-{index:04}"), Some([mean, mean - 0.08, mean + 0.08]), cosine, rank, cost + 0.1 * mean)
    };
    let arms: Vec<Arm> = std::iter::once(arm("baseline", None, 0.62, 21.3, 1.0)).chain((0..3000).map(of)).collect();
    let trials = arms.iter().flat_map(|arm| (0..2).map(|seed| trial(arm, seed)).collect::<Vec<_>>()).collect();
    Results { seeds: vec![0, 1], arms, trials, ..sample }
}

fn arm(name: &str, difference: Option<[f64; 3]>, cosine: f64, rank: f64, cost: f64) -> Arm {
    let shift = difference.map_or(0.0, |[mean, ..]| mean);
    let loss = 3.2174 + shift;
    let verdict = match difference {
        None => Verdict::Baseline,
        Some([_, _, high]) if high < 0.0 => Verdict::Better,
        Some([_, low, _]) if low > 0.0 => Verdict::Worse,
        Some(_) => Verdict::NoDifference,
    };
    let layer = |layer: usize, first: f64, last: f64| first + (last - first) * (layer as f64 / 4.0).powf(1.5);
    Arm {
        name: name.into(),
        arm: name.into(),
        point: String::new(),
        baseline: "baseline".into(),
        parameters: Some(266_240),
        terms: difference.map_or(String::new(), |_| format!("[{{regularizer: {name}, weight: 0.1, at: {{layers: all}}}}]")),
        listed: vec![],
        planned: 3,
        done: 3,
        failures: vec![],
        loss: Some(Spread { mean: loss, sd: 0.0121 + cosine * 0.01, interquartile_mean: loss, count: 3 }),
        difference: difference.map(|ends| invented(ends, cost)),
        verdict,
        perplexity: Some(loss.exp()),
        bits_per_byte: Some(loss / 2.05),
        excess_loss: Some(loss - 2.871),
        mean_cosine_by_layer: (0..5).map(|index| layer(index, 0.06, cosine)).collect(),
        effective_rank_by_layer: (0..5).map(|index| layer(index, 62.4, rank)).collect(),
        step_ms: Some(24.3 * cost),
        cost_ratio: Some(cost),
        cost_range: Some(Interval { low: cost - 0.04, high: cost + 0.05 }),
        timed_pairs: TimedPairs { finished: 3, alike: 3 },
        tokens_per_second: Some(42_100.0 / cost),
        peak_memory_mib: Some(180.0 * cost.sqrt()),
        spent: Spent {
            flops_per_token: Some(1.9e6),
            training_flops: Some(2.3e12),
            peak_rss_mib: Some(230.0 * cost.sqrt()),
            energy_joules: Some(812.0 * cost),
        },
        training_curve: (0..600).map(|step| point(step, shift, 0.09, name.len() as f64)).collect(),
        validation_curve: (0..=600).step_by(50).map(|step| point(step, shift, 0.0, name.len() as f64)).collect(),
        geometry: None,
        roundings: vec![],
        tasks: vec![],
        task_average: None,
        task_measures: vec![],
        task_checkpoints: None,
        texts: vec![],
        to_target: vec![],
    }
}

/// Figures that fit a mean and its corrected interval.
fn invented([mean, low, high]: [f64; 3], cost: f64) -> Difference {
    let around =
        |mean: f64, share: f64| Interval { low: mean - share * (high - low) / 2.0, high: mean + share * (high - low) / 2.0 };
    let later = mean + 0.05 * (cost - 1.0);
    let p = (-4.0 * (mean / (high - low)).abs()).exp() / 5.0;
    Difference {
        mean,
        interval: around(mean, 0.43),
        corrected: Interval { low, high },
        comparisons: 5,
        bootstrap: Some(around(mean, 0.2)),
        pairs: 3,
        detectable: (high - low) * 0.8,
        p,
        p_holm: (3.0 * p).min(1.0),
        p_wilcoxon: Some(0.25),
        effect_size: 11.5 * mean / (high - low),
        improvement: Some(if mean < 0.0 { 0.89 } else { 0.22 }),
        equal_time: Some(EqualTime { mean: later, corrected: around(later, 1.0), pairs: 3, seconds: 14.6 }),
    }
}

/// A loss that falls from 6.9 and ends near 3.2, with a ripple in place of noise.
fn point(step: u64, shift: f64, ripple: f64, phase: f64) -> CurvePoint {
    let done = step as f64 / 600.0;
    let wave = ((step as f64 * 1.7 + phase).sin() + (step as f64 * 0.37 + 2.0 * phase).sin()) / 2.0;
    let mean = 3.2 + 3.7 * (-7.0 * done).exp() + shift * done.sqrt() + ripple * wave;
    let spread = 0.02 + 0.15 * (-9.0 * done).exp() + ripple * 0.6;
    CurvePoint { step, mean, low: mean - spread, high: mean + spread }
}

fn trial(arm: &Arm, seed: u64) -> Trial {
    let lost = arm.done < 3 && seed == 2;
    let loss = arm.loss.map(|loss| loss.mean + loss.sd * (seed as f64 - 1.0));
    let measure = |name: &str, value: Option<f64>| (name.to_owned(), value.filter(|_| !lost));
    Trial {
        arm: arm.name.clone(),
        seed,
        state: if lost { "diverged" } else { "done" }.into(),
        reason: lost.then(|| "loss is NaN at step 214".into()),
        machine: Some(0),
        machine_note: None,
        measures: vec![
            measure("test_loss", loss),
            measure("test_loss_se", Some(0.0093)),
            measure("perplexity", loss.map(f64::exp)),
            measure("excess_loss", loss.map(|loss| loss - 2.871)),
            measure("mean_cosine", arm.mean_cosine_by_layer.last().copied()),
            measure("effective_rank", arm.effective_rank_by_layer.last().copied()),
            measure("step_ms", arm.step_ms),
            measure("tokens_per_second", arm.tokens_per_second),
        ],
    }
}
