//! Links the built-in regularizers and interventions and contains no other code. A program with `use regatta_builtin as _;` has
//! them in its registry. Each crate is re-exported under a short name for programs that call it directly.

pub use regatta_active_forgetting as active_forgetting;
pub use regatta_barlow_twins as barlow_twins;
pub use regatta_byol as byol;
pub use regatta_centred_output as centred_output;
pub use regatta_coding_rate as coding_rate;
pub use regatta_cosreg as cosreg;
pub use regatta_dispersion as dispersion;
pub use regatta_distillation as distillation;
pub use regatta_infonce as infonce;
pub use regatta_istar as istar;
pub use regatta_koleo as koleo;
pub use regatta_noisy_embedding as noisy_embedding;
pub use regatta_quantised_weights as quantised_weights;
pub use regatta_sigreg as sigreg;
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
        "centred_output",
        "coding_rate",
        "cosreg",
        "dispersion",
        "distillation",
        "infonce",
        "istar",
        "koleo",
        "noisy_embedding",
        "quantised_weights",
        "sigreg",
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
