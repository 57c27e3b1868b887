//! `trickle bench`: measures workers and relays from outside.

use clap::{Args, Subcommand};

use crate::error::CliError;
use crate::ui::Ui;

mod pipeline;
mod relay;

/// Measure a worker or a relay, of any make, from outside
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  trickle bench pipeline --processor invert
  trickle bench relay --url http://127.0.0.1:2939/load --subscribers 100";

#[derive(Subcommand, Debug)]
enum What {
    Pipeline(pipeline::PipelineArgs),
    Relay(relay::RelayArgs),
}

pub(crate) async fn run(args: BenchArgs, ui: &Ui) -> Result<(), CliError> {
    match args.what {
        What::Pipeline(args) => pipeline::run(args, ui).await,
        What::Relay(args) => relay::run(args).await,
    }
}
