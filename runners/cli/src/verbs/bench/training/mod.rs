//! The speed of training, measured as `tests/peers/peer.py` measures PyTorch's.
//!
//! One step is forward, cross-entropy over the vocabulary, the penalty at its home with weight 0.1, backward,
//! clip by global norm 1, AdamW; float32, or with products of factors rounded to bfloat16. Token ids are random: the cost does not
//! depend on them. A regularizer that compares two views is trained with dropout, and its steps include the second pass;
//! `--dropout` gives a step to compare it with.

mod arguments;
mod measured;
mod size;

pub(super) use arguments::{Training, cloud_at};

use super::{Named, PROGRAM, Seconds, round};
use crate::failure::Failure;
use crate::memory::peak_resident_mib;
use measured::Measured;
use regatta_core::number::{Count, Finite, Fraction};
use regatta_core::simd;
use regatta_core::{Draw, Intervention, Plugin};
use regatta_lm::Compute;
use regatta_lm::model::Family;
use regatta_lm::spec::{Schedule, Term, TrainSpec, Weight};
use regatta_lm::training::{Learner, flops_per_token};
use size::{Shape, Work};
use std::time::Instant;

/// Trains on random tokens.
pub(super) fn measure(arguments: &Training, regularizer: Option<Named>) -> Result<Measured, Failure> {
    let work = arguments.work().map_err(Failure::refused)?;
    if arguments.at.is_some() && regularizer.is_none() {
        return Err(Failure::refused("--at: expected a --regularizer that is applied there, found none"));
    }
    let Work { decoder, batch } = &work;
    let compute = arguments.device.open()?;
    let words = regularizer.as_ref().map_or("none".to_owned(), |named| named.words.clone());
    let terms = regularizer.into_iter().map(|named| {
        let at = arguments.place(named.plugin.0.home())?;
        at.check(decoder).map_err(|(field, message)| format!("--at: {field}: {message}"))?;
        Ok(Term { regularizer: named.plugin, weight: Weight::Constant(Finite::new(0.1)), at })
    });
    let terms: Vec<Term> = terms.collect::<Result<_, String>>().map_err(Failure::refused)?;

    let compares_views = terms.iter().any(|term| term.regularizer.0.needs_view());
    let dropout = arguments.dropout.unwrap_or(Fraction::new(if compares_views { 0.1 } else { 0.0 }));
    if compares_views && dropout.get() == 0.0 {
        return Err(Failure::refused("--dropout: expected a rate above 0 for a regularizer that compares two views, found 0"));
    }
    let schedule = Schedule::Constant;
    let precision = arguments.precision.into();
    let train = TrainSpec { schedule, dropout, precision, batch_size: Count::new(*batch), ..TrainSpec::default() };
    let flops_per_token = flops_per_token(decoder, decoder.context, (&train, Count::new(1)), &terms, &[]);
    let mut learner = Learner::on(&compute, work.fresh(), &train, &terms, &[], 0).map_err(Failure::failed)?;
    let tokens = batch * decoder.context;
    let mut times = Vec::new();
    for step in 0..(arguments.warmup + arguments.steps) as usize {
        let seconds = timed_step((&compute, &mut learner), step, &work)?;
        if step as u64 >= arguments.warmup {
            times.push(seconds);
        }
    }
    let times = Seconds::sorted(times);
    Ok(Measured {
        program: PROGRAM,
        family: arguments.family,
        shape: arguments.shape,
        regularizer: words,
        at: terms.first().map(|term| term.at.clone()),
        precision: arguments.precision,
        threads: rayon::current_num_threads(),
        instructions: simd::level(),
        device: compute.words(),
        tokens_per_second: round(tokens as f64 / times.median(), 1),
        step_ms: round(times.median() * 1e3, 2),
        best_step_ms: round(times.best() * 1e3, 2),
        peak_rss_mib: peak_resident_mib().map(f64::round),
        layers: decoder.layers,
        width: decoder.width,
        heads: decoder.heads,
        kv_heads: decoder.kv_heads,
        mlp_width: decoder.mlp_width,
        context: decoder.context,
        batch: *batch,
        vocab: decoder.vocab_size,
        parameters: decoder.parameters(),
        flops_per_token,
        gflops: round(flops_per_token * tokens as f64 / times.median() / 1e9, 1),
    })
}

/// Seconds of a step on random tokens, until the device has done all of it.
fn timed_step(
    (compute, learner): (&Compute, &mut Learner<'_>),
    step: usize,
    Work { decoder, batch }: &Work,
) -> Result<f64, Failure> {
    let mut draw = Draw::new(0, "bench tokens", step as u64, 0);
    let mut ids = || (0..batch * decoder.context).map(|_| draw.below(decoder.vocab_size) as u32).collect::<Vec<_>>();
    let (inputs, targets) = (ids(), ids());
    let started = Instant::now(); // around the whole call: the step's own clock stops before its tensors are freed
    let record = learner.step(step, *batch, &inputs, &targets).map_err(Failure::failed)?;
    compute.wait().map_err(Failure::failed)?; // a GPU is still updating weights when the loss is known
    let seconds = started.elapsed().as_secs_f64();
    match record.divergence() {
        Some(reason) => Err(Failure::failed(format!("{reason}, and a step without its update cannot be timed"))),
        None => Ok(seconds),
    }
}

/// What interventions add to a step of `small`, as a fraction of a step without them: the median over pairs of steps, one with
/// and one without them, in alternating order.
pub(super) fn added_by(interventions: &[Plugin<dyn Intervention>]) -> Result<f64, Failure> {
    const STEPS: usize = 24;
    let work = Shape::Small.work(Family::Gpt2);
    let train = TrainSpec { schedule: Schedule::Constant, batch_size: Count::new(work.batch), ..TrainSpec::default() };
    let learner = |interventions| Learner::new(work.fresh(), &train, &[], interventions, 0).map_err(Failure::failed);
    let (mut with, mut without) = (learner(interventions)?, learner(&[])?);
    let mut fractions = Vec::new();
    for step in 0..=STEPS {
        let mut seconds = [0.0; 2];
        for turn in [step % 2, 1 - step % 2] {
            let learner = if turn == 0 { &mut with } else { &mut without };
            seconds[turn] = timed_step((&Compute::Kernels, learner), step, &work)?;
        }
        if step > 0 {
            fractions.push(seconds[0] / seconds[1] - 1.0);
        }
    }
    fractions.sort_by(f64::total_cmp);
    Ok(fractions[STEPS / 2])
}

/// Writes the checkpoint of an untrained `small` into a new folder.
pub(super) fn write_teacher(folder: &std::path::Path) -> Result<(), Failure> {
    std::fs::create_dir(folder).map_err(Failure::failed)?;
    Shape::Small.work(Family::Gpt2).fresh().write(folder).map_err(Failure::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_needs_a_regularizer() {
        let at = Training { at: Some("points: batch".into()), ..Training::small() };
        let refused = format!("{:?}", measure(&at, None).unwrap_err());
        assert!(refused.contains("--at: expected a --regularizer that is applied there, found none"), "{refused}");
    }
}
