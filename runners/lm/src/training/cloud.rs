//! From the activations of a forward pass to the cloud of a term at a layer: where, which points, at what scale.

use crate::engine::{Activations, Engine};
use crate::spec::{At, Points, Scale, Site};
use candle_core::{D, Result, Tensor, Var};
use regatta_core::maths::{mean_last, repeat_last, unit};
use regatta_core::{Cloud, Draw};

/// The numbers whose gradient is taken, grouped except for the mean over a sequence: (g, n, d). A weight matrix is one group of its
/// rows.
pub(super) fn leaf(at: &At, layer: usize, engine: &Engine, pass: &dyn Activations) -> Result<Var> {
    let (decoder, (b, t)) = (engine.decoder(), pass.shape());
    let d = decoder.width;
    match at.site {
        Site::HiddenStates | Site::Attention | Site::Mlp => {
            let (groups, points) = leaf_groups(at.points, b, t);
            pass.at(at.site, layer)?.leaf((groups, points, d))
        }
        Site::Embedding | Site::Unembedding => engine.matrix(at.site, None, 0)?.leaf((1, decoder.vocab_size, d)),
        Site::Weights => {
            let map = at.map()?;
            let (rows, outputs) = (engine.matrix(at.site, Some(map), layer - 1)?, decoder.columns(map).len());
            let inputs = rows.count() / outputs;
            rows.leaf((1, outputs, inputs))
        }
    }
}

/// Groups of a leaf, and rows of each, so that its gradient needs no reshaping.
fn leaf_groups(points: Points, sequences: usize, time: usize) -> (usize, usize) {
    match points {
        Points::Batch => (1, sequences * time),
        Points::Tokens | Points::Pooled => (sequences, time),
    }
}

/// The points of a leaf that form a cloud, subsampled and scaled: the same points of the leaf and of its second view. The draw
/// skips the samples of the `before` groups in earlier parts of the batch.
pub(super) fn cloud(
    at: &At,
    leaf: &Tensor,
    view: Option<&Tensor>,
    labels: Option<&[u32]>,
    (draw, before): (&mut Draw, usize),
) -> regatta_core::Result<Cloud> {
    let points = grouped(at, leaf)?;
    let rows = match at.max_points.get() {
        Some(most) if points.dim(1)? > most.get() => {
            (0..before).for_each(|_| drop(draw.sample(leaf.dims()[1], most.get())));
            Some(sample(&points, most.get(), draw)?)
        }
        _ => None,
    };
    let chosen = |points: Tensor| {
        let points = match &rows {
            Some(rows) => subsample(&points, rows)?,
            None => points,
        };
        scaled(&points, at.scale)
    };
    let labels = labels.map(|labels| labels_of(labels, &points, rows.as_ref())).transpose()?;
    let cloud = match view {
        Some(view) => Cloud::with_view(chosen(points)?, chosen(grouped(at, view)?)?),
        None => Cloud::new(chosen(points)?),
    };
    match labels {
        Some(labels) => cloud?.with_labels(labels),
        None => cloud,
    }
}

/// The labels of the points of a cloud: all, or those of `rows`. labels (g·n), points (g, n, d), rows (g·count) -> (g, count)
fn labels_of(labels: &[u32], points: &Tensor, rows: Option<&Tensor>) -> Result<Tensor> {
    let (g, n, _) = points.dims3()?;
    let labels = Tensor::from_slice(labels, g * n, points.device())?;
    match rows {
        Some(rows) => labels.index_select(rows, 0)?.reshape((g, rows.dim(0)? / g)),
        None => labels.reshape((g, n)),
    }
}

/// The points of each group: those of the leaf, or the mean over each sequence.
fn grouped(at: &At, leaf: &Tensor) -> Result<Tensor> {
    match (at.site, at.points) {
        (Site::HiddenStates | Site::Attention | Site::Mlp, Points::Pooled) => leaf.mean(1)?.unsqueeze(0), // (b, t, d) -> (1, b, d)
        _ => Ok(leaf.clone()),
    }
}

/// Indices of `count` points of each group, without replacement, drawn for each group by itself and counted over all groups.
/// points (g, n, d) -> (g·count)
fn sample(points: &Tensor, count: usize, draw: &mut Draw) -> Result<Tensor> {
    let (g, n, _) = points.dims3()?;
    let rows: Vec<u32> =
        (0..g).flat_map(|group| draw.sample(n, count).into_iter().map(move |row| (group * n + row) as u32)).collect();
    Tensor::from_vec(rows, g * count, points.device())
}

/// (g, n, d), rows (g·count) -> (g, count, d)
fn subsample(points: &Tensor, rows: &Tensor) -> Result<Tensor> {
    let (g, n, d) = points.dims3()?;
    points.reshape((g * n, d))?.index_select(rows, 0)?.reshape((g, rows.dim(0)? / g, d))
}

/// Each point at the place's scale. (g, n, d) -> (g, n, d)
fn scaled(points: &Tensor, scale: Scale) -> regatta_core::Result<Tensor> {
    Ok(match scale {
        Scale::None => points.clone(),
        Scale::Unit => unit(points)?,
        Scale::UnitSqrtDim => (unit(points)? * (points.dim(D::Minus1)? as f64).sqrt())?,
        Scale::LayerNorm => {
            let dims = points.dim(D::Minus1)?;
            let centred = (points - repeat_last(&mean_last(points)?, dims)?)?;
            let deviation = (mean_last(&centred.sqr()?)? + 1e-5)?.sqrt()?;
            (&centred / repeat_last(&deviation, dims)?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Home, OrNone};
    use candle_core::Device;
    use regatta_core::number::Count;

    fn at(points: Points, max_points: usize, scale: Scale) -> At {
        At { points, max_points: OrNone::Some(Count::new(max_points)), scale, ..At::from(Home::DEFAULT) }
    }

    fn numbers(at: &At, tensor: &Tensor) -> Vec<Vec<Vec<f32>>> {
        cloud(at, tensor, None, None, (&mut Draw::new(0, "test", 0, 0), 0)).unwrap().points().to_vec3().unwrap()
    }

    #[test]
    fn points_are_grouped_by_sequence_over_the_batch_or_by_their_mean() {
        let x = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]], &Device::Cpu).unwrap();
        let found = |points: Points| {
            let (groups, rows) = leaf_groups(points, 2, 2);
            numbers(&at(points, 9, Scale::None), &x.reshape((groups, rows, 2)).unwrap())
        };
        assert_eq!(found(Points::Tokens), x.to_vec3::<f32>().unwrap());
        assert_eq!(found(Points::Batch), [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]]);
        assert_eq!(found(Points::Pooled), [[[2.0, 3.0], [6.0, 7.0]]]);
    }

    #[test]
    fn the_rows_of_a_weight_matrix_are_one_group_whatever_the_points() {
        let rows = Tensor::new(&[[[1f32, 2.0], [3.0, 4.0], [5.0, 6.0]]], &Device::Cpu).unwrap();
        for points in [Points::Tokens, Points::Batch, Points::Pooled] {
            let at = At { site: Site::Embedding, ..at(points, 9, Scale::None) };
            assert_eq!(numbers(&at, &rows), rows.to_vec3::<f32>().unwrap());
        }
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
    fn a_view_is_grouped_subsampled_and_scaled_as_the_points_are() {
        let x = Tensor::arange(1f32, 201.0, &Device::Cpu).unwrap().reshape((2, 50, 2)).unwrap();
        let view = x.neg().unwrap();
        for points in [Points::Tokens, Points::Batch, Points::Pooled] {
            for scale in [Scale::None, Scale::Unit, Scale::UnitSqrtDim, Scale::LayerNorm] {
                let at = at(points, 9, scale);
                let cloud = cloud(&at, &x, Some(&view), None, (&mut Draw::new(0, "test", 0, 0), 0)).unwrap();
                let [points, view] = cloud.both_views().unwrap();
                assert_eq!(points.to_vec3::<f32>().unwrap(), numbers(&at, &x), "a view moves no draw");
                assert_eq!(points.to_vec3::<f32>().unwrap(), view.neg().unwrap().to_vec3::<f32>().unwrap());
            }
        }
        let mixed =
            cloud(&At::from(Home::DEFAULT), &x, Some(&x.narrow(1, 0, 9).unwrap()), None, (&mut Draw::new(0, "test", 0, 0), 0));
        assert!(mixed.unwrap_err().to_string().contains("second view"));
    }

    #[test]
    fn labels_are_those_of_the_points_that_are_chosen() {
        let x = Tensor::arange(0f32, 200.0, &Device::Cpu).unwrap().reshape((2, 100, 1)).unwrap();
        let labels: Vec<u32> = (0..200).map(|label| 1000 + label).collect();
        for (points, most) in [(Points::Tokens, 30), (Points::Batch, 30), (Points::Tokens, 200)] {
            let (groups, rows) = leaf_groups(points, 2, 100);
            let (x, at) = (x.reshape((groups, rows, 1)).unwrap(), at(points, most, Scale::None));
            let cloud = cloud(&at, &x, None, Some(&labels), (&mut Draw::new(0, "test", 0, 0), 0)).unwrap();
            let points: Vec<f32> = cloud.points().flatten_all().unwrap().to_vec1().unwrap();
            let found: Vec<u32> = cloud.labels().unwrap().flatten_all().unwrap().to_vec1().unwrap();
            assert!(points.iter().zip(&found).all(|(point, label)| *point as u32 + 1000 == *label), "{points:?} {found:?}");
            assert_eq!(cloud.labels().unwrap().dims(), [groups, most.min(rows)]);
        }
        let unlabelled = cloud(&At::from(Home::DEFAULT), &x, None, None, (&mut Draw::new(0, "test", 0, 0), 0)).unwrap();
        assert!(unlabelled.labels().is_err());
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
