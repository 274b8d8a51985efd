//! Tensors that are updated together.

use super::moments::Moments;
use crate::model::Role;
use crate::optimizer::{Method, Rule, Rules};
use candle_core::{Device, Result, Tensor, Var};

/// Numbers of a bucket of more than one tensor, at most: an update needs some five tensors as large for a moment, 160 MiB.
const NUMBERS: usize = 8 << 20;

/// Tensors of one rule, end to end.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Their places in the model's list, in order.
    pub members: Vec<usize>,
    pub moments: Moments,
    /// Of the tensors end to end: (numbers) for AdamW, (rows, columns) for a matrix of coupled Adam, (tensors, rows, columns) for
    /// matrices of Muon, which are all of one shape.
    shape: Vec<usize>,
}

/// The places of all tensors, bucket by bucket.
pub(super) fn members(rules: &Rules) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = Vec::new();
    for (index, rule) in rules.each.iter().enumerate() {
        let has_room = |members: &&mut Vec<usize>| {
            together(&rules.each[members[0]], rule) && numbers(rules, members) + rule.tensor.len() <= NUMBERS
        };
        match all.iter_mut().find(has_room) {
            Some(bucket) => bucket.push(index),
            None => all.push(vec![index]),
        }
    }
    all
}

/// Numbers of the tensors at these places.
pub(super) fn numbers(rules: &Rules, members: &[usize]) -> usize {
    members.iter().map(|&member| rules.each[member].tensor.len()).sum()
}

/// All tensors, in buckets, with moments of 0.
pub(super) fn buckets(rules: &Rules, device: &Device) -> Result<Vec<Bucket>> {
    let bucket = |members: Vec<usize>| {
        let first = &rules.each[members[0]];
        let shape = match first.method {
            Method::AdamW => vec![numbers(rules, &members)],
            Method::Coupled => first.tensor.shape.clone(),
            Method::Muon => [&[members.len()], &*first.tensor.shape].concat(),
        };
        Ok(Bucket { members, moments: Moments::zeros(first.method, &shape, device)?, shape })
    };
    members(rules).into_iter().map(bucket).collect()
}

/// Whether one update serves both tensors. The token embedding is alone: its pace may be another, and it may be forgotten.
fn together(one: &Rule, other: &Rule) -> bool {
    let is_embedding = |rule: &Rule| rule.tensor.role == Role::Embedding;
    let same = |rule: &Rule| (rule.method, rule.lr.to_bits(), rule.decay.to_bits());
    same(one) == same(other)
        && !is_embedding(one)
        && !is_embedding(other)
        && match one.method {
            Method::AdamW => true,
            Method::Coupled => false,
            Method::Muon => one.tensor.role == other.tensor.role && one.tensor.shape == other.tensor.shape,
        }
}

impl Bucket {
    /// The members' tensors, end to end in the bucket's shape.
    pub fn gathered(&self, tensor: impl Fn(usize) -> Tensor) -> Result<Tensor> {
        let flat: Vec<Tensor> = self.members.iter().map(|&member| tensor(member).flatten_all()).collect::<Result<_>>()?;
        Tensor::cat(&flat, 0)?.reshape(&*self.shape)
    }

    /// Sets each member's variable to its part of what [`Self::gathered`] made, updated.
    pub fn scatter(&self, updated: &Tensor, vars: &[Var]) -> Result<()> {
        let (flat, mut start) = (updated.flatten_all()?, 0);
        for var in self.members.iter().map(|&member| &vars[member]) {
            let length = var.elem_count();
            var.set(&flat.narrow(0, start, length)?.reshape(var.shape())?)?;
            start += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoder, Family, Sizes};
    use crate::spec::TrainSpec;
    use serde_json::{Value, json};

    /// The names of each bucket's tensors.
    fn names(family: Family, optimizer: Value) -> Vec<String> {
        let decoder = Decoder::new(family, Sizes { layers: 2, width: 4, heads: 2, context: 3, mlp_width: 8 }, 5);
        let train: TrainSpec = serde_json::from_value(json!({ "optimizer": optimizer })).unwrap();
        let rules = Rules::of_model(&decoder, &train);
        let name = |&member: &usize| &*rules.each[member].tensor.name;
        let of = |bucket: Bucket| bucket.members.iter().map(name).collect::<Vec<_>>().join(" ");
        buckets(&rules, &Device::Cpu).unwrap().into_iter().map(of).collect()
    }

    /// Llama: the embedding alone, all matrices that decay, and all norms.
    #[test]
    fn tensors_of_one_rule_are_together() {
        let found = names(Family::Llama, json!("adamw"));
        assert_eq!(found.len(), 3, "{found:#?}");
        assert_eq!(
            (&*found[0], &*found[1]),
            ("wte.weight", "h.0.ln_1.weight h.0.ln_2.weight h.1.ln_1.weight h.1.ln_2.weight ln_f.weight")
        );
        assert!(found[2].ends_with("h.1.mlp.c_proj.weight lm_head.weight"), "{found:#?}");
        let apart = names(Family::Llama, json!({"adamw": {"unembedding": {"lr": 1.0}}}));
        assert_eq!((apart.len(), &*apart[3]), (4, "lm_head.weight"), "a rate of its own");
        let muon = names(Family::Llama, json!("muon"));
        assert_eq!(muon[2], "h.0.attn.c_attn.weight h.1.attn.c_attn.weight");
        assert_eq!(muon.len(), 3 + 4, "{muon:#?}");
        let coupled = names(Family::Llama, json!({"coupled_adam": {"coupled": "both"}}));
        assert_eq!((coupled.len(), &*coupled[3]), (4, "lm_head.weight"), "a method of its own");
    }

    /// 12 blocks of GPT-2's 124M: 2,359,296 numbers in an MLP's matrix, of which three fit in 8 Mi, as do four of 1,769,472.
    #[test]
    fn large_matrices_do_not_pile_up() {
        let decoder = Decoder::new(Family::Gpt2, Sizes { layers: 12, width: 768, heads: 12, context: 1024, mlp_width: 3072 }, 16);
        let count = |optimizer: Value, part: &str| {
            let train: TrainSpec = serde_json::from_value(json!({ "optimizer": optimizer })).unwrap();
            let rules = Rules::of_model(&decoder, &train);
            let all = buckets(&rules, &Device::Cpu).unwrap();
            assert_eq!(all.iter().map(|bucket| bucket.members.len()).sum::<usize>(), 148);
            let of = all.iter().filter(|bucket| rules.each[bucket.members[0]].tensor.name.contains(part));
            of.map(|bucket| bucket.members.len()).collect::<Vec<_>>()
        };
        assert_eq!(count(json!("muon"), "c_fc.weight"), [3; 4]);
        assert_eq!(count(json!("muon"), "c_attn.weight"), [4; 3]);
        assert_eq!((count(json!("muon"), "").len(), count(json!("adamw"), "").len()), (15, 13));
    }
}
