//! `trickle health`: is the worker on this machine ready? For container health checks, which then
//! need no other program in the image.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use trickle_proto::ClientTls;
use trickle_server::client::WorkerClient;
use url::Url;

use crate::error::CliError;
use crate::{input, output};

/// Longest wait for an answer: health is told within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ask a worker whether it is ready; status 1 when it is not
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HealthArgs {
    /// Where it listens, as for serve
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "TRICKLE_ADDR",
        default_value = "127.0.0.1:8000"
    )]
    addr: String,
    /// Its certificate, if it serves https
    #[arg(long, value_name = "FILE", env = "TRICKLE_TLS_CERTIFICATE")]
    tls_certificate: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  trickle health
  trickle health --addr 127.0.0.1:9000

In a container with the settings of `trickle serve` in its environment, nothing needs to be said.";

pub(crate) async fn run(args: HealthArgs) -> Result<(), CliError> {
    let mut tls = ClientTls::default();
    if let Some(path) = &args.tls_certificate {
        let pem = input::bytes(path)?;
        tls = tls
            .trust_pem(&pem)
            .map_err(|error| CliError::caused(format!("cannot use {}", path.display()), &error))?;
    }
    let scheme = if args.tls_certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let url = Url::parse(&format!("{scheme}://{}", reachable(&args.addr)))
        .map_err(|error| CliError::usage(format!("--addr {}: {error}", args.addr)))?;
    let asked = async { WorkerClient::new(&url, &tls)?.health().await };
    let health = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|_| CliError::new(format!("{url} did not answer within {PATIENCE:?}")))?
        .map_err(|error| CliError::new(error.to_string()))?;
    output::line(&health.to_string())
}

/// An address to call, where one to listen on may mean all of the machine's.
fn reachable(addr: &str) -> String {
    match addr.parse::<SocketAddr>() {
        Ok(addr) if addr.ip() == Ipv4Addr::UNSPECIFIED || addr.ip() == Ipv6Addr::UNSPECIFIED => {
            format!("127.0.0.1:{}", addr.port())
        }
        _ => addr.to_owned(),
    }
}
