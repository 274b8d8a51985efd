//! What a projection is asked for: `gpu=h200,mfu=0.4,price=3.5,width=4096`.

use super::{ACCELERATORS, Accelerator};
use regatta_core::registry::nearest;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A machine, a price and a size.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The accelerator; none where its peak was given by hand.
    pub accelerator: Option<Accelerator>,
    /// Its peak, 10¹² FLOPs a second.
    pub peak: f64,
    /// Fraction of the peak that training reaches: model FLOPs utilisation, above 0 and up to 1.
    pub mfu: f64,
    /// What an accelerator costs for an hour, in any currency.
    pub price: Option<f64>,
    /// Blocks, in place of the study's.
    pub layers: Option<usize>,
    /// Width, in place of the study's.
    pub width: Option<usize>,
    /// Tokens a sequence, in place of the study's.
    pub context: Option<usize>,
    /// Tokens that a trial is trained on, in place of the study's.
    pub tokens: Option<u64>,
    /// How many seeds, in place of the study's.
    pub seeds: Option<usize>,
}

const KEYS: [&str; 9] = ["gpu", "peak", "mfu", "price", "layers", "width", "context", "tokens", "seeds"];

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut values: [Option<&str>; KEYS.len()] = [None; KEYS.len()];
        for part in text.split(',') {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("expected KEY=VALUE, found {part:?}"))?;
            let (key, value) = (key.trim(), value.trim());
            let place = KEYS.iter().position(|known| *known == key).ok_or_else(|| unknown("key", key, &KEYS))?;
            if values[place].replace(value).is_some() {
                return Err(format!("expected `{key}` once, found it twice"));
            }
        }
        let [gpu, peak, mfu, price, layers, width, context, tokens, seeds] = values;
        let peak = peak.map(|text| number("peak", text, "a number of TFLOP/s above 0", |peak| peak > 0.0 && peak <= 1e9));
        let (accelerator, peak) = match (gpu, peak.transpose()?) {
            (Some(name), None) => accelerator(name).map(|of| (Some(of), of.teraflops))?,
            (None, Some(peak)) => (None, peak),
            (Some(_), Some(_)) => return Err("expected `gpu` or `peak`, found both".into()),
            (None, None) => return Err("expected `gpu`, as in gpu=h100, or `peak`, as in peak=989 TFLOP/s, found neither".into()),
        };
        let mfu = mfu.ok_or("expected `mfu`, the fraction of the peak that training reaches, as in mfu=0.4, found none")?;
        let price = price.map(|text| number("price", text, "a price per hour, 0 or above", |price| (0.0..=1e9).contains(&price)));
        let size = |key: &str, text: Option<&str>, range: RangeInclusive<u64>| {
            text.map(|text| whole(key, text, range).map(|size| size as usize)).transpose()
        };
        Ok(Self {
            accelerator,
            peak,
            mfu: number("mfu", mfu, "a fraction above 0 and up to 1", |mfu| mfu > 0.0 && mfu <= 1.0)?,
            price: price.transpose()?,
            layers: size("layers", layers, 0..=10_000)?,
            width: size("width", width, 1..=1 << 20)?,
            context: size("context", context, 1..=1 << 24)?,
            tokens: tokens.map(|text| whole("tokens", text, 1..=1_000_000_000_000_000_000)).transpose()?,
            seeds: size("seeds", seeds, 1..=1_000_000)?,
        })
    }
}

fn accelerator(name: &str) -> Result<Accelerator, String> {
    let known = ACCELERATORS.iter().find(|known| known.name == name.to_lowercase());
    let names = ACCELERATORS.map(|known| known.name);
    known.copied().ok_or_else(|| format!("gpu: {}; of another give its `peak` in TFLOP/s", unknown("name", name, &names)))
}

fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let short: String = word.chars().take(64).collect();
    let near = nearest(&short.to_lowercase(), known.iter().copied());
    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let list: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    format!("unknown {what} {short:?}, expected one of {}{hint}", list.join(", "))
}

fn number(key: &str, text: &str, expected: &str, legal: impl Fn(f64) -> bool) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| legal(*value)); // nothing that is not finite is legal
    value.ok_or_else(|| format!("{key}: expected {expected}, found {text:?}"))
}

/// A whole number, also as `2e10`.
fn whole(key: &str, text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let rounded = || text.parse::<f64>().ok().filter(|value| value.fract() == 0.0 && (0.0..=1e18).contains(value));
    let value = text.parse::<u64>().ok().or_else(|| rounded().map(|value| value as u64));
    let (least, most) = (range.start(), range.end());
    let message = || format!("{key}: expected a whole number from {least} to {most}, found {text:?}");
    value.filter(|value| range.contains(value)).ok_or_else(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Request>().unwrap_err(), expected, "{text}");
    }

    #[test]
    fn a_request_in_words() {
        let found: Request = "gpu=H200, mfu=0.4, price=3.5, tokens=2e10, width=4096, seeds=5".parse().unwrap();
        assert_eq!((found.peak, found.mfu, found.price), (989.0, 0.4, Some(3.5)));
        assert_eq!((found.tokens, found.width, found.seeds), (Some(20_000_000_000), Some(4096), Some(5)));
        assert_eq!((found.layers, found.context), (None, None));
        let found: Request = "peak=77.5,mfu=1,layers=0".parse().unwrap();
        assert_eq!((found.accelerator, found.peak, found.price, found.layers), (None, 77.5, None, Some(0)));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let keys = "`gpu`, `peak`, `mfu`, `price`, `layers`, `width`, `context`, `tokens`, `seeds`";
        let gpus = "`a100`, `h100`, `h200`, `b200`, `l40s`, `4090`";
        check("", "expected KEY=VALUE, found \"\"");
        check("h200", "expected KEY=VALUE, found \"h200\"");
        check("gpu=h200,prise=2", &format!("unknown key \"prise\", expected one of {keys}; did you mean `price`?"));
        check(
            "gpu=h20,mfu=1",
            &format!(
                "gpu: unknown name \"h20\", expected one of {gpus}; did you mean `h200`?; of another give its `peak` in TFLOP/s"
            ),
        );
        check("gpu=h200,gpu=h100", "expected `gpu` once, found it twice");
        check("gpu=h200,peak=1,mfu=1", "expected `gpu` or `peak`, found both");
        check("mfu=0.4", "expected `gpu`, as in gpu=h100, or `peak`, as in peak=989 TFLOP/s, found neither");
        check("gpu=h200", "expected `mfu`, the fraction of the peak that training reaches, as in mfu=0.4, found none");
        for mfu in ["0", "1.01", "-0.1", "NaN", "inf", "40%", ""] {
            check(&format!("gpu=h200,mfu={mfu}"), &format!("mfu: expected a fraction above 0 and up to 1, found {mfu:?}"));
        }
        for price in ["-1", "NaN", "inf", "three"] {
            check(
                &format!("gpu=h200,mfu=1,price={price}"),
                &format!("price: expected a price per hour, 0 or above, found {price:?}"),
            );
        }
        for tokens in ["0", "1.5", "1e30", "-4", "many"] {
            let expected = format!("tokens: expected a whole number from 1 to 1000000000000000000, found {tokens:?}");
            check(&format!("gpu=h200,mfu=1,tokens={tokens}"), &expected);
        }
        check("peak=0,mfu=1", "peak: expected a number of TFLOP/s above 0, found \"0\"");
        check("gpu=h200,mfu=1,width=0", "width: expected a whole number from 1 to 1048576, found \"0\"");
    }
}
