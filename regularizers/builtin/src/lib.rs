//! Links the regularizers and interventions that Regatta ships. It holds no code: a program says `use regatta_builtin as _;`, and
//! they are in its registry. Each crate is also here by a short name, for programs that call one directly.

pub use regatta_active_forgetting as active_forgetting;
pub use regatta_barlow_twins as barlow_twins;
pub use regatta_byol as byol;
pub use regatta_coding_rate as coding_rate;
pub use regatta_contrastive_margin as contrastive_margin;
pub use regatta_cosreg as cosreg;
pub use regatta_dispersion as dispersion;
pub use regatta_distillation as distillation;
pub use regatta_infonce as infonce;
pub use regatta_istar as istar;
pub use regatta_koleo as koleo;
pub use regatta_mmcr as mmcr;
pub use regatta_noisy_embedding as noisy_embedding;
pub use regatta_quantised_weights as quantised_weights;
pub use regatta_sigreg as sigreg;
pub use regatta_spectral_contrastive as spectral_contrastive;
pub use regatta_vicreg as vicreg;
pub use regatta_von_neumann_entropy as von_neumann_entropy;
pub use regatta_whitening as whitening;

#[cfg(test)]
mod tests {
    const NAMES: [&str; 19] = [
        "active_forgetting",
        "barlow_twins",
        "byol",
        "coding_rate",
        "contrastive_margin",
        "cosreg",
        "dispersion",
        "distillation",
        "infonce",
        "istar",
        "koleo",
        "mmcr",
        "noisy_embedding",
        "quantised_weights",
        "sigreg",
        "spectral_contrastive",
        "vicreg",
        "von_neumann_entropy",
        "whitening",
    ];

    /// A crate that the linker dropped would be missing here.
    #[test]
    fn these_are_linked_and_no_others() {
        let cards = regatta_core::registry::cards().unwrap();
        assert_eq!(cards.into_keys().collect::<Vec<_>>(), NAMES);
    }

    #[test]
    fn all_of_them_conform() {
        assert_eq!(regatta_core::conformance::all_conform(), NAMES);
    }
}
