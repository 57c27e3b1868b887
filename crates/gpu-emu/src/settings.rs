//! What kind of machine is emulated.

/// Whether the environment variable `TRICKLE_EMULATOR`, words between commas, has this one.
///
/// - The machine: `no-device`, `two-devices`, `little-memory` (16 MiB), `memory-pools`.
/// - Faults of devices: `kernels-fail`, `dies-at-tenth-picture`.
/// - Decoders: `second-decoder-fails`, `third-picture-refused` (by each).
/// - Encoders: `no-encoder`, `first-without-encoder` (of two devices), `old-encoder`,
///   `encoder-busy`, `one-session`, `new-driver` (says that it is busy as newer drivers do),
///   `holds-pictures` (gives every third picture those before it), `holds-all`, `third-picture-fails`,
///   `second-lock-fails`, `third-lock-gives-nothing` (of each encoder).
/// - `report-at-exit`: what is alive at the end of the process is told on its stderr.
pub(crate) fn setting(name: &str) -> bool {
    std::env::var("TRICKLE_EMULATOR")
        .is_ok_and(|settings| settings.split(',').any(|setting| setting == name))
}
