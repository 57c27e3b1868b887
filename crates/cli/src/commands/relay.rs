//! `trickle relay`: the server that channels live on.

use std::{collections::HashMap, time::Duration};

use clap::Args;
use trickle_proto::{Access, Limits, Relay, RelayConfig, Token};

use crate::error::CliError;
use crate::settings::duration;
use crate::tls::TlsFlags;
use crate::ui::Ui;
use crate::{channel, interrupt, net, output};

/// Run a relay: keep the last segments of each channel for those who read them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RelayArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "TRICKLE_RELAY_ADDR",
        default_value = "0.0.0.0:2939"
    )]
    addr: String,
    /// Publishing to a channel that does not exist creates it
    #[arg(long, env = "TRICKLE_RELAY_AUTOCREATE")]
    autocreate: bool,
    /// Path that channel names follow, such as /ai/trickle/
    #[arg(
        long,
        value_name = "PATH",
        env = "TRICKLE_RELAY_BASE_PATH",
        default_value = "/"
    )]
    base_path: String,
    /// Segments that each channel keeps
    #[arg(
        long,
        value_name = "N",
        env = "TRICKLE_RELAY_RING",
        default_value_t = 5,
        value_parser = at_least_one
    )]
    ring: usize,
    /// Tell of channels made and closed on the channel `_changes`
    #[arg(long, env = "TRICKLE_RELAY_CHANGEFEED")]
    changefeed: bool,
    /// A channel without a byte for this long is closed
    #[arg(
        long,
        value_name = "TIME",
        env = "TRICKLE_RELAY_IDLE_TIMEOUT",
        default_value = "300s",
        value_parser = duration
    )]
    idle_timeout: Duration,
    #[command(flatten)]
    limits: LimitFlags,
    /// Publishing wants `Authorization: Bearer TOKEN`; may be given more than once
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TRICKLE_PUBLISH_TOKEN",
        hide_env_values = true
    )]
    publish_token: Vec<String>,
    /// Reading wants `Authorization: Bearer TOKEN`; may be given more than once
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TRICKLE_SUBSCRIBE_TOKEN",
        hide_env_values = true
    )]
    subscribe_token: Vec<String>,
    /// Publishing to this channel wants TOKEN, or one of --publish-token; may be given more than
    /// once
    #[arg(
        long,
        value_name = "CHANNEL=TOKEN",
        env = "TRICKLE_CHANNEL_PUBLISH_TOKEN",
        hide_env_values = true
    )]
    channel_publish_token: Vec<String>,
    /// Reading this channel wants TOKEN, or one of --subscribe-token; may be given more than once
    #[arg(
        long,
        value_name = "CHANNEL=TOKEN",
        env = "TRICKLE_CHANNEL_SUBSCRIBE_TOKEN",
        hide_env_values = true
    )]
    channel_subscribe_token: Vec<String>,
    #[command(flatten)]
    tls: TlsFlags,
}

/// Bounds; what goes beyond is refused with a status of its own.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Bytes of one segment
    #[arg(
        long,
        value_name = "BYTES",
        env = "TRICKLE_RELAY_MAX_SEGMENT_BYTES",
        default_value_t = Limits::default().segment_bytes
    )]
    max_segment_bytes: u64,
    /// Bytes that one channel keeps
    #[arg(
        long,
        value_name = "BYTES",
        env = "TRICKLE_RELAY_MAX_CHANNEL_BYTES",
        default_value_t = Limits::default().channel_bytes
    )]
    max_channel_bytes: u64,
    /// Channels
    #[arg(
        long,
        value_name = "N",
        env = "TRICKLE_RELAY_MAX_CHANNELS",
        default_value_t = Limits::default().channels
    )]
    max_channels: usize,
    /// Readers of one channel at once
    #[arg(
        long,
        value_name = "N",
        env = "TRICKLE_RELAY_MAX_SUBSCRIBERS",
        default_value_t = Limits::default().subscribers
    )]
    max_subscribers: usize,
    /// Connections at once; further ones wait
    #[arg(
        long,
        value_name = "N",
        env = "TRICKLE_RELAY_MAX_CONNECTIONS",
        default_value_t = Limits::default().connections,
        value_parser = at_least_one
    )]
    max_connections: usize,
}

impl LimitFlags {
    fn limits(&self) -> Limits {
        Limits {
            segment_bytes: self.max_segment_bytes,
            channel_bytes: self.max_channel_bytes,
            channels: self.max_channels,
            subscribers: self.max_subscribers,
            connections: self.max_connections,
            ..Limits::default()
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("must be a number of 1 or more".to_owned()),
        Ok(number) => Ok(number),
    }
}

const EXAMPLES: &str = "\
Examples:
  trickle relay --addr 127.0.0.1:2939 --autocreate
  curl -X POST -H 'Expect-Content: video/mp2t' http://127.0.0.1:2939/in   # create a channel
  trickle relay --base-path /ai/trickle/ --changefeed --tls-certificate cert.pem --tls-key key.pem

The relay's URL is printed on stdout once it accepts connections.";

pub(crate) async fn run(args: RelayArgs, ui: &Ui) -> Result<(), CliError> {
    let relay = Relay::new(RelayConfig {
        base_path: args.base_path.clone(),
        autocreate: args.autocreate,
        ring: args.ring,
        changefeed: args.changefeed,
        idle_timeout: args.idle_timeout,
        limits: args.limits.limits(),
        access: Access {
            publish: tokens(&args.publish_token)?,
            subscribe: tokens(&args.subscribe_token)?,
        },
        channel_access: channel_access(&args)?,
        ..RelayConfig::default()
    });
    let tls = args.tls.read()?;
    let stop = interrupt::token(ui);
    let listener = net::listen(&args.addr).await?;
    let url = net::url(&listener, tls.is_some())?;
    output::line(&format!("{url}{}", relay.base_path()))?;
    let served = match tls {
        Some(tls) => relay.serve_tls(listener, tls, stop.cancelled_owned()).await,
        None => relay.serve(listener, stop.cancelled_owned()).await,
    };
    served.map_err(|error| CliError::caused("the relay ended", &error))
}

fn channel_access(args: &RelayArgs) -> Result<HashMap<String, Access>, CliError> {
    let mut all: HashMap<String, Access> = HashMap::new();
    for text in &args.channel_publish_token {
        let (channel, token) = channel_token(text)?;
        all.entry(channel).or_default().publish.push(token);
    }
    for text in &args.channel_subscribe_token {
        let (channel, token) = channel_token(text)?;
        all.entry(channel).or_default().subscribe.push(token);
    }
    Ok(all)
}

fn channel_token(text: &str) -> Result<(String, Token), CliError> {
    // The text is a secret in part: it is not repeated.
    let (channel, token) = text
        .split_once('=')
        .filter(|(channel, _)| !channel.is_empty())
        .ok_or_else(|| CliError::usage("a channel's token is written CHANNEL=TOKEN"))?;
    Ok((channel.to_owned(), channel::token(token)?))
}

fn tokens(texts: &[String]) -> Result<Vec<Token>, CliError> {
    texts.iter().map(|text| channel::token(text)).collect()
}
