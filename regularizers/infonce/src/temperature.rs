//! A temperature whose default depends on the form.

use regatta_core::forms;
use regatta_core::forms::Forms;
use regatta_core::number::Positive;
use regatta_core::serde::{Serialize, Serializer};

/// `usual`, or a number above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Temperature {
    /// The default of the form.
    Usual,
    /// A number.
    Given(Positive),
}

impl Temperature {
    /// The given number, or else `usual`.
    pub(crate) fn or_usual(self, usual: f64) -> f64 {
        match self {
            Self::Usual => usual,
            Self::Given(temperature) => temperature.get(),
        }
    }
}

impl Serialize for Temperature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Usual => serializer.serialize_str("usual"),
            Self::Given(temperature) => temperature.serialize(serializer),
        }
    }
}

forms! {
    Temperature => Forms::expecting("a finite number above 0 or `usual`")
        .constant("usual", "The default of the form.", Self::Usual)
        .number(|temperature| Ok(Self::Given(temperature)))
}

#[cfg(test)]
mod tests {
    use crate::InfoNce;
    use regatta_core::serde_json::{self, Value, json};

    fn temperature(value: impl Into<Value>) -> Result<f64, String> {
        let fields = json!({"form": "negatives", "temperature": value.into()});
        serde_json::from_value(fields).map(|read: InfoNce| read.temperature()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_temperature_is_a_number_or_usual() {
        assert_eq!(temperature("usual"), Ok(0.5));
        assert_eq!(temperature(0.25), Ok(0.25));
        assert_eq!(temperature(2u64), Ok(2.0));
        assert!(temperature(-1.5).unwrap_err().contains("expected a finite number above 0, found -1.5"));
        assert!(temperature("warm").unwrap_err().contains("`usual`"));
    }
}
