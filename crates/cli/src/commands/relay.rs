//! `trickle relay`: the server that channels live on.

use clap::Args;
use trickle_proto::{Access, Relay, RelayConfig, Token};

use crate::error::CliError;
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
    #[command(flatten)]
    tls: TlsFlags,
}

const EXAMPLES: &str = "\
Examples:
  trickle relay --addr 127.0.0.1:2939 --autocreate
  curl -X POST -H 'Expect-Content: video/mp2t' http://127.0.0.1:2939/in   # create a channel

The relay's URL is printed on stdout once it accepts connections.";

pub(crate) async fn run(args: RelayArgs, ui: &Ui) -> Result<(), CliError> {
    let relay = Relay::new(RelayConfig {
        base_path: args.base_path.clone(),
        autocreate: args.autocreate,
        access: Access {
            publish: tokens(&args.publish_token)?,
            subscribe: tokens(&args.subscribe_token)?,
        },
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

fn tokens(texts: &[String]) -> Result<Vec<Token>, CliError> {
    texts.iter().map(|text| channel::token(text)).collect()
}
