//! `trickle demo`: the main job on one machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use trickle_processor::Registry;

use crate::demo::{self, Plan};
use crate::error::CliError;
use crate::settings::{BackendFlags, EncodeFlags, duration, params};
use crate::ui::Ui;
use trickle_processor::Params;

/// Processor of the demo where the registry has it: its effect is seen at a glance.
const VISIBLE: &str = "grayscale";

/// Show the whole way at work: relay and worker, a clip published live, its processed output
/// recorded and checked
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// How much of the input is published; shorter clips start over
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    seconds: Duration,
    /// MP4 or MPEG-TS file; - reads MPEG-TS from stdin [default: a clip of Big Buck Bunny]
    #[arg(long, value_name = "FILE|-")]
    input: Option<PathBuf>,
    /// What is done to the frames [default: grayscale]
    #[arg(long, value_name = "NAME")]
    processor: Option<String>,
    /// Parameters of the processor, a JSON object
    #[arg(long, value_name = "JSON", value_parser = params)]
    params: Option<Params>,
    /// Where the output is recorded [default: a file in the directory for temporary files]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run until Ctrl-C, so that you can call the worker and watch the channels yourself
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    encode: EncodeFlags,
    #[command(flatten)]
    backends: BackendFlags,
}

const EXAMPLES: &str = "\
Examples:
  trickle demo
  trickle demo --processor tint --params '{\"color\": \"#ff8800\"}' -o tinted.ts
  trickle demo --input clip.mp4 --seconds 30s
  trickle demo --keep

The clip is cut from Big Buck Bunny, (c) Blender Foundation, CC BY 3.0, www.bigbuckbunny.org.";

pub(crate) async fn run(args: DemoArgs, registry: &Registry, ui: &Ui) -> Result<(), CliError> {
    let processor = match args.processor {
        Some(name) => name,
        None => default_processor(registry)?,
    };
    let output = args.output.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("trickle-demo-{}.ts", std::process::id()))
    });
    let plan = Plan {
        input: args.input,
        length: (!args.keep).then_some(args.seconds),
        model: registry
            .get(&processor)
            .map_err(|error| CliError::usage(error.to_string()))?,
        processor,
        params: args.params.unwrap_or_default(),
        encode: args.encode.resolve()?,
        backends: args.backends.open().await?,
        audio: args.encode.audio,
        on_error: args.encode.on_error,
        output,
    };
    demo::run(plan, ui).await
}

/// The visible one, or the first of a registry that has other processors only.
fn default_processor(registry: &Registry) -> Result<String, CliError> {
    let names: Vec<&str> = registry.list().map(|(name, _)| name).collect();
    names
        .iter()
        .find(|name| **name == VISIBLE)
        .or(names.first())
        .map(|name| (*name).to_owned())
        .ok_or_else(|| CliError::usage("this program has no processors"))
}
