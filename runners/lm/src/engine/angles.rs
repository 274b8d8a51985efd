//! The angles of rotary positions.

use crate::model::{Decoder, Positions, Rotary};
use regatta_core::libm;
use std::f64::consts::TAU;

/// Cosine and sine of each position's angles; nothing of a model without rotary positions.
#[derive(Debug, Default)]
pub(super) struct Angles {
    /// (t, r), r pairs of a head's dims
    pub cosines: Vec<f32>,
    /// (t, r)
    pub sines: Vec<f32>,
}

impl Angles {
    /// Of the first `time` positions.
    pub fn new(decoder: &Decoder, time: usize) -> Self {
        let Positions::Rotary(rotary) = decoder.positions else { return Self::default() };
        let frequencies = frequencies(rotary, decoder.rotary_dims());
        let angles = (0..time).flat_map(|position| frequencies.iter().map(move |frequency| position as f64 * frequency));
        let (cosines, sines) = angles.map(|angle| (libm::cos(angle) as f32, libm::sin(angle) as f32)).unzip();
        Self { cosines, sines }
    }
}

/// Radians a position of each pair of dims: `theta^(-2i/dims)`, scaled.
fn frequencies(rotary: Rotary, dims: usize) -> Vec<f64> {
    let plain = (0..dims / 2).map(|pair| libm::pow(rotary.theta, -2.0 * pair as f64 / dims as f64));
    let Some(scaling) = rotary.scaling else { return plain.collect() };
    let scaled = |frequency: f64| {
        let waves = scaling.original_context as f64 * frequency / TAU; // in the original context
        let fraction = (waves - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency);
        let kept = fraction.clamp(0.0, 1.0);
        kept * frequency + (1.0 - kept) * frequency / scaling.factor
    };
    plain.map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RotaryScaling;

    #[test]
    fn frequencies_fall_from_1_and_long_waves_are_stretched() {
        let rotary = Rotary { theta: 10_000.0, ..Rotary::default() };
        let plain = frequencies(rotary, 8);
        assert!(plain.iter().zip([1.0, 0.1, 0.01, 0.001]).all(|(f, e)| (f - e).abs() < 1e-12), "{plain:?}");
        // 100 positions see 15.9, 1.59, 0.159 and 0.0159 waves: the first stays, the second is mixed, the others are stretched
        let scaling = RotaryScaling { factor: 4.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 100 };
        let scaled = frequencies(Rotary { scaling: Some(scaling), ..rotary }, 8);
        let kept = (10.0 / TAU - 1.0) / 3.0;
        let expected = [1.0, 0.1 * (kept + (1.0 - kept) / 4.0), 0.0025, 0.00025];
        assert!(scaled.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{scaled:?}");
    }
}
