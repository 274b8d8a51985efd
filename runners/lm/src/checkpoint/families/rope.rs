//! Rotary positions in `config.json`. transformers 5 has one map, `rope_parameters`; before, `rope_theta` stood beside a map
//! `rope_scaling`, and every later version reads that too. So it is what is written.

use super::config::{Fields, SIZE};
use crate::model::{Decoder, Positions, Rotary, RotaryScaling};
use serde_json::{Map, Value, json};

/// What a family calls the fields that stand outside of the maps.
pub(super) struct Outside {
    pub theta: &'static str,
    pub fraction: &'static str,
    /// Where no fraction is said.
    pub whole: f64,
}

/// Of Llama and its kin, which rotate whole heads.
pub(super) const LLAMA: Outside = Outside { theta: "rope_theta", fraction: "partial_rotary_factor", whole: 1.0 };

pub(super) fn read(fields: &Fields, outside: &Outside, context: usize) -> Result<Rotary, String> {
    let map = match fields.within("rope_scaling")? {
        Some(map) => Some((map, "rope_scaling")),
        None => fields.within("rope_parameters")?.map(|map| (map, "rope_parameters")),
    };
    let theta = fields.positive(outside.theta, Some(Rotary::default().theta))?;
    let fraction = fields.positive(outside.fraction, Some(outside.whole))?;
    let (theta, fraction, scaling) = match &map {
        None => (theta, fraction, None),
        Some((map, field)) => {
            if map.nested().is_some() {
                return Err(fields.refuse(field, "one set of fields for all layers"));
            }
            let theta = map.positive("rope_theta", Some(theta))?;
            (theta, map.positive("partial_rotary_factor", Some(fraction))?, scaling(map, fields, context)?)
        }
    };
    if fraction > 1.0 {
        let inside = map.as_ref().map(|(map, _)| map).filter(|map| map.get("partial_rotary_factor").is_some());
        return Err(match inside {
            Some(map) => map.refuse("partial_rotary_factor", "at most 1"),
            None => fields.refuse(outside.fraction, "at most 1"),
        });
    }
    Ok(Rotary { theta, fraction, scaling })
}

fn scaling(map: &Fields, fields: &Fields, context: usize) -> Result<Option<RotaryScaling>, String> {
    let field = if map.get("rope_type").is_some() { "rope_type" } else { "type" };
    if !map.choice(field, &[("default", false), ("llama3", true)], Some("default"))? {
        return Ok(None);
    }
    let [factor, low_frequency, high_frequency] =
        ["factor", "low_freq_factor", "high_freq_factor"].map(|field| map.positive(field, None));
    let (factor, low_frequency, high_frequency) = (factor?, low_frequency?, high_frequency?);
    if high_frequency <= low_frequency {
        return Err(map.refuse("high_freq_factor", "above `low_freq_factor`"));
    }
    let field = "original_max_position_embeddings";
    let original = map.optional_size(field, SIZE)?;
    let original_context = original.or(fields.optional_size(field, SIZE)?).unwrap_or(context);
    Ok(Some(RotaryScaling { factor, low_frequency, high_frequency, original_context }))
}

/// The fields of a decoder's rotary positions; a family whose fraction is always 1 has no field for it.
pub(super) fn write(decoder: &Decoder, outside: &Outside, config: &mut Map<String, Value>) {
    let Positions::Rotary(Rotary { theta, fraction, scaling }) = decoder.positions else { return };
    config.insert(outside.theta.into(), theta.into());
    if outside.whole != 1.0 {
        config.insert(outside.fraction.into(), fraction.into());
    }
    if let Some(scaling) = scaling {
        let map = json!({
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_frequency,
            "high_freq_factor": scaling.high_frequency,
            "original_max_position_embeddings": scaling.original_context,
        });
        config.insert("rope_scaling".into(), map);
    }
}
