//! The columns that people read, the same in Markdown and LaTeX.

use crate::figures::{chance, equal_time, interval};
use crate::number::{decimals_for, fixed, signed};
use crate::text::one_line;
use crate::verdict::{VerdictWords, difference_decimals};
use crate::{Arm, Results};

/// Titles, and whether the column is of numbers.
pub const TITLES: [(&str, bool); 9] = [
    ("arm", false),
    ("loss", true),
    ("difference", true),
    ("95% interval", true),
    ("p, Holm", true),
    ("equal time", true),
    ("verdict", false),
    ("cost", true),
    ("done", true),
];

/// The cells of each arm, not escaped yet; empty where nothing is known.
pub fn rows(results: &Results) -> Vec<[String; 9]> {
    let loss_decimals = decimals_for(results.arms.iter().filter_map(|arm| arm.loss.map(|loss| loss.sd)));
    let decimals = difference_decimals(results.arms.iter().filter_map(|arm| arm.difference.as_ref()));
    let row = |arm: &Arm| {
        let sd = |sd: f64| if sd.is_finite() { format!(" ± {}", fixed(sd, loss_decimals)) } else { String::new() };
        let of = arm.difference;
        [
            one_line(&arm.name),
            arm.loss.map(|loss| fixed(loss.mean, loss_decimals) + &sd(loss.sd)).unwrap_or_default(),
            of.map(|of| signed(of.mean, decimals)).unwrap_or_default(),
            of.and_then(|of| interval(&of.corrected, decimals)).unwrap_or_default(),
            of.and_then(|of| chance(of.p_holm)).unwrap_or_default(),
            of.and_then(|of| equal_time(&of, decimals)).unwrap_or_default(),
            arm.verdict.column(of),
            arm.cost_ratio.map(|ratio| fixed(ratio, 2) + "x").unwrap_or_default(),
            format!("{}/{}", arm.done, arm.planned),
        ]
    };
    results.arms.iter().map(row).collect()
}
