//! What kind of machine is emulated.

/// Whether the environment variable `TRICKLE_EMULATOR`, words between commas, has this one:
/// `no-device`, `no-encoder`, `old-encoder`, `encoder-busy`, `little-memory` (16 MiB),
/// `kernels-fail`, `second-decoder-fails` or `dies-at-tenth-picture`.
pub(crate) fn setting(name: &str) -> bool {
    std::env::var("TRICKLE_EMULATOR")
        .is_ok_and(|settings| settings.split(',').any(|setting| setting == name))
}
