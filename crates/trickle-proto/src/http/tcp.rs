//! How every socket is set up: no delay, and half-open peers are found out.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence after which the kernel starts to probe a peer. A body may be silent for minutes, so
/// this and [`USER_TIMEOUT`] are what finds a peer that went away without a word.
pub(crate) const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
/// Time between two probes.
pub(crate) const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// Probes without an answer after which the connection is dead.
pub(crate) const KEEPALIVE_PROBES: u32 = 4;
/// Time that sent bytes may go without acknowledgement. Also bounds how long a peer may refuse
/// to take any.
pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Sets up an accepted socket. Failures are logged: the connection works without.
pub(crate) fn set_up(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_PROBES);
    let set = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive));
    #[cfg(target_os = "linux")]
    let set = set.and_then(|()| socket.set_tcp_user_timeout(Some(USER_TIMEOUT)));
    if let Err(error) = set {
        tracing::debug!(%error, "socket options");
    }
}
