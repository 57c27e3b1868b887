//! Processors that come with trickle.

use crate::registry::Registry;

mod passthrough;

pub use passthrough::Passthrough;

/// Adds all of them to `registry`.
pub fn register(registry: Registry) -> Registry {
    registry.with(
        "passthrough",
        "decodes and encodes, changes nothing",
        Passthrough,
    )
}
