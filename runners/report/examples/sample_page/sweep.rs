//! A sweep over sizes of ten rows a size, each row tuned: sixty rows in all.

use crate::{ARMS, arm, invented, trial};
use regatta_report::{Arm, Edge, Interval, PowerLaw, Results, SizePoint, SizeSeries, Tuning, TuningCandidate};

/// Width and parameters.
const SIZES: [(usize, usize); 6] = [(16, 21_000), (32, 62_000), (48, 124_000), (64, 207_000), (96, 434_000), (128, 743_000)];
const MAX_POINTS: [usize; 2] = [64, 256];
const RATES: [f64; 3] = [0.0003, 0.001, 0.003];

/// `sample` with its arms at each size; all but the baseline and the last at each count of points.
pub fn sweep(sample: Results) -> Results {
    let rows: Vec<Arm> = SIZES.iter().flat_map(|&size| of_size(size)).collect();
    let names = rows.iter().map(|row| (row.arm.clone(), rest(row))).collect::<Vec<_>>();
    let mut sizes: Vec<SizeSeries> = Vec::new();
    for (index, (name, rest)) in names.iter().enumerate().filter(|(index, name)| !names[..*index].contains(name)) {
        let of_series = |(other, _): &(usize, &Arm)| names[*other] == names[index];
        let points = rows.iter().enumerate().filter(of_series).map(|(_, row)| point(row)).collect();
        let b = 0.047 + 0.001 * index as f64;
        let interval = Some(Interval { low: b - 0.011, high: b + 0.011 });
        let fit = Some(PowerLaw { a: 5.9, b, interval, sizes: SIZES.len(), seeds: 3 });
        sizes.push(SizeSeries { name: format!("{name} {rest}").trim().to_owned(), arm: name.clone(), points, fit });
    }
    Results {
        trials: rows.iter().flat_map(|row| (0..3).map(|seed| trial(row, seed)).collect::<Vec<_>>()).collect(),
        tuning: rows.iter().enumerate().map(|(index, row)| tuning(row, index)).collect(),
        sizes,
        arms: rows,
        ..sample
    }
}

fn of_size((width, parameters): (usize, usize)) -> Vec<Arm> {
    let fall = 5.9 * (parameters as f64).powf(-0.047) - 3.2174;
    let shrink = 60_000.0 / parameters as f64;
    let mut rows = vec![arm("baseline", None, 0.62, 21.3, 1.0)];
    for (index, (name, difference, cosine, rank, cost)) in ARMS.iter().enumerate() {
        let counts = if index + 1 < ARMS.len() { &MAX_POINTS[..] } else { &MAX_POINTS[..1] };
        for (more, count) in counts.iter().enumerate() {
            let scaled = difference.map(|end| end * (0.4 + shrink) * (1.0 + 0.3 * more as f64));
            let mut row = arm(name, Some(scaled), *cosine, *rank, *cost);
            row.difference = Some(regatta_report::Difference { comparisons: 54, ..invented(scaled, *cost) });
            row.point = format!("width={width},max_points={count}");
            rows.push(row);
        }
    }
    for row in &mut rows {
        if row.point.is_empty() {
            row.point = format!("width={width}");
        }
        row.name = format!("{} {}", row.arm, row.point);
        row.baseline = format!("baseline width={width}");
        row.parameters = Some(parameters);
        row.loss.iter_mut().for_each(|loss| loss.mean += fall);
        let curves = row.training_curve.iter_mut().chain(&mut row.validation_curve);
        curves.for_each(|point| (point.mean, point.low, point.high) = (point.mean + fall, point.low + fall, point.high + fall));
    }
    rows
}

/// What of a row's point is not its size.
fn rest(row: &Arm) -> String {
    row.point.split_once(',').map_or(String::new(), |(_, rest)| rest.to_owned())
}

fn point(row: &Arm) -> SizePoint {
    SizePoint {
        arm: row.name.clone(),
        parameters: row.parameters.unwrap_or(0),
        loss: row.loss,
        difference: row.difference,
        verdict: row.verdict,
    }
}

fn tuning(row: &Arm, index: usize) -> Tuning {
    let chosen = [1, 1, 2, 1, 1, 1, 0][index % 7];
    let candidate = |(rate, lr): (usize, &f64)| {
        let lost = rate == 2 && index % 4 == 1;
        let loss = row.loss.map(|loss| loss.mean + 0.03 * rate.abs_diff(chosen) as f64);
        TuningCandidate {
            weight: None,
            lr: Some(*lr),
            seeds: vec![1_000_000, 1_000_001],
            validation_loss: loss.filter(|_| !lost),
            chosen: rate == chosen,
            failures: if lost { vec!["seed 1000001 diverged".into()] } else { vec![] },
        }
    };
    let edge = || Edge { setting: "lr".into(), value: RATES[chosen], largest: chosen > 0 };
    Tuning {
        arm: row.name.clone(),
        candidates: RATES.iter().enumerate().map(candidate).collect(),
        edges: (chosen != 1).then(edge).into_iter().collect(),
    }
}
