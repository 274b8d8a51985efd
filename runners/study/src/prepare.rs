//! Everything that can be refused before the first step is refused here: data, checkpoint, layers, contexts.

use regatta_config::{Refusal, StudyFile, Variant};
use regatta_core::{Plugin, registry};
use regatta_lm::checkpoint::CheckpointError;
use regatta_lm::data::{Cache, Corpus, DataError, Origin, Recipe, Unwatched, Watch};
use regatta_lm::model::Decoder;
use regatta_lm::spec::{DataSpec, EvaluateSpec, ModelSpec, Steps};
use regatta_lm::tasks::{Recall, Tasks};
use regatta_lm::training::check_companion;
use regatta_records::{DataFacts, Manifest, ModelFacts, RecordError};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A variant whose data is loaded and whose parts fit together.
#[derive(Clone)]
pub struct Prepared {
    /// The tokens; variants with the same data share them.
    pub corpus: Arc<Corpus>,
    /// How another process gets them.
    pub recipe: Arc<Recipe>,
    /// What a trained model is scored on.
    pub tasks: Arc<Tasks>,
    /// The model's shape.
    pub model: Decoder,
    /// Tokens of a training sequence.
    pub context: usize,
    /// Sequences per step.
    pub rows: usize,
    /// Steps of a trial.
    pub steps: Steps,
}

/// Loads the data of each variant, in their order, and checks what depends on the data or a checkpoint.
///
/// # Errors
/// With the place in the study's file, when the data is missing, broken or too short, a token id lies outside the vocabulary,
/// a checkpoint, to start from or of an intervention, cannot be used, or a term names a layer that the model does not have.
pub fn prepare(file: &StudyFile) -> Result<Vec<Prepared>, Refusal> {
    prepare_with(file, None, &Unwatched)
}

/// As [`prepare`], but the tokens of text are read from a cache, or written to it. `watch` sees the progress and may stop it.
///
/// # Errors
/// As [`prepare`]; when the cache cannot be written, and when `watch` stops it.
pub fn prepare_with(file: &StudyFile, cache: Option<&Cache>, watch: &dyn Watch) -> Result<Vec<Prepared>, Refusal> {
    let mut loaded = Loaded { data: HashMap::new(), models: HashMap::new(), cache, watch };
    file.variants().iter().map(|variant| prepare_variant(file, variant, &mut loaded)).collect()
}

/// The field that an error of the data is reported for.
fn at_fault(error: &DataError) -> &'static str {
    match error {
        DataError::NoTokenizer { .. } => "model.init",
        DataError::OtherTokenizer { .. } => "tokenizer",
        DataError::Separator { .. } => "data.text.separator",
        _ => "data",
    }
}

/// What variants share.
struct Loaded<'a> {
    /// By what they depend on.
    data: HashMap<String, Data>,
    /// Models of checkpoint folders whose weights were checked.
    models: HashMap<PathBuf, Decoder>,
    cache: Option<&'a Cache>,
    watch: &'a dyn Watch,
}

/// Tokens, how to get them again, and tasks.
type Data = (Arc<Corpus>, Arc<Recipe>, Arc<Tasks>);

impl Loaded<'_> {
    fn model(&mut self, folder: &Path) -> Result<Decoder, CheckpointError> {
        if let Some(known) = self.models.get(folder) {
            return Ok(known.clone());
        }
        let checked = Decoder::check(folder)?;
        self.models.insert(folder.to_owned(), checked.clone());
        Ok(checked)
    }
}

fn prepare_variant(file: &StudyFile, variant: &Variant, loaded: &mut Loaded<'_>) -> Result<Prepared, Refusal> {
    let study = &variant.study;
    let of_checkpoint = match &study.model {
        ModelSpec::Fresh(_) => None,
        ModelSpec::Init(folder) => {
            let refuse = |error: CheckpointError| file.refuse_variant(variant, "model.init", error);
            Some(loaded.model(folder).map_err(refuse)?)
        }
    };
    if let Some(config) = &of_checkpoint {
        file.check_variant(variant, config)?;
    }
    let origin = match (&study.model, &of_checkpoint) {
        (ModelSpec::Init(folder), Some(config)) => Some(Origin { folder: folder.clone(), vocab_size: config.vocab_size }),
        _ => None,
    };
    let model = |vocab_size| match (&study.model, &of_checkpoint) {
        (ModelSpec::Fresh(fresh), _) => fresh.decoder(vocab_size),
        (ModelSpec::Init(_), Some(config)) => config.clone(),
        (ModelSpec::Init(_), None) => unreachable!("the checkpoint's config was read above"),
    };
    let context = study.train.context.map_or_else(|| model(1).context, |context| context.get());
    let (corpus, recipe, tasks) = load(file, variant, origin.as_ref(), context, loaded)?;
    let model = model(corpus.vocab_size);
    let too_many = |error| file.refuse_variant(variant, &format!("train.{}", study.train.length.field()), error);
    let steps = study.train.steps_of(&model).map_err(too_many)?;
    file.check_trained(variant, &model, steps)?;
    let prepared = Prepared { corpus, recipe, tasks, model, context, rows: study.train.batch_size.get(), steps };
    prepared.check_context(file, variant)?;
    prepared.check_interventions(file, variant, loaded)?;
    Ok(prepared)
}

/// The tokens and tasks of a variant, loaded once for all variants with the same data, tokenizer and checkpoint.
fn load(
    file: &StudyFile,
    variant: &Variant,
    origin: Option<&Origin>,
    context: usize,
    loaded: &mut Loaded<'_>,
) -> Result<Data, Refusal> {
    let study = &variant.study;
    let start = origin.map(|origin| (&origin.folder, origin.vocab_size));
    let key = serde_json::json!([study.data, study.tokenizer, start]).to_string();
    if let Some(data) = loaded.data.get(&key) {
        return Ok(data.clone());
    }
    let refuse = |error: DataError| file.refuse_variant(variant, at_fault(&error), error);
    let cache = loaded.cache.map(|cache| cache.for_windows_of(context));
    let tokenizer = study.tokenizer.as_ref();
    let corpus = Corpus::load_with(&study.data, tokenizer, origin, cache.as_ref(), loaded.watch).map_err(refuse)?;
    let recipe = Recipe::of(&corpus, &study.data, tokenizer, (origin, cache.as_ref())).map_err(refuse)?;
    let refuse_task = |(field, message)| file.refuse_variant(variant, &format!("evaluate.{field}"), message);
    let tasks = read_tasks(&study.evaluate, &corpus).map_err(refuse_task)?;
    let data = (Arc::new(corpus), Arc::new(recipe), Arc::new(tasks));
    Ok(loaded.data.entry(key).or_insert(data).clone())
}

/// The tasks that `evaluate` asks for.
///
/// # Errors
/// The field of `evaluate` at fault, and what is wrong with it.
pub(crate) fn read_tasks(evaluate: &EvaluateSpec, corpus: &Corpus) -> Result<Tasks, (String, String)> {
    let tasks = Tasks::read(evaluate, corpus.tokenizer.as_ref());
    let mut tasks = tasks.map_err(|(field, error)| (field.to_string(), error.to_string()))?;
    if let (Some(spec), Some(people), Some(tokenizer)) = (&evaluate.capacity, &corpus.biographies, &corpus.tokenizer) {
        let recall = Recall::new(people, tokenizer, spec);
        tasks.recall = Some(recall.map_err(|error| ("capacity".to_owned(), error.to_string()))?);
    }
    Ok(tasks)
}

impl Prepared {
    /// Whether the data, the texts and the longest question fit the context.
    fn check_context(&self, file: &StudyFile, variant: &Variant) -> Result<(), Refusal> {
        let context = self.context;
        self.corpus.check(context).map_err(|error| file.refuse_variant(variant, "data", error))?;
        for text in &self.tasks.texts {
            let fills = text.split.check(context);
            fills.map_err(|error| file.refuse_variant(variant, &format!("evaluate.texts.{}", text.name), error))?;
        }
        match self.tasks.recall.as_ref().map(Recall::longest).filter(|&longest| longest > context) {
            None => Ok(()),
            Some(longest) => {
                let expected = format!("expected a context of at least {longest} tokens, those of the longest sentence");
                Err(file.refuse_variant(variant, "evaluate.capacity", format!("{expected}, found {context}")))
            }
        }
    }

    /// Whether each companion fits the model and the data.
    fn check_interventions(&self, file: &StudyFile, variant: &Variant, loaded: &mut Loaded<'_>) -> Result<(), Refusal> {
        for (place, plugin) in variant.arm().listed_interventions() {
            let mut folders = variant.arm().folders().filter(|(other, ..)| *other == place);
            let field = folders.next().map(|(_, _, field, _)| format!(".{field}")).unwrap_or_default();
            let path = format!("arms.{}.{place}.intervention.{}{field}", variant.arm, plugin.name());
            let used = check_companion(&*plugin.0, &self.model, self.context, |folder| loaded.model(folder));
            let used = used.map_err(|error| file.refuse_variant(variant, &path, error))?;
            if let Some(folder) = used {
                let known = self.corpus.check_second(&variant.study.data, &folder);
                known.map_err(|error| file.refuse_variant(variant, &path, error))?;
            }
        }
        Ok(())
    }

    /// Tokens of a trial.
    pub fn tokens(&self) -> usize {
        self.steps.get() * self.rows * self.context
    }

    /// Program, machine, model and data of the results.
    ///
    /// # Errors
    /// When two linked crates register a plugin of the same name.
    pub fn manifest(&self, file: &StudyFile) -> Result<Manifest, RecordError> {
        let cards = registry::cards().map_err(|error| RecordError::new(Path::new("manifest.json"), error))?;
        let versions = |names: &mut dyn Iterator<Item = &'static str>| -> BTreeMap<String, String> {
            names.map(|name| (name.to_owned(), cards.get(name).map_or("", |card| card.version).to_owned())).collect()
        };
        let arms = &file.study.arms;
        let regularizers = versions(&mut arms.iter().flat_map(|arm| &arm.terms).map(|term| term.regularizer.name()));
        let interventions = versions(&mut arms.iter().flat_map(|arm| &arm.interventions).map(Plugin::name));
        let config = &self.model;
        Ok(Manifest {
            program: Manifest::this_program(),
            regularizers,
            interventions,
            platform: Manifest::this_platform(),
            processor: Manifest::this_processor(),
            instructions: Some(regatta_core::simd::level()),
            threads: rayon::current_num_threads(),
            model: ModelFacts {
                words: Some(config.words()),
                layers: config.layers,
                width: config.width,
                heads: config.heads,
                context: self.context,
                vocab_size: config.vocab_size,
                parameters: config.parameters(),
            },
            data: DataFacts {
                source: source(&file.study.data),
                train_tokens: self.corpus.train.tokens.len(),
                validation_tokens: self.corpus.validation.tokens.len(),
                test_tokens: self.corpus.test.as_ref().map(|split| split.tokens.len()),
                fingerprint: self.corpus.fingerprint.clone(),
            },
            device: None,
            mismatches: Vec::new(),
        })
    }
}

fn source(data: &DataSpec) -> String {
    match data {
        DataSpec::Synthetic(_) => "synthetic".into(),
        DataSpec::Biographies(_) => "biographies".into(),
        DataSpec::Text(_) => "text".into(),
        DataSpec::Tokens(_) => "token files".into(),
    }
}
