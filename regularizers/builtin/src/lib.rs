//! Links the built-in regularizers and interventions and contains no other code.
//!
//! ```
//! use regatta_builtin as _; // the linker drops a crate that nothing names
//!
//! let cards = regatta_core::registry::cards().unwrap();
//! assert!(cards["vicreg"].paper.contains("arXiv:2105.04906"));
//! ```
//!
//! Each crate is re-exported under a short name, for programs that call one directly. Its front page has the formula, the paper, every
//! deviation from the paper, and shapes. A program that wants a few plugins names their crates instead of this one; a plugin of your
//! own is written with `regatta-core`.

pub use regatta_active_forgetting as active_forgetting;
pub use regatta_barlow_twins as barlow_twins;
pub use regatta_byol as byol;
pub use regatta_centering as centering;
pub use regatta_centred_output as centred_output;
pub use regatta_coding_rate as coding_rate;
pub use regatta_contrastive_margin as contrastive_margin;
pub use regatta_cosreg as cosreg;
pub use regatta_decov as decov;
pub use regatta_dispersion as dispersion;
pub use regatta_distillation as distillation;
pub use regatta_gradient_gating as gradient_gating;
pub use regatta_hyperspherical_energy as hyperspherical_energy;
pub use regatta_infonce as infonce;
pub use regatta_istar as istar;
pub use regatta_koleo as koleo;
pub use regatta_mmcr as mmcr;
pub use regatta_mmd as mmd;
pub use regatta_noisy_embedding as noisy_embedding;
pub use regatta_orthogonality as orthogonality;
pub use regatta_quantised_weights as quantised_weights;
pub use regatta_sigreg as sigreg;
pub use regatta_sketched_isotropy as sketched_isotropy;
pub use regatta_spectral_contrastive as spectral_contrastive;
pub use regatta_supervised_contrastive as supervised_contrastive;
pub use regatta_vicreg as vicreg;
pub use regatta_von_neumann_entropy as von_neumann_entropy;
pub use regatta_whitening as whitening;
pub use regatta_z_loss as z_loss;

#[cfg(test)]
mod tests {
    const NAMES: &[&str] = &[
        "active_forgetting",
        "barlow_twins",
        "byol",
        "centering",
        "centred_output",
        "coding_rate",
        "contrastive_margin",
        "cosreg",
        "decov",
        "dispersion",
        "distillation",
        "gradient_gating",
        "hyperspherical_energy",
        "infonce",
        "istar",
        "koleo",
        "mmcr",
        "mmd",
        "noisy_embedding",
        "orthogonality",
        "quantised_weights",
        "sigreg",
        "sketched_isotropy",
        "spectral_contrastive",
        "supervised_contrastive",
        "vicreg",
        "von_neumann_entropy",
        "whitening",
        "z_loss",
    ];

    /// The linker drops a crate that nothing references; it would then be missing from the registry.
    #[test]
    fn exactly_these_plugins_are_linked() {
        let cards = regatta_core::registry::cards().unwrap();
        assert_eq!(cards.into_keys().collect::<Vec<_>>(), NAMES);
    }

    #[test]
    fn all_plugins_conform() {
        assert_eq!(regatta_core::conformance::all_conform(), NAMES);
    }
}
