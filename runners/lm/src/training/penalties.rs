//! From the tensors of a forward pass to penalties: where, which points, then what. Names no regularizer.

use super::TrainError;
use crate::model::{Activations, Gpt2};
use crate::spec::{At, Points, Scale, Site, Term};
use candle_core::{D, Result, Tensor};
use regatta_core::{Cloud, Draw};

/// The raw penalty of each term whose weight is not 0 at `step`: its name, its weight, and the mean over its layers.
///
/// A term's draws derive from (seed, its place in the arm, step, layer), so adding a term moves no other term's draws, and
/// none moves the data. A term of weight 0 is not computed: nothing is spent on it, and its arm has the baseline's bytes.
pub(super) fn penalties(
    terms: &[Term],
    model: &Gpt2,
    seen: &Activations,
    seed: u64,
    step: usize,
) -> std::result::Result<Vec<(String, f64, Tensor)>, TrainError> {
    let mut computed: Vec<(String, f64, Tensor)> = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let weight = term.weight.at(step);
        if weight == 0.0 {
            continue;
        }
        let layers = term.at.layer_indices(model.config().n_layer).map_err(TrainError::Place)?;
        let mut total: Option<Tensor> = None;
        for &layer in &layers {
            let draw = |what: &str| Draw::new(seed, &format!("term {index} {what}"), step as u64, layer as u64);
            let tensor = site(term.at.site, layer, model, seen);
            let failed = |source| TrainError::Penalty { name: term.regularizer.name().to_owned(), step, source };
            let cloud = cloud(&term.at, tensor, &mut draw("points")).map_err(failed)?;
            let penalty = term.regularizer.0.penalty(&cloud, &mut draw("penalty")).map_err(failed)?;
            if penalty.rank() != 0 {
                return Err(TrainError::Place(format!(
                    "regularizer `{}` returned a penalty of shape {:?}, expected a scalar",
                    term.regularizer.name(),
                    penalty.dims()
                )));
            }
            total = Some(match total {
                None => penalty,
                Some(sum) => (sum + penalty)?,
            });
        }
        if let Some(total) = total {
            computed.push((free_name(&computed, term.regularizer.name()), weight, (total / layers.len() as f64)?));
        }
    }
    Ok(computed)
}

/// `name`, or `name.1` where it is taken, and so on.
fn free_name(taken: &[(String, f64, Tensor)], name: &str) -> String {
    let used =
        taken.iter().filter(|(other, ..)| other == name || other.rsplit_once('.').is_some_and(|(stem, _)| stem == name)).count();
    if used == 0 { name.to_owned() } else { format!("{name}.{used}") }
}

/// The tensor of a site: (b, t, d), or a weight matrix (v, d).
fn site<'a>(site: Site, layer: usize, model: &'a Gpt2, seen: &'a Activations) -> &'a Tensor {
    match site {
        Site::HiddenStates => &seen.hidden_states[layer],
        Site::Attention => &seen.attention[layer - 1],
        Site::Mlp => &seen.mlp[layer - 1],
        Site::Embedding | Site::Unembedding => model.embedding(),
    }
}

/// Which points form a cloud, subsampled and scaled.
fn cloud(at: &At, tensor: &Tensor, draw: &mut Draw) -> regatta_core::Result<Cloud> {
    let points = match (tensor.dims(), at.points) {
        (&[_, _], _) => tensor.unsqueeze(0)?,                      // (1, v, d)
        (_, Points::Tokens) => tensor.clone(),                     // (b, t, d)
        (_, Points::Batch) => tensor.flatten(0, 1)?.unsqueeze(0)?, // (1, b·t, d)
        (_, Points::Pooled) => tensor.mean(1)?.unsqueeze(0)?,      // (1, b, d)
    };
    let points = match at.max_points.get() {
        Some(most) if points.dim(1)? > most.get() => subsample(&points, most.get(), draw)?,
        _ => points,
    };
    Cloud::new(scaled(&points, at.scale)?)
}

/// `count` points of each group without replacement, each group its own. (g, n, d) -> (g, count, d)
fn subsample(points: &Tensor, count: usize, draw: &mut Draw) -> Result<Tensor> {
    let (g, n, d) = points.dims3()?;
    let rows: Vec<u32> =
        (0..g).flat_map(|group| draw.sample(n, count).into_iter().map(move |row| (group * n + row) as u32)).collect();
    let rows = Tensor::from_vec(rows, g * count, points.device())?;
    points.reshape((g * n, d))?.index_select(&rows, 0)?.reshape((g, count, d))
}

/// What is done to each point first. (g, n, d) -> (g, n, d)
fn scaled(points: &Tensor, scale: Scale) -> regatta_core::Result<Tensor> {
    Ok(match scale {
        Scale::None => points.clone(),
        Scale::Unit => regatta_core::maths::unit(points)?,
        Scale::UnitSqrtDim => (regatta_core::maths::unit(points)? * (points.dim(D::Minus1)? as f64).sqrt())?,
        Scale::LayerNorm => {
            let centred = points.broadcast_sub(&points.mean_keepdim(D::Minus1)?)?;
            let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + 1e-5)?.sqrt()?;
            centred.broadcast_div(&deviation)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::OrNone;
    use candle_core::Device;
    use regatta_core::number::Count;

    fn at(points: Points, max_points: usize, scale: Scale) -> At {
        At { points, max_points: OrNone::Some(Count::new(max_points)), scale, ..At::default() }
    }

    fn numbers(at: &At, tensor: &Tensor) -> Vec<Vec<Vec<f32>>> {
        cloud(at, tensor, &mut Draw::new(0, "test", 0, 0)).unwrap().points().to_vec3().unwrap()
    }

    #[test]
    fn points_are_grouped_as_the_design_says() {
        let x = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]], &Device::Cpu).unwrap();
        assert_eq!(numbers(&at(Points::Tokens, 9, Scale::None), &x), x.to_vec3::<f32>().unwrap());
        assert_eq!(numbers(&at(Points::Batch, 9, Scale::None), &x), [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]]);
        assert_eq!(numbers(&at(Points::Pooled, 9, Scale::None), &x), [[[2.0, 3.0], [6.0, 7.0]]]);
        let rows = Tensor::new(&[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
        assert_eq!(numbers(&at(Points::Tokens, 9, Scale::None), &rows), [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]);
    }

    #[test]
    fn a_large_group_is_subsampled_without_replacement() {
        let x = Tensor::arange(0f32, 200.0, &Device::Cpu).unwrap().reshape((2, 100, 1)).unwrap();
        let found = numbers(&at(Points::Tokens, 30, Scale::None), &x);
        for (group, points) in found.iter().enumerate() {
            let mut values: Vec<usize> = points.iter().map(|p| p[0] as usize).collect();
            assert!(values.iter().all(|v| v / 100 == group));
            values.dedup();
            assert_eq!(values.len(), 30);
        }
        assert_ne!(found[0], found[1].iter().map(|p| vec![p[0] - 100.0]).collect::<Vec<_>>(), "each group draws its own");
    }

    #[test]
    fn scales_by_hand() {
        let x = Tensor::new(&[[[3f32, 4.0], [6.0, 8.0]]], &Device::Cpu).unwrap();
        assert_eq!(numbers(&at(Points::Tokens, 9, Scale::Unit), &x), [[[0.6, 0.8], [0.6, 0.8]]]);
        let root = 2f32.sqrt();
        assert_eq!(
            numbers(&at(Points::Tokens, 9, Scale::UnitSqrtDim), &x),
            [[[0.6 * root, 0.8 * root], [0.6 * root, 0.8 * root]]]
        );
        let normed = numbers(&at(Points::Tokens, 9, Scale::LayerNorm), &x);
        assert!((normed[0][0][0] + 1.0).abs() < 1e-4 && (normed[0][1][1] - 1.0).abs() < 1e-4, "{normed:?}");
    }
}
