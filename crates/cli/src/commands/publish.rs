//! `trickle publish`: a file as a live stream.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;
use trickle_media::access_unit::MediaKind;
use trickle_media::{AccessUnit, Timestamp};
use trickle_proto::PublishOptions;
use trickle_session::feed::{self, FeedError, FeedOptions};
use url::Url;

use crate::channel::ConnectFlags;
use crate::error::CliError;
use crate::input::ReadFlags;
use crate::ui::Ui;
use crate::{channel, input, interrupt};

/// Publish a media file to a channel as a live stream, paced in real time
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PublishArgs {
    /// MP4 or MPEG-TS file; - reads MPEG-TS from stdin
    #[arg(value_name = "FILE|-")]
    input: PathBuf,
    /// The channel, http://HOST:PORT/NAME
    #[arg(value_name = "CHANNEL_URL", value_parser = channel::url)]
    channel: Url,
    #[command(flatten)]
    read: ReadFlags,
    #[command(flatten)]
    connect: ConnectFlags,
    /// Start over at the end, for ever, with timestamps that go on
    #[arg(long = "loop")]
    looped: bool,
}

const EXAMPLES: &str = "\
Examples:
  trickle publish clip.mp4 http://127.0.0.1:2939/in
  trickle publish clip.ts http://127.0.0.1:2939/in --loop
  ffmpeg -re -i rtmp://… -c copy -f mpegts - | trickle publish - http://127.0.0.1:2939/in

The channel is closed at the end of the file, and on Ctrl-C.";

pub(crate) async fn run(args: PublishArgs, ui: &Ui) -> Result<(), CliError> {
    let reader = input::open(&args.input, args.read)?;
    if args.looped && !reader.can_rewind() {
        return Err(CliError::usage(
            "--loop needs a file: stdin can be read only once",
        ));
    }
    let stop = interrupt::token(ui);
    let publisher = args
        .connect
        .client()?
        .publish(&args.channel, PublishOptions::new(channel::MIME))
        .await
        .map_err(|error| channel::publish_error(&args.channel, &error))?;
    let options = FeedOptions {
        looped: args.looped,
        length: None,
    };
    let progress = ui.spinner();
    let mut sent = Sent::default();
    let observe = |unit: &AccessUnit| {
        sent.count(unit);
        progress.set_message(sent.to_string());
    };
    let published = feed::publish(reader, publisher, options, stop, observe).await;
    progress.finish_and_clear();
    match published {
        Ok(()) => {
            ui.say(&sent.to_string());
            Ok(())
        }
        Err(FeedError::Publish(error)) => Err(channel::publish_error(&args.channel, &error)),
        Err(error) => {
            let input = input::name(&args.input);
            Err(CliError::caused(format!("cannot publish {input}"), &error))
        }
    }
}

/// What has been published.
#[derive(Default)]
struct Sent {
    frames: u64,
    audio: u64,
    bytes: u64,
    first: Option<Timestamp>,
    seconds: f64,
}

impl Sent {
    fn count(&mut self, unit: &AccessUnit) {
        match unit.codec.kind() {
            MediaKind::Video => self.frames += 1,
            _ => self.audio += 1,
        }
        self.bytes += unit.data.len() as u64;
        let first = *self.first.get_or_insert(unit.dts);
        self.seconds = unit.dts.as_secs_f64() - first.as_secs_f64();
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} s published: {} frames, {} audio packets, {}",
            self.seconds,
            self.frames,
            self.audio,
            HumanBytes(self.bytes)
        )
    }
}
