//! The candidates and choices of tuning.

use regatta_config::Candidate;
use regatta_records::{State, TuningRow, TuningTrial};
use regatta_results::{Edge, Tuning, TuningCandidate};

/// A row for each candidate of each arm.
pub(super) fn table<'a>(rows: impl IntoIterator<Item = &'a TuningRow>) -> Vec<Tuning> {
    rows.into_iter().map(tuning).collect()
}

fn tuning(row: &TuningRow) -> Tuning {
    let chosen = row.winner.map(|winner| winner.index);
    let candidate = |(index, (candidate, trials)): (usize, &(Candidate, Vec<TuningTrial>))| TuningCandidate {
        weight: candidate.weight,
        lr: candidate.lr,
        seeds: trials.iter().map(|trial| trial.seed).collect(),
        validation_loss: row.means.get(index).copied().flatten(),
        chosen: chosen == Some(index),
        failures: trials.iter().filter_map(failure).collect(),
    };
    Tuning { arm: row.name.clone(), candidates: row.candidates.iter().enumerate().map(candidate).collect(), edges: edges(row) }
}

fn failure(trial: &TuningTrial) -> Option<String> {
    (trial.state != State::Done).then(|| format!("seed {} {}", trial.seed, trial.state.word()))
}

/// The chosen values that are the smallest or largest of their lists.
fn edges(row: &TuningRow) -> Vec<Edge> {
    let (Some(winner), Some(chosen)) = (row.winner, row.chosen()) else { return Vec::new() };
    let edge = |setting: &str, at_edge: bool, of: fn(&Candidate) -> Option<f64>| {
        let value = of(&chosen).filter(|_| at_edge)?;
        let largest = row.candidates.iter().filter_map(|(candidate, _)| of(candidate)).all(|other| other <= value);
        Some(Edge { setting: setting.to_owned(), value, largest })
    };
    let weight = edge("weight", winner.weight_at_edge, |candidate| candidate.weight);
    weight.into_iter().chain(edge("lr", winner.lr_at_edge, |candidate| candidate.lr)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regatta_config::Winner;

    /// Candidates by weight with a loss each; none where the trial diverged.
    fn row(losses: &[(f64, Option<f64>)]) -> TuningRow {
        let candidates: Vec<Candidate> =
            losses.iter().map(|(weight, _)| Candidate { weight: Some(*weight), lr: Some(0.1) }).collect();
        let trial = |loss: Option<f64>| TuningTrial {
            seed: 7,
            state: if loss.is_some() { State::Done } else { State::Diverged },
            validation_loss: loss,
        };
        let means: Vec<Option<f64>> = losses.iter().map(|(_, loss)| *loss).collect();
        TuningRow {
            place: "a".into(),
            name: "a".into(),
            winner: Winner::of(&candidates, &means),
            candidates: candidates
                .into_iter()
                .zip(losses)
                .map(|(candidate, (_, loss))| (candidate, vec![trial(*loss)]))
                .collect(),
            means,
        }
    }

    fn check(losses: &[(f64, Option<f64>)], expected: &[(&str, f64, bool)]) {
        let found = table(&[row(losses)]).remove(0);
        let edges: Vec<_> = found.edges.iter().map(|edge| (edge.setting.as_str(), edge.value, edge.largest)).collect();
        assert_eq!(edges, expected, "{losses:?}");
    }

    #[test]
    fn edges_are_named_with_their_side() {
        check(&[(0.1, Some(3.0)), (1.0, Some(2.0)), (10.0, Some(2.5))], &[]);
        check(&[(0.1, Some(3.0)), (1.0, Some(2.0))], &[("weight", 1.0, true)]);
        check(&[(0.1, Some(1.0)), (1.0, Some(2.0))], &[("weight", 0.1, false)]);
        check(&[(0.1, None), (1.0, None)], &[]);
        check(&[(1.0, Some(2.0))], &[]); // nothing to choose from
    }

    #[test]
    fn what_diverged_is_named_and_not_chosen() {
        let found = table(&[row(&[(0.1, Some(3.0)), (1.0, None)])]).remove(0);
        let chosen: Vec<bool> = found.candidates.iter().map(|candidate| candidate.chosen).collect();
        assert_eq!(chosen, [true, false]);
        assert_eq!(found.candidates[1].failures, ["seed 7 diverged"]);
        assert!(found.candidates[0].failures.is_empty());
    }
}
