//! A small study for the tests: one arm of each verdict.

mod measured;

pub use self::measured::measured;
use crate::{
    Arm, CurvePoint, Difference, Edge, EqualTime, Interval, Machine, PowerLaw, Results, SizePoint, SizeSeries, Spent, Spread,
    TimedPairs, Trial,
};
use crate::{Tuning, TuningCandidate, Verdict};

pub fn results() -> Results {
    Results {
        study: "quickstart".into(),
        question: Some("Does any of it help?".into()),
        program: "regatta 0.1.0".into(),
        setup: vec![("model".into(), "gpt2, 4 layers".into())],
        seeds: vec![0, 1, 2],
        baseline: "baseline".into(),
        held_out: "test".into(),
        arms: vec![
            arm("baseline", Verdict::Baseline, None),
            arm("dispersion", Verdict::Better, Some([-0.031, -0.050, -0.012])),
            arm("infonce", Verdict::NoDifference, Some([0.004, -0.015, 0.023])),
            Arm {
                done: 2,
                failures: vec!["seed 2 diverged at step 14: loss is NaN".into()],
                ..arm("vicreg", Verdict::Worse, Some([0.2, 0.1, 0.3]))
            },
        ],
        sizes: vec![],
        tuning: vec![],
        trials: ["baseline", "dispersion", "infonce", "vicreg"].into_iter().flat_map(trials).collect(),
        machines: vec![machine("node-1", "EPYC", 11)],
        notes: vec!["the clock was not idle".into()],
    }
}

/// Two arms at two widths, one of them tuned.
pub fn sweep() -> Results {
    let of = [("baseline", None), ("dispersion", Some([-0.031, -0.050, -0.012]))];
    let sizes = [(16, 1_000), (32, 4_000)];
    let row = |(name, difference): (&str, Option<[f64; 3]>), (width, parameters): (usize, usize)| Arm {
        name: format!("{name} width={width}"),
        arm: name.into(),
        point: format!("width={width}"),
        baseline: format!("baseline width={width}"),
        parameters: Some(parameters),
        ..arm(name, if difference.is_some() { Verdict::Better } else { Verdict::Baseline }, difference)
    };
    let point = |arm: Arm| SizePoint {
        parameters: arm.parameters.unwrap_or(0),
        loss: arm.loss,
        difference: arm.difference,
        verdict: arm.verdict,
        arm: arm.name,
    };
    let fit = PowerLaw { a: 9.0, b: 0.125, interval: Some(Interval { low: 0.1, high: 0.15 }), sizes: 2, seeds: 3 };
    let series = |(name, difference): (&str, Option<[f64; 3]>)| SizeSeries {
        name: name.into(),
        arm: name.into(),
        points: sizes.iter().map(|&size| point(row((name, difference), size))).collect(),
        fit: Some(fit),
    };
    let candidate = |weight: f64, validation_loss: Option<f64>| TuningCandidate {
        weight: Some(weight),
        lr: None,
        seeds: vec![1_000_000],
        validation_loss,
        chosen: validation_loss == Some(3.5),
        failures: if validation_loss.is_some() { vec![] } else { vec!["seed 1000000 diverged".into()] },
    };
    let tuning = Tuning {
        arm: "dispersion width=16".into(),
        candidates: vec![candidate(0.01, Some(3.6)), candidate(0.1, Some(3.5)), candidate(0.03, None)],
        edges: vec![Edge { setting: "weight".into(), value: 0.1, largest: true }],
    };
    Results {
        seeds: (0..5).collect(),
        arms: sizes.iter().flat_map(|&size| of.map(|arm| row(arm, size))).collect(),
        sizes: of.map(series).to_vec(),
        tuning: vec![tuning],
        ..results()
    }
}

pub fn arm(name: &str, verdict: Verdict, difference: Option<[f64; 3]>) -> Arm {
    Arm {
        name: name.into(),
        arm: name.into(),
        point: String::new(),
        baseline: "baseline".into(),
        parameters: Some(266_240),
        terms: if verdict == Verdict::Baseline { String::new() } else { format!("[{{regularizer: {name}, weight: 0.1}}]") },
        listed: vec![],
        planned: 3,
        done: 3,
        failures: vec![],
        loss: Some(spread(3.5 + difference.map_or(0.0, |d| d[0]), 0.012, 3)),
        difference: difference.map(self::difference),
        verdict,
        perplexity: Some(33.1),
        bits_per_byte: Some(1.9),
        excess_loss: None,
        mean_cosine_by_layer: vec![0.1, 0.3, 0.62],
        effective_rank_by_layer: vec![60.0, 40.0, 21.0],
        step_ms: Some(12.5),
        cost_ratio: Some(1.1),
        cost_range: Some(Interval { low: 1.05, high: 1.2 }),
        timed_pairs: TimedPairs { finished: 3, alike: 3 },
        tokens_per_second: Some(51234.0),
        peak_memory_mib: Some(210.0),
        spent: Spent::default(),
        training_curve: curve(100, 1),
        validation_curve: curve(100, 20),
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

fn spread(mean: f64, sd: f64, count: usize) -> Spread {
    Spread { mean, sd, interquartile_mean: mean, count }
}

/// A mean and the ends of its corrected interval, among three comparisons of three seeds; other figures follow by fixed shares.
pub fn difference([mean, low, high]: [f64; 3]) -> Difference {
    let narrower = |share: f64| Interval { low: mean + share * (low - mean), high: mean + share * (high - mean) };
    let shifted = Interval { low: low + 0.01, high: high + 0.01 };
    Difference {
        mean,
        interval: narrower(0.46),
        corrected: Interval { low, high },
        comparisons: 3,
        bootstrap: Some(narrower(0.25)),
        pairs: 3,
        detectable: 0.04,
        p: 0.011,
        p_holm: 0.033,
        p_wilcoxon: Some(0.25),
        effect_size: -5.11,
        improvement: Some(0.89),
        equal_time: Some(EqualTime { mean: mean + 0.01, corrected: shifted, pairs: 3, seconds: 41.5 }),
    }
}

pub fn curve(steps: u64, every: usize) -> Vec<CurvePoint> {
    let point = |step: u64| CurvePoint { step, mean: 3.5 + 2.0 / (1.0 + step as f64), low: 3.4, high: 5.6 };
    (0..steps).step_by(every).map(point).collect()
}

fn trials(arm: &'static str) -> impl Iterator<Item = Trial> {
    (0..3).map(move |seed| {
        let lost = arm == "vicreg" && seed == 2;
        Trial {
            arm: arm.into(),
            seed,
            state: if lost { "diverged" } else { "done" }.into(),
            reason: lost.then(|| "loss is NaN at step 14".into()),
            machine: (!lost).then_some(0),
            machine_note: None,
            measures: vec![
                ("test_loss".into(), Some(if lost { f64::NAN } else { 3.5 })),
                ("perplexity".into(), (!lost).then_some(33.115)),
            ],
        }
    })
}

/// A machine of the first kind.
pub fn machine(host: &str, processor: &str, trials: usize) -> Machine {
    Machine {
        host: Some(host.into()),
        processor: Some(processor.into()),
        threads: 2,
        instructions: Some("avx2".into()),
        device: "cpu".into(),
        kind: 1,
        trials,
        hours: trials as f64 / 4.0,
    }
}

/// The study of [`results`] on two kinds of machine: a seed of dispersion and all seeds of infonce ran on another than the
/// baseline.
pub fn mixed() -> Results {
    let mut results = results();
    results.machines = vec![machine("node-1", "EPYC", 7), Machine { kind: 2, threads: 4, ..machine("node-2", "Xeon", 4) }];
    results.arms[1].timed_pairs.alike = 2;
    results.arms[1].difference = results.arms[1]
        .difference
        .map(|of| Difference { equal_time: of.equal_time.map(|time| EqualTime { pairs: 2, ..time }), ..of });
    results.arms[2].timed_pairs.alike = 0;
    (results.arms[2].cost_ratio, results.arms[2].cost_range) = (None, None);
    results.arms[2].difference = results.arms[2].difference.map(|of| Difference { equal_time: None, ..of });
    for trial in &mut results.trials {
        if trial.arm == "infonce" || (trial.arm == "dispersion" && trial.seed == 1) {
            trial.machine = Some(1);
            trial.machine_note = Some("time is not compared: this trial ran elsewhere".into());
        }
    }
    results
}

/// Studies at the edge of what is legal, with what is odd about them: none may panic or print nonsense.
pub fn edges() -> Vec<(&'static str, Results)> {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 1e-320, 0.0];
    let nothing = Arm {
        done: 0,
        failures: vec!["seed 0 failed: out of memory".into()],
        loss: None,
        perplexity: None,
        bits_per_byte: None,
        mean_cosine_by_layer: vec![],
        effective_rank_by_layer: vec![],
        step_ms: None,
        cost_ratio: None,
        timed_pairs: TimedPairs::default(),
        tokens_per_second: None,
        peak_memory_mib: None,
        training_curve: vec![],
        validation_curve: vec![],
        ..arm("nothing", Verdict::Unknown, None)
    };
    let odd_arm = |index: usize, value: f64| Arm {
        loss: Some(spread(value, value, 3)),
        difference: Some(Difference {
            detectable: value,
            p: value,
            p_holm: value,
            p_wilcoxon: Some(value),
            effect_size: value,
            improvement: Some(value),
            ..difference([value; 3])
        }),
        mean_cosine_by_layer: vec![value; 3],
        effective_rank_by_layer: vec![value],
        step_ms: Some(value),
        cost_ratio: Some(value),
        perplexity: Some(value),
        training_curve: (0..5).map(|step| CurvePoint { step, mean: value, low: value, high: value }).collect(),
        validation_curve: vec![CurvePoint { step: u64::MAX, mean: value, low: value, high: value }],
        ..arm(&format!("odd-{index}"), Verdict::Better, None)
    };
    let one_seed = Arm {
        loss: Some(spread(3.5, f64::NAN, 1)),
        difference: Some(Difference { pairs: 1, detectable: f64::NAN, ..difference([-0.1, f64::NAN, f64::NAN]) }),
        ..arm("one-seed", Verdict::Unknown, None)
    };
    let baseline = arm("baseline", Verdict::Baseline, None);
    let many = (0..30).map(|index| arm(&format!("arm-{index}"), Verdict::Better, Some([-0.02, -0.03, -0.01])));
    let with = |arms: Vec<Arm>| Results { arms, ..results() };
    vec![
        ("no arms", Results { trials: vec![], seeds: vec![], setup: vec![], notes: vec![], question: None, ..with(vec![]) }),
        ("one arm", with(vec![baseline.clone()])),
        ("all failed", with(vec![Arm { verdict: Verdict::Baseline, ..nothing.clone() }, nothing])),
        ("odd numbers", with(odd.into_iter().enumerate().map(|(index, value)| odd_arm(index, value)).collect())),
        ("one odd number among sane ones", with(vec![baseline.clone(), odd_arm(0, f64::NAN), odd_arm(1, 1e300)])),
        ("one seed", Results { seeds: vec![0], ..with(vec![baseline.clone(), one_seed]) }),
        ("thirty arms", with(std::iter::once(baseline.clone()).chain(many).collect())),
        ("a sweep", sweep()),
        ("mixed machines", mixed()),
        ("all measured", measured()),
        ("measured, odd numbers", measured::odd()),
        ("long names", with(vec![baseline, arm(&"very-long-name-".repeat(40), Verdict::Better, Some([-0.1, -0.2, -0.05]))])),
    ]
}

/// A baseline and `count` arms whose losses rise from the first to the last, each with two seeds.
pub fn many(count: usize) -> Results {
    let of = |index: usize| {
        let name = format!("arm-{index}");
        let mean = (index as f64 - count as f64 / 2.0) * 1e-4;
        let mut row = arm(&name, Verdict::NoDifference, Some([mean, mean - 1.0, mean + 1.0]));
        row.done = 2;
        row.planned = 2;
        row
    };
    let arms: Vec<Arm> = std::iter::once(arm("baseline", Verdict::Baseline, None)).chain((0..count).map(of)).collect();
    let trial = |arm: &Arm, seed: u64| Trial {
        arm: arm.name.clone(),
        seed,
        state: "done".into(),
        reason: None,
        machine: Some(0),
        machine_note: None,
        measures: (0..17).map(|index| (format!("measure_{index}"), Some(seed as f64 + f64::from(index) / 7.0))).collect(),
    };
    let trials = arms.iter().flat_map(|arm| [trial(arm, 0), trial(arm, 1)]).collect();
    Results { seeds: vec![0, 1], arms, trials, ..results() }
}
