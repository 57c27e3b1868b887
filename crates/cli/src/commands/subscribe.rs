//! `trickle subscribe`: a channel into a file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use trickle_proto::{Start, Subscriber};
use url::Url;

use crate::channel::ConnectFlags;
use crate::error::CliError;
use crate::input::ReadFlags;
use crate::sink::{Sink, is_mp4};
use crate::ui::Ui;
use crate::{channel, interrupt};

/// Read a channel and write its bytes to a file as they arrive, or record it as MP4
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SubscribeArgs {
    /// The channel, http://HOST:PORT/NAME
    #[arg(value_name = "CHANNEL_URL", value_parser = channel::url)]
    channel: Url,
    #[command(flatten)]
    connect: ConnectFlags,
    /// Where to write: an MP4 if it is named .mp4, else the bytes as they come; - is stdout
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    read: ReadFlags,
}

const EXAMPLES: &str = "\
Examples:
  trickle subscribe http://127.0.0.1:2939/out -o out.ts
  trickle subscribe http://127.0.0.1:2939/out -o recording.mp4
  trickle subscribe http://127.0.0.1:2939/multiplex -o second.mp4 --program 2
  trickle subscribe http://127.0.0.1:2939/out | ffplay -fflags nobuffer -

It starts with the segment that is being written, and ends with the channel or with Ctrl-C. An MP4
that was cut short plays up to its last complete group of pictures.";

pub(crate) async fn run(args: SubscribeArgs, ui: &Ui) -> Result<(), CliError> {
    let stop = interrupt::token(ui);
    if args.read.program.is_some() && !is_mp4(&args.output) {
        return Err(CliError::usage(
            "--program says what an MP4 is made of; all else is written as it comes",
        ));
    }
    let mut output = Sink::create(&args.output, args.read)?;
    let mut subscriber = args
        .connect
        .client()?
        .subscribe(&args.channel, Start::Current)
        .map_err(|error| channel::subscribe_error(&args.channel, &error.into()))?;
    let progress = ui.spinner();
    let copying = copy(&mut subscriber, &args, &mut output, &progress, ui);
    // On a signal what has arrived is kept.
    let received = stop.run_until_cancelled(copying).await.unwrap_or(Ok(()));
    progress.finish_and_clear();
    output
        .finish()
        .map_err(|error| write_error(&args.output, &error))?;
    received
}

async fn copy(
    subscriber: &mut Subscriber,
    args: &SubscribeArgs,
    output: &mut Sink,
    progress: &ProgressBar,
    ui: &Ui,
) -> Result<(), CliError> {
    let mut bytes = 0;
    let failed = |error| channel::subscribe_error(&args.channel, &error);
    while let Some(mut segment) = subscriber.next_segment().await.map_err(failed)? {
        if let Some(gap) = segment.gap() {
            ui.say(&channel::describe_gap(gap));
        }
        loop {
            match segment.chunk().await {
                Ok(Some(chunk)) => {
                    output
                        .write_all(&chunk)
                        .and_then(|()| output.flush())
                        .map_err(|error| write_error(&args.output, &error))?;
                    bytes += chunk.len() as u64;
                    progress.set_message(format!(
                        "segment {}, {}",
                        segment.seq(),
                        HumanBytes(bytes)
                    ));
                }
                Ok(None) => break,
                Err(error) if error.is_terminal() => return Err(failed(error)),
                Err(error) => {
                    ui.say(&error.to_string());
                    break;
                }
            }
        }
    }
    Ok(())
}

fn write_error(path: &Path, error: &io::Error) -> CliError {
    CliError::caused(format!("cannot write to {}", path.display()), error)
}
