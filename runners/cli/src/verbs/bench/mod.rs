//! `regatta bench`: the speed of training, the cost of one penalty on a cloud, or the rate of this machine's matrix products.
//!
//! `tests/peers/` measures the same work in PyTorch and compares.

mod cloud;
mod costs;
mod products;
mod shape;
mod training;

use crate::failure::{Failure, say};
use clap::ValueHint;
use regatta_core::Plugin;
use serde::Serialize;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

const PROGRAM: &str = concat!("regatta ", env!("CARGO_PKG_VERSION"));

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    training: training::Training,
    /// A regularizer, by its name or as YAML: 'dispersion: {variant: l2_repel}' [default: none]
    #[arg(long, value_hint = ValueHint::Other)]
    regularizer: Option<String>,
    /// Instead of training, penalise random points: POINTSxDIMS or GROUPSxPOINTSxDIMS, as in 32768x256
    #[arg(long, value_name = "SHAPE", conflicts_with = "Training", requires = "regularizer")]
    cloud: Option<shape::Shape>,
    /// With --cloud, penalise this many in parallel, as a step does with its blocks
    #[arg(long, value_name = "N", requires = "cloud", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    clouds: u64,
    /// With --cloud, also time the two matrix products that a penalty over all pairs comes down to
    #[arg(long, requires = "cloud")]
    products: bool,
    /// Instead of training, measure the rate of a product of 2048 x 2048 matrices
    #[arg(long, conflicts_with_all = ["Training", "regularizer", "cloud"])]
    product: bool,
    /// Instead, measure what every linked plugin costs on `small`, and print the file that `regatta list --costs` reads
    #[arg(long, conflicts_with_all = ["Training", "regularizer", "cloud", "product", "json"])]
    costs: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) fn bench(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if arguments.costs {
        say(serde_json::to_string_pretty(&costs::measure()?).map_err(Failure::failed)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let regularizer = regularizer(arguments)?;
    match (arguments.cloud, arguments.product) {
        (Some(shape), _) => {
            let named = regularizer.ok_or_else(|| Failure::refused("--cloud: expected a regularizer, found `none`"))?;
            print(&cloud::measure(shape, arguments.clouds as usize, &named, arguments.products)?, arguments.json)
        }
        (None, true) => print(&products::rate()?, arguments.json),
        (None, false) => print(&training::measure(&arguments.training, regularizer)?, arguments.json),
    }
}

/// A regularizer, and the argument that named it.
struct Named {
    words: String,
    plugin: Plugin,
}

fn regularizer(arguments: &Arguments) -> Result<Option<Named>, Failure> {
    let Some(words) = arguments.regularizer.clone().filter(|words| words != "none") else { return Ok(None) };
    let refused = |message| Failure::refused(format!("--regularizer: {message}"));
    let plugin = regatta_config::regularizer(&words).map_err(refused)?;
    Ok(Some(Named { words, plugin }))
}

fn print(measured: &(impl Serialize + Display), json: bool) -> Result<ExitCode, Failure> {
    if json {
        say(serde_json::to_string(measured).map_err(Failure::failed)?)?;
    } else {
        say(measured)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Seconds of single runs, in increasing order.
struct Seconds(Vec<f64>);

impl Seconds {
    /// Times `work` at least three times, and as often as it starts within two seconds, after one run that does not count.
    fn of(mut work: impl FnMut() -> Result<(), Failure>) -> Result<Self, Failure> {
        work()?;
        let (begin, mut all) = (Instant::now(), Vec::new());
        while all.len() < 3 || begin.elapsed().as_secs_f64() < 2.0 {
            let started = Instant::now();
            work()?;
            all.push(started.elapsed().as_secs_f64());
        }
        Ok(Self::sorted(all))
    }

    fn sorted(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self(all)
    }

    /// The upper one of the two for an even number, as in the peer.
    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    fn best(&self) -> f64 {
        self.0[0]
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// MiB, or `?` where the system does not report it.
fn mib(size: Option<f64>) -> String {
    size.map_or("?".into(), |size| size.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// Whether the arguments are accepted, or a part of the reason why not.
    fn check(arguments: &str, expected: Result<(), &str>) {
        let found = Program::try_parse_from(["bench"].into_iter().chain(arguments.split_whitespace()));
        match (found, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{arguments}: {error}"),
            (found, _) => panic!("{arguments}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_cloud_and_a_training_exclude_each_other() {
        check("", Ok(()));
        check("--shape tiny --layers 2 --regularizer vicreg --points batch --json", Ok(()));
        check("--cloud 64x8 --regularizer vicreg --products", Ok(()));
        check("--cloud 64x8 --clouds 6 --regularizer vicreg", Ok(()));
        check("--product --json", Ok(()));
        check("--costs", Ok(()));
        check("--cloud 64x8", Err("--regularizer"));
        check("--products", Err("--cloud"));
        check("--clouds 6", Err("--cloud"));
        for more in ["--shape tiny", "--layers 2", "--points batch", "--steps 1", "--product"] {
            check(&format!("--cloud 64x8 --regularizer vicreg {more}"), Err("cannot be used with"));
        }
        for more in ["--shape tiny", "--warmup 1", "--regularizer vicreg"] {
            check(&format!("--product {more}"), Err("cannot be used with"));
            check(&format!("--costs {more}"), Err("cannot be used with"));
        }
    }

    #[test]
    fn a_malformed_cloud_is_refused() {
        for shape in ["64", "64x", "64x8x2x2", "axb", "1x8", "64x0", "0x64x8", "-4x8", "99999999x99999999"] {
            check(&format!("--cloud={shape} --regularizer vicreg"), Err("expected POINTSxDIMS or GROUPSxPOINTSxDIMS"));
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_the_upper_one() {
        let seconds = Seconds::sorted(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((seconds.median(), seconds.best()), (3.0, 1.0));
    }
}
