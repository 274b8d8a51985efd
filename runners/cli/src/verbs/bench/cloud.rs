//! One penalty on clouds of standard normal points: the time of value and gradient, and the memory that they take. A regularizer
//! that compares two views gets a second view of each, one that asks for labels random ones.

use super::shape::Shape;
use super::{Named, PROGRAM, Seconds, mib, products, round};
use crate::failure::Failure;
use crate::memory::{peak_resident_mib, resident_mib};
use rayon::prelude::*;
use regatta_core::candle::{Device, Var};
use regatta_core::simd::{self, Level};
use regatta_core::{Cloud, Draw, Regularizer, Tensor, differentiate};
use serde::Serialize;
use std::fmt;

/// Labels of a cloud are drawn evenly from so many.
const LABELS: usize = 64;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    program: &'static str,
    /// [groups, points, dims]
    cloud: [usize; 3],
    /// Number of clouds in parallel.
    clouds: usize,
    regularizer: String,
    threads: usize,
    instructions: Level,
    pub value_and_gradient_ms: f64,
    best_value_and_gradient_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    products_ms: Option<f64>,
    /// Of one cloud and view.
    cloud_mib: f64,
    /// After the cloud is made, before the first penalty.
    resident_before_mib: Option<f64>,
    /// Peak of the penalty, before the products.
    peak_rss_mib: Option<f64>,
}

/// A cloud, and the leaves of its gradients.
struct Normal {
    points: Var,
    view: Option<Var>,
    cloud: Cloud,
}

impl Normal {
    fn new(shape: Shape, regularizer: &dyn Regularizer, draw: &mut Draw) -> Result<Self, Failure> {
        let Shape { groups, points, dims } = shape;
        // float32 from the start: a wider copy that is freed again would hide memory that the penalty takes
        let mut normal = || {
            let numbers: Vec<f32> = (0..groups * points * dims).map(|_| draw.normal() as f32).collect();
            Var::from_vec(numbers, (groups, points, dims), &Device::Cpu).map_err(Failure::failed)
        };
        let points = normal()?;
        let view = if regularizer.needs_view() { Some(normal()?) } else { None };
        let cloud = match &view {
            Some(view) => Cloud::with_view(points.as_tensor().clone(), view.as_tensor().clone()),
            None => Cloud::new(points.as_tensor().clone()),
        };
        let mut cloud = cloud.map_err(Failure::refused)?;
        if regularizer.needs_labels() {
            let ids: Vec<u32> = (0..shape.groups * shape.points).map(|_| draw.below(LABELS) as u32).collect();
            let ids = Tensor::from_vec(ids, (shape.groups, shape.points), &Device::Cpu).map_err(Failure::failed)?;
            cloud = cloud.with_labels(ids).map_err(Failure::failed)?;
        }
        Ok(Self { cloud, points, view })
    }

    /// Value and gradients.
    fn penalise(&self, named: &Named, mut draw: Draw) -> Result<(), Failure> {
        let leaves: Vec<&Var> = std::iter::once(&self.points).chain(&self.view).collect();
        let found = differentiate::penalty(&*named.plugin.0, &self.cloud, &leaves, 1.0, &mut draw);
        let (_, gradients) = found.map_err(Failure::failed)?;
        if gradients.iter().all(Option::is_some) {
            Ok(())
        } else {
            Err(Failure::failed(format!("`{}` gives its points no gradient", named.plugin.name())))
        }
    }
}

/// Times the penalty of `count` clouds, in parallel as for the blocks of a step, and on request the two products alone.
pub(super) fn measure(shape: Shape, count: usize, named: &Named, products: bool) -> Result<Measured, Failure> {
    let mut draw = Draw::new(0, "bench cloud", 0, 0);
    let clouds = (0..count).map(|_| Normal::new(shape, &*named.plugin.0, &mut draw)).collect::<Result<Vec<_>, _>>()?;
    let before = resident_mib();
    let mut repetition = 0;
    let penalty = Seconds::of(|| {
        let draws = (0..count as u64).map(|layer| Draw::new(0, "bench penalty", repetition, layer));
        let jobs: Vec<_> = clouds.iter().zip(draws).collect();
        repetition += 1;
        jobs.into_par_iter().map(|(cloud, draw)| cloud.penalise(named, draw)).collect()
    })?;
    let peak = peak_resident_mib(); // of the penalty: the products come after it
    let products_ms = if products {
        Some(round(products::over_all_pairs(shape, clouds[0].points.as_tensor())?.median() * 1e3, 2))
    } else {
        None
    };
    Ok(Measured {
        program: PROGRAM,
        cloud: [shape.groups, shape.points, shape.dims],
        clouds: count,
        regularizer: named.words.clone(),
        threads: rayon::current_num_threads(),
        instructions: simd::level(),
        value_and_gradient_ms: round(penalty.median() * 1e3, 2),
        best_value_and_gradient_ms: round(penalty.best() * 1e3, 2),
        products_ms,
        cloud_mib: round((shape.numbers() * size_of::<f32>()) as f64 / 1024.0 / 1024.0, 1),
        resident_before_mib: before.map(f64::round),
        peak_rss_mib: peak.map(f64::round),
    })
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [groups, points, dims] = self.cloud;
        let shape = Shape { groups, points, dims };
        if self.clouds > 1 {
            write!(f, "{} times ", self.clouds)?;
        }
        write!(
            f,
            "{shape}, regularizer {}: value and gradient {} ms (best {})",
            self.regularizer, self.value_and_gradient_ms, self.best_value_and_gradient_ms
        )?;
        if let Some(products) = self.products_ms {
            write!(f, ", its two products alone {products} ms")?;
        }
        write!(
            f,
            "; {} MiB peak resident, {} before the first penalty, cloud {} MiB; {} threads, {}",
            mib(self.peak_rss_mib),
            mib(self.resident_before_mib),
            self.cloud_mib,
            self.threads,
            self.instructions
        )
    }
}
