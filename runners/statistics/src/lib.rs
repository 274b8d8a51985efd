//! Statistics of a few seeds: paired differences, their intervals, and the differences that they could have detected.
//!
//! All arms of a seed share their first weights and their batches, so the seed's own luck cancels in the difference of two of
//! its losses. With `x_1 .. x_n` those differences (arm - baseline, lower is better), `x̄` their mean, `s` their standard
//! deviation, and `m` the comparisons that are judged together:
//! ```text
//! standard error      e = s / √n
//! t                   = x̄ / e                                     with ν = n - 1 degrees of freedom
//! interval            = x̄ ± q_m e      q_m the 1 - 0.05 / 2m quantile of Student's t; m = 1 gives the plain 95% interval
//! p                   = P(|T| ≥ |t|)    T of Student's t
//! effect size     d_z = x̄ / s
//! detectable          = λ e             λ so that P(|T_λ| > q_m) = 0.8, T_λ of the noncentral t
//! improvement         = P(arm < baseline) over all pairs of their losses, of one seed or of two, ties half
//! interquartile mean  = mean of the sorted values without the first and the last ⌊n/4⌋
//! ```
//! | what | source |
//! |---|---|
//! | t, interval, p | Student, "The probable error of a mean", Biometrika 6, 1908 |
//! | m | Dunn, "Multiple comparisons among means", Journal of the American Statistical Association 56, 1961 |
//! | effect size, detectable | Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd ed. 1988, sections 2.2, 2.3 |
//! | bootstrap | Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3 |
//! | signed ranks | Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1, 1945 |
//! | power law | Kaplan et al. 2020, arXiv:2001.08361; its fit and interval at [`power_law()`], beyond its sizes at [`forecast()`] |
//! | tasks | seeds and items as samples at [`Crossed`], one seed at [`McNemar`], and which of them at [`TaskDifference`] |
//! | Holm | Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979 |
//! | improvement, interquartile mean | Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 2021, arXiv:2108.13264, section 4 |
//!
//! A verdict is read from the interval of all `m` comparisons and from nothing else. Where no arm differs, the chance that any
//! of the `m` intervals leaves out 0 is at most 5%, however the arms depend on each other.
//!
//! This crate is a part of the `regatta` program and promises no stable interface.

mod bootstrap;
mod crossed;
mod forecast;
mod holm;
mod mcnemar;
mod paired;
mod power;
mod power_law;
mod ranks;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod simulation_of_tasks;
mod summary;
mod task;

pub use bootstrap::bootstrap_interval;
pub use crossed::Crossed;
pub use forecast::{Forecast, forecast};
pub use holm::holm;
pub use mcnemar::McNemar;
pub use paired::{Interval, Paired, Verdict, verdict};
pub use power_law::{PowerLaw, power_law};
pub use ranks::{probability_of_improvement, wilcoxon_p};
pub use summary::{interquartile_mean, mean, standard_deviation, standard_error};
pub use task::TaskDifference;

/// Chance of calling any of the arms that are judged together different, where none is.
const ALPHA: f64 = 0.05;

#[cfg(test)]
fn check(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "found {found}, expected {expected}");
}
