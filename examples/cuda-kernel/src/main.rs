//! The trickle command line with the processor `vignette`.

use std::process::ExitCode;

use trickle_example_cuda_kernel::Vignette;
use trickle_processor::{Registry, builtin};

fn main() -> ExitCode {
    let registry = builtin::register(Registry::default());
    trickle_cli::run(registry.with(
        "vignette",
        "darkens the edges (strength 0 to 1)",
        Vignette::default(),
    ))
}
