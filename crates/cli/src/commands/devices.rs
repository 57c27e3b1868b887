//! `trickle devices`: what this machine decodes and encodes with.

use clap::Args;
use trickle_media::Backends;

use crate::error::CliError;
use crate::output;

/// Show what video is decoded and encoded with, and why something is not used
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevicesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Example:
  trickle devices --json";

pub(crate) fn run(args: DevicesArgs) -> Result<(), CliError> {
    let devices = Backends::default().describe();
    if args.json {
        return output::json(&devices);
    }
    for device in devices {
        output::line(&format!(
            "{}\n  decode: {}\n  encode: {}",
            device.name, device.decoder, device.encoder
        ))?;
        for warning in device.warnings {
            output::line(&format!("  warning: {warning}"))?;
        }
    }
    Ok(())
}
