//! The statistics of a difference: one list, which the page shows as columns and a comparison of two arms as lines.

use crate::number::{brief, fixed, signed, significant};
use crate::text::counted;
use crate::{Difference, Interval};

/// One figure of a [`Difference`].
pub struct Figure {
    /// The title of its column.
    pub title: &'static str,
    /// Its text, with this many decimals for losses; `None` where it is unknown.
    pub text: fn(&Difference, usize) -> Option<String>,
    /// The number that its column is sorted by.
    pub sort: fn(&Difference) -> Option<f64>,
}

/// All figures, in reading order.
pub const FIGURES: [Figure; 11] = [
    Figure { title: "Pairs", text: |of, _| Some(of.pairs.to_string()), sort: |of| Some(of.pairs as f64) },
    Figure {
        title: "95% interval, corrected",
        text: |of, decimals| interval(&of.corrected, decimals),
        sort: |of| Some(of.corrected.low),
    },
    Figure {
        title: "95% interval, alone",
        text: |of, decimals| interval(&of.interval, decimals),
        sort: |of| Some(of.interval.low),
    },
    Figure {
        title: "95% interval, bootstrap",
        text: |of, decimals| interval(&of.bootstrap?, decimals),
        sort: |of| Some(of.bootstrap?.low),
    },
    Figure { title: "p, t test", text: |of, _| chance(of.p), sort: |of| Some(of.p) },
    Figure { title: "p, Holm", text: |of, _| chance(of.p_holm), sort: |of| Some(of.p_holm) },
    Figure { title: "p, Wilcoxon", text: |of, _| chance(of.p_wilcoxon?), sort: |of| of.p_wilcoxon },
    Figure { title: "Effect size", text: |of, _| Some(size(of.effect_size)), sort: |of| Some(of.effect_size) },
    Figure { title: "P(improvement)", text: |of, _| Some(fixed(of.improvement?, 2)), sort: |of| of.improvement },
    Figure {
        title: "Detectable at 80%",
        text: |of, _| of.detectable.is_finite().then(|| brief(of.detectable, 2)),
        sort: |of| Some(of.detectable),
    },
    Figure { title: "At equal time", text: equal_time, sort: |of| Some(of.equal_time?.mean) },
];

/// `-0.050 to -0.012`; `None` where an end is unknown.
pub fn interval(of: &Interval, decimals: usize) -> Option<String> {
    let known = of.low.is_finite() && of.high.is_finite();
    known.then(|| format!("{} to {}", bound(of.low, decimals), bound(of.high, decimals)))
}

/// With more decimals where `decimals` would hide its sign: -0.0003, not 0.000.
fn bound(value: f64, decimals: usize) -> String {
    let shown = |decimals: &usize| signed(value, *decimals).contains(['-', '+']);
    signed(value, (decimals..=9).find(shown).unwrap_or(decimals))
}

/// `-0.020 (-0.060 to +0.020)`: the difference at equal time and its corrected interval; `, 2 pairs` where it rests on fewer pairs
/// than the difference.
pub fn equal_time(of: &Difference, decimals: usize) -> Option<String> {
    let time = of.equal_time?;
    let interval = interval(&time.corrected, decimals).map(|interval| format!(" ({interval})")).unwrap_or_default();
    let pairs = if time.pairs < of.pairs { format!(", {}", counted(time.pairs, "pair")) } else { String::new() };
    Some(signed(time.mean, decimals) + &interval + &pairs)
}

/// A p value; `None` where it is unknown.
pub fn chance(p: f64) -> Option<String> {
    p.is_finite().then(|| if p < 1e-4 { "< 0.0001".to_owned() } else { brief(p, 2) })
}

/// With a sign, three significant digits.
fn size(value: f64) -> String {
    let text = significant(value, 3);
    if value > 0.0 { format!("+{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EqualTime, sample};

    #[test]
    fn a_bound_near_0_keeps_its_sign() {
        let text = |low, high| interval(&Interval { low, high }, 3).unwrap();
        assert_eq!(text(-0.217, -0.00031), "-0.217 to -0.0003");
        assert_eq!(text(0.0000021, 0.1), "+0.000002 to +0.100");
        assert_eq!(text(0.0, 0.1), "0.000 to +0.100");
        assert_eq!(text(-1e-12, 0.1), "0.000 to +0.100");
    }

    #[test]
    fn each_figure_reads_well() {
        let difference = sample::difference([-0.031, -0.050, -0.012]);
        let texts: Vec<_> = FIGURES.iter().map(|figure| (figure.text)(&difference, 3).unwrap_or_default()).collect();
        let expected = [
            "3",
            "-0.050 to -0.012",
            "-0.040 to -0.022",
            "-0.036 to -0.026",
            "0.011",
            "0.033",
            "0.25",
            "-5.11",
            "0.89",
            "0.04",
            "-0.021 (-0.040 to -0.002)",
        ];
        assert_eq!(texts, expected);
        assert!(((FIGURES[10].sort)(&difference).unwrap() + 0.021).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_known_is_not_shown() {
        let unknown = Interval { low: f64::NAN, high: f64::INFINITY };
        let time = EqualTime { mean: -0.02, corrected: unknown, pairs: 2, seconds: 9.0 };
        let difference = Difference {
            corrected: unknown,
            bootstrap: None,
            p_wilcoxon: None,
            improvement: None,
            p_holm: f64::NAN,
            detectable: f64::INFINITY,
            equal_time: Some(time),
            ..sample::difference([-0.031, -0.050, -0.012])
        };
        let shown: Vec<_> = FIGURES.iter().filter(|of| (of.text)(&difference, 3).is_some()).map(|of| of.title).collect();
        assert_eq!(shown, ["Pairs", "95% interval, alone", "p, t test", "Effect size", "At equal time"]);
        assert_eq!(equal_time(&difference, 3).as_deref(), Some("-0.020, 2 pairs"));
        assert_eq!((chance(2e-7).as_deref(), chance(0.0).as_deref()), (Some("< 0.0001"), Some("< 0.0001")));
    }
}
