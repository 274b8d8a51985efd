//! Checks across the sections of a study, and against the memory of the machine.

use super::refusal::Misfit;
use super::{Study, pattern, schedules};
use regatta_core::number::Count;
use regatta_core::{Action, Companion, Compared};
use regatta_lm::model::{Decoder, Role};
use regatta_lm::spec::{DataSpec, Length, ModelSpec, Points, TaskForm, TokenizerSpec};
use std::collections::HashSet;

/// Parameters that a model may have.
const MAX_PARAMETERS: u128 = 1 << 31;
/// f32 weights and gradients.
const BYTES_PER_PARAMETER: u128 = 8;

/// Checks the whole study; `memory` is the machine's, in bytes, where it is known.
///
/// # Errors
/// At the first thing that does not fit.
pub(super) fn check(study: &Study, memory: Option<u128>) -> Result<(), Misfit> {
    names(study)?;
    pooled(study)?;
    views(study)?;
    labels(study)?;
    accumulation(study)?;
    interventions(study)?;
    schedules::rates(study)?;
    length(study)?;
    tuning(study)?;
    capacity(study)?;
    tasks(study)?;
    if let ModelSpec::Fresh(fresh) = &study.model {
        context(study, fresh.decoder.context)?;
        places(study, &fresh.decoder)?;
        schedules::optimizer(study, &fresh.decoder)?;
    }
    study.size().map_or(Ok(()), |size| fits(size, memory))
}

/// Checks of steps, where their number is known before the data are read.
fn length(study: &Study) -> Result<(), Misfit> {
    let context = match (study.train.length, study.train.context) {
        (Length::Tokens(_), None) => return Ok(()), // the checkpoint's context, which is read later
        (_, context) => context.map_or(1, Count::get),
    };
    let steps = study.train.steps(context, None);
    match steps.map_err(|message| Misfit::new(["train", study.train.length.field()], message))? {
        Some(steps) => schedules::timing(study, steps),
        None => Ok(()),
    }
}

/// Names are used for folders.
fn names(study: &Study) -> Result<(), Misfit> {
    let name = &study.name;
    let bad = name.trim().is_empty() || name.starts_with('.') || name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\'));
    if bad || name.chars().count() > 64 {
        let expected = "expected a name for a folder: 1 to 64 characters, no slash, no dot in front";
        return Err(Misfit::new(["name"], format!("{expected}, found {name:?}")));
    }
    let arms = study.arms.iter().map(|arm| (vec!["arms", &arm.name], &arm.name));
    let texts = study.evaluate.texts.keys().map(|name| (vec!["evaluate", "texts", name], name)); // and columns of results
    let tasks = study.evaluate.tasks.keys().map(|name| (vec!["evaluate", "tasks", name], name));
    for (path, name) in arms.chain(texts).chain(tasks) {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(legal) {
            let expected = "expected a name of 1 to 64 letters, digits, `.`, `_` or `-`, no dot in front";
            return Err(Misfit::new(path, format!("{expected}, found {name:?}")));
        }
    }
    Ok(())
}

/// Tuning and comparison have different seeds, and what is tuned does not vary.
fn tuning(study: &Study) -> Result<(), Misfit> {
    let Some(tune) = &study.tune else { return Ok(()) };
    let compared: HashSet<u64> = study.seeds.iter().copied().collect();
    if let Some(seed) = tune.seeds.iter().find(|seed| compared.contains(seed)) {
        let why = "an arm is not compared on the seeds that it was tuned on";
        let message = format!("expected seeds that the study does not have, found {seed} in its `seeds`: {why}");
        return Err(Misfit::new(["tune", "seeds"], message));
    }
    let Some(vary) = &study.vary else { return Ok(()) };
    let whole = study.plain();
    for path in vary.paths() {
        let fields = pattern::fields(&whole, path).unwrap_or_default(); // what is no path is refused with its place, later
        let writes = |section: &str, depth: usize, name: &str| {
            fields.iter().any(|field| field[0] == section && field.get(depth).is_none_or(|step| step == name))
        };
        let (lr, weight) = (writes("train", 1, "lr"), writes("arms", 3, "weight"));
        let both = [("lr", lr && tune.lr.is_some()), ("weight", weight && tune.weight.is_some())];
        if let Some((field, _)) = both.iter().find(|(_, both)| *both) {
            let message = format!("expected what does not vary, found that `vary` has `{path}`: tune it or vary it");
            return Err(Misfit::new(["tune", field], message));
        }
    }
    Ok(())
}

/// What of a task has no effect.
fn tasks(study: &Study) -> Result<(), Misfit> {
    let evaluate = &study.evaluate;
    if evaluate.tasks.is_empty() && !evaluate.tasks_at.is_default() {
        return Err(Misfit::new(["evaluate", "tasks_at"], "expected `tasks` beside it, found none"));
    }
    for (name, task) in &evaluate.tasks {
        let around = [
            ("few_shot", task.few_shot.is_some()),
            ("description", !task.description.is_empty()),
            ("target_delimiter", task.target_delimiter != " "),
        ];
        if let Some((field, _)) = around.iter().find(|(_, said)| *said && task.form == TaskForm::Rolling) {
            let message = format!("expected nothing around the documents of a rolling perplexity, found `{field}`");
            return Err(Misfit::new(["evaluate", "tasks", name, field], message));
        }
    }
    Ok(())
}

/// Only the facts of `biographies` are known, so only their bits can be counted.
fn capacity(study: &Study) -> Result<(), Misfit> {
    let found = match &study.data {
        DataSpec::Biographies(_) => return Ok(()),
        DataSpec::Synthetic(_) => "synthetic",
        DataSpec::Text(_) => "text",
        DataSpec::Tokens(_) => "tokens",
    };
    match study.evaluate.capacity {
        Some(_) => Err(Misfit::new(["evaluate", "capacity"], format!("expected `data` that are `biographies`, found `{found}`"))),
        None => Ok(()),
    }
}

/// A pooled sequence is one point, and a cloud needs two.
fn pooled(study: &Study) -> Result<(), Misfit> {
    for arm in &study.arms {
        for (index, term) in arm.listed_terms() {
            if term.at.points == Points::Pooled && study.train.batch_size.get() < 2 {
                let message = "expected a `train.batch_size` of at least 2 for `pooled`, one point per sequence, found 1";
                return Err(Misfit::new(["arms", &arm.name, &index.to_string(), "at", "points"], message));
            }
        }
    }
    Ok(())
}

/// All micro-batches of a step have the same size.
fn accumulation(study: &Study) -> Result<(), Misfit> {
    let (batch, passes) = (study.train.batch_size.get(), study.train.accumulate.get());
    if !batch.is_multiple_of(passes) {
        let message = format!("expected a divisor of `train.batch_size`, {batch}, found {passes}");
        return Err(Misfit::new(["train", "accumulate"], message));
    }
    Ok(())
}

/// A point has a next token where it is a token.
fn labels(study: &Study) -> Result<(), Misfit> {
    for arm in &study.arms {
        for (index, term) in arm.listed_terms().filter(|(_, term)| term.regularizer.0.needs_labels()) {
            let (name, index) = (term.regularizer.name(), index.to_string());
            let why = "depends on the next token of each point";
            let misfit = |field: &str, message: String| Misfit::new(["arms", &arm.name, &index, "at", field], message);
            if term.at.site.is_matrix() {
                let expected =
                    format!("expected `hidden_states`, `attention` or `mlp` for `{name}`, which {why}, found a weight matrix");
                return Err(misfit("site", expected));
            }
            if term.at.points == Points::Pooled {
                return Err(misfit("points", format!("expected `tokens` or `batch` for `{name}`, which {why}, found `pooled`")));
            }
        }
    }
    Ok(())
}

/// The second view of a point comes from another dropout mask. So there must be dropout, and the points cannot be the rows of a
/// weight matrix.
fn views(study: &Study) -> Result<(), Misfit> {
    for arm in &study.arms {
        for (index, term) in arm.listed_terms().filter(|(_, term)| term.regularizer.0.needs_view()) {
            let name = term.regularizer.name();
            let index = index.to_string();
            if term.at.site.is_matrix() {
                let message = format!(
                    "expected `hidden_states`, `attention` or `mlp` for `{name}`, which compares two views of each point, found \
                     a weight matrix: its rows have no second view"
                );
                return Err(Misfit::new(["arms", &arm.name, &index, "at", "site"], message));
            }
            if study.train.dropout.get() == 0.0 {
                let message = format!(
                    "expected a `train.dropout` above 0 for `{name}` as it is set here, which compares two views of each point, \
                     made by two dropout masks; found 0: set `train.dropout: 0.1`, for all arms alike"
                );
                return Err(Misfit::new(["arms", &arm.name, &index, "regularizer"], message));
            }
        }
    }
    Ok(())
}

/// An arm has at most one intervention that resets the embedding, one that rounds weights and one that gates the gradient of the
/// output matrix: of two, only one could act.
fn interventions(study: &Study) -> Result<(), Misfit> {
    for arm in &study.arms {
        let (mut forgets, mut rounds, mut gates) = (None, None, None);
        for (index, plugin) in arm.listed_interventions() {
            let name = plugin.name();
            let index = index.to_string();
            let misfit = |message: String| Misfit::new(["arms", &arm.name, &index, "intervention"], message);
            let (before, what) = match plugin.0.action() {
                Some(Action::EmbeddingReset { .. }) => (&mut forgets, "forgets the embedding"),
                Some(Action::WeightRounding(_)) => (&mut rounds, "rounds weights"),
                Some(Action::OutputGate(_)) => (&mut gates, "gates the gradient of the output matrix"),
                Some(
                    Action::EmbeddingNoise(_) | Action::Objective(_) | Action::LogNormalizer { .. } | Action::OutputUpdate(_),
                )
                | None => continue,
            };
            if let Some(before) = before.replace(name) {
                let message = format!("expected one intervention of an arm that {what}, found `{name}` after `{before}`");
                return Err(misfit(message));
            }
        }
    }
    Ok(())
}

/// Whether `train.context` fits in `positions`.
pub(super) fn context(study: &Study, positions: usize) -> Result<(), Misfit> {
    match study.train.context.map(|context| context.get()) {
        Some(context) if context > positions => {
            let message = format!("expected at most the model's context of {positions}, found {context}");
            Err(Misfit::new(["train", "context"], message))
        }
        _ => Ok(()),
    }
}

/// Whether every term finds its place in the model.
pub(super) fn places(study: &Study, model: &Decoder) -> Result<(), Misfit> {
    for arm in &study.arms {
        for (index, term) in arm.listed_terms() {
            let misfit = |(field, message)| Misfit::new(["arms", &arm.name, &index.to_string(), "at", field], message);
            term.at.check(model).map_err(misfit)?;
        }
    }
    Ok(())
}

/// An estimate of what a trial needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Trainable parameters.
    pub parameters: u128,
    /// Bytes of memory.
    pub bytes: u128,
}

impl Study {
    /// An estimate of what a trial needs; `None` for a model that starts from a checkpoint, which is read later. A vocabulary that
    /// only the data know is left out.
    ///
    /// ```text
    /// bytes = 8 parameters + 4 state + 4 tokens (inputs and outputs of linear maps + layers heads context + 2 v)
    /// ```
    /// - Tokens are those of one pass: of a micro-batch where gradients are accumulated. Then whole-batch clouds and the gradients of
    ///   a micro-batch are kept too.
    /// - State is the optimizer's: two numbers per parameter for AdamW.
    /// - A second view needs as much again for its layers, and 4 bytes per parameter.
    /// - Rounded weights need 4 bytes per parameter, and so does a moving average.
    /// - An objective on logits keeps those of both models and their gradient.
    pub fn size(&self) -> Option<Size> {
        let ModelSpec::Fresh(fresh) = &self.model else { return None };
        let decoder = fresh.decoder(self.vocabulary().unwrap_or(0));
        let of_maps = decoder.sum(|spec| match (spec.role, &spec.shape[..]) {
            (Role::Matrix(_), &[inputs, outputs]) => (inputs + outputs) as u128,
            _ => 0,
        });
        let sizes = [decoder.layers, decoder.heads, decoder.context, decoder.vocab_size, decoder.width].map(|size| size as u128);
        let ([layers, heads, positions, vocabulary, width], parameters) = (sizes, decoder.numbers());
        let context = self.train.context.map_or(positions, |context| context.get() as u128);
        let passes = self.train.accumulate.get() as u128;
        let batch = self.train.batch_size.get() as u128 * context;
        let tokens = batch.div_ceil(passes); // of one pass
        let views = self.arms.iter().flat_map(|arm| &arm.terms).any(|term| term.regularizer.0.needs_view());
        let second = u128::from(views);
        let any = |is: fn(Action<'_>) -> bool| {
            let interventions = self.arms.iter().flat_map(|arm| &arm.interventions);
            u128::from(interventions.filter_map(|plugin| plugin.0.action()).any(is))
        };
        let rounds = any(|action| matches!(action, Action::WeightRounding(_)));
        let averages =
            any(|action| matches!(action, Action::Objective(it) if matches!(it.companion(), Companion::MovingAverage { .. })));
        let compares_logits = any(|action| matches!(action, Action::Objective(it) if it.compared() == Compared::Logits));
        let outputs = (2 + 3 * compares_logits) * vocabulary;
        let activations = tokens * ((1 + second) * (of_maps + layers * heads * context) + outputs) * 4;
        let whole = self.arms.iter().flat_map(|arm| &arm.terms).any(|term| term.at.sees_whole_batch());
        let gathered = if passes > 1 && whole { 4 * batch * (1 + second) * layers * width } else { 0 };
        let state = 4 * self.train.optimizer.state(&decoder) as u128;
        let room = u128::from(views || passes > 1); // the gradients of every pass but the first
        let copies = 4 * (room + rounds + averages);
        Some(Size { parameters, bytes: (BYTES_PER_PARAMETER + copies) * parameters + state + activations + gathered })
    }

    /// Size of the vocabulary, where the study says so.
    fn vocabulary(&self) -> Option<usize> {
        match (&self.tokenizer, &self.data) {
            (_, DataSpec::Tokens(tokens)) => tokens.vocab_size.map(|count| count.get()),
            (Some(TokenizerSpec::Bytes), _) => Some(256),
            (Some(TokenizerSpec::Bpe(bpe)), _) => Some(bpe.vocab_size.get()),
            (None, DataSpec::Synthetic(synthetic)) => Some(synthetic.vocab_size.get()),
            _ => None,
        }
    }
}

fn fits(size: Size, memory: Option<u128>) -> Result<(), Misfit> {
    if size.parameters > MAX_PARAMETERS {
        let message = format!("expected a model of at most {MAX_PARAMETERS} parameters, found {}", size.parameters);
        return Err(Misfit::new(["model"], message));
    }
    match memory {
        Some(memory) if size.bytes > memory => {
            let gigabytes = |bytes: u128| format!("{:.1} GB", bytes as f64 / 1e9);
            let message = format!(
                "expected a trial that fits in this machine's {}, found about {}: weights, gradients and the optimizer's \
                 state of {} parameters, and the activations of a batch; a smaller model, `train.batch_size` or `train.context` takes less",
                gigabytes(memory),
                gigabytes(size.bytes),
                size.parameters
            );
            Err(Misfit::new(["model"], message))
        }
        _ => Ok(()),
    }
}

/// The machine's memory in bytes, where the system says.
pub(super) fn memory() -> Option<u128> {
    let report = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = report.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<u128>().ok().map(|kibibytes| kibibytes * 1024)
}
