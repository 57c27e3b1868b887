//! Trickle channels on the command line: their URLs and what their errors mean to a person.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use trickle_proto::publish::PostAnswer;
use trickle_proto::{
    Client, ClientConfig, ClientTls, Gap, PublishError, PublishStop, SubscribeError, SubscribeStop,
    Token,
};
use url::Url;

use crate::error::CliError;
use crate::input;
use crate::settings::duration;

/// MIME type of media channels.
pub(crate) const MIME: &str = "video/mp2t";

/// The URL of a channel, as an argument.
pub(crate) fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; write http://HOST:PORT/NAME"))?;
    match (url.scheme(), url.path()) {
        ("http" | "https", "" | "/") => Err("names no channel; write http://HOST:PORT/NAME".into()),
        ("http" | "https", _) => Ok(url),
        (scheme, _) => Err(format!("{scheme:?} is neither http nor https")),
    }
}

/// How channels are reached.
#[derive(Args, Debug)]
#[command(next_help_heading = "Channels")]
pub(crate) struct ConnectFlags {
    /// How long a relay that cannot be reached is tried again
    #[arg(long, value_name = "TIME", env = "TRICKLE_RETRY", default_value = "30s", value_parser = duration)]
    retry: Duration,
    /// Believe the https server that has this certificate too, a PEM file
    #[arg(long, value_name = "FILE", env = "TRICKLE_TRUST_CERTIFICATE")]
    trust_certificate: Option<PathBuf>,
    /// Believe every https server: whoever stands in between reads and changes everything
    #[arg(long, env = "TRICKLE_INSECURE")]
    insecure: bool,
    /// Bearer token that the relay wants
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TRICKLE_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

impl ConnectFlags {
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        let mut config = ClientConfig::default();
        config.retry.window = self.retry;
        config.tls = ClientTls::default().insecure(self.insecure);
        if let Some(path) = &self.trust_certificate {
            let pem = input::bytes(path)?;
            config.tls = config.tls.trust_pem(&pem).map_err(|error| {
                CliError::caused(format!("cannot use {}", path.display()), &error)
            })?;
        }
        config.token = self.token.as_deref().map(token).transpose()?;
        client(config)
    }
}

/// A bearer token, as an argument.
pub(crate) fn token(text: &str) -> Result<Token, CliError> {
    Token::new(text).map_err(|error| CliError::usage(error.to_string()))
}

pub(crate) fn client(config: ClientConfig) -> Result<Client, CliError> {
    Client::new(config).map_err(|error| CliError::caused("cannot make the trickle client", &error))
}

pub(crate) fn publish_error(url: &Url, error: &PublishError) -> CliError {
    let cli = CliError::caused(format!("cannot publish to {url}"), error);
    match error {
        // It says itself what to do.
        PublishError::Stopped {
            stop: PublishStop::Distrusted,
            ..
        }
        | PublishError::SegmentLost {
            answer: PostAnswer::Distrusted,
            ..
        } => cli,
        _ => cli.hint(
            "is a relay there? `trickle relay --autocreate` runs one that creates channels as \
             they are published to",
        ),
    }
}

pub(crate) fn subscribe_error(url: &Url, error: &SubscribeError) -> CliError {
    let cli = CliError::caused(format!("cannot read from {url}"), error);
    match error {
        SubscribeError::Stopped {
            stop: SubscribeStop::Distrusted,
            ..
        } => cli,
        _ => cli.hint("the channel must exist: it is made by the relay or by its first publisher"),
    }
}

/// A break in the sequence, in words.
pub(crate) fn describe_gap(gap: Gap) -> String {
    match gap {
        Gap::Missed { from, until } => format!(
            "{} segments were missed, from {from} to before {until}",
            gap.missing()
        ),
        Gap::Restarted { expected, got } => {
            format!("the stream started anew: segment {got} came where {expected} was next")
        }
    }
}
