//! What kind of machine is emulated.

/// Whether the environment variable `TRICKLE_EMULATOR`, words between commas, has this one:
/// `no-device`, `no-encoder`, `old-encoder`, `encoder-busy`, `little-memory` (16 MiB),
/// `kernels-fail`, `second-decoder-fails`, `dies-at-tenth-picture`,
/// `third-picture-fails`, `third-lock-fails`, `third-lock-gives-nothing` (of each encoder),
/// `memory-pools` or `holds-pictures` (the encoder gives every third picture those before it).
pub(crate) fn setting(name: &str) -> bool {
    std::env::var("TRICKLE_EMULATOR")
        .is_ok_and(|settings| settings.split(',').any(|setting| setting == name))
}
