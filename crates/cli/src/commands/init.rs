//! `trickle init`: a new project with a processor.

use std::path::PathBuf;

use clap::Args;

use crate::error::CliError;
use crate::init::{self, Source, Template};
use crate::output;

/// Start a project with a processor of your own: it builds and runs at once
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// Directory to create; its last part is the project's and the processor's name
    #[arg(value_name = "NAME")]
    directory: PathBuf,
    /// What the processor does at first
    #[arg(long, value_enum, value_name = "TEMPLATE", default_value = "effect")]
    template: Template,
    /// Take trickle from this checkout rather than from its repository
    #[arg(long, value_name = "DIR", conflicts_with_all = ["trickle_git", "trickle_rev"])]
    trickle_path: Option<PathBuf>,
    /// Take trickle from this repository
    #[arg(long, value_name = "URL")]
    trickle_git: Option<String>,
    /// Take this revision of trickle
    #[arg(long, value_name = "REV")]
    trickle_rev: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  trickle init cartoon
  trickle init upscaler --template model
  trickle init cartoon --trickle-path ../trickle && cd cartoon && cargo run -- serve";

pub(crate) fn run(args: InitArgs) -> Result<(), CliError> {
    let source = match (args.trickle_path, args.trickle_git) {
        (Some(path), _) => Source::Path(path.canonicalize().map_err(|error| {
            CliError::caused(format!("cannot find {}", path.display()), &error)
        })?),
        (None, Some(url)) => Source::Git {
            url,
            rev: args.trickle_rev,
        },
        (None, None) => Source::repository(args.trickle_rev),
    };
    init::create(&args.directory, args.template, &source)?;
    let note = match source {
        Source::Path(_) => {
            "\nIts image cannot be built like that: Docker does not see the checkout. Take trickle \
             from a repository (--trickle-git) before `docker build`."
        }
        Source::Git { .. } => "",
    };
    output::line(&format!(
        "{0} is ready: its processor is {0}/src/processor.rs. Next:\n  cd {0}\n  cargo test\n  \
         cargo run --release -- serve{note}",
        args.directory.display()
    ))
}
