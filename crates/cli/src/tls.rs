//! The certificate of a server: flags that the worker and the relay share.

use std::path::PathBuf;

use clap::Args;
use trickle_proto::ServerTls;

use crate::error::CliError;
use crate::input;

/// Certificate and key, both or neither.
#[derive(Args, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsFlags {
    /// Serve https with this certificate chain, a PEM file
    #[arg(
        long,
        visible_alias = "tls-cert",
        value_name = "FILE",
        env = "TRICKLE_TLS_CERTIFICATE"
    )]
    tls_certificate: Option<PathBuf>,
    /// Private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE", env = "TRICKLE_TLS_KEY")]
    tls_key: Option<PathBuf>,
}

impl TlsFlags {
    /// What the server is to use; `None` for http.
    pub(crate) fn read(&self) -> Result<Option<ServerTls>, CliError> {
        let (certificate, key) = match (&self.tls_certificate, &self.tls_key) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err(CliError::usage("--tls-certificate needs --tls-key")),
            (None, Some(_)) => return Err(CliError::usage("--tls-key needs --tls-certificate")),
        };
        ServerTls::from_pem(&input::bytes(certificate)?, &input::bytes(key)?)
            .map(Some)
            .map_err(|error| {
                let files = format!("cannot use {} and {}", certificate.display(), key.display());
                CliError::caused(files, &error)
            })
    }
}
