//! How long a trial trains: `steps`, `tokens` or `tokens_per_parameter` of `train:`.

use regatta_core::forms;
use regatta_core::forms::Forms;
use regatta_core::number::{Count, Positive};
use serde::Serialize;

/// Steps of a trial that is to end.
pub type Steps = Count<1, 100_000_000>;

/// How long a trial trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// Optimizer steps.
    Steps(Steps),
    /// As many steps as see this many tokens.
    Tokens(Tokens),
    /// As many steps as see this many tokens for each parameter that is trained.
    TokensPerParameter(Positive),
}

impl Length {
    /// A number of steps known to be legal, as in a test.
    ///
    /// # Panics
    /// When it is out of range.
    pub const fn of_steps(steps: usize) -> Self {
        Self::Steps(Steps::new(steps))
    }

    /// Steps of a trial whose model has so many parameters; `None` where those are not known, and asked for. The last step may go
    /// beyond the tokens asked for: steps are whole.
    ///
    /// # Errors
    /// When they are more than a trial may have.
    pub fn steps(self, tokens_a_step: usize, parameters: Option<usize>) -> Result<Option<Steps>, String> {
        let tokens = match (self, parameters) {
            (Self::Steps(steps), _) => return Ok(Some(steps)),
            (Self::Tokens(Tokens(tokens)), _) => tokens as f64,
            (Self::TokensPerParameter(each), Some(parameters)) => (each.get() * parameters as f64).ceil(),
            (Self::TokensPerParameter(_), None) => return Ok(None),
        };
        let steps = (tokens / tokens_a_step as f64).ceil().max(1.0);
        let refuse =
            |_| format!("expected tokens of at most 100000000 steps, found {tokens}, of {steps} steps of {tokens_a_step}");
        Steps::try_from(steps as u64).map(Some).map_err(refuse)
    }

    /// The field of `train:` that says it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Steps(_) => "steps",
            Self::Tokens(_) => "tokens",
            Self::TokensPerParameter(_) => "tokens_per_parameter",
        }
    }
}

/// A number of tokens: `20000000`, or `20M`, with K, M, B for thousands, millions and billions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tokens(u64);

impl Tokens {
    /// Enough for every use, and a whole number in float64.
    const MOST: u64 = 1_000_000_000_000_000;

    /// The plain number.
    pub fn get(self) -> u64 {
        self.0
    }

    fn written(text: &str) -> Option<Self> {
        let units = [('K', 1e3), ('M', 1e6), ('B', 1e9)];
        let last = text.chars().last()?.to_ascii_uppercase();
        let (_, unit) = units.into_iter().find(|&(letter, _)| letter == last)?;
        let number = &text[..text.len() - 1];
        let plain = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        let tokens = number.parse::<f64>().ok().filter(|_| plain)? * unit;
        // 1.1 M is 1100000 up to float64's last digit, and 1.0000001 M is not a whole number
        let whole = tokens.round();
        let legal = (1.0..=Self::MOST as f64).contains(&whole);
        ((tokens - whole).abs() < 1e-6 * unit.sqrt() && legal).then_some(Self(whole as u64))
    }
}

forms! {
    Tokens => Forms::expecting(format!("a number of tokens from 1 to {}, such as 20000000 or 20M", Self::MOST))
        .whole(1..=Self::MOST, Self)
        .or_as_float() // 2e7
        .text(r"^\s*[0-9]*\.?[0-9]*[KMBkmb]\s*$", |text| Self::written(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn tokens_are_read_with_units() {
        let read = |value: Value| serde_json::from_value::<Tokens>(value).map(Tokens::get).ok();
        for (value, expected) in [
            (json!(20_000_000), Some(20_000_000)),
            (json!("20M"), Some(20_000_000)),
            (json!("1.1m"), Some(1_100_000)),
            (json!("0.5 K"), None),
            (json!("0.5K"), Some(500)),
            (json!("3B"), Some(3_000_000_000)),
            (json!(2e7), Some(20_000_000)),
            (json!(0), None),
            (json!(-1), None),
            (json!(0.5), None),
            (json!("0K"), None),
            (json!("M"), None),
            (json!("20X"), None),
            (json!("1e3K"), None),
            (json!("2.0000001K"), None),
            (json!("99999999B"), None),
            (json!("20µ"), None),
            (json!(null), None),
        ] {
            assert_eq!(read(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn steps_are_rounded_up() {
        let steps = |length: Length, parameters| length.steps(64, parameters).map(|steps| steps.map(Count::get));
        assert_eq!(steps(Length::of_steps(7), None), Ok(Some(7)));
        assert_eq!(steps(Length::Tokens(Tokens(128)), None), Ok(Some(2)));
        assert_eq!(steps(Length::Tokens(Tokens(129)), None), Ok(Some(3)));
        assert_eq!(steps(Length::Tokens(Tokens(1)), None), Ok(Some(1)));
        let chinchilla = Length::TokensPerParameter(Positive::new(20.0)); // of 100 parameters 2000 tokens: 31.25 steps
        assert_eq!(steps(chinchilla, Some(100)), Ok(Some(32)));
        assert_eq!(steps(chinchilla, None), Ok(None));
        let endless = steps(Length::Tokens(Tokens(Tokens::MOST)), None).unwrap_err();
        assert!(endless.contains("at most 100000000 steps, found 1000000000000000"), "{endless}");
        assert!(steps(Length::TokensPerParameter(Positive::new(1e300)), Some(1_000)).is_err());
    }
}
