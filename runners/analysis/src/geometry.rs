//! The geometry of hidden states and embeddings, over seeds.

use super::arm::ArmRecords;
use super::curves::over_seeds;
use super::diagnosed::{Diagnosed, MEASURES, Measure};
use super::over::{means, over};
use regatta_lm::training::Diagnosis;
use regatta_results::{Depths, FrequencyClass, Geometry, Layer};

/// The geometry of `arm`, over the seeds that were diagnosed.
pub(super) fn geometry(arm: &ArmRecords) -> Option<Geometry> {
    let trials: Vec<&Diagnosed> = arm.diagnosed.values().collect();
    let firsts: Vec<&Diagnosis> = trials.iter().filter_map(|trial| trial.first.as_ref()).collect();
    let lasts: Vec<&Diagnosis> = trials.iter().map(|trial| &trial.last).collect();
    let spectra: Vec<&[f64]> =
        lasts.iter().filter_map(|of| of.hidden_states.last()).map(|last| last.all.spectrum.as_slice()).collect();
    let measure = |(name, of): &Measure| {
        let values: Vec<f64> = lasts.iter().filter_map(|all| of(all, all.hidden_states.last()?)).collect();
        ((*name).to_owned(), over(&values))
    };
    Some(Geometry {
        start: depths(&firsts),
        end: depths(&lasts)?,
        last_cosine: over_seeds(trials.iter().map(|trial| &trial.along)),
        spectrum: means(&spectra),
        measures: MEASURES.iter().map(measure).collect(),
        by_frequency: by_frequency(&lasts),
    })
}

/// Cosines within sequences, layer by layer; `None` where a layer has none.
fn depths(diagnoses: &[&Diagnosis]) -> Option<Depths> {
    let layers = diagnoses.iter().map(|diagnosis| diagnosis.hidden_states.len()).min()?;
    let layer = |index: usize| {
        let pairs: Vec<_> = diagnoses.iter().filter_map(|of| of.hidden_states[index].within.as_ref()).collect();
        let histograms: Vec<&[f64]> = pairs.iter().map(|pairs| pairs.histogram.as_slice()).collect();
        Some(Layer { cosine: over(&pairs.iter().map(|pairs| pairs.mean).collect::<Vec<_>>())?, histogram: means(&histograms) })
    };
    Some(Depths { step: diagnoses.first()?.step as u64, layers: (0..layers).map(layer).collect::<Option<_>>()? })
}

fn by_frequency(diagnoses: &[&Diagnosis]) -> Vec<FrequencyClass> {
    type Of<'a> = &'a dyn Fn(&Diagnosis) -> Option<f64>;
    let all = |of: Of<'_>| over(&diagnoses.iter().filter_map(|diagnosis| of(diagnosis)).collect::<Vec<_>>());
    let deciles = diagnoses.iter().map(|of| of.by_frequency.deciles.len()).min().unwrap_or(0);
    let decile = |index: usize| FrequencyClass {
        class: (index + 1).to_string(),
        cosine: all(&|of| of.by_frequency.deciles[index].mean_cosine),
        norm: all(&|of| of.by_frequency.deciles[index].mean_norm),
    };
    let never = FrequencyClass {
        class: "never".to_owned(),
        cosine: all(&|of| of.by_frequency.never.mean_cosine),
        norm: all(&|of| of.by_frequency.never.mean_norm),
    };
    let known = |class: &FrequencyClass| class.cosine.is_some() || class.norm.is_some();
    (0..deciles).map(decile).chain([never]).filter(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosed::tests::{diagnosis, trial};

    #[test]
    fn seeds_are_averaged_at_the_start_and_at_the_end() {
        let mut arm = ArmRecords::empty("a");
        for (seed, shift) in [(0, 0.0), (1, 0.25)] {
            let found = trial(&[diagnosis(0, [0.0, 0.25 + shift]), diagnosis(8, [0.125, 0.5 + shift])]).unwrap();
            arm.diagnosed.insert(seed, found);
        }
        assert!(geometry(&ArmRecords::empty("a")).is_none());
        let found = geometry(&arm).unwrap();
        let (start, end) = (found.start.unwrap(), found.end);
        assert_eq!((start.step, start.layers[1].cosine.mean), (0, 0.375));
        assert_eq!((end.step, end.layers[1].cosine.mean, end.layers[1].cosine.high), (8, 0.625, 0.75));
        assert_eq!(end.layers[1].histogram, [0.375, 0.625]);
        assert_eq!(found.last_cosine.iter().map(|point| point.mean).collect::<Vec<_>>(), [0.375, 0.625]);
        assert_eq!(found.spectrum, [0.75, 0.25]);
        let measure = |name: &str| found.measures.iter().find(|(own, _)| own == name).unwrap().1;
        assert_eq!(measure("mean_cosine_within_last").unwrap().mean, 0.625);
        assert!(measure("isoscore_last").is_none(), "no seed has it");
        assert_eq!(found.by_frequency.len(), 1, "no token never occurs");
        assert_eq!(found.by_frequency[0].norm.unwrap().mean, 2.0);
    }
}
