//! How a checkpoint's tensors lie in a model's.

use crate::model::{Affine, Decoder, Map, Matrix, TensorSpec};
use std::ops::Range;

/// A tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::checkpoint) struct Stored {
    /// Its name there.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    /// Our tensor, which it is a part of, in the buffer of all parameters.
    pub ours: Range<usize>,
    /// Outputs of our tensor, where it is one of a linear map.
    columns: usize,
    lies: Lies,
}

/// Which columns of ours the rows of a checkpoint's tensor are: a linear map is (inputs, outputs) here, and (outputs, inputs) in
/// all families but GPT-2.
#[derive(Debug, Clone, PartialEq)]
enum Lies {
    /// It is ours as it stands.
    AsOurs,
    /// These.
    Rows(Range<usize>),
    /// Queries, keys and values of a head, then those of the next.
    ByHead { heads: usize, head_dim: usize },
}

impl Stored {
    /// Calls `pair` with each place of the tensor as stored and the place of the same number in ours.
    fn places(&self, mut pair: impl FnMut(usize, usize)) {
        const ROWS: usize = 16; // read side by side, so that what they share of a cache line of ours is used at once
        let (rows, inputs) = (self.shape[0], self.shape.get(1).copied().unwrap_or(1));
        let column = |row: usize| match &self.lies {
            Lies::AsOurs => unreachable!("copied whole"),
            Lies::Rows(range) => range.start + row,
            &Lies::ByHead { heads, head_dim } => {
                let (head, part, dim) = (row / (3 * head_dim), row / head_dim % 3, row % head_dim);
                (part * heads + head) * head_dim + dim
            }
        };
        for first in (0..rows).step_by(ROWS) {
            let columns: Vec<usize> = (first..rows.min(first + ROWS)).map(column).collect();
            for input in 0..inputs {
                for (row, column) in (first..).zip(&columns) {
                    pair(row * inputs + input, input * self.columns + column);
                }
            }
        }
    }

    /// Puts the tensor as stored where it belongs in `ours`.
    pub fn read(&self, stored: &[f32], ours: &mut [f32]) {
        match self.lies {
            Lies::AsOurs => ours.copy_from_slice(stored),
            _ => self.places(|there, here| ours[here] = stored[there]),
        }
    }

    /// The tensor as stored, from `ours`.
    pub fn write(&self, ours: &[f32]) -> Vec<f32> {
        if self.lies == Lies::AsOurs {
            return ours.to_vec();
        }
        let mut stored = vec![0.0; self.shape.iter().product()];
        self.places(|there, here| stored[there] = ours[here]);
        stored
    }
}

/// What a family calls its tensors.
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint) struct Names {
    /// In front of all but the output matrix, in a file that holds a language model and not its blocks alone.
    pub prefix: &'static str,
    /// The output matrix.
    pub unembedding: &'static str,
    /// Of the others; `None` where they have our names and lie as ours.
    pub linear: Option<Linear>,
}

/// Names in a family whose linear maps are (outputs, inputs).
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint) struct Linear {
    pub embedding: &'static str,
    pub attention_norm: &'static str,
    pub mlp_norm: &'static str,
    pub norm: &'static str,
    /// Queries, keys and values in one map, head by head.
    pub by_head: Option<&'static str>,
    pub map: fn(Map) -> &'static str,
}

impl Names {
    /// Every tensor that a checkpoint of `decoder` has.
    pub fn stored(&self, decoder: &Decoder) -> Vec<Stored> {
        let mut start = 0;
        let tensors = decoder.tensors().map(|spec| {
            start += spec.len();
            (start - spec.len()..start, spec)
        });
        let Some(linear) = &self.linear else {
            let name = |spec: &TensorSpec| {
                let prefix = if spec.name == format!("{}.weight", self.unembedding) { "" } else { self.prefix };
                format!("{prefix}{}", spec.name)
            };
            return tensors.list().into_iter().map(|ours| as_ours(name(&ours.1), ours)).collect();
        };
        let mut all = vec![as_ours(format!("{}{}.weight", self.prefix, linear.embedding), tensors.embedding)];
        for (layer, block) in tensors.blocks.into_iter().enumerate() {
            let name = |part: &str| format!("{}layers.{layer}.{part}", self.prefix);
            let (attention, mlp) = (block.attention, block.mlp);
            all.extend(norm(&name(linear.attention_norm), attention.norm));
            all.extend(linear.maps(decoder, Matrix::Qkv, attention.qkv, &name));
            all.extend(attention.q_norm.map(|ours| as_ours(name("self_attn.q_norm.weight"), ours)));
            all.extend(attention.k_norm.map(|ours| as_ours(name("self_attn.k_norm.weight"), ours)));
            all.extend(linear.maps(decoder, Matrix::AttentionOutput, attention.output, &name));
            all.extend(norm(&name(linear.mlp_norm), mlp.norm));
            all.extend(linear.maps(decoder, Matrix::MlpInput, mlp.input, &name));
            all.extend(linear.maps(decoder, Matrix::MlpOutput, mlp.output, &name));
        }
        all.extend(norm(&format!("{}{}", self.prefix, linear.norm), tensors.norm));
        all.extend(tensors.unembedding.map(|ours| as_ours(format!("{}.weight", self.unembedding), ours)));
        all
    }
}

/// A tensor of ours, and where it lies in the buffer.
type Ours = (Range<usize>, TensorSpec);

fn as_ours(name: String, (ours, spec): Ours) -> Stored {
    Stored { name, shape: spec.shape, ours, columns: 0, lies: Lies::AsOurs }
}

fn norm(name: &str, Affine { weight, bias }: Affine<Ours>) -> impl Iterator<Item = Stored> {
    let weight = as_ours(format!("{name}.weight"), weight);
    [weight].into_iter().chain(bias.map(|bias| as_ours(format!("{name}.bias"), bias)))
}

impl Linear {
    fn maps(
        &self,
        decoder: &Decoder,
        matrix: Matrix,
        Affine { weight, bias }: Affine<Ours>,
        name: &dyn Fn(&str) -> String,
    ) -> Vec<Stored> {
        let [inputs, columns] = weight.1.shape[..] else { unreachable!("a linear map is a matrix") };
        let parts: Vec<(String, usize, Lies)> = match self.by_head.filter(|_| matrix == Matrix::Qkv) {
            Some(joined) => vec![(name(joined), columns, Lies::ByHead { heads: decoder.heads, head_dim: decoder.head_dim })],
            None => {
                let part = |(map, range): (Map, Range<usize>)| (name((self.map)(map)), range.len(), Lies::Rows(range));
                decoder.maps(matrix).into_iter().map(part).collect()
            }
        };
        let of = |(name, rows, lies): (String, usize, Lies)| {
            let bias = bias.as_ref().map(|bias| Stored {
                name: format!("{name}.bias"),
                shape: vec![rows],
                ours: bias.0.clone(),
                columns,
                lies: lies.clone(),
            });
            let weight =
                Stored { name: format!("{name}.weight"), shape: vec![rows, inputs], ours: weight.0.clone(), columns, lies };
            [weight].into_iter().chain(bias)
        };
        parts.into_iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shape: &[usize], columns: usize, lies: Lies, ours: &[f32], expected: &[f32]) {
        let stored = Stored { name: "x".into(), shape: shape.to_vec(), ours: 0..ours.len(), columns, lies };
        assert_eq!(stored.write(ours), expected);
        let mut back = vec![0.0; ours.len()];
        stored.read(expected, &mut back);
        for (back, ours) in back.iter().zip(ours).filter(|(back, _)| **back != 0.0) {
            assert_eq!(back, ours);
        }
        assert_eq!(back.iter().filter(|number| **number != 0.0).count(), expected.len());
    }

    #[test]
    fn rows_there_are_columns_here() {
        let ours = [1., 2., 3., 4., 5., 6.]; // (2 inputs, 3 outputs)
        check(&[2, 2], 3, Lies::Rows(1..3), &ours, &[2., 5., 3., 6.]);
        check(&[2], 3, Lies::Rows(1..3), &ours[..3], &[2., 3.]);
        check(&[2, 3], 3, Lies::AsOurs, &ours, &ours);
    }

    #[test]
    fn queries_keys_and_values_go_head_by_head() {
        // outputs here: q of heads 0 and 1, k, v, each of 2 dims
        let ours: Vec<f32> = (1..=12).map(|x| x as f32).collect();
        let by_head = [1., 2., 5., 6., 9., 10., 3., 4., 7., 8., 11., 12.];
        check(&[12], 12, Lies::ByHead { heads: 2, head_dim: 2 }, &ours, &by_head);
        check(&[12, 1], 12, Lies::ByHead { heads: 2, head_dim: 2 }, &ours, &by_head);
    }
}
