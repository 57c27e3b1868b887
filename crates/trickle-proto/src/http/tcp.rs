//! How every connection is set up: no delay, and half-open peers are found out.

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

/// Time between two HTTP/2 PINGs, which both sides send.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(20);
/// Time in which a PING must be answered.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(10);

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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_peer_that_goes_away_without_a_word_is_probed_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        set_up(&stream);
        let socket = SockRef::from(&stream);
        assert!(stream.nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }
}
