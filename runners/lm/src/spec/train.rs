//! `train:` and `evaluate:` in a study.

use super::{
    CapacitySpec, DiagnosticsSpec, Length, OptimizerSpec, OrNone, QuantisationSpec, Schedule, Steps, TaskSpec, TasksAt, Tokens,
};
use crate::model::Decoder;
use regatta_core::forms::{Choice, bare_or_map};
use regatta_core::number::{Count, Fraction, Positive};
use regatta_kernels::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How every arm is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "TrainFields", into = "TrainFields")]
pub struct TrainSpec {
    /// Tokens a sequence; the model's context where it is not named.
    pub context: Option<Count<2, 1_048_576>>,
    /// How long a trial trains.
    pub length: Length,
    /// Sequences a step.
    pub batch_size: Count<1, 65_536>,
    /// Passes that a step takes them in, a divisor of `batch_size`: the same result in less memory.
    pub accumulate: Count<1, 65_536>,
    /// Peak learning rate.
    pub lr: Positive,
    /// How the learning rate moves.
    pub schedule: Schedule,
    /// How weights follow their gradients.
    pub optimizer: OptimizerSpec,
    /// Largest global norm of the gradient.
    pub grad_clip: OrNone<Positive>,
    /// Rate of dropout on embeddings, attention and residuals.
    pub dropout: Fraction,
    /// To what the factors of products with weight matrices, and of those matrices' gradients, are rounded in a step: f32 or bf16.
    /// All else is float32 all the same: weights, sums, attention, norms, losses, penalties, the optimizer, and every measurement.
    pub precision: Precision,
    /// What is done about a loss far above those of the steps before.
    pub on_spike: OnSpike,
}

/// As users write it: three ways to say how long.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("not" = {"anyOf": [
    {"required": ["steps", "tokens"]},
    {"required": ["steps", "tokens_per_parameter"]},
    {"required": ["tokens", "tokens_per_parameter"]},
]}))]
struct TrainFields {
    /// Tokens per sequence; the model's context where it is not named.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Count<2, 1_048_576>>,
    /// Optimizer steps of a trial. One of `steps`, `tokens` and `tokens_per_parameter` says how long it trains.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Steps>,
    /// Tokens that a trial sees, with K, M or B for thousands, millions or billions: `20M`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
    /// Tokens that a trial sees for each trainable parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_per_parameter: Option<Positive>,
    /// Sequences per step.
    batch_size: Count<1, 65_536>,
    /// Passes that a step takes its batch in, a divisor of `batch_size`: the same result in less memory.
    accumulate: Count<1, 65_536>,
    /// Peak learning rate.
    lr: Positive,
    /// How the learning rate moves over the steps.
    #[serde(deserialize_with = "bare_or_map")]
    #[schemars(with = "Choice<Schedule>")]
    schedule: Schedule,
    /// How weights follow their gradients.
    #[serde(deserialize_with = "bare_or_map")]
    #[schemars(with = "Choice<OptimizerSpec>")]
    optimizer: OptimizerSpec,
    /// Largest global norm of the gradient.
    grad_clip: OrNone<Positive>,
    /// Rate of dropout on embeddings, attention and residuals.
    dropout: Fraction,
    /// To what the factors of products with weight matrices are rounded in a step.
    precision: Precision,
    /// What is done about a loss far above those of the steps before.
    on_spike: OnSpike,
}

impl TryFrom<TrainFields> for TrainSpec {
    type Error = String;

    fn try_from(fields: TrainFields) -> Result<Self, String> {
        let TrainFields { context, steps, tokens, tokens_per_parameter, batch_size, accumulate, lr, .. } = fields;
        let said = [steps.map(Length::Steps), tokens.map(Length::Tokens), tokens_per_parameter.map(Length::TokensPerParameter)];
        let said: Vec<Length> = said.into_iter().flatten().collect();
        let length = match said[..] {
            [] => Self::default().length,
            [length] => length,
            [one, other, ..] => {
                let (one, other) = (one.field(), other.field());
                return Err(format!("expected one of `steps`, `tokens` and `tokens_per_parameter`, found `{one}` and `{other}`"));
            }
        };
        let TrainFields { schedule, optimizer, grad_clip, dropout, precision, on_spike, .. } = fields;
        Ok(Self { context, length, batch_size, accumulate, lr, schedule, optimizer, grad_clip, dropout, precision, on_spike })
    }
}

impl From<TrainSpec> for TrainFields {
    fn from(spec: TrainSpec) -> Self {
        let TrainSpec { context, length, batch_size, accumulate, lr, schedule, optimizer, .. } = spec;
        let TrainSpec { grad_clip, dropout, precision, on_spike, .. } = spec;
        let (mut steps, mut tokens, mut tokens_per_parameter) = (None, None, None);
        match length {
            Length::Steps(count) => steps = Some(count),
            Length::Tokens(count) => tokens = Some(count),
            Length::TokensPerParameter(each) => tokens_per_parameter = Some(each),
        }
        Self {
            context,
            steps,
            tokens,
            tokens_per_parameter,
            batch_size,
            accumulate,
            lr,
            schedule,
            optimizer,
            grad_clip,
            dropout,
            precision,
            on_spike,
        }
    }
}

impl Default for TrainFields {
    fn default() -> Self {
        let fields: Self = TrainSpec::default().into();
        Self { steps: None, ..fields } // none is said
    }
}

impl TrainSpec {
    /// Steps of a trial, whose model has `parameters` where they are known, and sequences of `context` tokens; see
    /// [`Length::steps`].
    ///
    /// # Errors
    /// When they are more than a trial may have.
    pub fn steps(&self, context: usize, parameters: Option<usize>) -> Result<Option<Steps>, String> {
        self.length.steps(self.batch_size.get().saturating_mul(context), parameters)
    }

    /// Steps of a trial of a model.
    ///
    /// # Errors
    /// When they are more than a trial may have.
    pub fn steps_of(&self, decoder: &Decoder) -> Result<Steps, String> {
        let (context, parameters) = (self.context.map_or(decoder.context, Count::get), decoder.parameters());
        Ok(self.steps(context, Some(parameters))?.expect("the parameters are known"))
    }

    /// The same training with its length as a number of steps: the form that identifies its trials.
    pub fn in_steps(self, steps: Steps) -> Self {
        Self { length: Length::Steps(steps), ..self }
    }
}

/// What is done about a step whose loss is a spike; every spike is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSpike {
    /// Nothing more: all arms are trained alike.
    #[default]
    Record,
    /// The step's update is left out.
    Skip,
    /// The trial ends, as one that diverged.
    Stop,
}

impl Default for TrainSpec {
    fn default() -> Self {
        Self {
            context: None,
            length: Length::of_steps(300),
            batch_size: Count::new(16),
            accumulate: Count::new(1),
            lr: Positive::new(1e-3),
            schedule: Schedule::default(),
            optimizer: OptimizerSpec::default(),
            grad_clip: OrNone::Some(Positive::new(1.0)),
            dropout: Fraction::new(0.0),
            precision: Precision::Float32,
            on_spike: OnSpike::Record,
        }
    }
}

/// What is measured, and how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateSpec {
    /// Steps between measurements of the validation loss.
    pub every: Count<1, 100_000_000>,
    /// Windows of a split that are evaluated, spread evenly over it; `none` takes all.
    pub max_windows: OrNone<Count<2, 1_000_000_000>>,
    /// The validation loss, in nats per token, to which arms are compared by the steps and the time that they take; where it is not
    /// named, the baseline's final one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Positive>,
    /// JSONL files of minimal pairs that the trained model is scored on; see [`crate::tasks`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub minimal_pairs: Vec<PathBuf>,
    /// JSONL files of questions with choices that the trained model is scored on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multiple_choice: Vec<PathBuf>,
    /// Tasks that the model is scored on while it trains and at the end, by the names of their columns.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, TaskSpec>,
    /// When the tasks of `tasks` are scored; after the last step they always are.
    #[serde(skip_serializing_if = "TasksAt::is_default")]
    pub tasks_at: TasksAt,
    /// Further text files, by the names of their columns, on which the trained model's loss is measured.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, PathBuf>,
    /// To what the trained weights are rounded before the held-out loss is measured again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<QuantisationSpec>,
    /// How many bits of the biographies the trained model knows; only where the data are biographies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<CapacitySpec>,
    /// When it is measured how the model's points lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<DiagnosticsSpec>,
}

impl Default for EvaluateSpec {
    fn default() -> Self {
        Self {
            every: Count::new(50),
            max_windows: OrNone::Some(Count::new(256)),
            target: None,
            minimal_pairs: Vec::new(),
            multiple_choice: Vec::new(),
            tasks: BTreeMap::new(),
            tasks_at: TasksAt::default(),
            texts: BTreeMap::new(),
            quantisation: None,
            capacity: None,
            diagnostics: None,
        }
    }
}

impl EvaluateSpec {
    /// The same measurements of the loss, and nothing else.
    pub fn of_losses(&self) -> Self {
        Self { every: self.every, max_windows: self.max_windows, ..Self::default() }
    }

    /// Whether tasks are scored before the end too.
    pub fn scores_on_the_way(&self) -> bool {
        !self.tasks.is_empty() && self.tasks_at != TasksAt::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(written: Value) -> Result<TrainSpec, String> {
        serde_json::from_value(written).map_err(|error| error.to_string())
    }

    #[test]
    fn one_field_says_how_long() {
        let steps = |written: Value| read(written).unwrap().steps(16, Some(1_000)).unwrap().unwrap().get();
        assert_eq!([steps(json!({})), steps(json!({"steps": 7}))], [300, 7]);
        assert_eq!(steps(json!({"batch_size": 4, "tokens": "1K"})), 16); // 64 a step
        assert_eq!(steps(json!({"batch_size": 4, "tokens_per_parameter": 2})), 32);
        let both = read(json!({"tokens": "20M", "steps": 3})).unwrap_err();
        assert!(both.contains("found `steps` and `tokens`"), "{both}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let shares = json!({"tokens_per_parameter": 20, "schedule": {"wsd": {"warmup": 0.01}}});
        for written in [json!({}), json!({"tokens": "20M", "optimizer": "muon"}), shares] {
            let spec = read(written).unwrap();
            assert_eq!(read(serde_json::to_value(&spec).unwrap()).as_ref(), Ok(&spec));
        }
    }
}
