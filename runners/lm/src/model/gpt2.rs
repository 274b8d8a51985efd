//! GPT-2: learned positions, pre-norm blocks, tanh-GELU, tied embeddings. Radford et al. 2019.

use super::Gpt2Config;
use super::initial::initial;
use crate::ops::{Dropout, causal_attention, dropout, gelu, layer_norm, linear, unembed};
use candle_core::{Device, Module, Result, Tensor, Var, bail};
use candle_nn::Embedding;
use std::collections::BTreeMap;

/// A GPT-2 whose tensors can be trained.
pub struct Gpt2 {
    config: Gpt2Config,
    /// By Hugging Face's name without `transformer.`; a sorted map, so that sums over tensors have one order.
    parameters: BTreeMap<String, Var>,
    blocks: Vec<Block>,
}

/// The tensors of one forward pass that a penalty or a diagnostic can see.
pub struct Activations {
    /// (b·t, v)
    pub logits: Tensor,
    /// As Hugging Face counts them: the embedding, each block's output, the last of them after the final norm; of a model
    /// without blocks, the normed embedding alone. (b, t, d) each
    pub hidden_states: Vec<Tensor>,
    /// What each block's attention adds to the residual stream. (b, t, d) each
    pub attention: Vec<Tensor>,
    /// What each block's MLP adds to the residual stream. (b, t, d) each
    pub mlp: Vec<Tensor>,
}

struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, self.epsilon)
    }
}

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, &self.bias)
    }
}

struct Block {
    ln_1: Norm,
    c_attn: Linear,
    attn_proj: Linear,
    ln_2: Norm,
    c_fc: Linear,
    mlp_proj: Linear,
}

impl Block {
    fn new(parameters: &BTreeMap<String, Var>, layer: usize, epsilon: f64) -> Self {
        let tensor = |name: &str| parameters[&format!("h.{layer}.{name}")].as_tensor().clone();
        let norm =
            |name: &str| Norm { weight: tensor(&format!("{name}.weight")), bias: tensor(&format!("{name}.bias")), epsilon };
        let linear = |name: &str| Linear { weight: tensor(&format!("{name}.weight")), bias: tensor(&format!("{name}.bias")) };
        Self {
            ln_1: norm("ln_1"),
            c_attn: linear("attn.c_attn"),
            attn_proj: linear("attn.c_proj"),
            ln_2: norm("ln_2"),
            c_fc: linear("mlp.c_fc"),
            mlp_proj: linear("mlp.c_proj"),
        }
    }
}

impl Gpt2 {
    /// A fresh model; equal seeds give equal bits.
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn fresh(config: Gpt2Config, seed: u64, device: &Device) -> Result<Self> {
        let mut parameters = BTreeMap::new();
        for (name, shape) in config.shapes() {
            let var = Var::from_tensor(&initial(&config, &name, &shape, seed, device)?)?;
            parameters.insert(name, var);
        }
        Ok(Self::from_parameters(config, parameters))
    }

    /// A model of given tensors, which are those of [`Gpt2Config::shapes`].
    pub(super) fn from_parameters(config: Gpt2Config, parameters: BTreeMap<String, Var>) -> Self {
        let blocks = (0..config.n_layer).map(|layer| Block::new(&parameters, layer, config.layer_norm_epsilon)).collect();
        Self { config, parameters, blocks }
    }

    /// Its shape.
    pub fn config(&self) -> &Gpt2Config {
        &self.config
    }

    /// Everything that training changes, by name, in sorted order.
    pub fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.parameters
    }

    /// The token embedding (v, d), which is the output matrix too.
    pub fn embedding(&self) -> &Tensor {
        &self.parameters["wte.weight"]
    }

    /// One pass over token ids (b, t), with dropout on embeddings, attention and residuals where it is given.
    ///
    /// # Errors
    /// When t exceeds the positions or an id the vocabulary.
    pub fn forward(&self, ids: &Tensor, drop: Option<&Dropout>) -> Result<Activations> {
        let (b, t) = ids.dims2()?;
        let d = self.config.n_embd;
        if t > self.config.n_positions {
            bail!("a sequence of {t} tokens in a model of {} positions", self.config.n_positions)
        }
        let mut places = 0;
        let mut maybe_drop = |x: Tensor| match drop {
            Some(drop) => {
                places += 1;
                dropout(&x, &drop.at(places))
            }
            None => Ok(x),
        };

        let tokens = Embedding::new(self.embedding().clone(), d).forward(ids)?; // (b, t, d)
        let positions = self.parameters["wpe.weight"].narrow(0, 0, t)?; // (t, d)
        let mut x = maybe_drop(tokens.broadcast_add(&positions)?)?;
        let mut seen = Activations { logits: x.clone(), hidden_states: vec![], attention: vec![], mlp: vec![] };
        for (layer, block) in self.blocks.iter().enumerate() {
            seen.hidden_states.push(x.clone());

            let qkv = block.c_attn.forward(&block.ln_1.forward(&x)?.reshape((b * t, d))?)?; // (b·t, 3d)
            let mixed = causal_attention(
                &qkv.reshape((b, t, 3 * d))?,
                self.config.n_head,
                drop.map(|drop| drop.at(1 << 32 | layer as u64)),
            )?;
            let attention = maybe_drop(block.attn_proj.forward(&mixed.reshape((b * t, d))?)?.reshape((b, t, d))?)?;
            x = (x + &attention)?;

            let hidden = gelu(&block.c_fc.forward(&block.ln_2.forward(&x)?.reshape((b * t, d))?)?)?; // (b·t, 4d)
            let mlp = maybe_drop(block.mlp_proj.forward(&hidden)?.reshape((b, t, d))?)?;
            x = (x + &mlp)?;

            seen.attention.push(attention);
            seen.mlp.push(mlp);
        }
        let final_norm = Norm {
            weight: self.parameters["ln_f.weight"].as_tensor().clone(),
            bias: self.parameters["ln_f.bias"].as_tensor().clone(),
            epsilon: self.config.layer_norm_epsilon,
        };
        x = final_norm.forward(&x)?;
        seen.logits = unembed(&x.reshape((b * t, d))?, self.embedding())?; // (b·t, v)
        seen.hidden_states.push(x);
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::cross_entropy;
    use crate::spec::Gpt2Spec;
    use regatta_core::Draw;

    fn model(layers: usize) -> Gpt2 {
        let spec = Gpt2Spec { layers, width: 16, heads: 2, context: 8, mlp_width: 64 };
        Gpt2::fresh(Gpt2Config::new(&spec, 11), 0, &Device::Cpu).unwrap()
    }

    fn ids() -> Tensor {
        Tensor::new(&[[1u32, 2, 3, 4, 5, 6], [7, 8, 9, 10, 0, 1]], &Device::Cpu).unwrap()
    }

    #[test]
    fn every_tensor_gets_a_gradient() {
        for layers in [0, 2] {
            let model = model(layers);
            for drop in [None, Some(Dropout::new(0.1, Draw::new(0, "dropout", 0, 0)))] {
                let logits = model.forward(&ids(), drop.as_ref()).unwrap().logits;
                let targets = vec![2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2];
                let grads = cross_entropy(&logits, targets).unwrap().mean_all().unwrap().backward().unwrap();
                for (name, var) in model.parameters() {
                    let grad = grads.get(var).unwrap_or_else(|| panic!("{name} gets no gradient"));
                    let largest = grad.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                    assert!(largest > 0.0, "the gradient of {name} is zero");
                }
            }
        }
    }

    #[test]
    fn parameters_are_counted_by_hand() {
        // embeddings 11·16 + 8·16 = 304; a block 12·16² + 13·16 = 3280; the final norm 32
        assert_eq!(model(2).config().parameters(), 304 + 2 * 3280 + 32);
        assert_eq!(model(0).config().parameters(), 304 + 32);
    }

    #[test]
    fn hidden_states_are_counted_as_hugging_face_counts() {
        let seen = model(2).forward(&ids(), None).unwrap();
        assert_eq!((seen.hidden_states.len(), seen.attention.len(), seen.mlp.len()), (3, 2, 2));
        assert_eq!(seen.logits.dims(), [12, 11]);
        assert_eq!(model(0).forward(&ids(), None).unwrap().hidden_states.len(), 1);
    }

    #[test]
    fn a_tensors_first_value_depends_on_its_name_and_the_seed_alone() {
        let numbers = |model: &Gpt2, name: &str| model.parameters()[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (shallow, deep) = (model(1), model(2));
        assert_eq!(numbers(&shallow, "h.0.mlp.c_fc.weight"), numbers(&deep, "h.0.mlp.c_fc.weight"));
        let weights = numbers(&deep, "h.1.mlp.c_fc.weight");
        let deviation = (weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32).sqrt();
        assert!((deviation - 0.02).abs() < 0.002, "{deviation}");
        let projections = numbers(&deep, "h.1.mlp.c_proj.weight");
        let deviation = (projections.iter().map(|w| w * w).sum::<f32>() / projections.len() as f32).sqrt();
        assert!((deviation - 0.01).abs() < 0.001, "{deviation}"); // 0.02 / sqrt(2·2)
        assert!(numbers(&deep, "ln_f.weight").iter().all(|&w| w == 1.0));
    }
}
