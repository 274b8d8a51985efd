//! `optimizer:` of `train:`, and the numbers that each optimizer has of its own.

use regatta_core::number::{Count, Fraction, NonNegative, Positive, PositiveFloat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How weights follow their gradients.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerSpec {
    /// Loshchilov & Hutter 2019, arXiv:1711.05101.
    #[serde(rename = "adamw")]
    AdamW(AdamWSpec),
    /// The matrices of the blocks by orthogonalised momentum (Jordan et al. 2024), all else by AdamW.
    Muon(MuonSpec),
    /// AdamW with one second moment for all tokens of a vocabulary (Stollenwerk & Stollenwerk 2025, arXiv:2502.08441).
    CoupledAdam(CoupledAdamSpec),
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self::AdamW(AdamWSpec::default())
    }
}

/// AdamW's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWSpec {
    /// Decays of the first and second moment.
    pub betas: [Fraction; 2],
    /// Added to the root of the second moment.
    pub epsilon: PositiveFloat,
    /// Decay of weights, on tensors of two or more dimensions.
    pub weight_decay: NonNegative,
    /// What the token embedding has of its own; where it is tied, so has the output matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<GroupSpec>,
    /// What an output matrix that is not the embedding has of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unembedding: Option<GroupSpec>,
    /// What learned positions have of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<GroupSpec>,
    /// What the matrices of the blocks have of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrices: Option<GroupSpec>,
    /// What the biases of linear maps have of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub biases: Option<GroupSpec>,
    /// What weights and biases of norms have of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norms: Option<GroupSpec>,
}

impl Default for AdamWSpec {
    fn default() -> Self {
        Self {
            betas: [Fraction::new(0.9), Fraction::new(0.95)],
            epsilon: PositiveFloat::new(1e-8),
            weight_decay: NonNegative::new(0.1),
            embedding: None,
            unembedding: None,
            positions: None,
            matrices: None,
            biases: None,
            norms: None,
        }
    }
}

/// What the tensors of a role have of their own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "GroupFields")]
pub struct GroupSpec {
    /// Peak learning rate, in place of the study's; it follows the same schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<Positive>,
    /// Decay of weights, whatever the number of dimensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<NonNegative>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
struct GroupFields {
    /// Peak learning rate, in place of the study's; it follows the same schedule.
    #[serde(default)]
    lr: Option<Positive>,
    /// Decay of weights, whatever the number of dimensions.
    #[serde(default)]
    weight_decay: Option<NonNegative>,
}

impl TryFrom<GroupFields> for GroupSpec {
    type Error = &'static str;

    fn try_from(GroupFields { lr, weight_decay }: GroupFields) -> Result<Self, Self::Error> {
        match (lr, weight_decay) {
            (None, None) => Err("expected `lr`, `weight_decay` or both, found neither"),
            _ => Ok(Self { lr, weight_decay }),
        }
    }
}

/// Muon's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MuonSpec {
    /// Peak learning rate of the matrices, in place of the study's; it follows the same schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<Positive>,
    /// Decay of the momentum.
    pub momentum: Fraction,
    /// Whether the momentum looks a step ahead.
    pub nesterov: bool,
    /// Newton-Schulz steps.
    pub steps: Count<1, 100>,
    /// How large an update is.
    pub scale: MuonScale,
    /// Decay of the matrices.
    pub weight_decay: NonNegative,
    /// For all other tensors.
    pub adamw: AdamWSpec,
}

impl Default for MuonSpec {
    fn default() -> Self {
        Self {
            lr: None,
            momentum: Fraction::new(0.95),
            nesterov: true,
            steps: Count::new(5),
            scale: MuonScale::MatchRmsAdamw,
            weight_decay: NonNegative::new(0.1),
            adamw: AdamWSpec::default(),
        }
    }
}

/// By what the orthogonal factor of an update is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MuonScale {
    /// `0.2·sqrt(max(inputs, outputs))`: as large as updates of AdamW are, so that its learning rates fit (Liu et al. 2025,
    /// arXiv:2502.16982).
    MatchRmsAdamw,
    /// `sqrt(max(1, outputs/inputs))` (Jordan et al. 2024); rates that fit are some twenty times AdamW's.
    Original,
}

/// Coupled Adam's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CoupledAdamSpec {
    /// Which matrices have one second moment for all their tokens.
    pub coupled: Coupled,
    /// All else about them, and all other tensors.
    pub adamw: AdamWSpec,
}

/// Matrices with a row for each token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coupled {
    /// The token embedding; where it is tied, that is the output matrix too.
    #[default]
    Embedding,
    /// The output matrix, where it is not the embedding.
    Unembedding,
    /// Whatever there is of the two, each by itself.
    Both,
}
