//! Regatta's own layout, for models that no family's `config.json` can describe: the fields of a study's `model:`, all spelled out, and
//! our names of tensors. transformers refuses it by its `model_type`.

use super::config::{Fields, SIZE, expected};
use super::stored::Names;
use crate::model::Decoder;
use crate::spec::{Fresh, ModelSpec};
use serde_json::{Map, Value, json};

pub(super) const MODEL_TYPE: &str = "regatta";
pub(super) const NAMES: Names = Names { prefix: "", unembedding: "lm_head", linear: None };

pub(super) fn read(fields: &Fields, config: &Value) -> Result<Decoder, String> {
    let vocab_size = fields.size("vocab_size", SIZE)?;
    let mut model = config.as_object().cloned().unwrap_or_default();
    ["model_type", "vocab_size", "bias_std"].iter().for_each(|field| _ = model.shift_remove(*field));
    let typed = |model: Map<String, Value>| serde_json::from_value::<ModelSpec>(model.into());
    match typed(model.clone()) {
        Ok(ModelSpec::Fresh(fresh)) => Ok(fresh.decoder(vocab_size)),
        Ok(ModelSpec::Init(_)) => Err(fields.refuse("init", "absent")),
        Err(error) => {
            // serde does not say which field has the wrong type; the one that is wrong by itself does.
            let wrong =
                model.iter().find(|(field, value)| typed(Map::from_iter([((*field).clone(), (*value).clone())])).is_err());
            Err(match wrong {
                Some((field, value)) => format!("{}: {error}", expected(field, "as in a study's `model`", value)),
                None => error.to_string(),
            })
        }
    }
}

pub(super) fn write(decoder: &Decoder) -> Value {
    let mut config = json!({"model_type": MODEL_TYPE, "vocab_size": decoder.vocab_size});
    let spec = serde_json::to_value(ModelSpec::Fresh(Fresh { decoder: decoder.clone(), bias_std: 0.0 }));
    let spec = spec.expect("a model is plain data");
    if let (Some(config), Value::Object(fields)) = (config.as_object_mut(), spec) {
        config.extend(fields.into_iter().filter(|(field, _)| field != "bias_std"));
    }
    config
}
