//! What a plan keeps of the data and the model of a variant: all but the tokens themselves.

use crate::identity::Tokens;
use crate::prepare::Prepared;
use regatta_lm::data::Recipe;
use regatta_lm::spec::Steps;
use regatta_lm::tasks::Tasks;
use std::sync::Arc;

/// What a plan keeps of a variant's data, so that the run needs no memory for tokens while its workers train.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    /// How a worker gets the data.
    pub recipe: Arc<Recipe>,
    /// What the tokens must be.
    pub tokens: Tokens,
    pub tasks: Arc<Tasks>,
    /// Steps of a trial.
    pub steps: Steps,
    /// Of the model.
    pub parameters: usize,
    /// That a trial sees.
    pub tokens_seen: usize,
}

impl Supply {
    /// Those of the variants that were prepared, in their order.
    pub fn of(prepared: &[Prepared]) -> Vec<Self> {
        prepared.iter().map(Self::from).collect()
    }
}

impl From<&Prepared> for Supply {
    fn from(prepared: &Prepared) -> Self {
        Self {
            recipe: prepared.recipe.clone(),
            tokens: Tokens::of(&prepared.corpus),
            tasks: prepared.tasks.clone(),
            steps: prepared.steps,
            parameters: prepared.model.parameters(),
            tokens_seen: prepared.tokens(),
        }
    }
}
