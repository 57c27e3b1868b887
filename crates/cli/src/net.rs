//! Addresses to listen on.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::error::CliError;

/// Listens on `HOST:PORT`; the host may be a name.
pub(crate) async fn listen(addr: &str) -> Result<TcpListener, CliError> {
    TcpListener::bind(addr).await.map_err(|error| {
        let failed = CliError::caused(format!("cannot listen on {addr}"), &error);
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                failed.hint("another program listens there; port 0 takes a free one")
            }
            io::ErrorKind::AddrNotAvailable => {
                failed.hint("the host must be one of this machine's, such as 127.0.0.1 or 0.0.0.0")
            }
            io::ErrorKind::PermissionDenied => {
                failed.hint("ports below 1024 are the system administrator's")
            }
            _ => failed.hint("--addr takes HOST:PORT, such as 127.0.0.1:8000"),
        }
    })
}

/// The address that a listener has.
pub(crate) fn addr(listener: &TcpListener) -> Result<SocketAddr, CliError> {
    listener
        .local_addr()
        .map_err(|error| CliError::caused("cannot tell the address listened on", &error))
}

/// The URL of a server on `listener`, for a person to copy.
pub(crate) fn url(listener: &TcpListener, tls: bool) -> Result<String, CliError> {
    let scheme = if tls { "https" } else { "http" };
    Ok(format!("{scheme}://{}", addr(listener)?))
}
